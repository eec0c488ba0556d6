"""What makes a solution improper, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from csi_lab.sem.cb_inference import cells_of
from csi_lab.sem.cb_specification import Specification
from csi_lab.sem.cb_structure import Matrices, matrices

# A residual variance at or below this share of the item's variance is a Heywood case (estimates rest at a bound of 0 in
# engines that have one, and just above it in those that stop early).
HEYWOOD = 1e-4
# Sources whose variance inflation passes this: Hair, Hult, Ringle & Sarstedt (2022), A Primer on PLS-SEM, 3rd ed., call
# 5 critical; Kutner, Nachtsheim, Neter & Li (2005), Applied Linear Statistical Models, 5th ed., 10 serious.
VIF = 10.0
# More draws without a solution than this make the intervals doubtful: as many as an interval of 95 % leaves outside.
FAILED = 0.05


def problems(
    specification: Specification,
    theta: np.ndarray,
    *,
    undetermined: Sequence[str],
    converged: bool,
    distance: float,
    iterations: int,
    others: Sequence[float] = (),
    heywood: float = HEYWOOD,
    vif: float = VIF,
) -> tuple[str, ...]:
    """Every reason not to use a solution, the gravest first; empty for a proper one."""
    found = []
    if specification.df < 0:
        found.append(
            f"NOT IDENTIFIED: {specification.n_free} parameters, {-specification.df} more than there are variances, "
            "covariances and means; use more items per construct or hold parameters equal"
        )
    if undetermined:
        found.append(
            f"NOT IDENTIFIED: {_some(undetermined)} can move together without changing the fit; use more items per "
            "construct, or fix or equate some of them"
        )
    if not converged:
        found.append(
            f"NOT CONVERGED after {iterations} iterations: the estimates are {distance:.2g} standard errors from an "
            "optimum; simplify the model or raise max_iterations"
        )
    if undetermined or specification.df < 0:
        return tuple(found)
    if others:
        found.append(
            f"SEVERAL OPTIMA: other starts end where chi2 is {', '.join(f'{gap:.3g}' for gap in others[:3])} larger; "
            "the best is reported, and the data hardly choose between them"
        )
    built = [matrices(cells, theta[None]) for cells in cells_of(specification)]
    for group, own in zip(specification.groups, built, strict=True):
        where = f" in group {group}" if group else ""
        found += [f"IMPROPER SOLUTION{where}: {text}" for text in _improper(specification, own, heywood)]
    if not any(text.startswith("IMPROPER") for text in found):
        for group, target, listed in inflated(specification, theta, vif):
            where = f" in group {group}" if group else ""
            found.append(
                f"NEARLY COLLINEAR{where}: the sources of {target} correlate so highly that their paths are hardly "
                f"determined one by one: {listed}; read total effects, or merge constructs"
            )
    return tuple(found)


def _improper(specification: Specification, built: Matrices, heywood: float) -> Iterator[str]:
    items, names = specification.items, specification.constructs
    theta, sigma = np.diagonal(built.theta[0]), np.diagonal(built.sigma[0])
    single = {block[0] for block in specification.model.constructs.values() if len(block) == 1}
    low = [
        f"{item} ({t:.3g})"
        for item, t, s in zip(items, theta, sigma, strict=True)
        if item not in single and t <= heywood * s
    ]
    if low:
        yield f"residual variance negative or zero (Heywood case): {', '.join(low)}; drop the item or a factor"
    psi, latent = built.psi[0], built.latent[0]
    negative = [
        f"{c} ({psi[j, j]:.3g})" for j, c in enumerate(names) if psi[j, j] <= heywood * max(abs(latent[j, j]), 1e-300)
    ]
    if negative:
        yield f"variance of a construct negative or zero: {', '.join(negative)}"
    with np.errstate(invalid="ignore"):
        loading = _loadings(specification, built)
    large = [f"{item} on {c} ({v:.3f})" for (c, item), v in loading.items() if item not in single and abs(v) >= 1]
    if large:
        yield f"standardised loading of 1 or more: {', '.join(large)}"
    variance = np.diagonal(latent)
    if (variance <= 0).any():
        return
    corr = latent / np.sqrt(np.outer(variance, variance))
    over = [
        f"{names[i]} and {names[j]} ({corr[i, j]:.3f})"
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if abs(corr[i, j]) > 1
    ]
    if over:
        yield f"correlation of constructs beyond 1: {', '.join(over)}; they are not told apart, merge them"
    values, vectors = np.linalg.eigh(corr)
    if values[0] <= 0 and len(names) > 1:
        part = [c for c, v in zip(names, vectors[:, 0], strict=True) if abs(v) > 0.1]
        yield (
            f"covariances of the constructs are not positive definite (smallest eigenvalue {values[0]:.3f}, mostly "
            f"{', '.join(part)}): some constructs cannot be told apart"
        )


def improper(specification: Specification, theta: np.ndarray, heywood: float = HEYWOOD) -> np.ndarray:
    """Which of ``theta (N, q)`` are improper: negative variances, loadings or correlations beyond 1, and the like."""
    found = np.zeros(len(theta), dtype=bool)
    single = {block[0] for block in specification.model.constructs.values() if len(block) == 1}
    measured = [k for k, item in enumerate(specification.items) if item not in single]
    for cells in cells_of(specification):
        built = matrices(cells, theta)
        residual, total = (np.diagonal(m, axis1=1, axis2=2) for m in (built.theta, built.sigma))
        own, latent = (np.diagonal(m, axis1=1, axis2=2) for m in (built.psi, built.latent))
        found |= (residual <= heywood * total)[:, measured].any(axis=1)
        found |= (own <= heywood * np.maximum(np.abs(latent), 1e-300)).any(axis=1) | (latent <= 0).any(axis=1)
        sd = np.sqrt(np.where(latent > 0, latent, 1.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            loading = np.abs(built.loadings) * sd[:, None, :] / np.sqrt(total)[:, :, None]
        found |= (loading[:, measured] >= 1).any(axis=(1, 2))
        corr = built.latent / (sd[:, :, None] * sd[:, None, :])
        if corr.shape[-1] > 1:
            found |= np.linalg.eigvalsh(corr)[:, 0] <= 0
    return found


def inflated(specification: Specification, theta: np.ndarray, vif: float = VIF) -> list[tuple[str, str, str]]:
    """Group, target and sources of every construct with a source whose variance inflation passes ``vif``."""
    names = list(specification.constructs)
    found = []
    for group, cells in zip(specification.groups, cells_of(specification), strict=True):
        latent = matrices(cells, theta[None]).latent[0]
        if not np.isfinite(latent).all() or (np.diagonal(latent) <= 0).any():
            continue
        sd = np.sqrt(np.diagonal(latent))
        corr = latent / np.outer(sd, sd)
        for target, sources in specification.model.paths.items():
            at = [names.index(s) for s in sources]
            own = corr[np.ix_(at, at)]
            # Beyond collinear: correlations that no sample could have.
            values = np.linalg.eigvalsh(own)
            inflation = np.diagonal(np.linalg.inv(own)) if abs(values[0]) > 1e-12 else np.full(len(at), np.inf)
            large = np.abs(inflation) > vif if values[0] > 0 else np.ones(len(at), dtype=bool)
            if large.any():
                listed = ", ".join(
                    f"{s} (VIF {v:.0f})" for s, v, hit in zip(sources, inflation, large, strict=True) if hit
                )
                found.append((group, target, listed))
    return found


def _loadings(specification: Specification, built: Matrices) -> dict[tuple[str, str], float]:
    """Standardised loadings of one group."""
    blocks = specification.model.constructs
    items, constructs = specification.items.index, specification.constructs.index
    sigma, latent = built.sigma[0], built.latent[0]
    return {
        (c, i): float(
            built.loadings[0, items(i), constructs(c)]
            * np.sqrt(latent[constructs(c), constructs(c)] / sigma[items(i), items(i)])
        )
        for c, block in blocks.items()
        for i in block
    }


def _some(names: Sequence[str], show: int = 8) -> str:
    return ", ".join(names[:show]) + (f" and {len(names) - show} more" if len(names) > show else "")
