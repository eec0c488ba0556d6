"""Do 95 % intervals hold the truth in 95 % of the samples, and what if they ignore how the sample was drawn?

Stratified two-stage samples are drawn from the market again and again. Each gives the index of satisfaction and two
paths by PLS, with several intervals; the share of the intervals that hold the census value of the same estimator is
their coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import csi_lab as csi
from csi_lab import Design, simulate
from csi_lab.intervals import Kind, interval
from csi_lab.sampling import estimate, select
from experiments.population import CUSTOMERS, QUANTITIES, Population, population

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEED = 4
DRAWS = 500
LEVEL = 0.95
TOWNS = 9

Drawn = tuple[pd.DataFrame, Design]

DESIGN_BASED = "design, t"
WEIGHTS_ONLY = "weights only, t"
IGNORED = "design ignored, t"
INTERVALS = {
    DESIGN_BASED: "Rao-Wu replicates: in each, the towns of a province are drawn again, with their weights; "
    "estimate ± t · se, towns (PSUs) minus provinces (strata) degrees of freedom",
    "design, percentile": "the same replicates, 2.5 % and 97.5 % points",
    "design, BCa": "the same replicates, bias-corrected and accelerated",
    "design, linearised": "`sampling.estimate.of`: Taylor variance of the same design; estimate ± t · se",
    WEIGHTS_ONLY: "weighted estimate, bootstrap of respondents as if each had been drawn by itself",
    IGNORED: "neither weights nor towns: unweighted estimate, bootstrap of respondents",
}


def with_replacement(people: Population, per_town: int, rng: np.random.Generator) -> Drawn:
    """Nine towns in each province by size, with replacement; customers at random in each draw of a town."""
    frame = people.market.register[["customer", "province", "town"]]
    sample = select.cluster(
        frame, "town", TOWNS, rng=rng, method="hansen-hurwitz", per_cluster=per_town, strata="province"
    )
    return sample.frame, sample.design


def as_the_survey(people: Population, per_town: int, rng: np.random.Generator) -> Drawn:
    """As ``data/broadband`` is drawn: nine systematic points by size in each province, towns without replacement."""
    register = people.market.register
    drawn = simulate.two_stage(register, towns=TOWNS, issued=per_town, rng=rng)
    at = drawn["customer"].to_numpy() - 1
    frame = register[["province", "town"]].iloc[at].assign(weight=drawn["base_weight"].to_numpy())
    return frame, Design(weights="weight", strata="province", psu="town")


@dataclass(frozen=True)
class Setting:
    """One way of drawing the samples, and how many of them."""

    name: str
    words: str
    draw: Callable[[Population, int, np.random.Generator], Drawn]
    per_town: int
    samples: int
    market: Mapping[str, Any] | None = None

    def population(self, customers: int = CUSTOMERS) -> Population:
        """Where its samples come from: the market as it stands, or with the changes that the setting states."""
        return population(customers, self.market)


LOCAL = {"market": {"effects": {"town_sd": {"IMG": 0.5, "PQ": 0.5}}}}
SETTINGS = (
    Setting("A", "72 draws of towns with replacement, 17 customers each: n = 1,224", with_replacement, 17, 1_600),
    Setting("B", "72 draws of towns with replacement, 75 customers each: n = 5,400", with_replacement, 75, 400),
    Setting("C", "towns without replacement, as `data/broadband` is drawn, 17 each: n = 1,224", as_the_survey, 17, 400),
    Setting(
        "D",
        "as B in another market, whose towns differ more: sd of the town effects on image and quality 0.5, not 0.2",
        with_replacement,
        75,
        400,
        LOCAL,
    ),
)


def intervals(
    people: Population, setting: Setting, *, samples: int | None = None, draws: int = DRAWS, linearised: bool = True
) -> pd.DataFrame:
    """Every interval of every sample.

    Parameters
    ----------
    people
        Where the samples come from.
    setting
        How they are drawn.
    samples
        How many; ``None``: as the setting says. Sample s is the same whatever their number.
    draws
        Replicates per sample and interval.
    linearised
        Whether the Taylor variance is computed too.

    Returns
    -------
    DataFrame
        Index (sample, interval, quantity); columns estimate, se, low, high.
    """
    parts = []
    for number in range(setting.samples if samples is None else samples):
        for name, values in _of_one_sample(people, setting, number, draws, linearised):
            rows = pd.MultiIndex.from_product([[number], [name], QUANTITIES], names=["sample", "interval", "quantity"])
            parts.append(pd.DataFrame(values, index=rows, columns=["estimate", "se", "low", "high"]))
    return pd.concat(parts)


def _of_one_sample(
    people: Population, setting: Setting, number: int, draws: int, linearised: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Name of each interval, and its ``(quantities, 4)`` numbers."""
    rng = np.random.default_rng([SEED, ord(setting.name), number])
    frame, design = setting.draw(people, setting.per_town, rng)
    items = list(people.answers.columns)
    frame = pd.concat([frame, people.answers.iloc[frame.index]], axis=1)
    three = ((DESIGN_BASED, design), (WEIGHTS_ONLY, Design(weights=design.weights)), (IGNORED, Design()))
    for name, believed in three:
        replicates = csi.replicates(frame, believed, items=items, draws=draws, rng=number)
        estimates, values = people.quantities(replicates.point), people.quantities(replicates.moments)
        kinds: dict[str, Kind] = {name: "normal"}
        jackknife = None
        if name == DESIGN_BASED:
            kinds |= {"design, percentile": "percentile", "design, BCa": "bca"}
            jackknife = people.quantities(replicates.jackknife)
        for label, kind in kinds.items():
            found = interval(estimates, values, kind=kind, level=LEVEL, df=replicates.df, jackknife=jackknife)
            yield label, np.column_stack([found.estimate, found.se, found.low, found.high])
    if linearised:
        linear = estimate.of(frame, people.quantities, design, items=items, names=QUANTITIES, level=LEVEL)
        yield "design, linearised", linear.to_frame()[["estimate", "se", "low", "high"]].to_numpy()


