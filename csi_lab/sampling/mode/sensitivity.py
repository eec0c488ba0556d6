"""How much a choice by weighted criteria hangs on its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from csi_lab.sampling.mode.decision import RULES, Method
from csi_lab.shares import wilson_of_counts

if TYPE_CHECKING:
    import pandas as pd

# Weights tried between 0 and 1 before the turning point is closed in on.
GRID = 2001
HALVINGS = 60
# A challenger must lead by more than rounding to take over.
LEAD = 1e-12


def varied_weights(scores: pd.DataFrame, weights: pd.Series, method: Method, change: float) -> pd.DataFrame:
    """Winners when one weight at a time is multiplied by 1 - change and 1 + change.

    Examples
    --------
    >>> import pandas as pd
    >>> scores = pd.DataFrame({"web": [5, 2], "mail": [1, 5]}, index=["speed", "frame"])
    >>> varied_weights(scores, pd.Series([0.5, 0.5], ["speed", "frame"]), "sum", 0.5)["winner"].tolist()
    ['mail', 'web', 'web', 'mail']
    """
    import pandas as pd

    c = len(weights)
    factors = np.ones((c, 2, c))
    factors[np.arange(c), 0, np.arange(c)] = 1 - change
    factors[np.arange(c), 1, np.arange(c)] = 1 + change
    trial = factors * weights.to_numpy()
    total = trial.sum(axis=-1, keepdims=True)
    # Taking away the only weight leaves none: the row has no winner.
    trial = np.divide(trial, total, out=np.full_like(trial, np.nan), where=total > 0)
    values = RULES[method](scores.to_numpy(dtype=float), trial).reshape(2 * c, -1)
    own = trial[np.arange(c), :, np.arange(c)].ravel()
    modes = np.array([str(mode) for mode in scores.columns], dtype=object)
    base = modes[_first(RULES[method](scores.to_numpy(dtype=float), weights.to_numpy()))]
    known = np.isfinite(values).all(axis=-1)
    order = np.argsort(-np.round(np.where(known[:, None], values, 0.0), 12), axis=-1, kind="stable")
    rows = np.arange(2 * c)
    nobody = np.array(None, dtype=object)
    winner = np.where(known, modes[order[:, 0]], nobody)
    return pd.DataFrame(
        {
            "weight": own,
            "winner": winner,
            "runner_up": np.where(known, modes[order[:, 1]], nobody),
            "lead": values[rows, order[:, 0]] - values[rows, order[:, 1]],
            "changed": known & (winner != base),
        },
        index=pd.MultiIndex.from_product([weights.index, [-change, change]], names=["criterion", "change"]),
    )


def winning_shares(
    scores: pd.DataFrame,
    weights: pd.Series,
    method: Method,
    draws: int,
    rng: np.random.Generator,
    concentration: float | None,
) -> pd.DataFrame:
    """Share of Dirichlet weight draws in which each alternative wins.

    Examples
    --------
    >>> import pandas as pd
    >>> scores = pd.DataFrame({"web": [5, 5], "mail": [1, 4]}, index=["speed", "frame"])
    >>> even = pd.Series([0.5, 0.5], ["speed", "frame"])
    >>> winning_shares(scores, even, "sum", 100, np.random.default_rng(1), None)["wins"].to_dict()
    {'web': 100, 'mail': 0}
    """
    import pandas as pd

    c = len(weights)
    parameters = np.ones(c) if concentration is None else concentration * weights.to_numpy()
    trial = rng.dirichlet(parameters, size=int(draws))
    values = RULES[method](scores.to_numpy(dtype=float), trial)
    wins = np.bincount(_first(values), minlength=scores.shape[1])
    share, low, high = wilson_of_counts(wins, draws, 0.95)
    table = pd.DataFrame(
        {
            "estimate": share,
            "se": np.sqrt(share * (1 - share) / draws),
            "low": low,
            "high": high,
            "wins": wins,
        },
        index=pd.Index([str(mode) for mode in scores.columns], name="mode"),
    )
    return table.sort_values("estimate", ascending=False, kind="stable")


def turning_points(scores: pd.DataFrame, weights: pd.Series, method: Method) -> pd.DataFrame:
    """The nearest weights, below and above the present one, at which another alternative takes over.

    Examples
    --------
    >>> import pandas as pd
    >>> scores = pd.DataFrame({"web": [5, 2], "mail": [1, 5]}, index=["speed", "frame"])
    >>> points = turning_points(scores, pd.Series([0.5, 0.5], ["speed", "frame"]), "sum")
    >>> round(float(points.loc["frame", "above"]), 6)  # 5 (1 - w) + 2 w = 1 (1 - w) + 5 w
    0.571429
    """
    import pandas as pd

    x, w = scores.to_numpy(dtype=float), weights.to_numpy()
    modes = [str(mode) for mode in scores.columns]
    winner = int(_first(RULES[method](x, w)))
    rows = []
    for j in range(len(w)):
        rest = np.delete(w, j)
        if rest.sum() <= 0:
            # The only weight: the others have no proportions to keep.
            rows.append([w[j], np.nan, None, np.nan, None])
            continue

        def challenger(at: np.ndarray, j: int = j, rest: np.ndarray = rest) -> tuple[np.ndarray, np.ndarray]:
            """Who is best at these weights, and whether it leads the winner by more than rounding."""
            trial = np.insert(rest / rest.sum() * (1 - at[:, None]), j, at, axis=1)
            values = RULES[method](x, trial)
            best = np.argmax(np.where(np.isfinite(values), values, -np.inf), axis=1)
            return best, values[np.arange(len(at)), best] - values[:, winner] > LEAD

        row: list[float | str | None] = [w[j]]
        for end in (0.0, 1.0):
            grid = np.linspace(w[j], end, GRID)
            lost = challenger(grid)[1]
            at = np.flatnonzero(lost)
            if not len(at) or end == w[j]:
                row += [np.nan, None]
                continue
            inside, outside = grid[max(at[0] - 1, 0)], grid[at[0]]
            for _ in range(HALVINGS):
                middle = (inside + outside) / 2
                inside, outside = (inside, middle) if challenger(np.array([middle]))[1][0] else (middle, outside)
            row += [float(outside), modes[int(challenger(np.array([outside]))[0][0])]]
        rows.append(row)
    columns = ["weight", "below", "to_below", "above", "to_above"]
    table = pd.DataFrame(rows, index=weights.index, columns=columns)
    for column in ("to_below", "to_above"):
        # As objects: a column of text would turn None into NaN.
        table[column] = pd.Series([row[columns.index(column)] for row in rows], weights.index, dtype=object)
    return table


def _first(values: np.ndarray) -> np.ndarray:
    """Position of the best value; of equal ones, up to rounding, the first."""
    return np.argmax(np.round(values, 12), axis=-1)
