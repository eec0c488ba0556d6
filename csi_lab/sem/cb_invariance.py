"""Measurement invariance across groups, and tests of one model against a wider one."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import EstimationError, SpecError, listed
from csi_lab.model import PathModel, model_of
from csi_lab.sem.cb_result import CBSEMFit
from csi_lab.sem.cb_search import SAME
from csi_lab.sem.cb_specification import exempt
from csi_lab.sem.cbsem import cbsem
from csi_lab.settings import require_cutoff, require_keywords

if TYPE_CHECKING:
    import pandas as pd

# Settings of cbsem() that the steps decide.
BY_STEP = ("equal", "free", "means")
# What each step holds equal besides the step before.
STEPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "configural": (),
        "metric": ("loadings",),
        "scalar": ("intercepts",),
        "strict": ("residuals", "residual_covariances"),
    }
)
# Against invariance: CFI falls by more than .01 (Cheung & Rensvold 2002), RMSEA rises by more than .015 (Chen 2007).
CFI_FALL = 0.010
RMSEA_RISE = 0.015


@dataclass(frozen=True, eq=False)
class ChiSquareDifference:
    """Likelihood ratio test of a model against a wider one in which it is nested.

    Attributes
    ----------
    value, df, p
        Difference of chi2 (scaled when the fits are robust), its degrees of freedom, the p-value.
    scaling
        Satorra and Bentler's factor of the difference; 1 without robust fits, NaN if it came out negative.
    cfi_change, rmsea_change, srmr_change
        Narrow minus wide.
    problems
        Why the test may mean nothing: what is wrong with either solution, or that the narrow model fits better.
    """

    value: float
    df: int
    p: float
    scaling: float
    cfi_change: float
    rmsea_change: float
    srmr_change: float
    problems: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row."""
        import pandas as pd

        numbers = {name: value for name, value in vars(self).items() if name != "problems"}
        return pd.DataFrame([numbers], index=pd.Index(["narrow - wide"], name="comparison"))

    def __str__(self) -> str:
        scaled = "" if self.scaling == 1 else f" (scaled, factor {self.scaling:.3f})"
        p = "p < .001" if self.p < 0.001 else f"p = {self.p:.3f}"
        test = (
            f"chi2 difference({self.df}) = {self.value:.2f}{scaled}, {p}; change of CFI {self.cfi_change:+.3f}, "
            f"RMSEA {self.rmsea_change:+.3f}, SRMR {self.srmr_change:+.3f}"
        )
        return "\n".join([*self.problems, test])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "<p>" + "<br>".join(html.escape(line) for line in str(self).splitlines()) + "</p>"


def chi2_difference(narrow: CBSEMFit, wide: CBSEMFit) -> ChiSquareDifference:
    r"""Test a model against a wider one fitted to the same data.

    :math:`\chi^2_d = (\chi^2_0 - \chi^2_1)/c_d` with :math:`c_d = 1`, or for robust fits
    :math:`c_d = (df_0 c_0 - df_1 c_1)/(df_0 - df_1)` [1]_.

    Parameters
    ----------
    narrow
        The model with more constraints (more degrees of freedom).
    wide
        The model in which it is nested. That it is nested is the caller's claim; names cannot prove it.

    Returns
    -------
    ChiSquareDifference

    Raises
    ------
    SpecError
        If the fits are of different items, rows or settings, or the first has no more degrees of freedom.

    References
    ----------
    .. [1] Satorra, A., & Bentler, P. M. (2001). A scaled difference chi-square test statistic for moment structure
       analysis. Psychometrika, 66(4), 507-514.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> blocks = {"Value": ["PERV1", "PERV2"], "Satisfaction": ["CUSA1", "CUSA2", "CUSA3"]}
    >>> two = cbsem(survey, csi.PathModel(blocks), identification="variance")
    >>> one = cbsem(
    ...     survey,
    ...     csi.PathModel(blocks),
    ...     identification="variance",
    ...     fixed={"Value ~~ Satisfaction": 1},
    ... )
    >>> chi2_difference(one, two).df
    1
    """
    for fit in (narrow, wide):
        if not isinstance(fit, CBSEMFit):
            raise SpecError(f"chi2_difference takes two fits of cbsem(), not {type(fit).__name__}")
    problems = []
    if set(narrow.specification.items) != set(wide.specification.items):
        odd = sorted(set(narrow.specification.items) ^ set(wide.specification.items))
        problems.append(f"the fits are of different items: {odd}")
    if narrow.n != wide.n or narrow.specification.groups != wide.specification.groups:
        problems.append(f"the fits are of different rows or groups: n = {narrow.n} and {wide.n}")
    problems += [
        f"the fits have different settings: {name}={a!r} and {b!r}"
        for name, a, b in (
            ("se", narrow.se, wide.se),
            ("likelihood", narrow.likelihood, wide.likelihood),
            ("means", narrow.specification.means, wide.specification.means),
        )
        if a != b
    ]
    df = narrow.specification.df - wide.specification.df
    if df <= 0:
        problems.append(f"the first model must have more degrees of freedom; they differ by {df}")
    if problems:
        raise SpecError(listed(problems, "these fits cannot be tested against each other"), problems)
    a, b = narrow.fit_measures, wide.fit_measures
    factor = 1.0
    if narrow.scaling is not None and wide.scaling is not None:
        factor = (a["df"] * narrow.scaling.model - b["df"] * wide.scaling.model) / df if b["df"] else np.nan
        if not b["df"]:
            factor = narrow.scaling.model
        factor = factor if factor > 0 else float("nan")
    value = float((a["chi2"] - b["chi2"]) / factor)
    known = narrow.scaling is not None or not np.isnan(a["p"])
    p = float(special.chdtrc(df, max(value, 0.0))) if known and np.isfinite(value) else float("nan")
    doubts = [f"{which} model: {text}" for which, f in (("narrow", narrow), ("wide", wide)) for text in f.problems]
    if a["chi2"] < b["chi2"] - SAME:
        doubts.insert(
            0, "NOT NESTED, or one search ended elsewhere: the model with more constraints has the lower chi2"
        )
    cfi, rmsea, srmr = (float(a[name] - b[name]) for name in (*_index_names(narrow), "srmr"))
    return ChiSquareDifference(value, df, p, float(factor), cfi, rmsea, srmr, tuple(doubts))


