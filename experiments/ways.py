"""Ten ways of drawing 400 customers: what each says about the same index, once and again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from csi_lab.sampling import estimate, select
from csi_lab.sampling.select.sample import Sample
from experiments.population import Population

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED = 7
N = 400
REPEATS = 400
TOWNS = 20
STRATA = ("operator", "faults_class")
JUDGED_BY = ("spend", "faults", "outlet_visits")


@dataclass(frozen=True)
class Way:
    """A way of drawing: its name, how it works in one phrase, and the function that does it."""

    name: str
    words: str
    draw: Callable[[Population, int, np.random.Generator], Sample]


def _simple(people: Population, n: int, rng: np.random.Generator) -> Sample:
    return select.simple_random(people.frame, n, rng)


def _systematic(people: Population, n: int, rng: np.random.Generator) -> Sample:
    return select.systematic(people.frame, n, rng, order="town")


def _proportional(people: Population, n: int, rng: np.random.Generator) -> Sample:
    return select.stratified(people.frame, STRATA, n, rng=rng)


def _neyman(people: Population, n: int, rng: np.random.Generator) -> Sample:
    return select.stratified(people.frame, STRATA, n, rng=rng, allocation="neyman", sd="before")


def _clusters(people: Population, n: int, rng: np.random.Generator) -> Sample:
    return select.cluster(people.frame, "town", TOWNS, rng=rng, per_cluster=n // TOWNS)


def _clusters_by_size(people: Population, n: int, rng: np.random.Generator) -> Sample:
    return select.cluster(people.frame, "town", TOWNS, rng=rng, method="pps systematic", per_cluster=n // TOWNS)


def quota(people: Population, n: int, rng: np.random.Generator, agree: np.ndarray | float = 1.0) -> Sample:
    return select.quota(people.frame, ["age_group", "region"], n, rng=rng, ease="outlet_visits", agree=agree)


def convenience(people: Population, n: int, rng: np.random.Generator, agree: np.ndarray | float = 1.0) -> Sample:
    # Who comes by and agrees with chance p is met at p times the rate.
    return select.convenience(people.frame, n, people.frame["outlet_visits"].to_numpy() * agree, rng=rng)


def _snowball(people: Population, n: int, rng: np.random.Generator) -> Sample:
    return select.snowball(people.frame, n, "degree", rng=rng, network=_network(people))


def _judgement(people: Population, n: int, rng: np.random.Generator) -> Sample:
    return select.judgement(people.frame, n, JUDGED_BY)


@cache
def _network(people: Population) -> select.Network:
    """Who knows whom: made once, because acquaintances stay while samples come and go."""
    return select.contact_network(people.frame, "degree", rng=SEED)


WAYS = (
    Way("simple random", "every set of 400 customers is equally likely", _simple),
    Way("systematic", "every 500th of the register in order of towns", _systematic),
    Way("stratified, proportional", "by operator and number of faults, same share of each", _proportional),
    Way("stratified, Neyman", "same strata, more where last year's answers varied more", _neyman),
    Way("two-stage clusters", "20 towns at random, 20 customers in each", _clusters),
    Way("clusters by size", "20 towns with probability by size, 20 customers in each", _clusters_by_size),
    Way("quota", "visitors of the outlets until each cell of age and region is full", quota),
    Way("convenience", "the first 400 visitors of the outlets", convenience),
    Way("snowball", "5 customers name acquaintances, and these theirs", _snowball),
    Way("judgement", "the 400 nearest to the mean in spend, faults and visits", _judgement),
)


def one_draw(people: Population, ways: tuple[Way, ...] = WAYS, *, number: int = 0, n: int = N) -> pd.DataFrame:
    """One sample by each way.

    Parameters
    ----------
    people
        Where the samples come from.
    ways
        How they are drawn.
    number
        Of the draw, 0 or more; the same number gives the same samples.
    n
        Customers per sample.

    Returns
    -------
    DataFrame
        One row per way: n, estimate, error (against the census), se, low, high; the last three NaN where chance did not
        draw the sample.
    """
    rows = {}
    for way in ways:
        # By its place among all, so that leaving some out changes nothing for the others.
        sample = way.draw(people, n, np.random.default_rng([SEED, WAYS.index(way), number]))
        rows[way.name] = {"n": len(sample), **_estimated(sample)}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("way")
    table.insert(2, "error", table["estimate"] - people.mean_index)
    return table


def _estimated(sample: Sample) -> dict[str, float]:
    """The mean index: with the weights and the interval of the design where there is one."""
    if not sample.random:
        none = {"se": np.nan, "low": np.nan, "high": np.nan}
        return {"estimate": float(sample.frame["index"].mean()), **none}
    found = estimate.mean(sample.frame, "index", sample.design).to_frame().iloc[0]
    return {name: float(found[name]) for name in ("estimate", "se", "low", "high")}


def repeated(people: Population, ways: tuple[Way, ...] = WAYS, *, repeats: int = REPEATS, n: int = N) -> pd.DataFrame:
    """Many samples by each way: index (way, number), columns as in :func:`one_draw`."""
    parts = {number: one_draw(people, ways, number=number, n=n) for number in range(repeats)}
    return pd.concat(parts, names=["number"]).swaplevel().sort_index(level="number", sort_remaining=False)


def summary(table: pd.DataFrame, truth: float) -> pd.DataFrame:
    """What repeated samples show.

    Returns
    -------
    DataFrame
        One row per way: ``mean``, ``bias``, ``bias_error`` (its own standard error), ``sd``, ``rmse``, ``coverage``
        (share of the intervals that hold the truth) and ``width`` (their mean width); NaN without intervals.
    """
    groups = table.groupby(level="way", sort=False)
    hit = ((table["low"] <= truth) & (truth <= table["high"])).where(table["low"].notna())
    spread, repeats = groups["estimate"].std(), groups.size()
    return pd.DataFrame(
        {
            "mean": groups["estimate"].mean(),
            "bias": groups["error"].mean(),
            "bias_error": spread / np.sqrt(repeats),
            "sd": spread,
            "rmse": np.sqrt((table["error"] ** 2).groupby(level="way", sort=False).mean()),
            "coverage": hit.astype(float).groupby(level="way", sort=False).mean(),
            "width": (table["high"] - table["low"]).groupby(level="way", sort=False).mean(),
        }
    )


def one_as_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table of one draw as cells for the page."""
    known = table["se"].notna()
    ends = [f"{a:.2f} to {b:.2f}" for a, b in zip(table["low"], table["high"], strict=True)]
    words = {way.name: way.words for way in WAYS}
    return pd.DataFrame(
        {
            "how": [words[name] for name in table.index],
            "estimate": [f"{x:.2f}" for x in table["estimate"]],
            "error": [f"{x:+.2f}" for x in table["error"]],
            "95 % interval": [text if given else "none" for text, given in zip(ends, known, strict=True)],
        },
        index=table.index,
    )


