"""Cronbach's alpha with a bootstrap, beside pingouin called once per resample."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

import csi_lab as csi
from benchmarks import rpeers
from benchmarks.report import Row
from benchmarks.timing import peak_memory, take_turns

DRAWS = 2000
PEER_DRAWS = 40


def rows() -> list[Row]:
    """Five items, 2,694 respondents: the shape of scale N of the bfi data, from a simulation with alpha near .81."""
    import pingouin

    rng = np.random.default_rng(4)
    trait = rng.normal(size=(2694, 1))
    answers = np.clip(np.rint(3.5 + 1.1 * trait + 1.2 * rng.normal(size=(2694, 5))), 1, 6)
    frame = pd.DataFrame(answers, columns=[f"x{i}" for i in range(5)])

    def ours() -> object:
        return csi.reliability.cronbach_alpha(frame, draws=DRAWS, rng=1)

    def theirs() -> object:
        draws = np.random.default_rng(1).integers(0, len(frame), (PEER_DRAWS, len(frame)))
        return [pingouin.cronbach_alpha(frame.iloc[at].reset_index(drop=True)) for at in draws]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times = take_turns({"csi_lab": ours, "pingouin": theirs}, rounds=5)
    peer = times["pingouin"] * DRAWS / PEER_DRAWS
    note = f"peer measured with {PEER_DRAWS} resamples, multiplied up"
    met = times["csi_lab"] <= 0.1
    task = f"alpha, {DRAWS:,} draws, n = 2,694, k = 5"
    out = [Row(task, times["csi_lab"], "pingouin in a loop", peer, "<= 0.1 s", met, peak_memory(ours), note)]
    if rpeers.available("psych"):
        work = f"a <- alpha(x, n.iter = {PEER_DRAWS})"
        theirs = rpeers.seconds(frame, "library(psych)", work, times=1) * DRAWS / PEER_DRAWS
        out.append(Row(task, times["csi_lab"], "R psych", theirs, "", None, None, note))
    return out
