"""Kappas: Cohen's of two raters, Fleiss' and Gwet's AC1 of any number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.intervals import Kind
from csi_lab.reliability.agreement import AgreementResult, Settings, agreement_of, chance_corrected
from csi_lab.reliability.ratings import Ratings

Weighting = Literal["none", "linear", "quadratic"]
NAMES = {
    "none": "Cohen's kappa",
    "linear": "linearly weighted kappa",
    "quadratic": "quadratically weighted kappa",
}


def cohen_kappa(
    ratings: Any,
    raters: Sequence[str] | None = None,
    *,
    weighting: Weighting = "none",
    categories: Sequence[Any] | None = None,
    design: Design | None = None,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> AgreementResult:
    r"""Cohen's kappa of two raters, plain or weighted.

    .. math:: \kappa = \frac{p_o - p_e}{1 - p_e}, \qquad
       p_o = \sum w_{ij} p_{ij}, \quad p_e = \sum w_{ij} p_{i.} p_{.j}

    with :math:`w_{ij} = 1` for equal categories and 0 otherwise, or :math:`1 - d` (linear) or :math:`1 - d^2`
    (quadratic) for categories a share :math:`d = |x_i - x_j|/(x_q - x_1)` of the scale apart.

    Parameters
    ----------
    ratings
        DataFrame with one row per unit and one column per rater; labels or numbers, empty where there is no rating. A
        cross table becomes such ratings by :func:`ratings_from_table`.
    raters
        The two columns; default both.
    weighting
        How much of an agreement a near miss is. Numbers are weighted by their distance, labels by their place in
        ``categories``, which must then be given.
    categories
        All possible categories, in order; default those used, sorted.
    design
        Columns of weights, strata and PSUs of the units, which are then no raters.
    draws, rng, kind
        As in :func:`csi_lab.reliability.cronbach_alpha`; units are resampled.
    level
        Confidence level.

    Returns
    -------
    AgreementResult

    Raises
    ------
    DataError
        If there are not exactly two raters, or the ratings are unusable (every offending column is named).
    EstimationError
        If fewer than two units have both ratings, or chance alone makes agreement perfect.
    SpecError
        If a choice is unknown, or labels are weighted without an order.

    Notes
    -----
    The standard error is the large-sample one of Fleiss, Cohen and Everitt [2]_, the interval normal; both hold for a
    simple random sample of units and are withheld otherwise. Agrees with ``published_tables.json`` (cohen_2x2). R psych
    2.2.9 prints a smaller error of weighted kappa, which replicates do not bear out (``tests/reference/reliability``).

    References
    ----------
    .. [1] Cohen, J. (1960). A coefficient of agreement for nominal scales. Educational and Psychological Measurement,
       20(1), 37-46; (1968). Weighted kappa. Psychological Bulletin, 70(4), 213-220.
    .. [2] Fleiss, J. L., Cohen, J., & Everitt, B. S. (1969). Large sample standard errors of kappa and weighted kappa.
       Psychological Bulletin, 72(5), 323-327.

    Examples
    --------
    >>> from csi_lab.reliability import ratings_from_table
    >>> print(cohen_kappa(ratings_from_table([[20, 5], [10, 15]])))
    Cohen's kappa = 0.400, 95% CI [0.151, 0.649], 50 units, 2 raters
      unweighted: 0.700 observed, 0.500 by chance
      interval: normal (Fleiss, Cohen & Everitt)
    """
    if weighting not in NAMES:
        raise SpecError(f"weighting={weighting!r} is unknown; use one of {list(NAMES)}")
    read = Ratings.of(ratings, raters, categories, design)
    if len(read.raters) != 2:
        raise DataError(f"Cohen's kappa compares two raters, got {list(read.raters)}; see fleiss_kappa for more")
    both = np.all(read.codes >= 0, axis=1)
    q = len(read.categories)
    weights = _agreement_weights(read, weighting, categories is not None)
    one_hot = np.eye(q)
    first, second = (one_hot[read.codes[both, j]] for j in (0, 1))
    earned = weights[read.codes[both, 0], read.codes[both, 1]]
    contributions = np.column_stack([earned, first, second])

    def statistic(mean: np.ndarray) -> np.ndarray:
        observed = mean[..., 0]
        expected = ((mean[..., 1 : 1 + q] @ weights) * mean[..., 1 + q :]).sum(axis=-1)
        return chance_corrected(observed, expected)

    mean = contributions.mean(axis=0)
    shares = {read.raters[0]: mean[1 : 1 + q], read.raters[1]: mean[1 + q :]}
    return agreement_of(
        read,
        both,
        contributions,
        statistic,
        Settings(draws, rng, kind, level),
        coefficient=NAMES[weighting],
        definition="unweighted" if weighting == "none" else f"{weighting} weights",
        formula=("normal (Fleiss, Cohen & Everitt)", 0, False),
        shares=shares,
    )


def fleiss_kappa(
    ratings: Any,
    raters: Sequence[str] | None = None,
    *,
    categories: Sequence[Any] | None = None,
    design: Design | None = None,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> AgreementResult:
    r"""Fleiss' kappa of two or more raters, who need not be the same for every unit.

    .. math:: \kappa = \frac{\bar P - P_e}{1 - P_e}, \qquad
       P_i = \frac{\sum_j n_{ij}(n_{ij} - 1)}{n_i (n_i - 1)}, \quad P_e = \sum_j p_j^2

    where :math:`n_{ij}` raters of the :math:`n_i` of unit i chose category j and :math:`p_j` is the mean of
    :math:`n_{ij}/n_i`.

    Parameters
    ----------
    ratings
        DataFrame with one row per unit and one column per rating; labels or numbers, empty where there is no rating.
        Counts per category become such ratings by :func:`ratings_from_counts`.
    raters
        The columns; default all but those of the design.
    categories, design, draws, rng, kind, level
        As in :func:`cohen_kappa`.

    Returns
    -------
    AgreementResult

    Raises
    ------
    DataError
        If the ratings are unusable.
    EstimationError
        If fewer than two units have two ratings, or all ratings are equal.

    Notes
    -----
    Units with one rating count for the shares of categories, not for agreement (Gwet's generalisation [2]_). The
    standard error is linearised over units, the interval Student's with units minus one degrees of freedom; it is not
    the error under the hypothesis of no agreement. Where units have one rating only it is smaller than Gwet's, who
    holds the number of pairs fixed. Agrees with ``published_tables.json`` (fleiss_wiki).

    References
    ----------
    .. [1] Fleiss, J. L. (1971). Measuring nominal scale agreement among many raters. Psychological Bulletin, 76(5),
       378-382.
    .. [2] Gwet, K. L. (2014). Handbook of Inter-Rater Reliability, 4th ed. Advanced Analytics.

    Examples
    --------
    >>> from csi_lab.reliability import ratings_from_counts
    >>> round(fleiss_kappa(ratings_from_counts([[3, 0], [1, 2], [0, 3], [3, 0]])).value, 4)
    0.6571
    """

    def expected(shares: np.ndarray) -> np.ndarray:
        return (shares**2).sum(axis=-1)

    read = Ratings.of(ratings, raters, categories, design)
    return _pairwise(
        read,
        expected,
        "Fleiss' kappa",
        "chance: raters share the categories' frequencies",
        Settings(draws, rng, kind, level),
    )


def gwet_ac1(
    ratings: Any,
    raters: Sequence[str] | None = None,
    *,
    categories: Sequence[Any] | None = None,
    design: Design | None = None,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> AgreementResult:
    r"""Gwet's AC1 of two or more raters; it stays high where agreement is high and one category is rare.

    As :func:`fleiss_kappa`, with :math:`P_e = \frac{1}{q - 1} \sum_j p_j (1 - p_j)`.

    Parameters
    ----------
    ratings, raters, categories, design, draws, rng, kind, level
        As in :func:`fleiss_kappa`. The number q of categories enters the formula: give ``categories`` where a possible
        one was never used.

    Returns
    -------
    AgreementResult

    Raises
    ------
    DataError
        If the ratings are unusable.
    EstimationError
        If fewer than two units have two ratings.

    References
    ----------
    .. [1] Gwet, K. L. (2008). Computing inter-rater reliability and its variance in the presence of high agreement.
       British Journal of Mathematical and Statistical Psychology, 61(1), 29-48.

    Examples
    --------
    >>> from csi_lab.reliability import ratings_from_table
    >>> table = [[118, 5], [2, 0]]
    >>> round(cohen_kappa(ratings_from_table(table)).value, 3), round(gwet_ac1(ratings_from_table(table)).value, 3)
    (-0.023, 0.941)
    """
    read = Ratings.of(ratings, raters, categories, design)
    q = len(read.categories)

    def expected(shares: np.ndarray) -> np.ndarray:
        return (shares * (1 - shares)).sum(axis=-1) / (q - 1)

    return _pairwise(
        read, expected, "Gwet's AC1", f"chance: guesses over {q} categories", Settings(draws, rng, kind, level)
    )


def _pairwise(
    read: Ratings, expected: Callable[[np.ndarray], np.ndarray], coefficient: str, definition: str, settings: Settings
) -> AgreementResult:
    """A coefficient of the share of agreeing pairs of raters and of the categories' shares."""
    counts = read.counts
    rated = counts.sum(axis=1)
    used = rated >= 1
    counts, rated = counts[used], rated[used]
    paired = rated >= 2
    agreeing = np.where(paired, (counts * (counts - 1)).sum(axis=1) / np.maximum(rated * (rated - 1), 1), 0.0)
    contributions = np.column_stack([agreeing, paired.astype(float), counts / rated[:, None]])

    def statistic(mean: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            observed = mean[..., 0] / mean[..., 1]
        return chance_corrected(observed, expected(mean[..., 2:]))

    single = int((~paired).sum())
    remark = f"units with one rating only: {single}; they count for the shares of categories, not for agreement"
    return agreement_of(
        read,
        used,
        contributions,
        statistic,
        settings,
        coefficient=coefficient,
        definition=definition,
        formula=("linearised over units, Student's t", 1, True),
        shares={"share": contributions[:, 2:].mean(axis=0)},
        remarks=(remark,) if single else (),
        pairs=int(paired.sum()),
    )


def _agreement_weights(read: Ratings, weighting: Weighting, ordered: bool) -> np.ndarray:
    """How much of an agreement each pair of categories is ``(q, q)``."""
    q = len(read.categories)
    if weighting == "none":
        return np.eye(q)
    values = read.numbers
    if values is None:
        if not ordered:
            raise SpecError("the order of the labels is not known; give categories= from lowest to highest")
        values = np.arange(q, dtype=float)
    distance = np.abs(values[:, None] - values) / np.ptp(values)
    return 1 - (distance if weighting == "linear" else distance**2)
