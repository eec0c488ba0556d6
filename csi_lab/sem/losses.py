"""Losses of predicted respondents, row by row: means of them with the errors of the sample design."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.design import Design
from csi_lab.intervals import Interval, Kind
from csi_lab.moments import Moments
from csi_lab.resampling import Replicates, replicates

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Losses:
    """Squared errors of predictions, one row per case.

    Attributes
    ----------
    table
        Columns (predictor, construct or item).
    used
        Positions of the cases in the data.
    frame, design, weights
        The data, their design, and the weights of the cases (``None``: equal).
    """

    table: pd.DataFrame
    used: np.ndarray
    frame: pd.DataFrame
    design: Design
    weights: np.ndarray | None

    @property
    def simple(self) -> bool:
        """Whether the cases are a simple random sample."""
        return self.design.simple and self.weights is None

    def replicates(self, columns: Sequence[np.ndarray], draws: int, rng: np.random.Generator | int) -> Replicates:
        """Replicates of the means of columns ``(n,)`` of the cases, by the design of the sample.

        Rows without a loss keep their place, so that strata and clusters stay those of the whole sample.
        """
        import pandas as pd

        names = [f"loss {k}" for k in range(len(columns))]
        whole = np.full((len(self.frame), len(names)), np.nan)
        whole[self.used] = np.column_stack(columns)
        frame = pd.DataFrame(whole, columns=names)
        for column in self.design.columns:
            frame[column] = self.frame[column].to_numpy()
        weights = None
        if self.design.weights is None and self.weights is not None:
            weights = np.zeros(len(frame))
            weights[self.used] = self.weights
        return replicates(frame, self.design, items=names, weights=weights, draws=draws, rng=rng)

    def share_explained(
        self,
        pairs: Sequence[tuple[Hashable, Hashable]],
        *,
        draws: int,
        rng: np.random.Generator | int,
        kind: Kind = "percentile",
        level: float = 0.95,
    ) -> Interval:
        r"""Intervals of :math:`1 - \sum w e / \sum w o` for pairs of columns (error e, what there was to explain o).

        The predictions are taken as they are: the intervals say how far the share would differ for other respondents,
        not how far the model would.
        """
        errors = [self.table[pair[0]].to_numpy() for pair in pairs]
        totals = [self.table[pair[1]].to_numpy() for pair in pairs]
        k = len(pairs)

        def share(moments: Moments) -> np.ndarray:
            with np.errstate(divide="ignore", invalid="ignore"):
                return 1 - moments.mean[..., :k] / moments.mean[..., k:]

        return self.replicates([*errors, *totals], draws, rng).interval(share, kind=kind, level=level)
