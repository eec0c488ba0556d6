"""Answers on another scale: recoded, reversed, rescaled to 0-100, and summed up to scores."""

from __future__ import annotations

import html
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.answers import require_possible
from csi_lab.cleaning.respondents import require_one_scale, respondents
from csi_lab.errors import DataError, SpecError
from csi_lab.settings import is_number, is_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Method = Literal["mean", "sum"]


def recode(answers: pd.Series, mapping: Mapping[Any, Any]) -> pd.Series:
    """Other values for answers. Missing answers stay missing.

    Parameters
    ----------
    answers
        One item.
    mapping
        Each value that occurs to its new value, or to ``None`` for no answer. ``"1"`` is not ``1``.

    Returns
    -------
    Series
        With the same labels; numbers where all new values are numbers.

    Raises
    ------
    DataError
        If values are not in the mapping; all of them are named, with their counts.
    SpecError
        If the mapping is empty, or gives a value to missing answers, which would be an imputation.

    Examples
    --------
    >>> import pandas as pd
    >>> recode(pd.Series(["good", "bad", None]), {"good": 10, "bad": 1, "refused": None}).tolist()
    [10.0, 1.0, nan]
    """
    import pandas as pd

    if not isinstance(answers, pd.Series):
        raise DataError(f"need one column (a Series), got {type(answers).__name__}")
    if not isinstance(mapping, Mapping):
        raise SpecError(f"mapping must give each value its new one, e.g. {{'good': 10, 'bad': 1}}; got {mapping!r}")
    if not mapping:
        raise SpecError("the mapping is empty")
    if any(pd.api.types.is_scalar(key) and pd.isna(key) for key in mapping):
        raise SpecError("the mapping gives missing answers a value; missing answers are treated, not recoded")
    there = answers.notna().to_numpy(dtype=bool)
    known = answers[there].astype(object)
    odd = known[[not isinstance(value, Hashable) or value not in mapping for value in known]]
    if len(odd):
        counts = odd.map(repr).value_counts()
        shown = ", ".join(f"{value} ({k})" for value, k in counts.items())
        raise DataError(
            f"{answers.name or 'the answers'}: values without a new value: {shown}; add them to the mapping"
        )
    result = pd.Series([None] * len(answers), index=answers.index, name=answers.name, dtype=object)
    result[there] = [mapping[value] for value in known]
    numbers = [v for v in mapping.values() if v is not None]
    if all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in numbers):
        return pd.to_numeric(result).astype(float)
    return result


def reverse(answers: Any, low: float, high: float) -> Any:
    """Answers to a reversed item in the direction of the others: low + high - x.

    Parameters
    ----------
    answers
        A number, a list, an array, a Series or a DataFrame, of any shape. Missing answers stay missing.
    low, high
        Lowest and highest possible answer (not observed: possible).

    Raises
    ------
    DataError
        If answers are no numbers or outside the scale.
    SpecError
        If not low < high.

    Examples
    --------
    >>> reverse(np.array([1.0, 8.0, np.nan]), 1, 10).tolist()
    [10.0, 3.0, nan]
    """
    x = _inside(answers, low, high)
    return low + high - x


def rescale_100(answers: Any, low: float, high: float) -> Any:
    r"""Answers as points from 0 to 100.

    .. math:: 100 \, (x - \mathrm{low}) / (\mathrm{high} - \mathrm{low})

    Parameters
    ----------
    answers
        A number, a list, an array, a Series or a DataFrame, of any shape. Missing answers stay missing.
    low, high
        Lowest and highest possible answer.

    Raises
    ------
    DataError
        If answers are no numbers or outside the scale.
    SpecError
        If not low < high.

    Examples
    --------
    >>> rescale_100(np.array([1.0, 5.5, 10.0]), 1, 10).tolist()
    [0.0, 50.0, 100.0]
    """
    return 100 * (_inside(answers, low, high) - low) / (high - low)