@dataclass(frozen=True, eq=False)
class Invariance:
    """Steps of measurement invariance.

    Attributes
    ----------
    table
        One row per step: chi2, df, p, cfi, rmsea, srmr, aic, bic; against the step before d_chi2, d_df, d_p, d_cfi,
        d_rmsea, d_srmr; ``holds``; and the verdict in words.
    fits
        The fit of each step.
    partial
        Parameters exempt from the equality.
    cfi_fall, rmsea_rise
        The cut-offs of the verdict.
    """

    table: pd.DataFrame
    fits: Mapping[str, CBSEMFit]
    partial: tuple[str, ...]
    cfi_fall: float
    rmsea_rise: float

    @property
    def value(self) -> str:
        """The last step that holds together with all before it; empty if none does."""
        held = self.table.index[self.table["holds"]]
        return str(held[-1]) if len(held) else ""

    def to_frame(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def __str__(self) -> str:
        first = next(iter(self.fits.values()))
        groups = ", ".join(f"{part.label} ({part.n})" for part in first.answers.parts)
        freed = f"; free: {', '.join(self.partial)}" if self.partial else ""
        lines = [
            f"invariance across {groups}{freed}; cut-offs: CFI falls by more than {self.cfi_fall:.3f}, RMSEA rises by "
            f"more than {self.rmsea_rise:.3f}"
        ]
        for step, row in self.table.iterrows():
            lines.append(f"{step}: chi2({row['df']:.0f}) = {row['chi2']:.2f}, CFI {row['cfi']:.3f}: {row['verdict']}")
        improper = [f"{step}: {fit.problems[0]}" for step, fit in self.fits.items() if fit.problems]
        return "\n".join([*improper, *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(3).to_html()}"


def invariance(
    data: Any,
    model: PathModel | None = None,
    groups: Any = None,
    *,
    steps: Sequence[str] = tuple(STEPS),
    partial: Iterable[str] = (),
    cfi_fall: float = CFI_FALL,
    rmsea_rise: float = RMSEA_RISE,
    **settings: Any,
) -> Invariance:
    """Whether items measure alike in several groups, step by step.

    ``"configural"``: the same model in each group; ``"metric"``: equal loadings; ``"scalar"``: equal intercepts too
    (latent means free from the second group on), needed to compare means; ``"strict"``: equal residual variances too.

    Parameters
    ----------
    data, model
        As in :func:`csi_lab.sem.cbsem.cbsem`.
    groups
        Column or array with the group of each row; ``None`` when ``data`` maps labels to groups.
    steps
        Which steps, in this order; each is tested against the one before in the list.
    partial
        Parameters that stay free across groups, e.g. ``"x3 ~1"``, ``"visual =~ x2"``.
    cfi_fall
        A larger fall of CFI rejects the step: .010, Cheung & Rensvold (2002) [1]_.
    rmsea_rise
        A larger rise of RMSEA rejects the step: .015, Chen (2007) [2]_.
    settings
        Further keywords of :func:`csi_lab.sem.cbsem.cbsem`, e.g. ``se="robust"`` (scaled differences, robust CFI and
        RMSEA), ``missing="fiml"``.

    Returns
    -------
    Invariance

    Raises
    ------
    SpecError
        If a step is unknown, out of order or alone, or ``partial`` names no parameter.
    DataError, EstimationError
        As :func:`csi_lab.sem.cbsem.cbsem`.

    Notes
    -----
    The first step has no step before it: it holds when its solution is proper; whether it fits well its own measures
    show. A step after a rejected one is not reached. Agrees with R lavaan 0.6-14
    (``tests/reference/cbsem/hs_invariance_school.json``).

    References
    ----------
    .. [1] Cheung, G. W., & Rensvold, R. B. (2002). Evaluating goodness-of-fit indexes for testing measurement
       invariance. Structural Equation Modeling, 9(2), 233-255.
    .. [2] Chen, F. F. (2007). Sensitivity of goodness of fit indexes to lack of measurement invariance. Structural
       Equation Modeling, 14(3), 464-504.

    Examples
    --------
    >>> import csi_lab as csi
    >>> frame = csi.load_survey("mobile").frame
    >>> model = csi.PathModel({"Value": ["PERV1", "PERV2"], "Satisfaction": ["CUSA1", "CUSA2", "CUSA3"]})
    >>> halves = {"first": frame[:125], "second": frame[125:]}
    >>> found = invariance(halves, model, steps=("configural", "metric"))
    >>> found.table["df"].tolist()
    [8.0, 11.0]
    """
    import pandas as pd

    steps = (steps,) if isinstance(steps, str) else tuple(steps)
    require_cutoff(cfi_fall, "cfi_fall")
    require_cutoff(rmsea_rise, "rmsea_rise")
    unknown = [s for s in steps if s not in STEPS]
    order = list(STEPS)
    if unknown:
        raise SpecError(f"unknown steps: {unknown}; known are {order}")
    if len(steps) < 2 or list(steps) != sorted(set(steps), key=order.index):
        raise SpecError(f"steps={list(steps)}: give two or more, each once, in the order {order}")
    clash = [name for name in BY_STEP if name in settings]
    if clash:
        raise SpecError(f"{clash} are set by the steps; exempt parameters with partial=")
    require_keywords(settings, cbsem, "settings", without=("data", "model", "groups", *BY_STEP))
    if groups is None and not isinstance(data, Mapping):
        raise SpecError("groups= is needed: a column or an array with the group of each row")
    model = model_of(data, model)
    equal = {step: [name for s in order[: order.index(step) + 1] for name in STEPS[s]] for step in steps}
    free = {step: exempt(model, partial, equal[step]) for step in steps}
    partial = (partial,) if isinstance(partial, str) else tuple(partial)
    idle = [name for name in partial if name not in free[steps[-1]]]
    if idle:
        raise SpecError(f"partial names parameters that no step holds equal: {idle}; they differ across groups anyway")
    fits = {step: cbsem(data, model, groups=groups, equal=equal[step], free=free[step], **settings) for step in steps}
    rows: list[dict[str, Any]] = []
    before: CBSEMFit | None = None
    rejected = ""
    for step, fit in fits.items():
        if fit.undetermined:
            raise EstimationError(f"{step}: {fit.problems[0]}")
        row = _row(fit, before, cfi_fall, rmsea_rise)
        if rejected and row["holds"]:
            row |= {"holds": False, "verdict": f"not reached: {rejected} is rejected"}
        elif not rejected and not row["holds"]:
            rejected = step
        rows.append(row)
        before = fit
    table = pd.DataFrame(rows, index=pd.Index(list(fits), name="step"))
    return Invariance(table, MappingProxyType(fits), partial, cfi_fall, rmsea_rise)


def _index_names(fit: CBSEMFit) -> tuple[str, str]:
    """CFI and RMSEA in the version that fits the standard errors."""
    for ending in ("_robust", "_scaled"):
        if f"cfi{ending}" in fit.fit_measures:
            return f"cfi{ending}", f"rmsea{ending}"
    return "cfi", "rmsea"


def _row(fit: CBSEMFit, before: CBSEMFit | None, cfi_fall: float, rmsea_rise: float) -> dict[str, Any]:
    m = fit.fit_measures
    cfi, rmsea = _index_names(fit)
    chi2, p = ("chi2_scaled", "p_scaled") if "chi2_scaled" in m else ("chi2", "p")
    row: dict[str, Any] = {"chi2": m[chi2], "df": m["df"], "p": m[p], "cfi": m[cfi], "rmsea": m[rmsea]}
    row |= {name: m[name] for name in ("srmr", "aic", "bic")}
    names = ("d_chi2", "d_df", "d_p", "d_cfi", "d_rmsea", "d_srmr")
    if before is None:
        verdict = "rejected: the solution is not proper" if fit.problems else "first step: judge it by its own fit"
        return row | dict.fromkeys(names, float("nan")) | {"holds": not fit.problems, "verdict": verdict}
    d = chi2_difference(fit, before)
    row |= dict(zip(names, (d.value, d.df, d.p, d.cfi_change, d.rmsea_change, d.srmr_change), strict=True))
    reasons = []
    if not d.cfi_change >= -cfi_fall:
        reasons.append(f"CFI falls by {-d.cfi_change:.3f}")
    if not d.rmsea_change <= rmsea_rise:
        reasons.append(f"RMSEA rises by {d.rmsea_change:.3f}")
    if fit.problems:
        reasons.append("the solution is not proper")
    verdict = f"rejected: {', '.join(reasons)}" if reasons else "holds"
    return row | {"holds": not reasons, "verdict": verdict}
