"""Tests that linear combinations of estimates are zero."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from csi_lab.errors import EstimationError
from csi_lab.sampling.estimate.wording import p_relation

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class WaldTest:
    """A test that combinations of estimates are zero: ``f`` with ``df1`` and ``df2`` degrees of freedom, ``p``."""

    f: float
    df1: float
    df2: float
    p: float

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        return pd.DataFrame([{"f": self.f, "df1": self.df1, "df2": self.df2, "p": self.p}])

    def __str__(self) -> str:
        return f"F({self.df1:g}, {self.df2:g}) = {self.f:.3f}, p {p_relation(self.p)}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>"


def wald_test(
    contrasts: np.ndarray, estimates: np.ndarray, covariance: np.ndarray, df: float, adjust: bool = True
) -> WaldTest:
    """F test that ``contrasts @ estimates`` is zero, see :meth:`Estimates.wald`.

    ``adjust``: reduce F and its degrees of freedom for the number of contrasts; a regression has done so already.

    Raises
    ------
    EstimationError
        If the covariance of the contrasts is singular or no degrees of freedom remain.

    Examples
    --------
    >>> print(wald_test(np.eye(1), np.array([2.0]), np.eye(1), 20.0))
    F(1, 20) = 4.000, p = .059
    """
    gap, v = contrasts @ estimates, contrasts @ covariance @ contrasts.T
    q = len(contrasts)
    df2 = df - q + 1 if adjust else df
    if df2 <= 0:
        raise EstimationError(f"{q} contrasts need more than {q - 1} degrees of freedom; the design has {df:g}")
    scale = np.sqrt(np.diagonal(v))
    if not (scale > 0).all() or np.linalg.eigvalsh(v / np.outer(scale, scale))[0] < 1e-10:
        raise EstimationError("the contrasts have no regular covariance: some depend on others or do not vary")
    f = float(gap @ np.linalg.solve(v, gap)) / q * (df2 / df if adjust and np.isfinite(df) else 1.0)
    p = float(special.chdtrc(q, f * q)) if np.isinf(df2) else float(special.fdtrc(q, df2, f))
    return WaldTest(f, float(q), float(df2), p)