def summary_as_text(table: pd.DataFrame) -> pd.DataFrame:
    """The summary of repeated draws as cells for the page."""
    return pd.DataFrame(
        {
            "bias": [f"{x:+.2f} ± {e:.2f}" for x, e in zip(table["bias"], table["bias_error"], strict=True)],
            "sd": [f"{x:.2f}" for x in table["sd"]],
            "rmse": [f"{x:.2f}" for x in table["rmse"]],
            "intervals that hold the truth": ["none" if np.isnan(x) else f"{100 * x:.1f} %" for x in table["coverage"]],
            "mean width": ["none" if np.isnan(x) else f"{x:.2f}" for x in table["width"]],
        },
        index=table.index,
    )


def plot_repeated(table: pd.DataFrame, truth: float, ax: Axes | None = None) -> Axes:
    """Spread of the estimates of each way about the truth."""
    import matplotlib.pyplot as plt

    ax = plt.gca() if ax is None else ax
    names = list(dict.fromkeys(table.index.get_level_values("way")))
    place = np.arange(len(names))[::-1]
    by_chance = table["se"].groupby(level="way", sort=False).count() > 0
    jitter = np.random.default_rng(SEED)
    for at, name in zip(place, names, strict=True):
        values = table.loc[name, "estimate"].to_numpy()
        colour = "tab:blue" if by_chance[name] else "tab:red"
        ax.plot(values, at + jitter.uniform(-0.25, 0.25, len(values)), ".", color=colour, ms=3, alpha=0.35)
        ax.plot([values.mean()] * 2, [at - 0.35, at + 0.35], color="black", lw=2)
    ax.axvline(truth, color="0.2", lw=1, ls="--")
    ax.set(yticks=place, yticklabels=names, xlabel="index of satisfaction (0-100): one dot per sample, bar: their mean")
    ax.set_title("blue: drawn by chance; red: not; dashed: the truth", fontsize=10)
    return ax
