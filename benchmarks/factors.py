"""Factor analysis, beside R's psych and the Python package factor-analyzer."""

from __future__ import annotations

import numpy as np
import pandas as pd

import csi_lab as csi
from benchmarks import pypeers, rpeers
from benchmarks.report import Row
from benchmarks.timing import peak_memory, take_turns

DRAWS = 20
FACTORS = 5
# Fails with a newer scikit-learn, so that it needs an environment of its own.
PEER = ("factor-analyzer==0.5.1", "scikit-learn<1.8")


def rows() -> list[Row]:
    """25 items, 2,800 respondents: the shape of the bfi data."""
    rng = np.random.default_rng(5)
    traits = np.repeat(rng.normal(size=(2800, 5)), 5, axis=1)
    answers = np.clip(np.rint(3.5 + traits + 1.1 * rng.normal(size=(2800, 25))), 1, 6)
    frame = pd.DataFrame(answers, columns=[f"x{i}" for i in range(25)])
    return [_parallel(frame), *_extraction(frame)]


def _parallel(frame: pd.DataFrame) -> Row:
    def ours() -> object:
        return csi.factors.parallel_analysis(frame, draws=DRAWS, rng=1)

    mine = take_turns({"csi_lab": ours}, rounds=5)["csi_lab"]
    task = f"parallel analysis on common factors, 25 items, n = 2,800, {DRAWS} draws"
    theirs = None
    if rpeers.available("psych"):
        work = f'a <- fa.parallel(x, fa = "fa", n.iter = {DRAWS}, plot = FALSE)'
        theirs = rpeers.seconds(frame, "library(psych); options(mc.cores = 1)", f"invisible(capture.output({work}))")
    return Row(task, mine, "R psych", theirs, "<= 0.1 s", mine <= 0.1, peak_memory(ours))


def _extraction(frame: pd.DataFrame) -> list[Row]:
    def ours() -> csi.factors.EFAFit:
        return csi.factors.efa(frame, FACTORS, extraction="minres", rotation="varimax")

    mine = take_turns({"csi_lab": ours}, rounds=5)["csi_lab"]
    memory = peak_memory(ours)
    task = f"EFA, minres and varimax, {FACTORS} factors, 25 items, n = 2,800"
    found = []
    python = pypeers.environment("factor-analyzer", *PEER)
    if python is None:
        found.append(Row(task, mine, "factor-analyzer", None, "", None, memory, "no environment for it here"))
    else:
        prepare = "from factor_analyzer import FactorAnalyzer"
        work = f"FactorAnalyzer({FACTORS}, rotation='varimax', method='minres').fit(x)"
        theirs, communalities = pypeers.seconds(python, frame, prepare, work, "result.get_communalities()")
        gap = float(np.abs(communalities - ours().communalities["estimate"].to_numpy()).max())
        if gap > 1e-3:
            raise SystemExit(f"csi_lab and factor-analyzer differ by {gap:.2g} in a communality; nothing was written")
        found.append(Row(task, mine, "factor-analyzer", theirs, "", None, memory, "in an environment of its own"))
    if rpeers.available("psych"):
        work = f'f <- fa(x, {FACTORS}, fm = "minres", rotate = "varimax")'
        found.append(Row(task, mine, "R psych", rpeers.seconds(frame, "library(psych)", work), "", None))
    return found
