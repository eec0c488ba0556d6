"""The Fornell-Larcker criterion of discriminant validity."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import DataError
from csi_lab.validity.measurement import average_variance_extracted, measurement

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class FornellLarckerResult:
    """The Fornell-Larcker criterion.

    Attributes
    ----------
    table
        One row per construct with an AVE: ``root_ave``, ``correlation`` (the largest, absolute) ``with`` which
        construct, their difference as ``estimate, se, low, high``, and ``verdict``.
    matrix
        Roots of AVE on the diagonal, construct correlations below it.
    """

    table: pd.DataFrame
    matrix: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """One row per construct, raw numbers."""
        return self.table

    def __str__(self) -> str:
        failing = self.table[self.table["estimate"] <= 0]
        named = [
            f"{c} (root AVE {row['root_ave']:.3f}, {row['correlation']:.3f} with {row['with']})"
            for c, row in failing.iterrows()
        ]
        return f"Fornell-Larcker: {len(self.table) - len(failing)} of {len(self.table)} constructs pass" + (
            f"; not: {', '.join(named)}" if named else ""
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.matrix.round(3).to_html(na_rep='')}"


def fornell_larcker(source: Any, correlations: pd.DataFrame | None = None) -> FornellLarckerResult:
    r"""Does each construct share more variance with its items than with any other construct?

    The criterion is :math:`\sqrt{\text{AVE}_j} > \max_k |r_{jk}|`.

    Parameters
    ----------
    source
        A PLS fit (after ``.bootstrap()`` with intervals), a CB-SEM fit of one group, or loadings as in
        :func:`csi_lab.validity.convergent.convergent_validity`.
    correlations
        Construct correlations, needed beside given loadings.

    Returns
    -------
    FornellLarckerResult
        Single items and constructs formed by their items have no AVE and no row in the table.

    Raises
    ------
    DataError
        If loadings or correlations are unusable or there is nothing to compare.

    Notes
    -----
    The matrix agrees with R seminr 2.3.4 (tests/reference/pls/mobi_A_path.json) to 1e-10. The criterion misses a lack
    of discriminant validity more often than HTMT does [1]_.

    References
    ----------
    .. [1] Henseler, J., Ringle, C. M., & Sarstedt, M. (2015). A new criterion for assessing discriminant validity in
       variance-based structural equation modeling. Journal of the Academy of Marketing Science, 43, 115-135.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(fornell_larcker(csi.sem.pls(csi.load_survey("mobile"))))
    Fornell-Larcker: 4 of 6 constructs pass; not: Image (root AVE 0.692, 0.749 with Quality),
    Quality (root AVE 0.759, 0.795 with Satisfaction)
    """
    import pandas as pd

    found = measurement(source, correlations)
    if np.isnan(found.correlations).any():
        raise DataError("given loadings need the construct correlations beside them: correlations=")
    names, member = list(found.blocks), found.member
    if len(names) < 2:
        raise DataError(f"discriminant validity needs two constructs or more, got {names}")
    judged = [j for j, c in enumerate(names) if len(found.blocks[c]) > 1 and c not in found.formed]
    if not judged:
        raise DataError("no construct has an AVE: all have a single item or are formed by their items")
    others = np.abs(found.correlations - np.eye(len(names)))
    nearest = others.argmax(axis=1)

    def margin(loadings: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        root = np.sqrt(average_variance_extracted(loadings, member))
        largest = np.abs(matrix - np.eye(len(names))).max(axis=-1)
        return (root - largest)[..., judged]

    table = found.table(margin, [names[j] for j in judged], ["construct"])
    root = np.sqrt(average_variance_extracted(found.loadings, member))
    table.insert(0, "root_ave", root[judged])
    table.insert(1, "correlation", others.max(axis=1)[judged])
    table.insert(2, "with", [names[nearest[j]] for j in judged])
    table["verdict"] = np.where(table["estimate"] > 0, "root AVE above all correlations", "a correlation is larger")
    lower = np.where(np.tri(len(names), k=-1, dtype=bool), found.correlations, np.nan)
    silent = [j for j in range(len(names)) if names[j] in found.formed]
    np.fill_diagonal(lower, root)
    lower[silent, silent] = np.nan
    return FornellLarckerResult(table, pd.DataFrame(lower, pd.Index(names, name="construct"), names))