def coverage(table: pd.DataFrame, truth: np.ndarray) -> pd.DataFrame:
    r"""How often the intervals hold the truth.

    Parameters
    ----------
    table
        As :func:`intervals` gives it.
    truth
        ``(quantities,)`` census values.

    Returns
    -------
    DataFrame
        Index (interval, quantity); ``samples``, ``coverage`` (share), ``error`` (its own standard error,
        :math:`\sqrt{c(1 - c)/S}`), ``bias`` (mean estimate minus truth, in standard deviations of the estimates),
        ``se_ratio`` (root mean square standard error over the standard deviation of the estimates: 1 is right).

    Examples
    --------
    >>> names = ["sample", "interval", "quantity"]
    >>> rows = pd.MultiIndex.from_product([[0, 1], ["t"], QUANTITIES], names=names)
    >>> made = pd.DataFrame({"estimate": [0.5, 0.5, 0.5, 2.5, 2.5, 2.5], "se": 1.0}, index=rows)
    >>> made = made.assign(low=made["estimate"] - 0.5, high=made["estimate"] + 0.5)
    >>> coverage(made, np.array([0.2, 0.2, 5.0]))["coverage"].tolist()
    [0.5, 0.5, 0.0]
    """
    true = table.index.get_level_values("quantity").map(dict(zip(QUANTITIES, truth, strict=True))).to_numpy(dtype=float)
    hit = ((table["low"] <= true) & (true <= table["high"])).rename("hit")
    groups = table.assign(hit=hit, square=table["se"] ** 2, true=true).groupby(["interval", "quantity"], sort=False)
    samples, share, spread = groups.size(), groups["hit"].mean(), groups["estimate"].std()
    return pd.DataFrame(
        {
            "samples": samples,
            "coverage": share,
            "error": np.sqrt(share * (1 - share) / samples),
            "bias": (groups["estimate"].mean() - groups["true"].first()) / spread,
            "se_ratio": np.sqrt(groups["square"].mean()) / spread,
        }
    )


