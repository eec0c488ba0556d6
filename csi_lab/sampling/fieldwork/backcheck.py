"""Back-checks: which interviews to verify, how many find a cheater, and how well the answers agree."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.answers import require_numbers
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.percent import percent
from csi_lab.sampling.estimate.results import wilson_of_counts
from csi_lab.sampling.fieldwork.columns import require_present
from csi_lab.sampling.size.sample_size import SampleSize, is_number, not_share, not_whole, refuse
from csi_lab.settings import generator, require_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Usual practice: 10 to 15 per cent of each interviewer's interviews.
SHARE_CHECKED = 0.10


def detection_chance(interviews: Any, falsified: Any, checks: Any) -> np.ndarray:
    r"""Chance that a random back-check meets at least one falsified interview.

    .. math:: 1 - \binom{m - k}{c} \Big/ \binom{m}{c}

    Parameters
    ----------
    interviews
        Interviews m of one interviewer; arguments broadcast.
    falsified
        Falsified ones k, 0 to m.
    checks
        Interviews checked c, 0 to m.

    Returns
    -------
    ndarray

    Raises
    ------
    SpecError
        If numbers are not whole, negative, or exceed m.

    Examples
    --------
    >>> detection_chance(40, [1, 4, 10], 4).round(3).tolist()
    [0.1, 0.355, 0.7]
    """
    try:
        m, k, c = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (interviews, falsified, checks)))
    except (TypeError, ValueError):
        m = k = c = np.array(np.nan)
    whole = all((np.isfinite(v) & (v == np.rint(v))).all() for v in (m, k, c))
    if not whole or (m < 1).any() or (k < 0).any() or (c < 0).any() or (k > m).any() or (c > m).any():
        raise SpecError(
            f"need whole numbers of shapes that fit: interviews 1 or more, falsified and checks from 0 to interviews; "
            f"got interviews={interviews!r}, falsified={falsified!r}, checks={checks!r}"
        )
    return _found(m, k, c)


def backcheck_size(interviews: int, falsified: int, *, chance: float = 0.95) -> SampleSize:
    """Interviews of one interviewer to check, so that a cheater is found with a given chance.

    Parameters
    ----------
    interviews, falsified
        As in :func:`detection_chance`; one falsified interview or more.
    chance
        Wanted chance of meeting at least one of them.

    Returns
    -------
    SampleSize
        ``n`` is the number of checks; ``at(c)`` the chance with c checks.

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    Examples
    --------
    >>> print(backcheck_size(40, 4))
    back-check of one interviewer: n = 21 checks (exact 21.00)
      interviews 40; falsified 4; chance 0.95
    """
    refuse(
        "size of a back-check",
        not_whole("interviews", interviews, 1),
        not_whole("falsified", falsified, 1),
        f"falsified={falsified!r} exceeds interviews={interviews!r}"
        if is_number(falsified) and is_number(interviews) and falsified > interviews
        else "",
        not_share("chance", chance, one=True),
    )
    m, k = int(interviews), int(falsified)
    chances = _found(np.array(float(m)), np.array(float(k)), np.arange(m + 1.0))
    n = int(np.argmax(chances >= chance - 1e-12))
    return SampleSize(
        what="back-check of one interviewer",
        n=n,
        exact=float(n),
        issued=n,
        aim="chance",
        target=float(chance),
        axis="chance of meeting a falsified interview",
        assumptions={"interviews": f"{m}", "falsified": f"{k}", "chance": f"{chance:.10g}"},
        achieved=partial(_found, np.array(float(m)), np.array(float(k))),
        least=1,
        population=m,
        unit="checks",
    )


def backcheck_sample(
    frame: pd.DataFrame,
    interviewer: str,
    *,
    share: float = SHARE_CHECKED,
    at_least: int = 1,
    rng: np.random.Generator | int = 0,
) -> pd.DataFrame:
    """Draw interviews to check: a random share of every interviewer's, and some of everybody's.

    Parameters
    ----------
    frame
        One row per interview.
    interviewer
        Column of interviewers' labels; none may be missing.
    share
        Share of each interviewer's interviews, rounded up; practice is 10 to 15 %.
    at_least
        Checks per interviewer at least, as far as there are interviews.
    rng
        Generator or seed.

    Returns
    -------
    DataFrame
        The rows drawn, in the order of the frame.

    Raises
    ------
    DataError
        If the column is absent, or an interviewer is missing.
    SpecError
        If a setting is out of its range.

    Examples
    --------
    >>> import pandas as pd
    >>> interviews = pd.DataFrame({"who": ["A"] * 25 + ["B"] * 8})
    >>> backcheck_sample(interviews, "who", rng=1)["who"].value_counts().to_dict()
    {'A': 3, 'B': 1}
    """
    import pandas as pd

    require_present(frame, [interviewer])
    refuse("back-check", not_share("share", share, one=True), not_whole("at_least", at_least, 0))
    nobody = int(frame[interviewer].isna().sum())
    if not len(frame):
        raise DataError("there are no interviews to draw from")
    if nobody:
        raise DataError(f"{nobody} of {len(frame)} interviews have no interviewer in {interviewer!r}; fill them in")
    code, labels = pd.factorize(frame[interviewer].to_numpy())
    m = np.bincount(code, minlength=len(labels))
    wanted = np.minimum(np.maximum(np.ceil(share * m - 1e-9).astype(int), int(at_least)), m)
    key = generator(rng).random(len(frame))
    order = np.lexsort((key, code))
    rank = np.empty(len(frame), dtype=int)
    rank[order] = np.arange(len(frame)) - np.repeat(np.concatenate([[0], np.cumsum(m)[:-1]]), m)
    return frame[rank < wanted[code]]


@dataclass(frozen=True, eq=False)
class BackCheck:
    """Agreement of first answers and back-checks.

    Attributes
    ----------
    value, se, low, high, level
        Share of all compared answers that agree; interval (Wilson) by the number of interviews, see Notes there.
    table
        One row per item: ``compared, agree, estimate, se, low, high`` (Wilson's interval).
    interviews, compared
        Interviews that were checked, and answers compared.
    unmatched
        Checked interviews that the first data do not have.
    missing
        Answers that could not be compared because one of the two is missing.
    by_interview
        Share of agreement per interview, index as the data; NaN when nothing could be compared.
    """

    value: float
    se: float
    low: float
    high: float
    level: float
    table: pd.DataFrame
    interviews: int
    compared: int
    unmatched: int
    missing: int
    by_interview: pd.Series

    def to_frame(self) -> pd.DataFrame:
        """The table of items, raw numbers."""
        return self.table

    def plot(self, ax: Axes | None = None) -> Axes:
        """Agreement of each item in percent."""
        from csi_lab.plots import bars

        shown = 100 * self.table[["estimate", "low", "high"]]
        return bars(shown, xlabel=f"answers that agree, % ({percent(self.level)} interval)", limits=(0, 118), ax=ax)

    def __str__(self) -> str:
        lines = [
            f"back-check of {self.interviews} interviews: {self.value:.1%} of {self.compared} answers agree, "
            f"{percent(self.level)} CI [{self.low:.1%}, {self.high:.1%}]"
        ]
        if self.missing:
            lines.append(f"  {self.missing} answers not compared (missing in one of the two)")
        if self.unmatched:
            lines.append(f"  {self.unmatched} back-checks belong to no interview of the data and are left out")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(3).to_html()}"


def backcheck_agreement(
    first: pd.DataFrame,
    again: pd.DataFrame,
    items: Sequence[str],
    *,
    tolerance: float | Mapping[str, float] = 0.0,
    level: float = 0.95,
) -> BackCheck:
    """How often the back-check finds the answer that the interview reported.

    Parameters
    ----------
    first, again
        Answers of the interviews and of the back-checks; rows belong together by index, which is unique.
    items
        Columns asked again.
    tolerance
        Difference of numbers that still counts as agreement, one for all or per item; 0: equal. Text must be equal.
    level
        Confidence level.

    Returns
    -------
    BackCheck

    Raises
    ------
    DataError
        If columns are absent, an index is not unique, text meets a tolerance, or an item is numbers in one frame and
        text in the other (which would never agree).
    EstimationError
        If nothing can be compared.
    SpecError
        If a setting is out of its range, or an item is named twice.

    Notes
    -----
    Answers of one interview stand or fall together, so the overall share has the standard error of a ratio over
    interviews, and Wilson's interval at the n that this standard error is worth; when it is zero, the n is the number
    of interviews.

    References
    ----------
    .. [1] Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the
       American Statistical Association, 22, 209-212.

    Examples
    --------
    >>> import pandas as pd
    >>> first = pd.DataFrame({"age": [34, 51, 28, 45], "branch": list("NNSS")}, index=[11, 12, 13, 14])
    >>> again = pd.DataFrame({"age": [35, 51, 44, None], "branch": list("NNSS")}, index=[11, 12, 13, 14])
    >>> print(backcheck_agreement(first, again, ["age", "branch"], tolerance={"age": 1}))
    back-check of 4 interviews: 85.7% of 7 answers agree, 95% CI [47.3%, 97.6%]
      1 answers not compared (missing in one of the two)
    """
    import pandas as pd

    require_level(level)
    items = [items] if isinstance(items, str) else list(items)
    if not items:
        raise SpecError("items is empty; name the columns that were asked again")
    for what, frame in (("first", first), ("again", again)):
        require_present(frame, items)
        if not frame.index.is_unique:
            twice = sorted({str(label) for label in frame.index[frame.index.duplicated()]})
            raise DataError(f"interviews stand twice in {what}: {twice[:5]}; keep one row per interview")
    allowed = dict(tolerance) if isinstance(tolerance, Mapping) else dict.fromkeys(items, tolerance)
    refuse(
        "back-check",
        *(
            f"tolerance of {item!r} is {value!r}; it must be a number, 0 or more"
            for item, value in allowed.items()
            if not (is_number(value) and value >= 0)
        ),
        f"tolerance names unknown items {unknown}" if (unknown := [i for i in allowed if i not in items]) else "",
    )
    here = again.index.isin(first.index)
    checked = again.index[here]
    mixed = [item for item in items if {_kind(first[item]), _kind(again[item])} == {"numbers", "text"}]
    if mixed:
        raise DataError(
            f"items are numbers in one frame and text in the other, so that nothing would agree: {mixed}; read both in "
            "the same way"
        )
    agree, known = np.zeros((len(checked), len(items))), np.zeros((len(checked), len(items)), dtype=bool)
    for at, item in enumerate(items):
        a, b = first.loc[checked, item], again.loc[checked, item]
        known[:, at] = (a.notna() & b.notna()).to_numpy()
        if allowed.get(item, 0.0) > 0:
            for values in (a, b):
                require_numbers(values.to_frame())
            numbers = [v.to_numpy(dtype=float, na_value=np.nan) for v in (a, b)]
            with np.errstate(invalid="ignore"):
                same = np.abs(numbers[0] - numbers[1]) <= allowed[item] + 1e-9
        else:
            same = np.array([given and x == y for given, x, y in zip(known[:, at], a, b, strict=True)], dtype=bool)
        agree[:, at] = same & known[:, at]
    count = known.sum(axis=0)
    if not count.sum():
        raise EstimationError(f"nothing to compare: {len(checked)} of {len(again)} back-checks match an interview")
    share, low, high = wilson_of_counts(agree.sum(axis=0), count, level)
    table = pd.DataFrame(
        {
            "compared": count,
            "agree": agree.sum(axis=0).astype(int),
            "estimate": share,
            "se": np.sqrt(np.divide(share * (1 - share), count, out=np.full(len(items), np.nan), where=count > 0)),
            "low": low,
            "high": high,
        },
        index=pd.Index(items, name="item"),
    )
    per, own = known.sum(axis=1), agree.sum(axis=1)
    used = per > 0
    m = int(used.sum())
    value = float(own.sum() / per.sum())
    residual = (own - value * per)[used]
    se = math.sqrt(m / max(m - 1, 1) * float((residual**2).sum())) / float(per.sum())
    worth = value * (1 - value) / se**2 if se > 0 else float(m)
    _, overall_low, overall_high = wilson_of_counts(np.array(value * worth), np.array(worth), level)
    by_interview = pd.Series(
        np.divide(own, per, out=np.full(len(per), np.nan), where=used), index=checked, name="agreement"
    )
    return BackCheck(
        value=value,
        se=se,
        low=float(overall_low),
        high=float(overall_high),
        level=level,
        table=table,
        interviews=m,
        compared=int(count.sum()),
        unmatched=int((~here).sum()),
        missing=int(len(checked) * len(items) - count.sum()),
        by_interview=by_interview,
    )


def _kind(values: pd.Series) -> str:
    """Whether the answers to an item are numbers or text; the rest is neither."""
    given = values.dropna()
    if not len(given):
        return "nothing"
    if all(isinstance(v, str) for v in given):
        return "text"
    return "numbers" if all(isinstance(v, (int, float, np.number)) for v in given) else "other"


def _found(m: np.ndarray, k: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Hypergeometric chance of at least one; 1 when more are checked than are genuine."""
    genuine = m - k
    log = special.gammaln
    safe = np.maximum(genuine - c, 0.0)
    missed = np.exp(log(genuine + 1) - log(safe + 1) - log(m + 1) + log(m - c + 1))
    return np.where(c > genuine, 1.0, 1 - missed)
