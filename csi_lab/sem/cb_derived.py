"""Quantities computed from the parameters: standardised solution, effects, reliability.

Each function takes ``theta (N, q)`` and returns ``(N, k)``, real or complex, so that the same lines serve the estimate,
all bootstrap draws and the derivatives of the delta method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from csi_lab.sem.cb_inference import cells_of
from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_specification import Specification
from csi_lab.sem.cb_structure import Matrices, matrices

Labels = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class Quantity:
    """Several numbers that follow from theta.

    Attributes
    ----------
    function
        ``(N, q) -> (N, k)``.
    labels, names
        Label of each number (a tuple per number), and the names of the levels.
    beside
        How many observed variances of :func:`observed_variances` the function takes behind theta: ``(N, q + K)``.
    """

    function: Callable[[np.ndarray], np.ndarray]
    labels: Labels
    names: tuple[str, ...]
    beside: int = 0


def parameters(specification: Specification) -> Quantity:
    """All rows of the parameter table, fixed ones too, in the units of the data."""
    free = np.array([row.free for row in specification.rows])
    value = np.array([row.value for row in specification.rows])

    def function(theta: np.ndarray) -> np.ndarray:
        if not theta.shape[1]:
            return np.broadcast_to(value, (len(theta), len(value)))
        return np.where(free >= 0, theta[:, np.maximum(free, 0)], value)

    return Quantity(function, _row_labels(specification), _row_names(specification))


def standardised(specification: Specification) -> Quantity:
    """All rows with items and constructs of variance 1.

    A residual covariance is divided by the residual standard deviations, a residual variance by the total variance.
    """
    cells = cells_of(specification)
    items, constructs = specification.items.index, specification.constructs.index

    def function(theta: np.ndarray) -> np.ndarray:
        built = [matrices(own, theta) for own in cells]
        item_sd = [_roots(b.sigma) for b in built]
        latent_sd = [_roots(b.latent) for b in built]
        out = []
        for row in specification.rows:
            b, sd, latent = built[row.group], item_sd[row.group], latent_sd[row.group]
            if row.matrix == "Lambda":
                i, j = items(row.rhs), constructs(row.lhs)
                out.append(b.loadings[:, i, j] * latent[:, j] / sd[:, i])
            elif row.matrix == "Beta":
                i, j = constructs(row.lhs), constructs(row.rhs)
                out.append(b.paths[:, i, j] * latent[:, j] / latent[:, i])
            elif row.matrix == "nu":
                out.append(b.nu[:, items(row.lhs)] / sd[:, items(row.lhs)])
            elif row.matrix == "alpha":
                out.append(b.alpha[:, constructs(row.lhs)] / latent[:, constructs(row.lhs)])
            else:
                at = items if row.matrix == "Theta" else constructs
                matrix, total = (b.theta, sd) if row.matrix == "Theta" else (b.psi, latent)
                i, j = at(row.lhs), at(row.rhs)
                below = total[:, i] ** 2 if i == j else _root(matrix[:, i, i]) * _root(matrix[:, j, j])
                out.append(matrix[:, i, j] / below)
        return np.stack(out, axis=1)

    return Quantity(function, _row_labels(specification), _row_names(specification))


def effects(specification: Specification, kind: str, standard: bool) -> Quantity:
    """Direct (``"direct"``), ``"indirect"`` or ``"total"`` effects between constructs, where there is a way."""
    model, names = specification.model, specification.constructs
    known = {name: k for k, name in enumerate(names)}
    reach = np.zeros((len(names), len(names)))
    for source, target in model.edges:
        reach[known[target], known[source]] = 1
    ways = np.linalg.inv(np.eye(len(names)) - reach) - np.eye(len(names))
    kept = {"direct": reach > 0, "total": ways > 0.5, "indirect": (ways - reach) > 0.5}[kind]
    pairs = [(s, t) for s in range(len(names)) for t in range(len(names)) if kept[t, s]]
    at_source, at_target = (np.array([pair[k] for pair in pairs], dtype=int) for k in (0, 1))

    def one(b: Matrices) -> np.ndarray:
        total = b.chain - np.eye(len(names))
        value = {"direct": b.paths, "total": total, "indirect": total - b.paths}[kind]
        if standard:
            sd = _roots(b.latent)
            value = value * sd[:, None, :] / sd[:, :, None]
        return value[:, at_target, at_source]

    labels = tuple((names[s], names[t]) for s, t in pairs)
    return _per_group(specification, one, labels, ("source", "target"))


def loadings(specification: Specification) -> Quantity:
    """Standardised loadings."""
    blocks = specification.model.constructs
    labels = tuple((c, item) for c, block in blocks.items() for item in block)
    rows = np.array([specification.items.index(item) for _, item in labels])
    columns = np.array([specification.constructs.index(c) for c, _ in labels])

    def one(b: Matrices) -> np.ndarray:
        return b.loadings[:, rows, columns] * _roots(b.latent)[:, columns] / _roots(b.sigma)[:, rows]

    return _per_group(specification, one, labels, ("construct", "item"))


def explained(specification: Specification) -> Quantity:
    """R2 of the constructs that have sources."""
    names = [c for c in specification.constructs if c in specification.model.endogenous]
    at = np.array([specification.constructs.index(c) for c in names], dtype=int)

    def one(b: Matrices) -> np.ndarray:
        return 1 - _diagonal(b.psi)[:, at] / _diagonal(b.latent)[:, at]

    return _per_group(specification, one, tuple((c,) for c in names), ("construct",))


def communalities(specification: Specification) -> Quantity:
    """Share of each item's variance that its construct explains; items that are a construct are left out."""
    blocks = specification.model.constructs
    names = [item for block in blocks.values() if len(block) > 1 for item in block]
    at = np.array([specification.items.index(i) for i in names], dtype=int)

    def one(b: Matrices) -> np.ndarray:
        return 1 - _diagonal(b.theta)[:, at] / _diagonal(b.sigma)[:, at]

    return _per_group(specification, one, tuple((i,) for i in names), ("item",))


