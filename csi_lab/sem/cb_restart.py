"""Where else a search may begin when the likelihood has several summits, or the first start does not come to rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from csi_lab.model import PathModel
from csi_lab.sem.cb_engine import fisher_scoring
from csi_lab.sem.cb_inference import cells_of
from csi_lab.sem.cb_likelihood import Pieces
from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_specification import Specification, specification
from csi_lab.sem.cb_start import starting_values, theta_from_factors
from csi_lab.sem.cb_structure import BETA, Cells, matrices

# A start need not be an optimum: so near the measurement model's own one, in standard errors, is near enough.
NEAR, MOST_ITERATIONS = 1e-2, 30
# Size of random moves of standardised paths.
MOVE = 2.0


def measured_start(wanted: Specification, cells: Sequence[Cells], sample: Sample) -> np.ndarray:
    """Where to begin ``(N, q)``: the measurement model of the pooled correlations, its factors regressed on each other.

    The factors of a measurement model covary freely, so that its search meets no singularity. Their correlations need
    not be positive definite: paths then begin on the side of the singularity where the data put them, which no step
    from the other side reaches, because paths grow beyond all bounds in between.
    """
    corr, means = sample.pooled()
    total = sample.n.sum(axis=1, keepdims=True)
    centred = np.zeros_like(means)[:, None]
    one = Sample(
        np.ones_like(means),
        (Pieces(total, centred, corr[:, None]),),
        total,
        centred,
        corr[:, None],
        sample.usable,
        means=False,
    )
    model = wanted.model
    measurement = specification(
        PathModel(dict(model.constructs), covariances=model.covariances), identification="variance"
    )
    found = fisher_scoring(measurement, one, tolerance=NEAR, max_iterations=MOST_ITERATIONS)
    built = matrices(cells_of(measurement)[0], found.theta)
    least = 0.1 if wanted.identification == "variance" else -np.inf
    return theta_from_factors(wanted, cells, sample, built.loadings, built.theta, built.psi, least=least)


def moved_starts(wanted: Specification, cells: Sequence[Cells], sample: Sample, rng: np.random.Generator) -> np.ndarray:
    """Where to begin ``(N, q)``: the correlations' start with every path moved at random, alike in all draws."""
    start = starting_values(wanted, cells, sample)
    for own in cells:
        at = own.kind == BETA
        move = MOVE * rng.normal(size=int(at.sum()))
        start[:, own.free[at]] += move * own.scales(sample.scale)[:, at]
    return start
