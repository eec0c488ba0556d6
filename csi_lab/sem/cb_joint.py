"""Sampling covariances of the parameters together with the observed variances of sums of items."""

from __future__ import annotations

import numpy as np

from csi_lab.sem.cb_answers import Answers
from csi_lab.sem.cb_derived import implied_variances, measured_blocks, observed_variances
from csi_lab.sem.cb_inference import (
    Beside,
    cells_of,
    information,
    inverse,
    jacobian,
    meat,
    reference_model,
    reference_theta,
    scores_by_pattern,
)
from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_specification import Specification


def normal_covariance(
    specification: Specification, sample: Sample, theta: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    r"""Normal-theory covariances ``(q + K, q + K)`` of theta and the observed variances v = 1'S1 of sums of items.

    With C the covariance of theta and D the derivatives of the implied variances of the sums: cov(theta, v) = C D',
    because maximum likelihood weighs S by the inverse of its own covariances; and for complete data
    :math:`\operatorname{cov}(v_k, v_l) = 2 (1_k' S 1_l)^2 / n`, else from the observed information of the saturated
    model.

    References
    ----------
    .. [1] Browne, M. W. (1984). Asymptotically distribution-free methods for the analysis of covariance structures.
       British Journal of Mathematical and Statistical Psychology, 37, 62-83.
    """
    slope = jacobian(implied_variances(specification), theta)
    cross = covariance @ slope
    own = np.zeros((slope.shape[1], slope.shape[1]))
    chosen = _sums(specification, sample)
    if any(pieces.seen is not None for pieces in sample.groups):
        picked = _picked(specification)
        free = reference_model(specification, True)
        at = reference_theta(free, sample, True)
        own = picked.T @ inverse(information(free, sample, at, "observed")) @ picked
    else:
        for g in range(len(specification.groups)):
            each = chosen @ sample.cov[0, g] @ chosen.T
            here = slice(g * len(chosen), (g + 1) * len(chosen))
            own[here, here] = 2 * each**2 / sample.count[0, g]
    return np.block([[covariance, cross], [cross.T, own]])


def robust_covariance(
    specification: Specification,
    answers: Answers,
    sample: Sample,
    theta: np.ndarray,
    bread: np.ndarray,
    *,
    centred: bool,
) -> np.ndarray:
    """The same from the squares of what each respondent contributes to theta and to v; PSU totals with a design."""
    chosen = _sums(specification, sample)
    k = len(chosen) * len(specification.groups)
    if answers.missing == "fiml":
        free = reference_model(specification, True)
        at = reference_theta(free, sample, True)
        weigh = inverse(information(free, sample, at, "observed")) @ _picked(specification)
        cells = cells_of(free)

        def contribution(group: int, x: np.ndarray) -> np.ndarray:
            return scores_by_pattern(cells[group], at, sample, group, x) @ weigh
    else:
        observed = observed_variances(specification, sample)[0].reshape(len(specification.groups), len(chosen))

        def contribution(group: int, x: np.ndarray) -> np.ndarray:
            centred_sums = (x / sample.scale[0] - sample.mean[0, group]) @ chosen.T
            found = np.zeros((len(x), len(specification.groups), len(chosen)))
            found[:, group] = (centred_sums**2 - observed[group]) / sample.n[0, group]
            return found.reshape(len(x), k)

    squares = meat(specification, answers, sample, theta, centred=centred, beside=Beside(k, contribution))
    wide = np.eye(len(squares))
    wide[: len(theta), : len(theta)] = bread
    return wide @ squares @ wide


def _sums(specification: Specification, sample: Sample) -> np.ndarray:
    """Weights ``(blocks, p)`` of standardised items in the sum of each block."""
    blocks = measured_blocks(specification)
    weight = np.zeros((len(blocks), len(specification.items)))
    for row, at in enumerate(blocks.values()):
        weight[row, at] = sample.scale[0, at]
    return weight


def _picked(specification: Specification) -> np.ndarray:
    """How the variances of sums of items are made of the parameters of the saturated model ``(q_s, K)``."""
    free = reference_model(specification, True)
    blocks = measured_blocks(specification)
    picked = np.zeros((free.n_free, len(specification.groups), len(blocks)))
    at = {name: k for k, name in enumerate(specification.items)}
    for row in free.rows:
        if row.free < 0 or row.matrix != "Psi":
            continue
        for k, block in enumerate(blocks.values()):
            if at[row.lhs] in block and at[row.rhs] in block:
                picked[row.free, row.group, k] = 1.0 if row.lhs == row.rhs else 2.0
    return picked.reshape(free.n_free, -1)