def by_setting(tables: dict[str, pd.DataFrame]) -> list[pd.DataFrame]:
    """Coverage of every interval as cells for the page, in percent with its own standard error; a table per setting."""

    def cell(row: pd.Series) -> str:
        return f"{100 * row['coverage']:.1f} ± {100 * row['error']:.1f}"

    return [_cells(name, table, list(INTERVALS), cell) for name, table in tables.items()]


def errors_by_setting(tables: dict[str, pd.DataFrame]) -> list[pd.DataFrame]:
    """Stated over true standard error and, in parentheses, bias in standard deviations; a table per setting."""

    def cell(row: pd.Series) -> str:
        # Adding 0 turns -0.0 into 0.0.
        return f"{row['se_ratio']:.2f} ({round(row['bias'], 2) + 0.0:+.2f})"

    return [_cells(name, table, [DESIGN_BASED, WEIGHTS_ONLY, IGNORED], cell) for name, table in tables.items()]


def _cells(setting: str, table: pd.DataFrame, shown: list[str], cell: Callable[[pd.Series], str]) -> pd.DataFrame:
    text = table.apply(cell, axis=1).unstack("quantity")
    return text.reindex(index=shown, columns=list(QUANTITIES)).rename_axis(index=f"{setting}: interval", columns=None)


def truth_as_text(true: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Census values per setting as cells for the page."""
    cells = {
        name: [f"{value:.2f}" if quantity.startswith("index") else f"{value:.4f}" for quantity, value in values.items()]
        for name, values in true.items()
    }
    return pd.DataFrame(cells, index=pd.Index(QUANTITIES, name="census value")).T.rename_axis("setting")


def plot_first(table: pd.DataFrame, truth: float, *, samples: int = 50) -> Figure:
    """Intervals of the index in the first samples, design-based and not; misses in another colour."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 6.5), sharex=True, sharey=True, layout="constrained")
    heads = ("weights, strata and towns", "weights only", "design ignored")
    for ax, name, head in zip(axes, (DESIGN_BASED, WEIGHTS_ONLY, IGNORED), heads, strict=True):
        part = table.xs((name, QUANTITIES[0]), level=("interval", "quantity")).iloc[:samples]
        hit = ((part["low"] <= truth) & (truth <= part["high"])).to_numpy()
        for among, colour, words in ((hit, "tab:blue", "holds the truth"), (~hit, "tab:red", "misses it")):
            rows, at = part[among], np.flatnonzero(among) + 1
            ax.hlines(at, rows["low"], rows["high"], color=colour, lw=1.6, label=f"{words}: {len(rows)}")
            ax.plot(rows["estimate"], at, "o", color=colour, ms=2.5)
        ax.axvline(truth, color="0.2", lw=1, ls="--")
        ax.set(title=head, xlabel="index of satisfaction (0-100)")
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.06), ncols=2, frameon=False, fontsize=9)
    axes[0].set(ylabel="sample (number)", ylim=(samples + 1, 0))
    return figure


def plot_coverage(tables: dict[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """Coverage of three intervals per quantity and setting, with two standard errors."""
    import matplotlib.pyplot as plt

    ax = plt.gca() if ax is None else ax
    labels = [f"{name}: {quantity}" for name in tables for quantity in QUANTITIES]
    place = np.arange(len(labels))[::-1]
    styles = ((DESIGN_BASED, "o", "tab:blue"), (WEIGHTS_ONLY, "s", "tab:orange"), (IGNORED, "^", "tab:red"))
    ax.axvspan(93, 97, color="0.9", label="93-97 %")
    ax.axvline(100 * LEVEL, color="0.4", lw=1, ls="--")
    for shift, (name, marker, colour) in zip((0.2, 0.0, -0.2), styles, strict=True):
        part = pd.concat([table.loc[name].reindex(list(QUANTITIES)) for table in tables.values()])
        ax.errorbar(
            100 * part["coverage"], place + shift, xerr=200 * part["error"], fmt=marker, color=colour, ms=5, label=name
        )
    ax.set(yticks=place, yticklabels=labels, xlabel="samples whose 95 % interval holds the census value (%)")
    ax.legend(loc="upper left", fontsize=9)
    return ax
