"""Measure, print, and write ``docs/performance.md``."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import rich

import csi_lab as csi
from benchmarks.timing import take_turns

ROUNDS = 7
REPORT = Path(__file__).parents[1] / "docs" / "performance.md"


def peer_model(model: csi.PathModel) -> tuple[object, object]:
    """The same model in the words of the Python package seminr."""
    import seminr

    outer = seminr.constructs(*(seminr.composite(name, list(items)) for name, items in model.constructs.items()))
    inner = seminr.relationships(*(seminr.paths(from_=list(s), to=t) for t, s in model.paths.items()))
    return outer, inner


def pls_rows(sizes: tuple[int, ...]) -> list[dict[str, object]]:
    """PLS on the mobile survey, and on rows drawn from it with replacement; seminr (Python) is the peer."""
    import seminr

    survey = csi.load_survey("mobile")
    model = survey.model
    assert model is not None
    outer, inner = peer_model(model)
    rng = np.random.default_rng(1)
    out = []
    for n in sizes:
        at = np.arange(n) if n == len(survey.frame) else rng.integers(0, len(survey.frame), n)
        frame = survey.frame[list(model.items)].iloc[at].reset_index(drop=True)
        x, w = frame.to_numpy(), rng.uniform(0.5, 2, n)
        times = take_turns(
            {
                "csi_lab": lambda frame=frame: csi.sem.pls(frame, model),
                "seminr": lambda frame=frame: seminr.estimate_pls(frame, outer, inner),
                "cross-product": lambda x=x, w=w: (x * w[:, None]).T @ x,
            },
            rounds=ROUNDS if n <= 10_000 else 3,
        )
        ours, theirs = csi.sem.pls(frame, model), seminr.estimate_pls(frame, outer, inner)
        _same(ours, theirs, model)
        out.append({"rows": n, **times})
    return out


def stack_row(draws: int) -> dict[str, float]:
    """PLS of many replicates at once, from their moments: seconds for all of them, beside one at a time."""
    survey = csi.load_survey("mobile")
    model = survey.model
    assert model is not None
    rng = np.random.default_rng(2)
    frame = survey.frame[list(model.items)]
    parts = [csi.Moments.from_frame(frame.iloc[rng.integers(0, 250, 250)]) for _ in range(draws)]
    stack = csi.Moments.stack(parts)
    work = {"stack": lambda: csi.sem.pls(stack, model), "one by one": lambda: [csi.sem.pls(p, model) for p in parts]}
    return take_turns(work, rounds=5)


def _same(ours: csi.sem.PLSFit, theirs: object, model: csi.PathModel) -> None:
    """A benchmark of different answers would compare nothing."""
    paths = theirs.path_coef  # type: ignore[attr-defined]
    table = pd.DataFrame(paths.values, index=list(paths.rows), columns=list(paths.cols))
    for source, target in model.edges:
        gap = abs(float(table.loc[source, target]) - ours.paths.loc[(source, target), "estimate"])
        if gap > 1e-6:
            raise SystemExit(f"csi_lab and seminr differ by {gap:.2g} on {source} -> {target}; nothing was written")


def main() -> None:
    """Measure everything, print the tables, write the page."""
    rows = pd.DataFrame(pls_rows((250, 10_000, 100_000)))
    rows["seminr / csi_lab"] = rows["seminr"] / rows["csi_lab"]
    rows["csi_lab / cross-product"] = rows["csi_lab"] / rows["cross-product"]
    draws = 1000
    stack = stack_row(draws)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    libraries = f"NumPy {np.__version__}, pandas {pd.__version__}"
    faster = stack["one by one"] / stack["stack"]
    head = f"""# Performance

Written by `make bench` (`python -m benchmarks`). CPU seconds of one call, medians over rounds in which the candidates
take turns; one BLAS thread. Ratios are what to look at: the machine is named, but not quiet.

Machine: {machine}, {libraries}. Date: {datetime.date.today()}.
"""
    table = [
        f"| {row['rows']:,} | {row['csi_lab']:.5f} | {row['seminr']:.5f} | {row['seminr / csi_lab']:.1f} "
        f"| {row['cross-product']:.5f} | {row['csi_lab / cross-product']:.2f} |"
        for row in rows.to_dict("records")
    ]
    tables = "\n".join(table)
    body = f"""## PLS path model, ECSI mobile, 24 items, 7 constructs

Rows beyond 250 are drawn from the survey with replacement. seminr is the Python package of that name; both start from
the same DataFrame and end with the same paths (checked to 1e-6 in the run). The last columns set the whole estimation
beside a single weighted cross-product X'WX of the same integer answers, below which no method can go.

| rows | csi_lab, s | seminr, s | seminr / csi_lab | cross-product, s | csi_lab / cross-product |
| ---: | ---: | ---: | ---: | ---: | ---: |
{tables}

## PLS of {draws:,} replicates from their moments

All at once {stack["stack"]:.3f} s, one after the other {stack["one by one"]:.3f} s, {faster:.1f} times as long.
"""
    REPORT.write_text(f"{head}\n{body}", encoding="utf-8")
    rich.print(body)
    rich.print(f"written: {REPORT.relative_to(Path(__file__).parents[1])}")


if __name__ == "__main__":
    main()
