"""Simple measures: how answers are spread, and the share of satisfied customers with an interval inside 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from csi_lab.answers import infinite_values, require_numbers, split_weights
from csi_lab.errors import DataError, SpecError
from csi_lab.percent import percent
from csi_lab.settings import is_number, require_cutoff, require_level
from csi_lab.shares import clopper_pearson, wilson

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["wilson", "exact"]

# On scales with more points a box of one point says little: they are divided into fifths.
FEW_POINTS = 11


@dataclass(frozen=True)
class Box:
    """A rule for who counts as satisfied: answers from ``at_least`` on; ``words`` say what such an answer is."""

    name: str
    at_least: float
    words: str


def boxes(low: float, high: float) -> tuple[Box, ...]:
    """The usual rules on a scale, the one for a headline first.

    On scales of up to 11 points: the two highest answers, the three highest, the upper half; on finer scales and on
    those whose ends are no whole numbers: the top fifth, the top two fifths, the upper half. A rule that nobody could
    miss is left out, and so is one that says the same as a rule before it.

    Parameters
    ----------
    low, high
        Lowest and highest possible answer.

    Raises
    ------
    SpecError
        If not low < high.

    Examples
    --------
    >>> for ends in ((1, 10), (0, 1), (0, 100)):
    ...     print("; ".join(f"{box.name}: {box.at_least:g} or more" for box in boxes(*ends)))
    top-2-box: 9 or more; top-3-box: 8 or more; upper half: 6 or more
    top-box: 1 or more
    top fifth: 80 or more; top two fifths: 60 or more; upper half: 50 or more
    """
    if not (is_number(low) and is_number(high)) or not np.isfinite([low, high]).all() or not low < high:
        raise SpecError(f"a scale needs low < high, got {low!r} and {high!r}")
    whole = float(low).is_integer() and float(high).is_integer()
    if whole and high - low < FEW_POINTS:
        half = np.floor((low + high) / 2) + 1
        found = [
            Box("top-2-box", high - 1, "one of the two highest answers"),
            Box("top-3-box", high - 2, "one of the three highest answers"),
            Box("top-box", high, "the highest answer")
            if half == high
            else Box("upper half", float(half), "an answer in the upper half of the scale"),
        ]
    else:
        cuts = {"top fifth": 0.8, "top two fifths": 0.6, "upper half": 0.5}
        found = [
            Box(n, round(low + s * (high - low), 9), f"an answer in the {n} of the scale") for n, s in cuts.items()
        ]
    different = {box.at_least: box for box in reversed(found) if low < box.at_least <= high}
    return tuple(box for box in found if different.get(box.at_least) is box)


@dataclass(frozen=True, eq=False)
class Answers:
    """How the answers to one item are spread; shares and mean are weighted where there are weights.

    Attributes
    ----------
    table
        One row per answer that occurs: ``n`` people and their ``share``.
    n
        People who answered.
    mean
        Mean answer.
    """

    table: pd.DataFrame
    n: int
    mean: float

    @property
    def most_common(self) -> tuple[float, ...]:
        """The answer with the largest share, or all that share this place."""
        share = self.table["share"]
        return tuple(share.index[np.isclose(share, share.max(), rtol=1e-9, atol=0)])

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def __str__(self) -> str:
        common = ", ".join(f"{answer:g}" for answer in self.most_common)
        return f"{self.n} answers, mean {self.mean:.2f}, most common {common}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>{self.table.round(3).to_html()}"


def answers_given(answers: Any, *, weights: Any = None) -> Answers:
    """The answers to one item, with the share of each.

    Parameters
    ----------
    answers
        One item, ``(n,)``; missing answers are left out.
    weights
        Sampling weights ``(n,)``; equal when ``None``. A row of weight zero stands for nobody.

    Raises
    ------
    DataError
        As in :func:`satisfaction_rate`.

    Examples
    --------
    >>> print(answers_given([7, 8, 8, 10, 7]))
    5 answers, mean 8.00, most common 7, 8
    """
    import pandas as pd

    x, w = _given(answers, weights)
    values, place = np.unique(x, return_inverse=True)
    share = np.bincount(place, weights=w) / w.sum()
    table = pd.DataFrame({"n": np.bincount(place), "share": share}, index=pd.Index(values, name="answer"))
    return Answers(table, len(x), float(share @ values))


@dataclass(frozen=True)
class RateResult:
    """A share with its interval.

    Attributes
    ----------
    value, low, high
        Share and interval, 0 to 1.
    count, n
        Satisfied (sum of weights when weighted) and answered.
    n_effective
        (sum w)^2 / sum w^2; equals n without weights.
    at_least
        Answers from here on count as satisfied.
    level, method
        Confidence level and method of the interval.
    """

    value: float
    low: float
    high: float
    count: float
    n: int
    n_effective: float
    at_least: float
    level: float
    method: Method

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        row = {"estimate": self.value, "low": self.low, "high": self.high, "n": self.n}
        return pd.DataFrame([row], index=pd.Index([f">= {self.at_least:g}"], name="box"))

    def __str__(self) -> str:
        weighted = "" if np.isclose(self.n_effective, self.n) else f" (weighted; effective n {self.n_effective:.0f})"
        return (
            f"{self.value:.1%} answered {self.at_least:g} or more, "
            f"{percent(self.level)} CI [{self.low:.1%}, {self.high:.1%}] ({self.method}), n = {self.n}{weighted}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>"


def satisfaction_rate(
    answers: Any, at_least: float, *, weights: Any = None, level: float = 0.95, method: Method = "wilson"
) -> RateResult:
    r"""Share of respondents who answered ``at_least`` or more ("top box").

    Wilson's interval has centre :math:`(p + z^2/2n)/(1 + z^2/n)` and half width
    :math:`\frac{z}{1 + z^2/n} \sqrt{p(1-p)/n + z^2/4n^2}`; the exact one (Clopper and Pearson) takes quantiles of the
    beta distribution. With weights n becomes the effective size :math:`(\sum w)^2 / \sum w^2`.

    Parameters
    ----------
    answers
        One item, ``(n,)``; missing answers are left out and ``n`` counts the rest.
    at_least
        Lowest answer that counts as satisfied.
    weights
        Sampling weights ``(n,)``, >= 0; a Series goes by its index where the answers are one.
    level
        Confidence level.
    method
        ``"wilson"`` or ``"exact"``.

    Returns
    -------
    RateResult

    Raises
    ------
    DataError
        If answers are text, infinite or all missing, or weights are negative, missing or of another length. Text that
        looks like a number is text.
    SpecError
        If the method is unknown, the level not between 0 and 1, or ``at_least`` no finite number.

    References
    ----------
    .. [1] Wilson, E. B. (1927). Journal of the American Statistical Association, 22, 209-212.
    .. [2] Clopper, C., & Pearson, E. S. (1934). Biometrika, 26, 404-413.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(satisfaction_rate(csi.load_survey("mobile").frame["CUSA1"], at_least=9))
    26.8% answered 9 or more, 95% CI [21.7%, 32.6%] (wilson), n = 250
    """
    if method not in ("wilson", "exact"):
        raise SpecError(f"method={method!r} is unknown; use 'wilson' or 'exact'")
    require_level(level)
    require_cutoff(at_least, "at_least")
    x, w = _given(answers, weights)
    effective = float(w.sum() ** 2 / (w**2).sum())
    share = float(w[x >= at_least].sum() / w.sum())
    if method == "wilson":
        ends = wilson(share, effective, float(special.ndtri(0.5 + level / 2)))
    else:
        ends = clopper_pearson(share, effective, level)
    return RateResult(
        share, float(ends[0]), float(ends[1]), float(w[x >= at_least].sum()), len(x), effective, at_least, level, method
    )


def _given(answers: Any, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    """The answers that there are, and their weights."""
    frame = _column(answers)
    _, w = split_weights(frame, weights)
    require_numbers(frame)
    x = frame.to_numpy(dtype=float, na_value=np.nan)[:, 0]
    if np.isinf(x).any():
        raise DataError(infinite_values(frame))
    w = np.ones(len(x)) if w is None else w
    # A row of weight zero stands for nobody.
    given = ~np.isnan(x) & (w > 0)
    if not given.any():
        raise DataError("no answers" if not (~np.isnan(x)).any() else "no answer has a positive weight")
    return x[given], w[given]


def _column(answers: Any) -> pd.DataFrame:
    """The answers to one item as a frame of one column."""
    import pandas as pd

    if isinstance(answers, pd.Series):
        return answers.to_frame("answers")
    shape = np.shape(answers) if isinstance(answers, (Sequence, np.ndarray, pd.DataFrame)) else ()
    if isinstance(answers, str) or not (
        len(shape) == 1 or isinstance(answers, (range, pd.api.extensions.ExtensionArray))
    ):
        raise DataError(
            f"need one answer per respondent, a Series or list; got {type(answers).__name__} of shape {shape}"
        )
    return pd.DataFrame({"answers": answers})
