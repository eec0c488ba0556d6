"""Confirmatory factor analysis: 24 items, 7 factors, beside semopy and R's lavaan."""

from __future__ import annotations

import warnings

import csi_lab as csi
from benchmarks import rpeers
from benchmarks.data import mobile, mobile_model
from benchmarks.report import Row
from benchmarks.timing import peak_memory, take_turns

DRAWS = 1000
PEER_DRAWS = 10


def rows() -> list[Row]:
    """One large fit, and a bootstrap."""
    return [*_large(), *_bootstrap()]


def _model() -> csi.PathModel:
    """The measurement part of ECSI mobile: all latent covariances free, one single-item factor."""
    return csi.PathModel(dict(mobile_model().constructs))


def _lavaan() -> str:
    """The same in R, standardised latents; the single item has no residual."""
    lines = [f"{c} =~ {' + '.join(items)}" for c, items in _model().constructs.items()]
    alone = [items[0] for items in _model().constructs.values() if len(items) == 1]
    return "; ".join([*lines, *(f"{item} ~~ 0*{item}" for item in alone)])


def _large() -> list[Row]:
    import semopy

    n = 1_000_000
    frame, model = mobile(n).astype(float), _model()
    syntax = "\n".join(f"{c} =~ {' + '.join(items)}" for c, items in model.constructs.items() if len(items) > 1)
    measured = frame[[i for items in model.constructs.values() if len(items) > 1 for i in items]]

    def peer() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return semopy.Model(syntax).fit(measured)

    times = take_turns({"csi_lab": lambda: csi.sem.cbsem(frame, model), "semopy": peer}, rounds=3)
    memory = peak_memory(lambda: csi.sem.cbsem(frame, model))
    ours = times["csi_lab"]
    task = f"CFA, 24 items, 7 factors, {n:,} rows"
    note = "semopy without the single-item factor, and without fit measures"
    out = [Row(task, ours, "semopy", times["semopy"], "", None, memory, note)]
    if rpeers.available("lavaan"):
        theirs = rpeers.seconds(frame, "library(lavaan)", f'f <- cfa("{_lavaan()}", data = x, std.lv = TRUE)')
        out.append(Row(task, ours, "R lavaan", theirs, ">= 5 x", theirs >= 5 * ours, memory))
    else:
        out.append(Row(task, ours, "R lavaan", None, ">= 5 x (lavaan 5 s)", None, memory, "no lavaan here"))
    return out


def _bootstrap() -> list[Row]:
    frame, model = mobile(1000).astype(float), _model()
    fit = csi.sem.cbsem(frame, model)

    def ours() -> object:
        return fit.bootstrap(DRAWS, rng=1)

    mine = take_turns({"csi_lab": ours}, rounds=3)["csi_lab"]
    task = f"CFA bootstrap, {DRAWS:,} draws, n = 1,000, 24 items, 7 factors"
    if not rpeers.available("lavaan"):
        return [Row(task, mine, "R lavaan", None, "stated", None, peak_memory(ours), "no lavaan here")]
    prepare = f'library(lavaan); f <- cfa("{_lavaan()}", data = x, std.lv = TRUE)'
    theirs = rpeers.seconds(frame, prepare, f"b <- bootstrapLavaan(f, R = {PEER_DRAWS})", times=1)
    note = f"peer measured with {PEER_DRAWS} draws, multiplied up"
    return [Row(task, mine, "R lavaan", theirs * DRAWS / PEER_DRAWS, "stated", None, peak_memory(ours), note)]