@dataclass(frozen=True, eq=False)
class Scores:
    """One score for each respondent.

    Attributes
    ----------
    name
        Of the score.
    table
        One row per respondent: ``score`` (NaN: too few answers) and ``answered``, the number of items answered.
    items, method, at_least
        What was summed up, how, and how many answers it took.
    nobody
        Rows of weight zero, which have no score.
    """

    name: str
    table: pd.DataFrame
    items: tuple[str, ...]
    method: Method
    at_least: int
    nobody: int

    @property
    def values(self) -> pd.Series:
        """The scores, by row label."""
        return self.table["score"].rename(self.name)

    @property
    def n(self) -> int:
        """Respondents with a score."""
        return int(self.table["score"].notna().sum())

    @property
    def n_partial(self) -> int:
        """Respondents with a score from some of the items only."""
        return int((self.table["score"].notna() & (self.table["answered"] < len(self.items))).sum())

    @property
    def n_without(self) -> int:
        """Respondents with too few answers."""
        return len(self.table) - self.n

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def __str__(self) -> str:
        held = self.table["score"]
        spread = f"mean {held.mean():.2f}, sd {held.std():.2f}, " if self.n > 1 else ""
        return (
            f"{self.name}: {self.method} of {len(self.items)} items, {spread}n = {self.n} "
            f"({self.n_partial} of them with gaps, {self.n_without} more without a score: "
            f"fewer than {self.at_least} answers)"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        counts = self.table.groupby("answered")["score"].agg(["size", "count", "mean"])
        counts.columns = ["respondents", "scored", "mean score"]
        return f"<p>{html.escape(str(self))}</p>{counts.round(3).to_html()}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Histogram of the scores."""
        import matplotlib.pyplot as plt

        ax = ax if ax is not None else plt.subplots()[1]
        held = self.values.dropna()
        ax.hist(held, bins=min(30, max(5, held.nunique())), color="#9fb3c8")
        ax.set(xlabel=f"{self.name} ({self.method} of {len(self.items)} items)", ylabel="respondents")
        return ax


def score(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    method: Method = "mean",
    at_least: int | None = None,
    name: str = "score",
    weights: Any = None,
) -> Scores:
    """Mean or sum of some items for each respondent.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        Scored in the same direction; default: all items of the survey, all columns of a DataFrame but the weights.
    method
        ``"mean"`` of the answers given, or ``"sum"``, which needs all of them: a sum over gaps would treat them as 0.
    at_least
        Answers that a score takes; default all items.
    name
        Name shown in tables.
    weights
        Weights of a DataFrame; rows of weight zero are nobody and have no score.

    Returns
    -------
    Scores

    Raises
    ------
    DataError
        If items are absent or text.
    SpecError
        If method or ``at_least`` is impossible, or items of a survey have different scales.

    Notes
    -----
    A mean of the answers given puts the person's own mean in place of the missing answers.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [8, 6, None], "q2": [10, None, None]})
    >>> found = score(frame, ["q1", "q2"], at_least=1, name="satisfaction")
    >>> print(found)
    satisfaction: mean of 2 items, mean 7.50, sd 2.12, n = 2 (1 of them with gaps, 1 more without a score: fewer
    than 1 answers)
    >>> found.values.tolist()
    [9.0, 6.0, nan]
    """
    import pandas as pd

    people = respondents(data, items, weights)
    p = len(people.items)
    need = p if at_least is None else at_least
    if method not in ("mean", "sum"):
        raise SpecError(f"method={method!r} is unknown; use 'mean' or 'sum'")
    if not is_whole(need) or not 1 <= need <= p:
        raise SpecError(f"at_least={at_least!r} must lie between 1 and the number of items, {p}")
    if method == "sum" and need < p:
        raise SpecError(f"a sum needs all {p} items; use method='mean' for respondents with gaps")
    require_one_scale(data, people.items)
    require_possible(data, people.items)
    x = people.answers
    known = ~np.isnan(x)
    answered = known.sum(axis=1)
    total = np.where(known, x, 0.0).sum(axis=1)
    value = np.where(answered >= need, total / np.maximum(answered, 1) if method == "mean" else total, np.nan)
    table = pd.DataFrame({"score": value, "answered": answered}, index=people.frame.index)
    return Scores(name, table, people.items, method, need, people.nobody)


def _inside(answers: Any, low: float, high: float) -> Any:
    """The answers as floats in their own container, or an error that says what is no number or outside the scale."""
    import pandas as pd

    try:
        fits = float(low) < float(high) and bool(np.isfinite([float(low), float(high)]).all())
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise SpecError(f"a scale needs low < high, got {low!r} and {high!r}")
    x = _floats(answers)
    outside = (x < low) | (x > high)
    if outside.any():
        values = ", ".join(f"{v:g}" for v in np.unique(x[outside])[:5])
        raise DataError(
            f"{int(outside.sum())} answers are outside {low:g} to {high:g}: {values}; out_of_range() lists them"
        )
    if isinstance(answers, pd.DataFrame):
        return pd.DataFrame(x, index=answers.index, columns=answers.columns)
    return pd.Series(x, index=answers.index, name=answers.name) if isinstance(answers, pd.Series) else x


def _floats(answers: Any) -> np.ndarray:
    """The answers as floats of the same shape; all cells that are neither numbers nor empty are refused by example."""
    import pandas as pd

    kinds = [answers.dtype] if hasattr(answers, "dtype") else list(getattr(answers, "dtypes", [None]))
    if all(isinstance(kind, np.dtype) and kind.kind in "iuf" for kind in kinds):
        return np.asarray(answers, dtype=float)
    held = isinstance(answers, (pd.Series, pd.DataFrame))
    cells = answers.to_numpy(dtype=object) if held else np.asarray(answers, dtype=object)
    empty = np.array([bool(pd.api.types.is_scalar(v) and pd.isna(v)) for v in cells.ravel()], dtype=bool)
    known = cells.ravel()[~empty]
    odd = [v for v in known if not is_number(v) and not isinstance(v, Decimal)]
    if odd:
        raise DataError(f"{len(odd)} answers are no numbers (e.g. {odd[0]!r}); recode() gives labels their numbers")
    x = np.full(cells.size, np.nan)
    x[~empty] = known.astype(float)
    return x.reshape(cells.shape)
