"""How well a model fits: chi2 and the measures built on it, residuals, modification indices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from csi_lab.sem.cb_inference import Scaling, cells_of, condition, inverse
from csi_lab.sem.cb_likelihood import Pieces, evaluate, half_deviance
from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_specification import Row, Specification
from csi_lab.sem.cb_structure import Matrices, matrices


@dataclass(frozen=True)
class ChiSquares:
    """A test statistic with its degrees of freedom, for the model and the baseline model."""

    chi2: float
    df: float
    baseline_chi2: float
    baseline_df: float


def implied(specification: Specification, sample: Sample, theta: np.ndarray) -> list[Matrices]:
    """The matrices of each group in standardised units."""
    return [matrices(cells, theta[None], sample.scale) for cells in cells_of(specification)]


def chi_squares(specification: Specification, sample: Sample, theta: np.ndarray) -> ChiSquares:
    """Likelihood ratio tests against the saturated model."""
    value = evaluate(cells_of(specification), sample.groups, sample.scale, theta[None], None).value[0]
    saturated = sample.saturated[0]
    p = len(specification.items)
    return ChiSquares(
        float(max(2 * (value - saturated), 0.0)),
        specification.df,
        float(2 * (sample.baseline[0] - saturated)),
        len(specification.groups) * p * (p - 1) // 2,
    )


def measures(
    specification: Specification,
    sample: Sample,
    theta: np.ndarray,
    scaling: Scaling | None,
    close: float,
    level: float,
) -> dict[str, float]:
    """All measures of fit, by name, in the conventions of :class:`csi_lab.sem.cb_result.CBSEMFit`."""
    t = chi_squares(specification, sample, theta)
    g, n, total = len(specification.groups), float(sample.n.sum()), float(sample.count.sum())
    found = {
        "n_parameters": float(specification.n_free),
        "n": n,
        "chi2": t.chi2,
        "df": float(t.df),
        "p": _upper(t.chi2, t.df),
        "baseline_chi2": t.baseline_chi2,
        "baseline_df": float(t.baseline_df),
        "cfi": _cfi(t),
        "tli": _tli(t),
        **_rmsea(t.chi2, t.df, total, g, close, level),
        "srmr": srmr(specification, sample, theta),
    }
    loglik = normal_loglik(specification, sample, theta)
    found |= {
        "loglik": loglik,
        "aic": -2 * loglik + 2 * specification.n_free,
        "bic": -2 * loglik + np.log(n) * specification.n_free,
        "gfi": gfi(specification, sample, theta),
    }
    if scaling is not None:
        found |= _scaled(t, scaling, total, g, close, level)
        if sample.groups[0].seen is None:
            found |= _robust(t, scaling, total, g, close, level)
    return found


def normal_loglik(specification: Specification, sample: Sample, theta: np.ndarray) -> float:
    """The normal log-likelihood with all constants, for the Wishart likelihood too (at its estimates)."""
    total = -float(sample.log_scale[0])
    for g, (pieces, built) in enumerate(zip(sample.groups, implied(specification, sample, theta), strict=True)):
        n = sample.n[0, g]
        if pieces.seen is None and pieces.count[0, 0] != n:
            share = pieces.count[0, 0] / n
            pieces = Pieces(np.full((1, 1), n), pieces.mean, pieces.cov * share)
            total -= (n - n * share) * float(np.log(sample.scale[0]).sum())
        answered = n * len(specification.items) if pieces.seen is None else (pieces.count[0] @ pieces.seen).sum()
        mu = built.mu if sample.means else np.zeros_like(built.mu)
        total -= float(half_deviance(pieces, mu, built.sigma)[0]) + 0.5 * np.log(2 * np.pi) * float(answered)
    return total


def srmr(specification: Specification, sample: Sample, theta: np.ndarray) -> float:
    """Root mean square of the residuals divided by the observed standard deviations; with means theirs count too.

    Groups are averaged by their size.
    """
    total = 0.0
    for g, built in enumerate(implied(specification, sample, theta)):
        s, sd = sample.cov[0, g], np.sqrt(np.diagonal(sample.cov[0, g]))
        at = np.tril_indices(len(sd))
        squares = (((s - built.sigma[0]) / np.outer(sd, sd))[at] ** 2).sum()
        cells = len(at[0])
        if specification.means:
            squares += (((sample.mean[0, g] - built.mu[0]) / sd) ** 2).sum()
            cells += len(sd)
        total += sample.n[0, g] * float(np.sqrt(squares / cells))
    return float(total / sample.n.sum())


def gfi(specification: Specification, sample: Sample, theta: np.ndarray) -> float:
    """1 - tr(W S - I)^2 / tr(W S)^2 with W the inverse of the implied covariances; means play no part."""
    above = below = 0.0
    for g, built in enumerate(implied(specification, sample, theta)):
        ws = np.linalg.solve(built.sigma[0], sample.cov[0, g])
        gap = ws - np.eye(len(ws))
        above += sample.n[0, g] * np.trace(gap @ gap)
        below += sample.n[0, g] * np.trace(ws @ ws)
    return float(1 - above / below)


# Share of a candidate's information that is its own; below it the candidate moves nothing that is not moved already.
# The share is known to rounding times the condition number of the information.
LEAST_OWN, ROUNDING = 1e-8, 1e-13


@dataclass(frozen=True, eq=False)
class Modification:
    """Score tests of fixed parameters: the index, the expected change, and that change standardised."""

    rows: tuple[Row, ...]
    index: np.ndarray
    change: np.ndarray
    standardised: np.ndarray


def modifications(specification: Specification, sample: Sample, theta: np.ndarray) -> Modification:
    r"""What freeing one parameter at a time would gain.

    With gradient g and expected information I of the free (f) and the candidate parameter (c):
    :math:`MI = g_c^2 / V`, :math:`EPC = g_c / V`, :math:`V = I_{cc} - I_{cf} I_{ff}^{-1} I_{fc}`. Candidates whose
    freeing would leave the model unidentified (V = 0) are left out.
    """
    extra = _candidates(specification)
    wide = specification.with_rows(extra)
    at = np.concatenate([theta, [0.0 if np.isnan(row.value) else row.value for row in extra]])[None]
    found = evaluate(cells_of(wide), sample.groups, sample.scale, at)
    assert found.information is not None
    information, gradient, q = found.information[0], -found.gradient[0], specification.n_free
    cross, own = information[:q, q:], np.diagonal(information)[q:]
    variance = own - (cross * (inverse(information[:q, :q]) @ cross)).sum(axis=0)
    kept = np.flatnonzero(variance > max(LEAST_OWN, ROUNDING * condition(information[:q, :q])) * own)
    change = gradient[q:][kept] / variance[kept]
    rows = tuple(extra[k] for k in kept)
    unit = np.array([_unit(specification, row, built) for row, built in _beside(specification, rows, theta)])
    return Modification(rows, gradient[q:][kept] ** 2 / variance[kept], change, change * unit)


def _candidates(specification: Specification) -> list[Row]:
    """What is fixed, markers too; and cells that are 0: cross-loadings, residual covariances, and with paths also
    further paths and covariances. A single item is its construct: nothing of the two is freed.
    """
    model, items, constructs = specification.model, specification.items, specification.constructs
    single = {block[0] for block in model.constructs.values() if len(block) == 1}
    rows = []
    for g in range(len(specification.groups)):
        taken = {row.key for row in specification.rows if row.group == g}
        found = [Row("Lambda", c, "=~", i, g) for c in constructs for i in items if i not in single]
        found += [
            Row("Theta", a, "~~", b, g)
            for k, a in enumerate(items)
            for b in items[k + 1 :]
            if a not in single and b not in single
        ]
        if model.edges:
            found += [Row("Psi", a, "~~", b, g) for k, a in enumerate(constructs) for b in constructs[k + 1 :]]
            found += [Row("Beta", a, "~", b, g) for a in constructs for b in constructs if a != b]
        rows += [row for row in found if row.key not in taken]
        rows += [
            row
            for row in specification.rows
            if row.group == g and row.free < 0
            if not (row.matrix == "Lambda" and row.rhs in single) and not (row.matrix == "Theta" and row.lhs in single)
        ]
    return rows


def _beside(specification: Specification, rows: tuple[Row, ...], theta: np.ndarray) -> list[tuple[Row, Matrices]]:
    built = [matrices(cells, theta[None]) for cells in cells_of(specification)]
    return [(row, built[row.group]) for row in rows]


def _unit(specification: Specification, row: Row, built: Matrices) -> float:
    """What turns a change into a standardised one."""
    items, constructs = specification.items.index, specification.constructs.index
    with np.errstate(invalid="ignore"):
        sd, latent = np.sqrt(np.diagonal(built.sigma[0])), np.sqrt(np.diagonal(built.latent[0]))
        if row.matrix == "Lambda":
            return float(latent[constructs(row.lhs)] / sd[items(row.rhs)])
        if row.matrix == "Beta":
            return float(latent[constructs(row.rhs)] / latent[constructs(row.lhs)])
        if row.matrix in ("nu", "alpha"):
            return float(1 / (sd[items(row.lhs)] if row.matrix == "nu" else latent[constructs(row.lhs)]))
        at, matrix, whole = (items, built.theta[0], sd) if row.matrix == "Theta" else (constructs, built.psi[0], latent)
        i, j = at(row.lhs), at(row.rhs)
        return float(1 / (whole[i] ** 2 if i == j else np.sqrt(matrix[i, i] * matrix[j, j])))


def _upper(chi2: float, df: float, centrality: float = 0.0) -> float:
    """Probability of a larger (noncentral) chi2; 1 for a saturated model."""
    if not df > 0:
        return float("nan") if df < 0 else 1.0
    if centrality:
        return float(1 - special.chndtr(chi2, df, centrality))
    return float(special.chdtrc(df, chi2))


def _cfi(t: ChiSquares, c: float = 1.0, c_base: float = 1.0) -> float:
    if t.df < 0 or not np.isfinite(t.chi2):
        return float("nan")
    gap, base = max(t.chi2 - c * t.df, 0.0), t.baseline_chi2 - c_base * t.baseline_df
    # Where neither model misses anything (a single item), both are rounding, whose ratio says nothing.
    return float(1 - gap / max(gap, base)) if max(gap, base) > 1e-6 else 1.0


def _tli(t: ChiSquares, c: float = 1.0, c_base: float = 1.0) -> float:
    base = t.baseline_chi2 - c_base * t.baseline_df
    if t.df <= 0:
        return 1.0 if t.df == 0 else float("nan")
    return float(1 - (t.chi2 - c * t.df) * t.baseline_df / (base * t.df)) if base else float("nan")


def _rmsea(
    chi2: float, df: float, n: float, groups: int, close: float, level: float, c: float = 1.0
) -> dict[str, float]:
    """RMSEA with its interval and the p-value of close fit; ``c`` corrects the noncentrality (robust version)."""
    if df < 0 or not np.isfinite(chi2):
        return dict.fromkeys(("rmsea", "rmsea_low", "rmsea_high", "rmsea_close_p"), float("nan"))
    if df == 0:
        return {"rmsea": 0.0, "rmsea_low": 0.0, "rmsea_high": 0.0, "rmsea_close_p": float("nan")}
    tail, unit = (1 - level) / 2, c * groups / (n * df)
    return {
        "rmsea": float(np.sqrt(max(chi2 - df, 0.0) * unit)),
        "rmsea_low": float(np.sqrt(_centrality(chi2, df, 1 - tail) * unit)),
        "rmsea_high": float(np.sqrt(_centrality(chi2, df, tail) * unit)),
        "rmsea_close_p": _upper(chi2, df, close**2 / unit),
    }


def _centrality(chi2: float, df: float, below: float) -> float:
    """The noncentrality at which a share ``below`` lies under chi2; 0 if even the central one has less."""
    if special.chdtr(df, chi2) <= below:
        return 0.0
    high = max(chi2, 1.0)
    while special.chndtr(chi2, df, high) > below:
        high *= 2
    return float(optimize.brentq(lambda x: special.chndtr(chi2, df, x) - below, 0.0, high, xtol=1e-12, rtol=1e-13))


def _scaled(t: ChiSquares, scaling: Scaling, n: float, groups: int, close: float, level: float) -> dict[str, float]:
    """Measures from chi2 divided by its scaling factor."""
    c, c_base = _factors(t, scaling)
    s = ChiSquares(t.chi2 / c, t.df, t.baseline_chi2 / c_base, t.baseline_df)
    # The interval of the scaled RMSEA scales the degrees of freedom instead of chi2, as lavaan does.
    rmsea = _rmsea(t.chi2, c * t.df, n, groups, close, level)
    return {
        "scaling_factor": scaling.model,
        "chi2_scaled": s.chi2,
        "p_scaled": _upper(s.chi2, s.df),
        "baseline_scaling_factor": c_base,
        "baseline_chi2_scaled": s.baseline_chi2,
        "cfi_scaled": _cfi(s),
        "tli_scaled": _tli(s),
        **{f"{k}_scaled": v for k, v in rmsea.items()},
    }


def _factors(t: ChiSquares, scaling: Scaling) -> tuple[float, float]:
    """The scaling factors to divide by; a saturated model has no test to scale, and its chi2 of 0 stays."""
    return scaling.model if t.df else 1.0, scaling.baseline


def _robust(t: ChiSquares, scaling: Scaling, n: float, groups: int, close: float, level: float) -> dict[str, float]:
    """Corrected indices of Brosseau-Liard & Savalei (2014, doi 10.1080/00273171.2014.933697), complete data."""
    c, c_base = _factors(t, scaling)
    rmsea = _rmsea(t.chi2 / c, t.df, n, groups, close, level, c)
    return {
        "cfi_robust": _cfi(t, c, c_base),
        "tli_robust": _tli(t, c, c_base),
        **{f"{k}_robust": v for k, v in rmsea.items()},
    }
