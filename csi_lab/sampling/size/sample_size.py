"""What every sample-size calculation gives: a whole number, what it assumes, and how the margin moves with it."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import SpecError, listed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Takes effective sample sizes, gives what they achieve: a margin, a width, a power or a chance.
Achieved = Callable[[np.ndarray], np.ndarray]

INK, QUIET, ACCENT = "#1f2933", "#9fb3c8", "#2f6f9f"
POINTS_OF_CURVE = 61
# With fewer interviews the quantiles of Student's t exceed the normal ones by more than 4 %.
FEW = 30
# Settings beyond these are slips of a unit; the squares of their ratios would overflow.
SMALLEST_SETTING, LARGEST_SETTING = 1e-50, 1e50
NORMAL = "normal quantiles in place of Student's t"


@dataclass(frozen=True, eq=False)
class SampleSize:
    """How many interviews are needed, and what that rests on.

    Attributes
    ----------
    what
        What is to be estimated or tested.
    n
        Completed interviews needed (per group when ``groups`` > 1), rounded up.
    exact
        The same before rounding.
    issued
        Addresses to issue for ``n`` (per group), rounded up from ``exact``.
    aim, target
        What was asked for (``"margin"``, ``"width"``, ``"power"`` or ``"chance"``) and how much of it.
    axis
        The aim with its unit, for pictures.
    assumptions
        What the number rests on: name to words.
    achieved
        Net sample size to the aim.
    least
        Smallest size at which the aim can be computed.
    population
        Size of a finite population; ``None``: so large that it does not matter.
    groups
        Samples of this size that are needed.
    remarks
        What a reader must know, one sentence each.
    parts
        Where the sample has parts: one row each; else ``None``.
    unit
        What is counted.
    """

    what: str
    n: int
    exact: float
    issued: int
    aim: str
    target: float
    axis: str
    assumptions: Mapping[str, str]
    achieved: Achieved
    least: int = 2
    population: float | None = None
    groups: int = 1
    remarks: tuple[str, ...] = ()
    parts: pd.DataFrame | None = None
    unit: str = "completed interviews"

    @property
    def total(self) -> int:
        """Completed interviews over all groups."""
        return self.n * self.groups

    def at(self, n: float) -> float:
        """What ``n`` completed interviews (per group) achieve.

        Raises
        ------
        SpecError
            If n is smaller than the method can take, or larger than the population.
        """
        refuse(
            f"{self.what} at another size",
            "" if is_number(n) and n >= self.least else f"n={n!r} must be a number, {self.least} or more",
            f"n={n!r} exceeds the population of {self.population:g}"
            if self.population is not None and is_number(n) and n > self.population
            else "",
        )
        return float(self.achieved(np.asarray(n, dtype=float)))

    @property
    def curve(self) -> pd.DataFrame:
        """The aim at sizes from a quarter to four times ``n``; index n, one column named after the aim."""
        import pandas as pd

        high = 4 * self.n if self.population is None else min(4 * self.n, math.floor(self.population))
        low = min(max(self.least, self.n // 4), self.n)
        high = max(high, low)
        # Even steps as well: near a census a margin falls so fast that steps by ratio would show a corner.
        steps = [np.geomspace(low, high, POINTS_OF_CURVE), np.linspace(low, high, POINTS_OF_CURVE)]
        sizes = np.unique(np.rint(np.concatenate(steps)).astype(int))
        sizes = np.union1d(sizes[sizes >= min(self.least, self.n)], self.n)
        return pd.DataFrame({self.aim: self.achieved(sizes.astype(float))}, index=pd.Index(sizes, name="n"))

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        row = {"n": self.n, "exact": self.exact, "issued": self.issued, "groups": self.groups, self.aim: self.target}
        return pd.DataFrame([row], index=pd.Index([self.what], name="aim"))

    def plot(self, ax: Axes | None = None) -> Axes:
        """The aim against the number of interviews, with the number asked for marked."""
        curve = self.curve
        ax = curve_picture(curve, self.axis, f"{self.unit}, n" + (" per group" if self.groups > 1 else ""), ax)
        ax.axhline(self.target, color=QUIET, lw=1, ls="--")
        achieved = float(self.achieved(np.asarray(float(self.n))))
        ax.plot([self.n], [achieved], "o", color=INK)
        falls = curve.iloc[0, 0] > curve.iloc[-1, 0]
        ax.annotate(
            f"n = {self.n:,}",
            (self.n, achieved),
            xytext=(8, 8 if falls else -8),
            textcoords="offset points",
            va="bottom" if falls else "top",
        )
        return ax

    def __str__(self) -> str:
        each = f" in each of {self.groups} groups" if self.groups > 1 else ""
        fielded = f", {self.issued:,} addresses to issue" if "response rate" in self.assumptions else ""
        head = f"{self.what}: n = {self.n:,} {self.unit}{each} (exact {self.exact:,.2f}){fielded}"
        given = "; ".join(f"{name} {words}" for name, words in self.assumptions.items())
        return "\n".join([head, f"  {given}", *(f"  {remark}" for remark in self.remarks)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>" + ("" if self.parts is None else self.parts.round(3).to_html())


def planned(
    what: str,
    n0: float,
    achieved: Achieved,
    *,
    aim: str,
    target: float,
    axis: str,
    assumptions: Mapping[str, str],
    deff: float = 1.0,
    response_rate: float = 1.0,
    population: float | None = None,
    least: int = 2,
    groups: int = 1,
    remarks: Iterable[str] = (),
    parts: pd.DataFrame | None = None,
    unit: str = "completed interviews",
    approximation: str = "",
) -> SampleSize:
    """A sample size from the size ``n0`` that simple random sampling of an endless population would need.

    ``approximation`` names what the formula neglects in samples of fewer than FEW.
    """
    exact = net_size(n0, deff, population)
    needed = float(least) if rounded_up(exact) < least else exact
    n, issued = rounded_up(needed), rounded_up(needed / response_rate)
    notes = list(remarks)
    if needed > exact:
        notes.append(f"the formula gives {exact:.3g}; {least} is the fewest with which the {aim} can be computed")
    if approximation and n < FEW:
        notes.append(f"{n} are few for {approximation}: plan for some more, or simulate")
    if population is not None and issued > population:
        notes.append(
            f"{issued:,} addresses are needed and the population has {population:,.0f}: "
            "the aim is out of reach unless the response rate rises"
        )
    words = dict(assumptions)
    if deff != 1:
        words["design effect"] = f"{deff:g}"
    if population is not None:
        words["population"] = f"{population:,.0f}"
    if response_rate != 1:
        words.setdefault("response rate", f"{response_rate:.4g}")
    return SampleSize(
        what=what,
        n=n,
        exact=exact,
        issued=issued,
        aim=aim,
        target=float(target),
        axis=axis,
        assumptions=words,
        achieved=partial(_net, achieved, deff, population),
        least=least,
        population=population,
        groups=groups,
        remarks=tuple(notes),
        parts=parts,
        unit=unit,
    )


def net_size(n0: float, deff: float = 1.0, population: float | None = None) -> float:
    """Completed interviews that are worth ``n0`` of a simple random sample from an endless population.

    Examples
    --------
    >>> round(net_size(400, population=3200), 2)
    355.65
    """
    inflated = n0 * deff
    return inflated if population is None else inflated / (1 + (inflated - 1) / population)


def effective_size(n: np.ndarray, deff: float = 1.0, population: float | None = None) -> np.ndarray:
    """The reverse of :func:`net_size`; infinite for a census.

    Examples
    --------
    >>> float(effective_size(np.array(net_size(400, 1.5, 3200)), 1.5, 3200).round(9))
    400.0
    """
    n = np.asarray(n, dtype=float)
    if population is None:
        return n / deff
    with np.errstate(divide="ignore"):
        return n * (population - 1) / np.maximum(population - n, 0.0) / deff


def _net(achieved: Achieved, deff: float, population: float | None, n: np.ndarray) -> np.ndarray:
    return achieved(effective_size(n, deff, population))


def margin_of(spread: float, n: np.ndarray) -> np.ndarray:
    """Margin of a mean: ``spread`` (quantile times standard deviation) over the root of n."""
    return spread / np.sqrt(np.asarray(n, dtype=float))


def rounded_up(exact: float) -> int:
    """The next whole number, where rounding errors of the machine do not count."""
    return math.ceil(exact - 1e-9 * max(1.0, abs(exact)))


def quantile(level: float) -> float:
    """Two-sided normal quantile of a confidence level."""
    return float(special.ndtri(0.5 + level / 2))


def curve_picture(curve: pd.DataFrame, axis: str, xlabel: str, ax: Axes | None) -> Axes:
    """A curve over the number of interviews."""
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=(6.0, 3.4), layout="constrained")
    ax.plot(curve.index.to_numpy(), curve.iloc[:, 0].to_numpy(), color=ACCENT)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(textwrap.fill(axis, 34), parse_math=False)
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def refuse(what: str, *problems: str) -> None:
    """Raise a :class:`SpecError` with every problem that is not empty."""
    found = [problem for problem in problems if problem]
    if found:
        raise SpecError(listed(found, f"{what}: {len(found)} problem{'s' * (len(found) > 1)}"), found)


def is_number(value: Any) -> bool:
    """Whether this is a finite number and no truth value."""
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_)) and math.isfinite(value)


def not_positive(name: str, value: Any) -> str:
    """A problem unless the value is a number above zero, of a size that can be computed with."""
    if not is_number(value) or not value > 0:
        return f"{name}={value!r} must be a number above 0"
    # As a Python float: the limits themselves would overflow in single precision.
    if not SMALLEST_SETTING <= float(value) <= LARGEST_SETTING:
        return f"{name}={value!r} is beyond what can be computed with; check its unit"
    return ""


def not_share(name: str, value: Any, *, one: bool = False) -> str:
    """A problem unless the value lies between 0 and 1; 1 itself is a share when ``one``."""
    if is_number(value) and value > 0 and (value < 1 or (one and value == 1)):
        return not_positive(name, value)
    return f"{name}={value!r} must lie between 0 and 1" + (", 1 included" if one else "")


def not_whole(name: str, value: Any, least: int) -> str:
    """A problem unless the value is a whole number of at least ``least``."""
    whole = is_number(value) and float(value).is_integer() and value >= least
    return "" if whole else f"{name}={value!r} must be a whole number, {least} or more"


def power_problems(alpha: Any, power: Any, sides: Any = 1) -> list[str]:
    """Problems of a test's level, power and number of sides."""
    problems = [
        not_share("alpha", alpha),
        not_share("power", power),
        "" if is_number(sides) and sides in (1, 2) else f"sides={sides!r} must be 1 or 2",
    ]
    if not any(problems) and power <= alpha / sides:
        tails = "one" if sides == 1 else "two"
        problems.append(
            f"power={power!r} is no more than chance gives: it must be above {alpha / sides:g} "
            f"(alpha {alpha:g}, {tails}-sided)"
        )
    return problems


def field_problems(deff: Any = 1.0, response_rate: Any = 1.0, population: Any = None) -> list[str]:
    """Problems of the settings that every calculation of a fielded size shares."""
    return [
        not_positive("deff", deff),
        not_share("response_rate", response_rate, one=True),
        "" if population is None else not_whole("population", population, 2),
    ]
