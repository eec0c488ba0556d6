"""The data every benchmark starts from: the ECSI mobile answers, and rows drawn from them with replacement."""

from __future__ import annotations

import numpy as np
import pandas as pd

import csi_lab as csi


def mobile_model() -> csi.PathModel:
    """ECSI mobile: 7 constructs, 24 items, 12 paths."""
    model = csi.load_survey("mobile").model
    assert model is not None
    return model


def mobile(n: int = 250) -> pd.DataFrame:
    """The survey itself, or ``n`` rows drawn from it, as floats."""
    frame = csi.load_survey("mobile").frame[list(mobile_model().items)]
    if n == len(frame):
        return frame
    return frame.iloc[np.random.default_rng(1).integers(0, len(frame), n)].reset_index(drop=True)
