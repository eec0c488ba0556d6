"""A model with a loading of 1 in every construct and standardised items: the form in which semopy gets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csi_lab.errors import DataError, EstimationError, SpecError, listed
from csi_lab.sem.cb_specification import Row, Specification

# Eigenvalue of the correlations below which items are copies of each other up to rounding.
SMALLEST_EIGENVALUE = 1e-10
# Items with this weight in the direction in which nothing varies are among the copies; those of the rest are rounding.
LEAST_SHARE = 1e-3


@dataclass(frozen=True, eq=False)
class MarkerForm:
    """A specification with a loading of 1 in every construct and standardised items.

    Attributes
    ----------
    specification
        As asked for.
    d
        ``(p,)`` standard deviations of the items.
    markers
        For each construct the position of the row of its loading of 1.
    turned
        Constructs whose scale the specification sets by their variance: construct to the position of that row.
    """

    specification: Specification
    d: np.ndarray
    markers: dict[str, int]
    turned: dict[str, int]

    @classmethod
    def of(cls, specification: Specification, d: np.ndarray) -> MarkerForm:
        """Choose the markers; refuse what cannot be turned into one."""
        markers: dict[str, int] = {}
        turned: dict[str, int] = {}
        problems = []
        for construct in specification.constructs:
            loadings = [
                k for k, row in enumerate(specification.rows) if row.matrix == "Lambda" and row.lhs == construct
            ]
            fixed = [k for k in loadings if specification.rows[k].value not in (0.0,) and _is_fixed(specification, k)]
            if fixed:
                markers[construct] = fixed[0]
                continue
            free = [k for k in loadings if not _is_fixed(specification, k)]
            variances = [
                k
                for k, row in enumerate(specification.rows)
                if row.matrix == "Psi" and row.lhs == row.rhs == construct and row.value > 0
            ]
            if not (free and variances):
                problems.append(f"nothing sets the scale of {construct!r}; fix a loading at 1 or the variance at 1")
                continue
            tied = [
                row.name
                for row in specification.rows
                if row.matrix in ("Beta", "Psi") and construct in (row.lhs, row.rhs) and row.lhs != row.rhs
                if row.free < 0 and row.value != 0
            ]
            if tied:
                problems.append(f"{tied} fixed while {construct!r} has its variance fixed; use identification='marker'")
            markers[construct], turned[construct] = free[0], variances[0]
        if problems:
            raise SpecError(
                listed(problems, "semopy cannot fit this model; engine='fisher' may, or the remedy named"), problems
            )
        return cls(specification, d, markers, turned)

    @property
    def text(self) -> str:
        """The statements, one per row, each parameter labelled by the position of its row."""
        name = {("item", item): f"v{i}" for i, item in enumerate(self.specification.items)}
        name |= {("construct", c): f"L{j}" for j, c in enumerate(self.specification.constructs)}
        # The marker comes first in its block: semopy takes the first fixed loading for the scale.
        order = sorted(range(len(self.specification.rows)), key=lambda k: k not in self.markers.values())
        ends = {"Lambda": ("construct", "item"), "Theta": ("item", "item")}
        lines = []
        for k in order:
            row = self.specification.rows[k]
            left, right = ends.get(row.matrix, ("construct", "construct"))
            label = "1" if k in self.markers.values() else f"p{k}"
            lines.append(f"{name[left, row.lhs]} {row.op} {label}*{name[right, row.rhs]}")
        return "\n".join(lines)

    @property
    def free(self) -> list[int]:
        """Positions of the rows that semopy estimates."""
        markers = set(self.markers.values())
        turned = set(self.turned.values())
        return [
            k
            for k in range(len(self.specification.rows))
            if k not in markers and (k in turned or not _is_fixed(self.specification, k))
        ]

    def fixed(self) -> dict[int, float]:
        """Value of each row that stays fixed, in the metric of standardised items."""
        k = self._scales({})
        open_rows = {*self.free, *self.markers.values()}
        return {
            at: row.value / self._factor(row, k)
            for at, row in enumerate(self.specification.rows)
            if at not in open_rows
        }

    def theta(self, found: dict[int, float]) -> np.ndarray:
        """The free parameters in the units of the data from estimates of the rows that semopy estimated."""
        improper = [c for c, k in self.turned.items() if not found[k] > 0]
        if improper:
            raise EstimationError(
                f"residual variances of {improper} come out at or below 0, so that they cannot be set to 1; use "
                "identification='marker' to look at the solution"
            )
        k = self._scales(found)
        theta = np.empty(self.specification.n_free)
        for at, row in enumerate(self.specification.rows):
            if row.free >= 0:
                theta[row.free] = found.get(at, 1.0) * self._factor(row, k)
        return theta

    def _scales(self, found: dict[int, float]) -> dict[str, float]:
        """Scale of each construct: that of its marker, or what gives it the variance asked for."""
        rows, items = self.specification.rows, self.specification.items
        k = {c: float(self.d[items.index(rows[at].rhs)]) / self._marked(at) for c, at in self.markers.items()}
        return k | {
            c: float(np.sqrt(rows[at].value / found[at])) for c, at in self.turned.items() if found.get(at, 0) > 0
        }

    def _marked(self, at: int) -> float:
        """The value at which a marker is fixed; 1 when it is one of ours."""
        return 1.0 if self.specification.rows[at].free >= 0 else self.specification.rows[at].value

    def _factor(self, row: Row, k: dict[str, float]) -> float:
        """What an estimate is multiplied with to be in the units of the data."""
        items = self.specification.items.index
        if row.matrix == "Lambda":
            return float(self.d[items(row.rhs)]) / k[row.lhs]
        if row.matrix == "Theta":
            return float(self.d[items(row.lhs)] * self.d[items(row.rhs)])
        return k[row.lhs] / k[row.rhs] if row.matrix == "Beta" else k[row.lhs] * k[row.rhs]


def _is_fixed(specification: Specification, k: int) -> bool:
    return specification.rows[k].free < 0


def require_expressible(specification: Specification) -> None:
    """Refuse what semopy has no honest way to fit."""
    problems = []
    if len(specification.groups) > 1:
        problems.append(f"{len(specification.groups)} groups: semopy fits groups one by one, without a joint chi2")
    if specification.means:
        problems.append("means (and so missing='fiml'): semopy counts their degrees of freedom wrongly")
    tied = list(dict.fromkeys(row.name for row in specification.rows if row.label)) if not problems else []
    if tied:
        problems.append(f"parameters held equal: {tied}")
    if problems:
        raise SpecError(listed(problems, "semopy cannot fit this model; use engine='fisher'"), problems)


def standardised(covariance: np.ndarray, items: Sequence[str], n: float) -> tuple[np.ndarray, np.ndarray]:
    """Correlations ``(p, p)`` and standard deviations ``(p,)``; a DataError when the covariances do not give them."""
    p = len(items)
    if covariance.shape != (p, p):
        raise DataError(f"need the covariances of {p} items, one sample at a time; got shape {covariance.shape}")
    if not np.isfinite(covariance).all():
        bad = [item for item, row in zip(items, covariance, strict=True) if not np.isfinite(row).all()]
        raise DataError(f"covariances are missing or infinite for {bad}; choose how to treat missing answers first")
    variance = np.diag(covariance)
    flat = [item for item, v in zip(items, variance, strict=True) if not v > 0]
    if flat:
        raise DataError(f"items do not vary: {flat}; leave them out of the model")
    d = np.sqrt(variance)
    correlation = covariance / np.outer(d, d)
    if np.abs(correlation - correlation.T).max() > 1e-8:
        raise DataError("the covariance matrix is not symmetric")
    if not n > p:
        raise DataError(f"{n:g} rows for {p} items: covariances of full rank need more rows than items")
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    if values[0] < -SMALLEST_EIGENVALUE:
        raise DataError(
            f"the covariances belong to no data: their correlations have the eigenvalue {values[0]:.3g}; pairwise "
            "deletion does that: leave out incomplete rows or estimate the covariances with EM"
        )
    if values[0] < SMALLEST_EIGENVALUE:
        copies = [i for i, share in zip(items, vectors[:, 0], strict=True) if abs(share) > LEAST_SHARE]
        raise DataError(f"items are copies or sums of each other: {copies}; leave one of them out of the model")
    return (correlation + correlation.T) / 2, d
