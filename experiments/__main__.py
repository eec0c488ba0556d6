"""Write the tables and figures of ``docs/sampling.md``: all, or the parts that are named (coverage, ways, weights)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import coverage, page, ways, weighting
from experiments.population import QUANTITIES, Population, population

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_coverage(people: Population) -> None:
    """Coverage of intervals: two tables, two figures."""
    tables, true = {}, {}
    for setting in coverage.SETTINGS:
        there = people if setting.market is None else setting.population()
        every = coverage.intervals(there, setting)
        tables[setting.name] = coverage.coverage(every, there.truth)
        true[setting.name] = dict(zip(QUANTITIES, there.truth, strict=True))
        print(f"{setting.name}: {setting.words}\n{tables[setting.name].round(3).to_string()}", flush=True)
        if setting is coverage.SETTINGS[0]:
            _save(coverage.plot_first(every, float(people.truth[0])), "coverage_intervals.png")
    settings = [f"* {s.name}: {s.words}; {s.samples:,} samples." for s in coverage.SETTINGS]
    page.write("settings", "\n".join(settings))
    page.write("intervals", "\n".join(f"* **{name}**: {words}." for name, words in coverage.INTERVALS.items()))
    page.write("census", page.markdown(coverage.truth_as_text(true)))
    page.write("coverage", "\n\n".join(map(page.markdown, coverage.by_setting(tables))))
    page.write("errors", "\n\n".join(map(page.markdown, coverage.errors_by_setting(tables))))
    _save(_figure((8, 6.5), partial(coverage.plot_coverage, tables)), "coverage.png")


def write_ways(people: Population) -> None:
    """Ten ways of drawing: one draw, many draws, a figure."""
    once = ways.one_draw(people)
    page.write("truth", f"The truth: {people.mean_index:.2f}, the mean over all {len(people.frame):,} customers.")
    page.write("one draw", page.markdown(ways.one_as_text(once)))
    many = ways.repeated(people)
    table = ways.summary(many, people.mean_index)
    print(table.round(3).to_string(), flush=True)
    page.write("many draws", page.markdown(ways.summary_as_text(table)))
    _save(_figure((8, 5.5), partial(ways.plot_repeated, many, people.mean_index)), "ways_of_drawing.png")


def write_weights(people: Population) -> None:
    """Weights under non-response, and refusals in three ways of drawing."""
    table = weighting.summary(weighting.repeated(people), people.mean_index, weighting.expected(people))
    print(table.round(3).to_string(), flush=True)
    page.write("weights", page.markdown(weighting.summary_as_text(table)))
    _save(_figure((8, 3.5), partial(weighting.plot_steps, table)), "weights.png")
    refused = weighting.refusals(people)
    print(refused.round(3).to_string(), flush=True)
    page.write("refusals", page.markdown(weighting.refusals_as_text(refused)))


PARTS: dict[str, Callable[[Population], None]] = {
    "coverage": write_coverage,
    "ways": write_ways,
    "weights": write_weights,
}


def _figure(size: tuple[float, float], draw: Callable[..., object]) -> Figure:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=size, layout="constrained")
    draw(ax=ax)
    return figure


def _save(figure: Figure, name: str) -> None:
    import matplotlib.pyplot as plt

    page.IMAGES.mkdir(exist_ok=True)
    # Without the version of the library in the file, the same picture is the same bytes.
    figure.savefig(page.IMAGES / name, dpi=110, metadata={"Software": None})
    plt.close(figure)
    print(f"written: {(page.IMAGES / name).relative_to(Path(__file__).parents[1])}", flush=True)


def main(names: list[str]) -> None:
    """Write the parts that are named, or all."""
    import matplotlib as mpl

    mpl.use("Agg")
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        raise SystemExit(f"no parts are called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    people = population()
    for name in names or PARTS:
        PARTS[name](people)


if __name__ == "__main__":
    main(sys.argv[1:])