def latent_correlations(specification: Specification) -> Quantity:
    """Implied correlations of the constructs, one row per pair."""
    names = specification.constructs
    first, second = np.triu_indices(len(names), 1)

    def one(b: Matrices) -> np.ndarray:
        sd = _roots(b.latent)
        return b.latent[:, first, second] / (sd[:, first] * sd[:, second])

    labels = tuple((names[i], names[j]) for i, j in zip(first, second, strict=True))
    return _per_group(specification, one, labels, ("construct", "with"))


COEFFICIENTS = {
    "cr": "composite reliability, standardised loadings (Fornell & Larcker 1981)",
    "omega": "omega, unstandardised loadings over the implied variance of the sum",
    "ave": "average variance extracted, standardised loadings (Fornell & Larcker 1981)",
    "ave_unstandardised": "average variance extracted, unstandardised loadings",
}


def reliability(specification: Specification) -> Quantity:
    r"""Composite reliability, omega and AVE of the constructs with several items.

    With loadings lambda, construct variance psi and residual covariances Theta of its items:
    (sum lambda)^2 psi / [(sum lambda)^2 psi + 1'Theta 1], from standardised (``cr``) or unstandardised (``omega``)
    values; AVE = sum lambda^2 psi / (sum lambda^2 psi + tr Theta) likewise.
    """
    blocks = {c: block for c, block in specification.model.constructs.items() if len(block) > 1}
    places = [
        (specification.constructs.index(c), np.array([specification.items.index(i) for i in block]))
        for c, block in blocks.items()
    ]

    def one(b: Matrices) -> np.ndarray:
        sd = _roots(b.sigma)
        out = []
        for j, at in places:
            loading, spread, own_sd = b.loadings[:, at, j], b.latent[:, j, j], sd[:, at]
            rest = b.theta[:, at][:, :, at]
            standard_rest = rest / (own_sd[:, :, None] * own_sd[:, None, :])
            standard = loading / own_sd
            for numerator_of, left in ((standard, standard_rest), (loading, rest)):
                common = numerator_of.sum(axis=1) ** 2 * spread
                single = (numerator_of**2).sum(axis=1) * spread
                out.append(common / (common + left.sum(axis=(1, 2))))
                out.append(single / (single + np.trace(left, axis1=1, axis2=2)))
        return np.stack(out, axis=1) if out else np.zeros((len(sd), 0))

    order = ("cr", "ave", "omega", "ave_unstandardised")
    labels = tuple((c, name) for c in blocks for name in order)
    return _per_group(specification, one, labels, ("construct", "coefficient"))


