"""Multiple imputation of missing answers: chained equations, or data augmentation under a joint normal model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.answers import require_numbers
from csi_lab.cleaning.chained import KINDS, Kind, chained
from csi_lab.cleaning.completed import counted, remarks
from csi_lab.cleaning.imputed import Imputations
from csi_lab.cleaning.missing import Gaps, shortened
from csi_lab.cleaning.normal_model import augment
from csi_lab.cleaning.respondents import column_names, stated
from csi_lab.errors import DataError, EstimationError, SpecError, listed
from csi_lab.incomplete import completed_moments
from csi_lab.settings import generator, is_whole

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["chained", "normal"]
METHODS = ("chained", "normal")
# Correlations closer to 1 than this are those of copies.
COPY = 1e-10


def impute(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    m: int = 20,
    iterations: int = 10,
    rng: np.random.Generator | int,
    method: Method = "chained",
    kind: Kind | Mapping[str, Kind] = "pmm",
    donors: int = 3,
    predictors: Sequence[str] | None = None,
    weights: Any = None,
) -> Imputations:
    r"""Draw the missing answers m times, so that analyses of the copies show how uncertain they are.

    ``"chained"``: each item with gaps in turn is regressed on all other items and predictors, in the rows that answered
    it; coefficients and residual variance are drawn from their posterior,

    .. math::
        \sigma^2_* = \frac{RSS}{\chi^2_{n_o - q}}, \qquad
        \beta_* = \hat\beta + \sigma_* (X_o' X_o)^{-1/2} z,

    and the gaps are filled from :math:`x' \beta_* + \sigma_* z` (``kind="norm"``); with the same put on the nearest
    whole answer within the scale in the end (``"rounded"``); or with the answer of one of the ``donors`` rows whose
    :math:`x' \hat\beta` lies nearest, out of a bootstrap sample of those who answered [5]_ (``"pmm"``, predictive mean
    matching of type 1, which keeps answers on the scale). One iteration goes once through all items. ``"normal"``: data
    augmentation; in turn the gaps are drawn given mean and covariances, and these given the completed rows.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        The items to be completed, which also predict each other; default all of the survey, or all columns that hold
        no weights.
    m
        Imputations, each a chain of its own.
    iterations
        Rounds of each chain.
    rng
        Seed or generator. Draws depend on the order of the rows and on m.
    method
        See above.
    kind
        For ``"chained"``: of all items, or item to kind; items not named are drawn by ``"pmm"``. ``"rounded"`` takes
        the scale from a survey, else from the lowest and highest answer; the treatment says how many draws lay beyond.
    donors
        Size of the pool of predictive mean matching. Larger pools lean more towards those who answered.
    predictors
        Further columns without gaps; columns of text become indicators of their labels. Default: the columns of weights
        and strata of a survey, so that the imputations respect its design [3]_; ``()`` for none.
    weights
        Sampling weights of a DataFrame (array, Series or column name); they predict, too.

    Returns
    -------
    Imputations

    Raises
    ------
    DataError
        If columns are absent or not numbers, items have no answer, do not vary or copy each other, or predictors have
        gaps; all offenders are named.
    EstimationError
        If fewer rows answered an item than its equation has coefficients, or columns are collinear.
    SpecError
        If a setting is out of range.

    Notes
    -----
    The equations are linear without interactions: put a column into ``predictors``, or impute groups apart, where
    groups differ in more than their means. Predictive mean matching cannot go beyond the answers given: where nearly
    everybody of a kind has a gap its few donors are used again and again, and means lean towards those who answered;
    compare with ``"norm"``. PSUs do not enter. Rows of weight zero are left as they are.

    Coverage of the 95 % interval for the mean of an item in 400 simulated surveys of 200 respondents, four items on 1
    to 10, m = 20 (simulation error .01), with the bias in standard errors in brackets:

    ============================================  ==========  ============
    gaps, at random given another item            ``"pmm"``   ``"rounded"``
    ============================================  ==========  ============
    23 %, answers in the middle of the scale      .95 (-0.1)  .95 (-0.1)
    45 %, answers in the middle of the scale      .92 (-0.3)  .94 (-0.1)
    39 %, 29 % of all answers at the upper end    .97 (-0.1)  .95 (-0.4)
    ============================================  ==========  ============

    Without gaps coverage was .95 to .96 in the same surveys. In the second line a fixed pool of five donors, without
    the bootstrap sample, had coverage .85, and ``"norm"`` .95.

    References
    ----------
    .. [1] Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys. Wiley, pp. 166-168.
    .. [2] van Buuren, S. (2018). Flexible Imputation of Missing Data, 2nd ed. CRC Press, ch. 3-4.
    .. [3] Reiter, J. P., Raghunathan, T. E., & Kinney, S. K. (2006). The importance of modeling the sampling design in
       multiple imputation for missing data. Survey Methodology, 32(2), 143-149.
    .. [4] Schafer, J. L. (1997). Analysis of Incomplete Multivariate Data. Chapman & Hall, ch. 5.
    .. [5] Heitjan, D. F., & Little, R. J. A. (1991). Multiple imputation for the Fatal Accident Reporting System.
       Journal of the Royal Statistical Society C, 40(1), 13-29.

    Examples
    --------
    >>> import csi_lab as csi
    >>> frame = csi.load_survey("mobile").frame[["CUSA1", "CUSA2", "CUSA3"]]
    >>> holes = frame.mask(np.random.default_rng(1).random(frame.shape) < 0.1)
    >>> found = impute(holes, m=5, rng=1)
    >>> print(found)
    69 missing answers in 60 rows (CUSA1 25, CUSA2 20, CUSA3 24) drawn 5 times by chained equations (pmm of 3 donors; 10
    iterations); 1 of these rows answered none of the items
    >>> sorted(set(found.completed(0)["CUSA1"])) == sorted(set(frame["CUSA1"]))
    True
    """
    _require_settings(m, iterations, method, donors)
    gaps = Gaps.of(data, items, weights)
    x = gaps.answers()
    kinds = _kinds(gaps.items, kind, method)
    fixed, said, names = _predictors(gaps, predictors)
    answers, other = x[gaps.used], fixed[gaps.used]
    lacking = ~gaps.known[gaps.used]
    _require_variety(gaps.items, answers)
    _require_rows([*gaps.items, *names], answers, other.shape[1], method, donors)
    ends = _ends(data, gaps.items, kinds, answers)
    random = generator(rng)
    if method == "normal":
        drawn, trace = _augmented(answers, other, [*gaps.items, *names], m, iterations, random)
        way = f"data augmentation (joint normal model; {iterations} iterations)"
        methods = {name: "normal" if lacking[:, j].any() else "-" for j, name in enumerate(gaps.items)}
    else:
        settings: dict[str, Any] = {"m": m, "iterations": iterations, "donors": donors, "rng": random}
        drawn, trace = chained(answers, other, [*gaps.items, *names], kinds, **settings)
        used = {k for k, some in zip(kinds, lacking.any(axis=0), strict=True) if some}
        drawn, beyond = _rounded(drawn, kinds, ends)
        words = {"pmm": f"pmm of {donors} donors", "norm": "norm", "rounded": f"norm, rounded{beyond}"}
        how = " and ".join(words[k] for k in KINDS if k in used)
        way = f"chained equations ({how}{'; ' if how else ''}{iterations} iterations)"
        methods = {name: kinds[j] if lacking[:, j].any() else "-" for j, name in enumerate(gaps.items)}
    treatment = f"{counted(gaps)} drawn {m} times by {way}{said}{remarks(gaps)}"
    values = dict(zip(gaps.items, drawn, strict=True))
    return Imputations(gaps, values, trace, methods, m, treatment)


def _ends(data: Any, items: Sequence[str], kinds: Sequence[Kind], x: np.ndarray) -> np.ndarray:
    """Lowest and highest possible answer ``(p, 2)``: of the survey, or else those given; refuses fractions."""
    known = stated(data, "bounds") or {}
    ends = np.array([known.get(name, (np.nanmin(c), np.nanmax(c))) for name, c in zip(items, x.T, strict=True)])
    rounded = [j for j, kind in enumerate(kinds) if kind == "rounded"]
    fractions = [items[j] for j in rounded if np.any(x[:, j] % 1 > 0) or np.any(ends[j] % 1 > 0)]
    if fractions:
        raise DataError(
            f"answers that are not whole numbers cannot be drawn by kind='rounded': {fractions}; use 'norm'"
        )
    return ends


def _rounded(drawn: list[np.ndarray], kinds: Sequence[Kind], ends: np.ndarray) -> tuple[list[np.ndarray], str]:
    """The draws with those of kind "rounded" on the points of the scale, and how many lay beyond its ends, in words."""
    found, beyond, count = [], 0, 0
    for values, kind, (low, high) in zip(drawn, kinds, ends, strict=True):
        if kind == "rounded":
            whole = np.rint(values)
            beyond += int(((whole < low) | (whole > high)).sum())
            count += whole.size
            values = np.clip(whole, low, high)
        found.append(values)
    return found, f"; {beyond} of {count} draws lay beyond the ends of the scale and became these" if count else ""


def _augmented(
    x: np.ndarray, fixed: np.ndarray, names: Sequence[str], m: int, iterations: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """Drawn values ``(m, gaps)`` per item, and the trace, from data augmentation."""
    import pandas as pd

    p = x.shape[1]
    whole = np.concatenate([x, fixed], axis=1)
    moments = completed_moments(pd.DataFrame(whole, columns=list(names)))
    if np.linalg.eigvalsh(moments.corr)[0] < COPY:
        raise EstimationError("items or predictors are exactly collinear: leave one out, or use method='chained'")
    done, trace = augment(whole, moments.mean, moments.cov, m, iterations, rng)
    return [done[:, np.isnan(x[:, j]), j] for j in range(p)], trace[..., :p]


def _require_settings(m: int, iterations: int, method: str, donors: int) -> None:
    problems = [
        f"{name}={value!r}: a whole number of at least {least} is needed"
        for name, value, least in (("m", m, 2), ("iterations", iterations, 1), ("donors", donors, 1))
        if not is_whole(value) or value < least
    ]
    if method not in METHODS:
        problems.append(f"method={method!r} is unknown; use one of {list(METHODS)}")
    if problems:
        raise SpecError(listed(problems, "multiple imputation"), problems)


def _kinds(items: Sequence[str], kind: Any, method: str) -> list[Kind]:
    """The kind of each item."""
    if not isinstance(kind, Mapping):
        chosen = dict.fromkeys(items, kind)
    else:
        unknown = [name for name in kind if name not in items]
        if unknown:
            raise SpecError(f"kind names columns that are not items: {unknown}")
        chosen = dict.fromkeys(items, "pmm") | dict(kind)
    wrong = sorted({str(k) for k in chosen.values() if not isinstance(k, str) or k not in KINDS})
    if wrong:
        raise SpecError(f"unknown kind {wrong}; use one of {list(KINDS)}")
    if method == "normal" and kind != "pmm":
        raise SpecError("kind belongs to method='chained'; the joint normal model draws all items alike")
    return [chosen[name] for name in items]


def _predictors(gaps: Gaps, wanted: Sequence[str] | None) -> tuple[np.ndarray, str, list[str]]:
    """Columns that predict ``(n, q)``, what they are in words, and their names."""
    design = gaps.design
    chosen = [c for c in (design.weights, design.strata) if c is not None] if wanted is None else wanted
    chosen = column_names(chosen, "predictors")
    problems = [f"{c} is not in the data" for c in chosen if c not in gaps.frame.columns]
    problems += [f"{c} is an item; items predict each other anyway" for c in chosen if c in gaps.items]
    problems += [f"{c} is named twice" for c in dict.fromkeys(chosen) if chosen.count(c) > 1]
    if not problems:
        holes = {c: int(gaps.frame[c][gaps.used].isna().sum()) for c in chosen}
        problems += [f"{c} has {k} gaps; put it among the items, or fill it first" for c, k in holes.items() if k]
    if problems:
        raise DataError(listed(problems, "predictors"), problems)
    columns: list[np.ndarray] = []
    names: list[str] = []
    words, flat = [], []
    for name in chosen:
        made, labels = _coded(gaps.frame[name])
        varies = np.ptp(made[gaps.used], axis=0) > 0
        if not varies.any():
            flat.append(name)
            continue
        columns.append(made[:, varies])
        names += [label for label, kept in zip(labels, varies, strict=True) if kept]
        words.append(labels[0] if labels == [str(name)] else f"{name} ({len(labels) + 1} groups)")
    if flat and wanted is not None:
        raise DataError(f"predictors do not vary: {flat}; leave them out")
    if gaps.weighted and design.weights is None and np.ptp(gaps.weights[gaps.used]) > 0:
        columns.append(gaps.weights[:, None])
        names.append("weights")
        words.append("weights")
    said = f"; predictors besides the items: {shortened(words)}" if words else ""
    said += f"; constant, so no predictors: {shortened(flat)}" if flat else ""
    return np.concatenate([np.empty((len(gaps.frame), 0)), *columns], axis=1), said, names


def _coded(column: pd.Series) -> tuple[np.ndarray, list[str]]:
    """A column of numbers as it is, one of labels as indicators of all but the first."""
    import pandas as pd
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(column):
        require_numbers(column.to_frame())
        return column.to_numpy(dtype=float, na_value=np.nan)[:, None], [str(column.name)]
    codes, labels = pd.factorize(column.astype(str), sort=True)
    made = (codes[:, None] == np.arange(1, len(labels))).astype(float)
    return made, [f"{column.name}={label}" for label in labels[1:]]


def _require_variety(items: Sequence[str], x: np.ndarray) -> None:
    """Refuse items that do not vary and pairs that are copies of each other."""
    with np.errstate(invalid="ignore"):
        flat = [name for j, name in enumerate(items) if not np.nanmax(x[:, j]) > np.nanmin(x[:, j])]
    problems = [f"items do not vary: {flat}"] if flat else []
    copies = []
    known = ~np.isnan(x)
    for i in range(len(items)):
        for j in range(i):
            both = known[:, i] & known[:, j]
            a, b = x[both, i], x[both, j]
            if len(a) < 3 or items[i] in flat or items[j] in flat:
                continue
            a, b = a - a.mean(), b - b.mean()
            size = np.sqrt((a @ a) * (b @ b))
            if size > 0 and abs(a @ b) > (1 - COPY) * size:
                copies.append(f"{items[j]} and {items[i]}")
    if copies:
        problems.append(f"items copy each other in the rows that answered both: {copies}")
    if problems:
        raise DataError(listed(problems, "items that cannot be imputed; leave them out"), problems)


def _require_rows(names: Sequence[str], x: np.ndarray, q: int, method: str, donors: int) -> None:
    """More answers than coefficients for every item with gaps, and enough donors."""
    n, p = x.shape
    coefficients = p + q
    problems = []
    for j in range(p):
        answered = int((~np.isnan(x[:, j])).sum())
        if answered < n and answered <= coefficients + 1:
            problems.append(f"{names[j]}: {answered} answers for an equation of {coefficients} coefficients")
        elif answered < n and method == "chained" and answered < donors:
            problems.append(f"{names[j]}: {answered} answers for a pool of {donors} donors")
    if problems:
        raise EstimationError(listed(problems, "too few answers; ask for fewer items or predictors"), problems)
