"""Choosing the mode of data collection: telephone, intercept, household, mail or web, by weighted criteria.

What happens once a mode is chosen is in two other rooms: :mod:`csi_lab.sampling.fieldwork` has contact records,
intercept samples, the effect of interviewers and back-checks; :mod:`csi_lab.sampling.error_budget` adds up the errors
of a mode.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import EstimationError, SpecError
from csi_lab.sampling.mode.criteria_table import Criteria, criteria
from csi_lab.sampling.mode.decision import (
    METHODS,
    RULES,
    Method,
    combined_weights,
    critic_weights,
    entropy_weights,
    require_scores,
    require_weights,
    topsis,
    variation_weights,
    weighted_sum,
)
from csi_lab.sampling.mode.hierarchy import AHPResult, ahp
from csi_lab.sampling.mode.sensitivity import turning_points, varied_weights, winning_shares
from csi_lab.sampling.size.sample_size import is_number, not_positive, not_whole, refuse
from csi_lab.settings import generator

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = [
    "AHPResult",
    "Criteria",
    "ModeChoice",
    "ahp",
    "choose",
    "combined_weights",
    "criteria",
    "critic_weights",
    "entropy_weights",
    "topsis",
    "variation_weights",
    "weighted_sum",
]

# Scores nearer than this are a tie.
TIE = 1e-12


@dataclass(frozen=True, eq=False)
class ModeChoice:
    """Modes ranked by weighted criteria.

    Attributes
    ----------
    table
        One row per admitted mode, best first: ``sum``, ``topsis``, and their ranks ``rank_sum``, ``rank_topsis``
        (1: best).
    method
        The rule that decides.
    weights
        Weight of each criterion, adding up to 1.
    scores
        The matrix, admitted modes only.
    excluded
        Mode to the reason it is out.
    """

    table: pd.DataFrame
    method: Method
    weights: pd.Series
    scores: pd.DataFrame
    excluded: Mapping[str, str]

    @property
    def winner(self) -> str:
        """The best mode; of several equal ones the first of the matrix, see ``tied``."""
        return str(self.table.index[0])

    @property
    def runner_up(self) -> str | None:
        """The second mode; ``None`` when only one is admitted."""
        return str(self.table.index[1]) if len(self.table) > 1 else None

    @property
    def tied(self) -> tuple[str, ...]:
        """Modes with the winner's score, when there are several."""
        values = self.table[self.method]
        best = [str(mode) for mode in self.table.index[np.abs(values - values.iloc[0]) < TIE]]
        return tuple(best) if len(best) > 1 else ()

    @property
    def disagree(self) -> bool:
        """Whether the weighted sum and TOPSIS put the modes in different orders."""
        return bool((self.table["rank_sum"] != self.table["rank_topsis"]).any())

    @property
    def winners(self) -> dict[str, str]:
        """Winner by each rule."""
        return {rule: str(self.table[f"rank_{rule}"].idxmin()) for rule in METHODS if self.table[rule].notna().all()}

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def varied(self, change: float = 0.20) -> pd.DataFrame:
        """Winner when one weight at a time is made smaller or larger and all are brought to sum 1 again.

        Parameters
        ----------
        change
            Relative change, above 0 and at most 1.

        Returns
        -------
        DataFrame
            Index (criterion, change); ``weight`` after it, ``winner``, ``runner_up``, ``lead`` (difference of their
            scores), ``changed``.

        Raises
        ------
        SpecError
            If ``change`` is out of its range.

        Examples
        --------
        >>> bool(choose().varied(0.20)["changed"].any())
        False
        """
        self._require_two()
        refuse(
            "varied weights",
            "" if is_number(change) and 0 < change <= 1 else f"change={change!r} must lie between 0 and 1, 1 included",
        )
        return varied_weights(self.scores, self.weights, self.method, change)

    def shares(
        self, draws: int = 1000, *, rng: np.random.Generator | int = 0, concentration: float | None = None
    ) -> pd.DataFrame:
        """How often each mode wins when the weights are drawn at random.

        Parameters
        ----------
        draws
            Number of weight sets, from a Dirichlet distribution.
        rng
            Generator or seed.
        concentration
            ``None``: every set of weights is as likely as any other. A number c: sets around the given weights, with
            parameters c times the weight; larger is closer.

        Returns
        -------
        DataFrame
            One row per mode: ``estimate`` (share of wins), ``se``, ``low``, ``high`` (Wilson's interval, 95 %, of the
            simulation), ``wins``.

        Raises
        ------
        SpecError
            If a setting is out of its range, or weights are zero while a concentration is given.

        Examples
        --------
        >>> choose().shares(200, rng=1)["estimate"].idxmax()
        'web'
        """
        self._require_two()
        refuse(
            "drawn weights",
            not_whole("draws", draws, 1),
            "" if concentration is None else not_positive("concentration", concentration),
            f"weights are zero: {[n for n, w in self.weights.items() if w == 0]}; leave these criteria out"
            if concentration is not None and (self.weights == 0).any()
            else "",
        )
        return winning_shares(self.scores, self.weights, self.method, draws, generator(rng), concentration)

    def turning_points(self) -> pd.DataFrame:
        """The weight of each criterion at which the winner changes, the other weights keeping their proportions.

        Returns
        -------
        DataFrame
            One row per criterion: ``weight`` now; ``below`` and ``to_below``: the nearest smaller weight at which
            another mode takes over, and which; ``above`` and ``to_above`` likewise. NaN and ``None``: never.

        Examples
        --------
        >>> choose().turning_points().loc["frame", "to_above"]
        'household'
        """
        self._require_two()
        return turning_points(self.scores, self.weights, self.method)

    def plot(self, ax: Axes | None = None, labels: Mapping[str, str] | None = None) -> Axes:
        """Scores of the modes as bars, the winner set off."""
        from csi_lab.plots import bars

        unit = "weighted sum of scores" if self.method == "sum" else "TOPSIS closeness to the ideal, 0 to 1"
        table = self.table[[self.method]].set_axis(["estimate"], axis=1)
        return bars(table, xlabel=unit, decimals=3, highlight=self.winner, ax=ax, labels=labels)

    def _require_two(self) -> None:
        if len(self.table) < 2:
            raise EstimationError(f"only {self.winner!r} is admitted; there is nothing to be sensitive about")

    def __str__(self) -> str:
        values = self.table[self.method]
        head = f"{METHODS[self.method]}: {self.winner} wins ({values.iloc[0]:.3f})"
        if self.runner_up is not None:
            head += f", runner-up {self.runner_up} ({values.iloc[1]:.3f})"
        lines = [head]
        if self.tied:
            lines.append(f"  tied at the top: {', '.join(self.tied)}")
        if len(set(self.winners.values())) > 1:
            lines.append(f"  the two rules disagree on the winner: {self._both()}")
        elif self.disagree and self.table["topsis"].notna().all():
            moved = self.table.index[self.table["rank_sum"] != self.table["rank_topsis"]]
            lines.append(f"  both rules name the same winner, but order {', '.join(map(str, moved))} differently")
        elif self.table["topsis"].notna().all():
            lines.append("  the weighted sum and TOPSIS agree on the order")
        lines += [f"  excluded: {mode} ({reason})" for mode, reason in self.excluded.items()]
        return "\n".join(lines)

    def _both(self) -> str:
        return ", ".join(f"{METHODS[rule]} {mode}" for rule, mode in self.winners.items())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(4).to_html()}"


