"""How a sample is divided among strata."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from csi_lab.errors import DataError, SpecError, listed
from csi_lab.sampling.select.register import some, whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Rule = Literal["proportional", "equal", "neyman", "optimal"]
RULES: tuple[str, ...] = get_args(Rule)


@dataclass(frozen=True, eq=False)
class Allocation:
    """Sample sizes per stratum.

    Attributes
    ----------
    table
        One row per stratum: ``population`` N_h, ``unbounded`` (the rule's own number, before minimum and take-all),
        ``exact`` (with both, before rounding), ``n``, ``fraction`` n_h/N_h, ``take_all``.
    rule
        Rule of the division.
    minimum
        Smallest number asked for in a stratum.
    """

    table: pd.DataFrame
    rule: str
    minimum: int

    @property
    def n(self) -> int:
        """Sample size in all."""
        return int(self.table["n"].sum())

    @property
    def sizes(self) -> dict[Any, int]:
        """Sample size of each stratum."""
        return {label: int(k) for label, k in self.table["n"].items()}

    @property
    def take_all(self) -> tuple[Any, ...]:
        """Strata of which every unit is taken."""
        return tuple(self.table.index[self.table["take_all"]])

    @property
    def raised(self) -> tuple[Any, ...]:
        """Strata that get more than the rule gives because of the minimum."""
        low = np.minimum(self.minimum, self.table["population"])
        return tuple(self.table.index[(self.table["unbounded"] < low) & (self.table["exact"] <= low)])

    @property
    def left_out(self) -> tuple[Any, ...]:
        """Strata that get no unit: nobody in them can be drawn, and no estimate covers them."""
        return tuple(self.table.index[self.table["n"] == 0])

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def __str__(self) -> str:
        shown = ", ".join(f"{label} {k}" for label, k in list(self.sizes.items())[:12])
        more = f", … (+{len(self.table) - 12})" if len(self.table) > 12 else ""
        text = f"{self.rule} allocation of {self.n}: {shown}{more}"
        if self.take_all:
            text += f"; all units taken in {some(self.take_all)}"
        if self.raised:
            text += f"; raised to the minimum of {self.minimum}: {some(self.raised)}"
        if self.left_out:
            text += f"; without any unit, hence outside every estimate: {some(self.left_out)}"
        return text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.table.round(4).to_html(escape=True)}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Sample size of each stratum as bars."""
        import matplotlib.pyplot as plt

        from csi_lab.plots_text import as_written

        ax = plt.gca() if ax is None else ax
        place = np.arange(len(self.table))[::-1]
        ax.barh(place, self.table["n"].to_numpy(dtype=float), color="tab:blue")
        ax.set(yticks=place, yticklabels=[str(i) for i in self.table.index], xlabel="sample size (units)")
        ax.set_ylabel("stratum")
        return as_written(ax)


def allocate(
    sizes: Mapping[Any, float] | pd.Series,
    n: int,
    rule: Rule = "proportional",
    *,
    sd: Mapping[Any, float] | pd.Series | None = None,
    cost: Mapping[Any, float] | pd.Series | None = None,
    minimum: int = 2,
) -> Allocation:
    r"""Divide a sample of n among strata.

    :math:`n_h \propto a_h` with :math:`a_h = N_h` (proportional), 1 (equal), :math:`N_h S_h` (Neyman) or
    :math:`N_h S_h / \sqrt{c_h}` (optimal for costs c_h per interview), subject to :math:`m \le n_h \le N_h`.

    Parameters
    ----------
    sizes
        Units of the population in each stratum, N_h.
    n
        Units to draw in all.
    rule
        ``"proportional"``, ``"equal"``, ``"neyman"`` or ``"optimal"``.
    sd
        Standard deviation S_h of the target (or of a variable like it) in each stratum; for the last two rules.
    cost
        Cost of one interview in each stratum, in any unit; for ``"optimal"``.
    minimum
        At least so many units in each stratum (or all, where it has fewer); 2 are needed for a variance. With 0 a
        stratum may get none: the result names it, and :func:`csi_lab.sampling.select.stratified` refuses to draw.

    Returns
    -------
    Allocation

    Raises
    ------
    SpecError
        If the rule is unknown, lacks its standard deviations or costs, or n cannot be divided so.
    DataError
        If sizes, standard deviations or costs are unusable, or a stratum is empty.

    Notes
    -----
    Where the rule gives a stratum more units than it has, all are taken, and the rest is divided by the same rule among
    the others; likewise for the minimum. This is the allocation of least variance under both bounds. Whole numbers by
    the largest remainder; of equal remainders the stratum named first gets the unit.

    References
    ----------
    .. [1] Neyman, J. (1934). Journal of the Royal Statistical Society, 97, 558-625.
    .. [2] Cochran, W. G. (1977). Sampling techniques, 3rd ed., sections 5.5-5.8. Wiley.

    Examples
    --------
    >>> print(allocate({"A": 500, "B": 300, "C": 200}, 100))
    proportional allocation of 100: A 50, B 30, C 20
    >>> print(allocate({"A": 500, "B": 300, "C": 20}, 100, "neyman", sd={"A": 5, "B": 5, "C": 90}))
    neyman allocation of 100: A 50, B 30, C 20; all units taken in C
    """
    import pandas as pd

    n = whole(n, "n")
    minimum = whole(minimum, "minimum", at_least=0)
    if rule not in RULES:
        raise SpecError(f"allocation {rule!r} is unknown; use one of {list(RULES)}")
    labels = list(sizes.keys()) if hasattr(sizes, "keys") else []
    counts = _per_stratum(sizes, labels, "stratum sizes")
    bad = [label for label, k in zip(labels, counts, strict=True) if k < 1 or k != np.floor(k)]
    if bad or not labels:
        raise DataError(
            f"strata without units, or sizes that are no whole numbers: {some(bad)}; leave empty strata out"
        )
    share = _attraction(rule, labels, counts, sd, cost)
    low, high = np.minimum(minimum, counts), counts
    if n > high.sum():
        raise SpecError(f"n={n} is more than the {int(high.sum())} units of the population")
    if n < low.sum():
        raise SpecError(
            f"n={n} is too small for a minimum of {minimum} in each of {len(labels)} strata ({int(low.sum())} units); "
            "merge strata, draw more or lower minimum="
        )
    exact = _bounded(share, n, low, high)
    sizes_h = _largest_remainder(exact, n, high)
    table = pd.DataFrame(
        {
            "population": counts.astype(np.int64),
            "unbounded": n * share / share.sum(),
            "exact": exact,
            "n": sizes_h,
            "fraction": sizes_h / counts,
            "take_all": sizes_h == counts,
        },
        index=pd.Index(labels, name="stratum"),
    )
    return Allocation(table, rule, minimum)


def _attraction(rule: str, labels: list[Any], counts: np.ndarray, sd: Any, cost: Any) -> np.ndarray:
    """What n_h is proportional to."""
    needs_sd, needs_cost = rule in ("neyman", "optimal"), rule == "optimal"
    for name, given, needed in (("sd", sd, needs_sd), ("cost", cost, needs_cost)):
        if needed and given is None:
            raise SpecError(f"allocation {rule!r} needs {name}= for every stratum")
        if not needed and given is not None:
            raise SpecError(f"allocation {rule!r} makes no use of {name}=; leave it out or choose another rule")
    if rule == "equal":
        return np.ones(len(labels))
    share = counts.copy()
    if needs_sd:
        spread = _per_stratum(sd, labels, "standard deviations sd")
        negative = [label for label, s in zip(labels, spread, strict=True) if s < 0]
        if negative:
            raise DataError(f"standard deviations are negative in strata {some(negative)}")
        share = share * spread
        if not share.any():
            raise DataError(f"standard deviations are zero in every stratum; {rule} allocation has nothing to go by")
    if needs_cost:
        price = _per_stratum(cost, labels, "costs")
        free = [label for label, c in zip(labels, price, strict=True) if c <= 0]
        if free:
            raise DataError(f"costs must be above 0; they are not in strata {some(free)}")
        share = share / np.sqrt(price)
    return share


def _per_stratum(given: Any, labels: list[Any], role: str) -> np.ndarray:
    """One finite number per stratum, by its label."""
    if not hasattr(given, "keys"):
        raise SpecError(f"{role} must be a mapping or a Series from stratum to number, got {type(given).__name__}")
    keys = list(given.keys())
    twice = sorted({str(k) for k in keys if keys.count(k) > 1}) if len(set(keys)) < len(keys) else []
    absent, unknown = [k for k in labels if k not in set(keys)], [k for k in keys if k not in set(labels)]
    problems = [
        f"{what}: {some(which)}"
        for what, which in (("given twice", twice), ("absent for strata", absent), ("for unknown strata", unknown))
        if which
    ]
    if not problems:
        try:
            values = np.array([float(given[label]) for label in labels])
        except (TypeError, ValueError):
            raise DataError(f"{role} must be numbers") from None
        wrong = [label for label, v in zip(labels, values, strict=True) if not np.isfinite(v)]
        if wrong:
            problems.append(f"missing or infinite in strata {some(wrong)}")
    if problems:
        raise DataError(listed(problems, f"{role} do not fit the strata"), problems)
    return values


def _bounded(share: np.ndarray, n: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """``clip(t * share, low, high)`` with the one t for which the sum is n."""
    # The sum rises piecewise linearly in t; its corners are where a stratum meets one of its bounds.
    positive = share > 0
    corners = np.unique(np.concatenate([[0.0], low[positive] / share[positive], high[positive] / share[positive]]))
    sums = np.array([np.clip(t * share, low, high).sum() for t in corners])
    if sums[-1] < n:
        # Strata of attraction 0 are at their minimum and all others full: the rest goes there, in proportion to room.
        full = np.where(positive, high, low)
        room = high - full
        return full + room * (n - full.sum()) / room.sum()
    k = int(np.searchsorted(sums, n))
    if k == 0 or sums[k] == n:
        return np.clip(corners[k] * share, low, high)
    t = corners[k - 1] + (corners[k] - corners[k - 1]) * (n - sums[k - 1]) / (sums[k] - sums[k - 1])
    return np.clip(t * share, low, high)


def _largest_remainder(exact: np.ndarray, n: int, high: np.ndarray) -> np.ndarray:
    """Whole numbers that sum to n, each the floor or the ceiling of its exact value."""
    # What is whole but for rounding must count as whole: 30 may come as 29.999999999999996.
    near = np.where(np.isclose(exact, np.rint(exact), rtol=1e-12, atol=1e-9), np.rint(exact), exact)
    floor = np.floor(near)
    remainder = np.where(floor < high, near - floor, -1.0)
    extra = round(n - float(floor.sum()))
    # Remainders that are equal but for rounding are ties; the first stratum gets the unit.
    order = np.argsort(-np.round(remainder, 9), kind="stable")
    floor[order[:extra]] += 1
    return floor.astype(np.int64)
