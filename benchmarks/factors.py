"""Parallel analysis, beside R's psych."""

from __future__ import annotations

import numpy as np
import pandas as pd

import csi_lab as csi
from benchmarks import rpeers
from benchmarks.report import Row
from benchmarks.timing import peak_memory, take_turns

DRAWS = 20


def rows() -> list[Row]:
    """25 items, 2,800 respondents, 20 draws: the shape of the bfi data."""
    rng = np.random.default_rng(5)
    traits = np.repeat(rng.normal(size=(2800, 5)), 5, axis=1)
    answers = np.clip(np.rint(3.5 + traits + 1.1 * rng.normal(size=(2800, 25))), 1, 6)
    frame = pd.DataFrame(answers, columns=[f"x{i}" for i in range(25)])

    def ours() -> object:
        return csi.factors.parallel_analysis(frame, draws=DRAWS, rng=1)

    mine = take_turns({"csi_lab": ours}, rounds=5)["csi_lab"]
    task = f"parallel analysis on common factors, 25 items, n = 2,800, {DRAWS} draws"
    theirs = None
    if rpeers.available("psych"):
        work = f'a <- fa.parallel(x, fa = "fa", n.iter = {DRAWS}, plot = FALSE)'
        theirs = rpeers.seconds(frame, "library(psych); options(mc.cores = 1)", f"invisible(capture.output({work}))")
    return [Row(task, mine, "R psych", theirs, "<= 0.1 s", mine <= 0.1, peak_memory(ours))]