def choose(
    matrix: pd.DataFrame | None = None,
    weights: Any = None,
    *,
    method: Method = "sum",
    cost: Mapping[str, float] | None = None,
    interviews: int | None = None,
    budget: float | None = None,
) -> ModeChoice:
    """Rank the modes by weighted criteria; both rules are computed, ``method`` decides.

    Parameters
    ----------
    matrix
        One row per criterion, one column per mode, higher is better; default the shipped one of :func:`criteria`.
    weights
        Weight per criterion: a mapping, a Series (from :func:`ahp`, :func:`entropy_weights`, ...) or numbers in the
        order of the rows; brought to sum 1. Default: equal.
    method
        ``"sum"`` (weighted sum) or ``"topsis"``.
    cost, interviews, budget
        Cost of one completed interview per mode, completed interviews needed, and the money there is, in one currency:
        modes that cost more are excluded before the ranking. All three or none.

    Returns
    -------
    ModeChoice

    Raises
    ------
    DataError
        If scores are text, absent or negative.
    SpecError
        If weights or settings do not fit; all are named.
    EstimationError
        If the budget excludes every mode.

    Notes
    -----
    TOPSIS compares the admitted modes with each other, so excluding one can change the order of the rest; the weighted
    sum cannot do that.

    References
    ----------
    .. [1] Hwang, C. L., & Yoon, K. (1981). Multiple Attribute Decision Making. Springer.

    Examples
    --------
    >>> print(choose())
    weighted sum: web wins (3.900), runner-up household (3.500)
      both rules name the same winner, but order household, telephone differently
    >>> per_interview = {"telephone": 60, "intercept": 50, "household": 180, "mail": 40, "web": 15}
    >>> print(choose(cost=per_interview, interviews=400, budget=30_000))
    weighted sum: web wins (3.900), runner-up telephone (3.400)
      the weighted sum and TOPSIS agree on the order
      excluded: household (costs 72,000, the budget is 30,000)
    """
    import pandas as pd

    matrix = criteria().scores if matrix is None else matrix
    x = require_scores(matrix)
    names, modes = [str(name) for name in matrix.index], [str(mode) for mode in matrix.columns]
    if not isinstance(method, str) or method not in METHODS:
        raise SpecError(f"method={method!r} is unknown; use one of {list(METHODS)}")
    if isinstance(weights, AHPResult):
        weights = weights.weights
    w = require_weights(np.ones(len(names)) if weights is None else weights, names)
    excluded = _too_dear(modes, cost, interviews, budget)
    stay = [i for i, mode in enumerate(modes) if mode not in excluded]
    if not stay:
        raise EstimationError(f"the budget of {budget:,.0f} admits no mode: {dict(excluded)}")
    x = x[:, stay]
    index = pd.Index([modes[i] for i in stay], name="mode")
    table = pd.DataFrame({rule: RULES[rule](x, w) for rule in METHODS}, index=index)
    for rule in METHODS:
        # Ties in rounding only are ties.
        table[f"rank_{rule}"] = table[rule].round(12).rank(ascending=False, method="min")
    table = table.sort_values(f"rank_{method}", kind="stable")
    scores = pd.DataFrame(x, index=pd.Index(names, name="criterion"), columns=index)
    if len(stay) > 1 and table[method].isna().any():
        raise EstimationError("the modes do not differ on any criterion with weight; there is nothing to choose")
    return ModeChoice(table, method, pd.Series(w, index=scores.index, name="weight"), scores, excluded)


def _too_dear(modes: list[str], cost: Any, interviews: Any, budget: Any) -> dict[str, str]:
    """Modes that break the budget, with the reason."""
    given = [value is not None for value in (cost, interviews, budget)]
    if not any(given):
        return {}
    if not all(given):
        raise SpecError("a budget needs all three: cost= per completed interview and mode, interviews=, budget=")
    if not isinstance(cost, Mapping):
        raise SpecError(f"cost={cost!r} must map each mode to the cost of one completed interview")
    absent, unknown = [m for m in modes if m not in cost], [m for m in cost if m not in modes]
    refuse(
        "budget",
        f"cost lacks the modes {absent}" if absent else "",
        f"cost names unknown modes {unknown}; the matrix has {modes}" if unknown else "",
        *(
            f"cost of {m!r} is {cost[m]!r}; it must be a number, 0 or more"
            for m in modes
            if m in cost and not (is_number(cost[m]) and cost[m] >= 0)
        ),
        not_whole("interviews", interviews, 1),
        not_positive("budget", budget),
    )
    total = {m: cost[m] * interviews for m in modes}
    return {m: f"costs {t:,.0f}, the budget is {budget:,.0f}" for m, t in total.items() if t > budget}
