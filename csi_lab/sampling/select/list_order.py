"""Systematic samples: counting off a list, and what the order of the list does to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.select.drawn_design import AS_IF_RANDOM
from csi_lab.sampling.select.register import generator, order_codes, row_order, whole, with_columns
from csi_lab.sampling.select.sample import Record, Sample
from csi_lab.sampling.select.totals import TotalEstimate
from csi_lab.settings import require_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

LIST_ORDER = "counted off in the order of the register"
Kind = Literal["fractional", "circular", "linear"]


def systematic(
    frame: pd.DataFrame,
    n: int,
    rng: np.random.Generator | int,
    *,
    order: str | None = None,
    kind: Kind = "fractional",
    starts: int = 1,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    r"""Systematic sample: a random start, then every a-th unit of the list, :math:`a = N/n`.

    Parameters
    ----------
    frame
        The register, one row per unit.
    n
        Units to draw, up to N.
    rng
        Seed or Generator.
    order
        Column by which the list is put in order first (equal values keep the register's order); a column related to
        the answers spreads the sample over it. ``None``: the register's order.
    kind
        ``"fractional"``: interval N/n, exactly n units, :math:`\pi = n/N`. ``"circular"``: interval N/n rounded down,
        start anywhere, on from the end of the list to its beginning, exactly n units, :math:`\pi = n/N`. ``"linear"``:
        interval k = N/n rounded down, start among the first k, to the end of the list: :math:`\pi = 1/k`, and the
        number drawn varies where k does not divide N.
    starts
        Independent random starts, each with n/starts units (fractional intervals): the spread between them gives an
        unbiased variance. A unit may be drawn by two starts and then has two rows.
    id, names
        As in :func:`csi_lab.sampling.select.random_selection.simple_random`; the list is in the order of ``id`` where
        ``order`` has equal values.

    Returns
    -------
    Sample
        Rows in list order, with columns ``probability, weight, population``; with several starts ``start`` in place of
        ``population``, which are the design's primary units.

    Raises
    ------
    SpecError
        If n, the kind or the starts are impossible.
    DataError
        If the register or the order column is unusable.

    References
    ----------
    .. [1] Cochran, W. G. (1977). Sampling techniques, 3rd ed., chapter 8. Wiley.

    Examples
    --------
    >>> import pandas as pd
    >>> sample = systematic(pd.DataFrame({"spend": range(10)}), 4, rng=1)
    >>> sample.frame["spend"].tolist()
    [1, 3, 6, 8]
    >>> replicated = systematic(pd.DataFrame({"spend": range(100)}), 20, rng=1, starts=4)
    >>> print(replicated.design)
    weights in 'weight', PSUs in 'start'
    """
    import pandas as pd

    n, starts = whole(n, "n"), whole(starts, "starts")
    source, seed = generator(rng)
    if kind not in ("fractional", "circular", "linear"):
        raise SpecError(f"kind={kind!r} is unknown; use 'fractional', 'circular' or 'linear'")
    if starts > 1 and (kind != "fractional" or n % starts):
        raise SpecError(f"several starts need kind='fractional' and an n that they divide; got n={n}, starts={starts}")
    place = list_order(frame, order, id)
    size = len(place)
    if n // starts > size or (starts == 1 and n > size):
        raise SpecError(f"n={n} is more than the {size} units of the register")
    interval = size // n
    number = np.zeros(n, dtype=np.int64)
    probability = n / size
    if kind == "fractional":
        each = n // starts
        start = source.integers(0, size, size=starts)
        at = ((start[:, None] + np.arange(each) * size) // each).ravel()
        number = np.repeat(np.arange(starts), each)
        words = f"interval {size / each:.6g}"
    elif kind == "circular":
        at = np.sort((int(source.integers(size)) + np.arange(n) * interval) % size)
        words = f"interval {interval}, circular"
    else:
        at = np.arange(int(source.integers(interval)), size, interval)
        probability = 1 / interval
        words = f"interval {interval}, linear"
    m = len(at)
    added: dict[str, Any] = {"probability": np.full(m, probability), "weight": np.full(m, 1 / probability)}
    if starts > 1:
        added["start"] = number + 1
    else:
        added["population"] = np.full(m, size)
    table, called = with_columns(frame.iloc[place[at]], added, names)
    if starts > 1:
        design = Design(weights=called["weight"], psu=called["start"])
        notes: tuple[str, ...] = (f"{starts} random starts: the variance between them is unbiased",)
    else:
        design = Design(weights=called["weight"], population=called["population"])
        notes = (AS_IF_RANDOM,)
    record = Record(
        method=f"systematic sample ({words})",
        asked=n,
        drawn=m,
        population=size,
        table=pd.DataFrame(
            {"population": [size], "asked": [n], "drawn": [m], "fraction": [m / size], "rows": [m]}, index=["all"]
        ),
        seed=seed,
        generator=type(source.bit_generator).__name__,
        order=LIST_ORDER if order is None and id is None else f"list in order of {id if order is None else order!r}",
        notes=notes,
    )
    return Sample(table, record, called, _design=design)


def list_order(frame: pd.DataFrame, order: str | None = None, id: str | None = None) -> np.ndarray:
    """Positions of the register's rows in list order.

    Raises
    ------
    DataError
        If the register is unusable, or the order column absent, incomplete or impossible to put in order.

    Examples
    --------
    >>> import pandas as pd
    >>> list_order(pd.DataFrame({"spend": [30, 10, 20]}), "spend").tolist()
    [1, 2, 0]
    """
    place = row_order(frame, id)
    if order is None:
        return place
    return place[np.argsort(order_codes(frame, order)[place], kind="stable")]


def successive_difference(values: Any, population: int | None = None, *, level: float = 0.95) -> TotalEstimate:
    r"""Mean of a systematic sample with the variance from successive differences.

    :math:`v = \frac{1 - f}{n} \sum_{i=2}^n \frac{(y_i - y_{i-1})^2}{2(n - 1)}`

    Parameters
    ----------
    values
        ``(n,)`` y of the units drawn, in list order.
    population
        Units of the register, N; ``None``: no finite population correction.
    level
        Confidence level of the normal interval.

    Returns
    -------
    TotalEstimate

    Raises
    ------
    DataError
        If values are missing, text, or fewer than two.
    SpecError
        If N is no whole number, or below n.

    Notes
    -----
    Neighbours in the list stand for the units that one interval could have drawn: with a trend along the list this
    removes what the order explains. It is not unbiased, and blind to a period equal to the interval.

    References
    ----------
    .. [1] Wolter, K. M. (2007). Introduction to variance estimation, 2nd ed., chapter 8. Springer.

    Examples
    --------
    >>> print(successive_difference([1, 3, 2, 4, 3], 50))
    2.6 (se 0.4743), 95% CI [1.67031, 3.52969], n = 5 (systematic sample, successive differences)
    """
    require_level(level)
    y = _series(values)
    n = len(y)
    if population is not None and whole(population, "population") < n:
        raise SpecError(f"population={population} is smaller than the {n} values")
    fraction = 0.0 if population is None else n / population
    se = float(np.sqrt((1 - fraction) / n * (np.diff(y) ** 2).sum() / (2 * (n - 1))))
    mean, half = float(y.mean()), float(special.ndtri(0.5 + level / 2)) * se
    method = "systematic sample, successive differences"
    return TotalEstimate(mean, se, mean - half, mean + half, np.inf, n, level, method)


@dataclass(frozen=True, eq=False)
class StartsResult:
    """What every possible start of a systematic sample would give.

    Attributes
    ----------
    starts
        One row per start: ``n``, ``mean``.
    interval
        Units from one drawn to the next.
    mean
        Mean of the list.
    variance
        Variance of the systematic mean over its starts: the truth.
    simple_random
        Variance of the mean of a simple random sample of the same size.
    ratio
        The first over the second (design effect): above 1 the order of the list does harm.
    intraclass
        Correlation of units of the same sample, :math:`\\rho` in variance = (1 + (n - 1) rho) sigma^2 / n; exact where
        the interval divides the list.
    successive, as_random
        Mean over the starts of the two variance estimates: from successive differences, and as if simple random.
    """

    starts: pd.DataFrame
    interval: int
    mean: float
    variance: float
    simple_random: float
    ratio: float
    intraclass: float
    successive: float
    as_random: float

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        columns = ("variance", "simple_random", "ratio", "intraclass", "successive", "as_random")
        return pd.DataFrame(
            [{name: getattr(self, name) for name in columns}], index=pd.Index([self.interval], name="interval")
        )

    def __str__(self) -> str:
        return (
            f"interval {self.interval}: variance of the mean {self.variance:.4g}, {self.ratio:.3g} times that of "
            f"a simple random sample ({self.simple_random:.4g})\n"
            f"estimated on average: {self.successive:.4g} by successive differences, {self.as_random:.4g} as if random"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{str(self).replace(chr(10), '<br>')}</p>{self.to_frame().to_html(float_format='%.4g')}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Mean of the sample from each start, with the mean of the list."""
        import matplotlib.pyplot as plt

        ax = plt.gca() if ax is None else ax
        ax.plot(self.starts.index, self.starts["mean"], "o", color="tab:blue")
        ax.axhline(self.mean, ls="--", color="0.5")
        ax.set(xlabel="start (position in the list)", ylabel="mean of the sample (units of the values)")
        return ax


def systematic_starts(values: Any, interval: int) -> StartsResult:
    """All samples that counting off a list with a whole interval can give: does the order help or harm?

    Parameters
    ----------
    values
        ``(N,)`` y of the whole list, in its order.
    interval
        Every so-many-th unit is drawn; 2 or more, and two units per sample or more.

    Returns
    -------
    StartsResult

    Raises
    ------
    DataError
        If values are missing or text.
    SpecError
        If the interval is impossible.

    Notes
    -----
    Where the interval does not divide N, samples differ by one unit and their mean is slightly biased; ``variance`` is
    then the mean square error about the mean of the list.

    References
    ----------
    .. [1] Cochran, W. G. (1977). Sampling techniques, 3rd ed., sections 8.3-8.6. Wiley.

    Examples
    --------
    A weekly rhythm, counted off every 7th day and every 5th:

    >>> visits = [10, 11, 12, 13, 14, 30, 40] * 20
    >>> print(round(systematic_starts(visits, 7).ratio, 1), round(systematic_starts(visits, 5).ratio, 3))
    23.2 0.0
    """
    import pandas as pd

    y = _series(values)
    interval = whole(interval, "interval", at_least=2)
    if len(y) < 2 * interval:
        raise SpecError(f"interval={interval} leaves samples of fewer than two of {len(y)} units")
    start = np.arange(len(y)) % interval
    count = np.bincount(start)
    mean = np.bincount(start, weights=y) / count
    centre, size = float(y.mean()), len(y)
    variance = float(((mean - centre) ** 2).mean())
    n = size / interval
    sigma2 = float(y.var())
    random = (1 - n / size) * sigma2 * size / (size - 1) / n
    jumps = np.bincount(start[interval:], weights=(y[interval:] - y[:-interval]) ** 2)
    successive = (1 - count / size) / count * jumps / (2 * (count - 1))
    within = np.bincount(start, weights=(y - mean[start]) ** 2) / (count - 1)
    return StartsResult(
        starts=pd.DataFrame({"n": count, "mean": mean}, index=pd.RangeIndex(1, interval + 1, name="start")),
        interval=interval,
        mean=centre,
        variance=variance,
        simple_random=random,
        ratio=variance / random if random > 0 else float("nan"),
        intraclass=(variance * n / sigma2 - 1) / (n - 1) if sigma2 > 0 else float("nan"),
        successive=float(successive.mean()),
        as_random=float(((1 - count / size) * within / count).mean()),
    )


def _series(values: Any) -> np.ndarray:
    try:
        y = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise DataError("values must be numbers, one per unit in list order") from None
    if y.ndim != 1 or len(y) < 2:
        raise DataError(f"need two values or more, one per unit in list order; got shape {y.shape}")
    if not np.isfinite(y).all():
        raise DataError(
            f"values are missing or infinite in {int((~np.isfinite(y)).sum())} units; complete the list first"
        )
    return y