def measured_blocks(specification: Specification) -> dict[str, np.ndarray]:
    """Positions of the items of each construct that has several."""
    blocks = {c: block for c, block in specification.model.constructs.items() if len(block) > 1}
    return {c: np.array([specification.items.index(i) for i in block]) for c, block in blocks.items()}


def observed_variances(specification: Specification, sample: Sample) -> np.ndarray:
    """Observed variances ``(N, K)`` of the sums of items: constructs with several items within groups."""
    found = []
    for g in range(len(specification.groups)):
        for at in measured_blocks(specification).values():
            d = sample.scale[:, at]
            found.append(np.einsum("ni,nij,nj->n", d, sample.cov[:, g][:, at][:, :, at], d))
    return np.stack(found, axis=1) if found else np.zeros((len(sample.scale), 0))


def implied_variances(specification: Specification) -> Callable[[np.ndarray], np.ndarray]:
    """The same as the model implies them, from theta ``(N, q) -> (N, K)``."""
    cells, blocks = cells_of(specification), measured_blocks(specification).values()

    def function(theta: np.ndarray) -> np.ndarray:
        built = [matrices(own, theta) for own in cells]
        found = [b.sigma[:, at][:, :, at].sum(axis=(1, 2)) for b in built for at in blocks]
        return np.stack(found, axis=1) if found else np.zeros((len(theta), 0))

    return function


def omega_observed(specification: Specification) -> Quantity:
    r"""Omega over the observed variance of the sum of items: :math:`1' (\Sigma - \Theta) 1 / 1' S 1` of a block.

    The function takes theta with the observed variances behind it ``(N, q + K)``.
    """
    cells, blocks = cells_of(specification), measured_blocks(specification)
    q, k = specification.n_free, len(blocks) * len(specification.groups)

    def function(both: np.ndarray) -> np.ndarray:
        built = [matrices(own, both[:, :q]) for own in cells]
        common = [(b.sigma - b.theta)[:, at][:, :, at].sum(axis=(1, 2)) for b in built for at in blocks.values()]
        return np.stack(common, axis=1) / both[:, q:] if common else np.zeros((len(both), 0))

    labels: Labels = tuple((c, "omega_observed") for c in blocks)
    names: tuple[str, ...] = ("construct", "coefficient")
    if len(specification.groups) > 1:
        labels = tuple((group, *label) for group in specification.groups for label in labels)
        names = ("group", *names)
    return Quantity(function, labels, names, k)


def score_weights(specification: Specification, sample: Sample, theta: np.ndarray) -> np.ndarray:
    """Regression weights ``(p, m)`` of the constructs on centred items, in the units of the data, first group."""
    own = cells_of(specification)[0]
    built = matrices(own, theta[None], sample.scale)
    weight = np.linalg.solve(built.sigma[0], built.loadings[0] @ built.latent[0])
    return weight * own.latent_scales(sample.scale)[0] / sample.scale[0][:, None]


def _per_group(
    specification: Specification, one: Callable[[Matrices], np.ndarray], labels: Labels, names: tuple[str, ...]
) -> Quantity:
    """The same quantity in every group; with several groups their label comes first."""
    cells = cells_of(specification)

    def function(theta: np.ndarray) -> np.ndarray:
        return np.concatenate([one(matrices(own, theta)) for own in cells], axis=1)

    if len(specification.groups) > 1:
        labels = tuple((group, *label) for group in specification.groups for label in labels)
        names = ("group", *names)
    return Quantity(function, labels, names)


def _row_labels(specification: Specification) -> Labels:
    rows = specification.rows
    if len(specification.groups) > 1:
        return tuple((specification.groups[row.group], row.lhs, row.op, row.rhs) for row in rows)
    return tuple((row.lhs, row.op, row.rhs) for row in rows)


def _row_names(specification: Specification) -> tuple[str, ...]:
    return (("group",) if len(specification.groups) > 1 else ()) + ("lhs", "op", "rhs")


def _diagonal(matrix: np.ndarray) -> np.ndarray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _root(variance: np.ndarray) -> np.ndarray:
    """Square root; NaN where a variance is not positive, of complex numbers too."""
    positive = variance.real > 0
    return np.where(positive, np.sqrt(np.where(positive, variance, 1.0)), np.nan)


def _roots(matrix: np.ndarray) -> np.ndarray:
    """Standard deviations ``(N, p)`` of covariances ``(N, p, p)``."""
    return _root(_diagonal(matrix))
