"""Blindfolding: can the model tell answers that were hidden from it?"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import infinite_values, require_columns, require_numbers, split_weights
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.intervals import Kind
from csi_lab.moments import Moments
from csi_lab.sem.algorithm import Layout
from csi_lab.sem.assess import own_loadings
from csi_lab.sem.losses import Losses

if TYPE_CHECKING:
    import pandas as pd

    from csi_lab.sem.fit import PLSFit


@dataclass(frozen=True, eq=False)
class Blindfolding:
    """Cross-validated redundancy and communality of each construct.

    Attributes
    ----------
    table
        One row per construct: ``redundancy`` (Stone and Geisser's Q2; NaN for exogenous constructs), ``communality``
        (NaN for single items, which nothing but the item itself could tell), and the sums ``sse_redundancy,
        sse_communality, sso`` of squared errors and squared deviations from the mean behind them.
    omission
        The omission distance.
    n, left_out
        Rows used, and rows left out because an item was missing or their weight is zero.
    losses
        The squared errors and deviations of every row, the material of :meth:`intervals`.
    """

    table: pd.DataFrame
    omission: int
    n: int
    left_out: int
    losses: Losses

    def intervals(
        self,
        *,
        draws: int = 2000,
        rng: np.random.Generator | int = 0,
        kind: Kind = "percentile",
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Redundancy and communality with intervals by the design of the sample.

        The predictions of the hidden answers are taken as they are: the interval says how far Q2 would differ for other
        respondents predicted by models like these.

        Parameters
        ----------
        draws, rng
            Replicates of the respondents, or of their primary units.
        kind, level
            As in :func:`csi_lab.intervals.interval`.

        Returns
        -------
        DataFrame
            Index (quantity, construct), columns ``estimate, se, low, high``; quantities that do not exist are left out.

        Examples
        --------
        >>> import csi_lab as csi
        >>> survey = csi.load_survey("mobile")
        >>> found = csi.sem.pls(survey).blindfolding(survey).intervals(draws=200, rng=1)
        >>> bool(found.loc[("redundancy", "Satisfaction"), "low"] > 0)
        True
        """
        rows = [(q, c) for q in ("redundancy", "communality") for c in self.table.index[self.table[q].notna()]]
        pairs = [(row, ("deviation", row[1])) for row in rows]
        found = self.losses.share_explained(pairs, draws=draws, rng=rng, kind=kind, level=level)
        return found.to_frame(rows, ["quantity", "construct"])

    def to_frame(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def __str__(self) -> str:
        left_out = f", {self.left_out} left out (missing answers)" if self.left_out else ""
        q2 = self.table["redundancy"].dropna()
        values = ", ".join(f"{c} {v:.3f}" for c, v in q2.items())
        poor = [c for c, v in q2.items() if v <= 0]
        lines = [
            f"blindfolding, omission distance {self.omission}: {self.n} rows{left_out}",
            f"Q2 (cross-validated redundancy): {values}",
        ]
        if poor:
            lines.append(f"no predictive relevance (Q2 not above 0): {', '.join(poor)}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(3).to_html(na_rep='–')}"


def blindfold(fit: PLSFit, data: Any, omission: int = 7, *, weights: Any = None) -> Blindfolding:
    r"""Cross-validated redundancy and communality by blindfolding.

    For each block of k items in turn the n k cells are numbered down the columns, and in round d = 1, ..., D every D-th
    cell is hidden. Hidden answers are replaced by the mean of those of the item that remain, the whole model is
    estimated again, and the hidden answers are told from it: for the communality by the score of their own construct,
    :math:`\hat z_{ih} = l_h y_i`, for the redundancy by the sources of that construct,
    :math:`\hat z_{ih} = l_h \sum_s b_s y_{is}`. With SSE the squared errors of all rounds and SSO the squared
    deviations from the means that were put in,

    .. math:: Q^2 = 1 - \frac{\sum_d SSE_d}{\sum_d SSO_d}

    Items of a fit on standardised items count by their variance in the whole sample.

    Parameters
    ----------
    fit
        A single fit, not consistent.
    data
        The rows the fit came from: a survey or a DataFrame.
    omission
        The omission distance D, from 2 to n - 1, usually 5 to 10. It must not divide n, or a round would hide all
        answers of a respondent.
    weights
        Sampling weights of a DataFrame, as they were given to the fit.

    Returns
    -------
    Blindfolding

    Raises
    ------
    SpecError
        If the omission distance does not fit.
    DataError
        If items are absent or not numbers, or the rows are not those of the fit.
    EstimationError
        If the fit is consistent or holds several draws, or a round has no solution.

    Notes
    -----
    :meth:`Blindfolding.intervals` gives intervals. Where a fit completed missing answers (``missing="mean"``
    or ``"em"``), those cells are treated as hidden in every round and never predicted. Numbering, replacement and
    scaling differ between programs and change the second decimal.

    References
    ----------
    .. [1] Stone, M. (1974). Cross-validatory choice and assessment of statistical predictions. Journal of the Royal
       Statistical Society B, 36(2), 111-147. Geisser, S. (1974). A predictive approach to the random effect model.
       Biometrika, 61(1), 101-107.
    .. [2] Tenenhaus, M., Esposito Vinzi, V., Chatelin, Y.-M., & Lauro, C. (2005). PLS path modeling. Computational
       Statistics & Data Analysis, 48(1), 159-205, section 8.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> found = blindfold(csi.sem.pls(survey), survey)
    >>> bool((found.table["redundancy"].dropna() > 0).all())
    True
    """
    if fit.moments.shape:
        raise EstimationError("blindfolding follows one fit; this one holds several draws")
    if fit.consistent:
        raise EstimationError(
            "blindfolding predicts answers from scores, which consistent PLS does not use for its paths; "
            "estimate with consistent=False"
        )
    x, w, used = _rows(fit, data, weights)
    n = len(x)
    if isinstance(omission, bool) or not isinstance(omission, (int, np.integer)) or not 2 <= omission < n:
        raise SpecError(f"omission={omission!r} must be a whole number from 2 to {n - 1}; 7 is usual")
    if n % omission == 0:
        near = next(d for d in (*range(omission + 1, n), *range(omission - 1, 1, -1)) if n % d)
        raise SpecError(
            f"omission={omission} divides the {n} rows, so that rounds would hide whole respondents; take {near}"
        )
    frame = getattr(data, "frame", data)
    table, rows = _blindfolded(fit, x, w, int(omission))
    losses = Losses(rows, used, frame, getattr(data, "design", fit.design), w if fit.moments.weighted else None)
    return Blindfolding(table, int(omission), n, len(frame) - n, losses)


def _blindfolded(fit: PLSFit, x: np.ndarray, w: np.ndarray, omission: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table of constructs, and the squared errors and deviations of every row."""
    import pandas as pd

    layout, n = fit.layout, len(x)
    blocks = [np.flatnonzero(layout.block == j) for j in range(layout.member.shape[1])]
    # Rounds differ in the columns of one block only; answers are completed round by round, never stored together.
    rounds = [(j, d) for j in range(len(blocks)) for d in range(omission)]
    known = ~np.isnan(x)
    base, _ = _completed(x, known, w)
    parts = []
    for j, d in rounds:
        filled = base.copy()
        filled[:, blocks[j]] = _completed(
            x[:, blocks[j]], known[:, blocks[j]] & ~_hidden(n, len(blocks[j]), d, omission), w
        )[0]
        parts.append(_moments(filled, w, fit))
    again = fit.again(Moments.stack(parts))
    if not again.converged.all():
        lost = [
            f"{list(fit.model.constructs)[rounds[i][0]]} round {rounds[i][1] + 1}"
            for i in np.flatnonzero(~again.converged)
        ]
        raise EstimationError(f"no solution when these answers are hidden: {lost}; try another omission distance")
    unit = fit.moments.sd if fit.scaled else np.ones(x.shape[1])
    losses = np.zeros((3, n, len(blocks)))
    loadings = own_loadings(again.solution, layout)
    for i, (j, d) in enumerate(rounds):
        at = blocks[j]
        hidden = _hidden(n, len(at), d, omission) & known[:, at]
        filled = base.copy()
        filled[:, at], means = _completed(x[:, at], known[:, at] & ~hidden, w)
        scores = _scores(filled, parts[i], again.solution.weights[i], layout, fit.scaled)
        slope = loadings[i, at] * parts[i].sd[at]
        deviation = np.where(hidden, x[:, at] - means, 0.0)
        by_sources = scores @ again.solution.paths[i, :, j]
        for column, score in ((0, by_sources), (1, scores[:, j])):
            errors = np.where(hidden, deviation - score[:, None] * slope, 0.0) / unit[at]
            losses[column, :, j] += (errors**2).sum(axis=1)
        losses[2, :, j] += ((deviation / unit[at]) ** 2).sum(axis=1)
    sums = np.einsum("n,knj->jk", w, losses)
    exogenous = ~layout.paths.any(axis=0)
    single = layout.member.sum(axis=0) == 1
    sums[exogenous, 0], sums[single, 1] = np.nan, np.nan
    table = pd.DataFrame(
        {
            "redundancy": 1 - sums[:, 0] / sums[:, 2],
            "communality": 1 - sums[:, 1] / sums[:, 2],
            "sse_redundancy": sums[:, 0],
            "sse_communality": sums[:, 1],
            "sso": sums[:, 2],
        },
        index=pd.Index(list(fit.model.constructs), name="construct"),
    )
    columns = pd.MultiIndex.from_product([["redundancy", "communality", "deviation"], list(fit.model.constructs)])
    return table, pd.DataFrame(np.concatenate(losses, axis=1), columns=columns)


def _rows(fit: PLSFit, data: Any, weights: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers ``(n, p)`` and weights ``(n,)`` of the rows the fit came from, and their positions in the data."""
    frame, items = getattr(data, "frame", data), list(fit.model.items)
    if not hasattr(frame, "columns"):
        raise DataError(
            f"blindfolding hides answers of respondents; give the survey or DataFrame, not {type(data).__name__}"
        )
    require_columns(frame, items)
    if weights is None and fit.moments.weighted:
        weights = getattr(data, "design", fit.design).weights
        if weights is None or weights not in frame.columns:
            raise DataError("the fit was weighted; give the same weights= here")
    w = split_weights(frame[[weights]] if isinstance(weights, str) else frame[items], weights)[1]
    require_numbers(frame[items])
    x = frame[items].to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(x).any():
        raise DataError(infinite_values(frame[items]))
    w = np.ones(len(x)) if w is None else w
    known = ~np.isnan(x) & (w > 0)[:, None]
    complete = known.all(axis=1)
    keep = complete if fit.moments.n == complete.sum() else known.any(axis=1)
    x, w = x[keep], w[keep]
    full = complete[keep].all()
    same = len(x) == fit.moments.n and np.isclose(w.sum(), fit.moments.weight)
    if not same or (full and not np.allclose(w @ x / w.sum(), fit.moments.mean, rtol=1e-8, atol=1e-8)):
        raise DataError(
            f"these are not the rows the fit came from: {len(x)} usable rows here, {fit.moments.n} there"
            + (", with other answers or weights" if len(x) == fit.moments.n else "")
        )
    return x, w, np.flatnonzero(keep)


def _hidden(n: int, k: int, round_: int, omission: int) -> np.ndarray:
    """Which cells ``(n, k)`` of a block a round hides, counted down the columns."""
    return (np.arange(n * k) % omission == round_).reshape(k, n).T


def _completed(x: np.ndarray, shown: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Answers with all but the shown ones replaced by the (weighted) mean of the shown, and these means."""
    with np.errstate(invalid="ignore"):  # nothing shown: NaN, and the round has no solution
        means = (w @ np.where(shown, x, 0.0)) / (w @ shown)
    return np.where(shown, x, means), means


def _moments(x: np.ndarray, w: np.ndarray, fit: PLSFit) -> Moments:
    origin = fit.moments.origin
    centred = x - origin
    weighted = centred * w[:, None]
    return Moments(fit.model.items, len(x), float(w.sum()), origin, weighted.sum(axis=0), weighted.T @ centred)


def _scores(x: np.ndarray, moments: Moments, weights: np.ndarray, layout: Layout, scaled: bool) -> np.ndarray:
    """Scores ``(n, J)`` of all constructs."""
    unit = moments.sd if scaled else 1.0
    return ((x - moments.mean) / unit * weights) @ layout.member
