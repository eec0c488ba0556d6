"""PLS path models: single fits and bootstraps, beside the Python package seminr and a bare cross-product."""

from __future__ import annotations

import numpy as np
import pandas as pd

import csi_lab as csi
from benchmarks.data import mobile, mobile_model
from benchmarks.report import Row
from benchmarks.timing import peak_memory, take_turns

DRAWS = 5000
# The peer makes so many draws; its time is multiplied up, which the row says.
PEER_DRAWS = 100


def rows() -> list[Row]:
    """All tasks of this room."""
    return [*(_fit(n) for n in (250, 10_000, 100_000)), _large(), _bootstrap()]


def growth() -> list[dict[str, object]]:
    """Seconds and peak memory of one fit and of the bootstrap as n, p and draws grow."""
    out: list[dict[str, object]] = []
    model = mobile_model()
    for n in (250, 10_000, 100_000, 1_000_000):
        frame = mobile(n)
        out.append(_measured(f"one fit, n = {n:,}, p = 24", lambda frame=frame: csi.sem.pls(frame, model)))
    for p, blocks in ((24, 6), (48, 12), (96, 24)):
        frame, wide = _wide(1000, blocks)
        out.append(_measured(f"one fit, n = 1,000, p = {p}", lambda frame=frame, wide=wide: csi.sem.pls(frame, wide)))
    for draws in (1000, 5000, 20_000):
        fit = csi.sem.pls(mobile(), model)
        task = f"bootstrap, n = 250, p = 24, {draws:,} draws"
        out.append(_measured(task, lambda fit=fit, draws=draws: fit.bootstrap(draws).paths))
    for n in (10_000, 1_000_000):
        fit = csi.sem.pls(mobile(n), model)
        task = f"bootstrap, n = {n:,}, p = 24, 2,000 draws"
        out.append(_measured(task, lambda fit=fit: fit.bootstrap(2000).paths))
    return out


def _measured(task: str, work: object) -> dict[str, object]:
    seconds = take_turns({"csi_lab": work}, rounds=3)["csi_lab"]  # type: ignore[dict-item]
    return {"task": task, "seconds": seconds, "peak MB": peak_memory(work)}  # type: ignore[arg-type]


def _wide(n: int, blocks: int) -> tuple[pd.DataFrame, csi.PathModel]:
    """A chain of constructs with four items each."""
    rng = np.random.default_rng(2)
    score = np.cumsum(rng.normal(size=(n, blocks)), axis=1)
    names = [[f"x{b}_{i}" for i in range(4)] for b in range(blocks)]
    x = np.repeat(score, 4, axis=1) + rng.normal(size=(n, 4 * blocks))
    constructs = {f"C{b}": items for b, items in enumerate(names)}
    paths = {f"C{b}": [f"C{b - 1}"] for b in range(1, blocks)}
    return pd.DataFrame(x, columns=[item for block in names for item in block]), csi.PathModel(constructs, paths)


def _peer_model() -> tuple[object, object]:
    import seminr

    model = mobile_model()
    outer = seminr.constructs(*(seminr.composite(name, list(items)) for name, items in model.constructs.items()))
    inner = seminr.relationships(*(seminr.paths(from_=list(s), to=t) for t, s in model.paths.items()))
    return outer, inner


def _fit(n: int) -> Row:
    import seminr

    frame, model = mobile(n), mobile_model()
    outer, inner = _peer_model()
    times = take_turns(
        {"csi_lab": lambda: csi.sem.pls(frame, model), "seminr": lambda: seminr.estimate_pls(frame, outer, inner)},
        rounds=7 if n <= 10_000 else 3,
    )
    _require_same(csi.sem.pls(frame, model), seminr.estimate_pls(frame, outer, inner), model)
    memory = peak_memory(lambda: csi.sem.pls(frame, model))
    bar, met = ("<= 2 ms", times["csi_lab"] <= 0.002) if n == 250 else ("", None)
    return Row(f"PLS, {n:,} rows", times["csi_lab"], "seminr (Python)", times["seminr"], bar, met, memory)


def _large() -> Row:
    n = 1_000_000
    frame, model = mobile(n).astype(float), mobile_model()
    x, w = frame.to_numpy(), np.random.default_rng(3).uniform(0.5, 2, n)
    times = take_turns(
        {"csi_lab": lambda: csi.sem.pls(frame, model, weights=w), "peer": lambda: (x * w[:, None]).T @ x}, rounds=5
    )
    memory = peak_memory(lambda: csi.sem.pls(frame, model, weights=w))
    ours, theirs = times["csi_lab"], times["peer"]
    met = ours <= 1.3 * theirs
    bar = "csi_lab <= 1.3 x cross-product"
    return Row(f"weighted PLS, {n:,} rows, floats", ours, "one X'WX in NumPy", theirs, bar, met, memory)


def _bootstrap() -> Row:
    import seminr

    frame, model = mobile(), mobile_model()
    outer, inner = _peer_model()
    fit, peer = csi.sem.pls(frame, model), seminr.estimate_pls(frame, outer, inner)

    def ours() -> object:
        drawn = fit.bootstrap(DRAWS)
        index = csi.index.from_fit(drawn, (1, 10)).table
        return drawn.paths, drawn.weights, drawn.loadings, drawn.r2, drawn.reliability, drawn.htmt, index

    times = take_turns(
        {"csi_lab": ours, "seminr": lambda: seminr.bootstrap_model(peer, nboot=PEER_DRAWS, seed=1)}, rounds=3
    )
    theirs = times["seminr"] * DRAWS / PEER_DRAWS
    task = f"bootstrap, {DRAWS:,} draws, ECSI mobile: paths, weights, loadings, R2, reliability, HTMT, index"
    note = f"peer measured with {PEER_DRAWS} draws, multiplied up; it gives no index"
    ratio = theirs / times["csi_lab"]
    return Row(task, times["csi_lab"], "seminr (Python)", theirs, ">= 100 x", ratio >= 100, peak_memory(ours), note)


def _require_same(ours: csi.sem.PLSFit, theirs: object, model: csi.PathModel) -> None:
    """A benchmark of different answers would compare nothing."""
    paths = theirs.path_coef  # type: ignore[attr-defined]
    table = pd.DataFrame(paths.values, index=list(paths.rows), columns=list(paths.cols))
    for source, target in model.edges:
        gap = abs(float(table.loc[source, target]) - ours.paths.loc[(source, target), "estimate"])
        if gap > 1e-6:
            raise SystemExit(f"csi_lab and seminr differ by {gap:.2g} on {source} -> {target}; nothing was written")
