"""Covariance-based structural equation models and confirmatory factor analysis, from moments."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from csi_lab.errors import CsiLabWarning, DataError, SpecError
from csi_lab.model import PathModel, model_of
from csi_lab.sem.cb_answers import MissingAnswers, read_answers
from csi_lab.sem.cb_engine import distance
from csi_lab.sem.cb_estimated import StandardErrors
from csi_lab.sem.cb_result import CBSEMFit
from csi_lab.sem.cb_sample import Likelihood, Sample
from csi_lab.sem.cb_search import SAME, Found, search
from csi_lab.sem.cb_specification import Identification, Specification, specification
from csi_lab.sem.cb_tables import STANDARD_ERRORS
from csi_lab.sem.cb_units import Clusters
from csi_lab.settings import is_number, is_whole

Engine = Literal["fisher", "semopy"]
ENGINES = ("fisher", "semopy")
LIKELIHOODS = ("normal", "wishart")
# Standard errors from the optimum at which an answer of semopy counts as one.
SEMOPY_DISTANCE = 1e-4


def cbsem(
    data: Any,
    model: PathModel | None = None,
    *,
    engine: Engine = "fisher",
    groups: Any = None,
    weights: Any = None,
    missing: MissingAnswers = "listwise",
    se: StandardErrors = "expected",
    equal: Iterable[str | tuple[str, ...]] = (),
    free: Iterable[str] = (),
    fixed: Mapping[str, float] | None = None,
    means: bool | None = None,
    identification: Identification = "marker",
    likelihood: Likelihood = "normal",
    level: float = 0.95,
    tolerance: float = 1e-8,
    max_iterations: int = 200,
) -> CBSEMFit:
    r"""Estimate a structural equation model by maximum likelihood.

    Items are :math:`y = \nu + \Lambda\eta + \varepsilon` and constructs :math:`\eta = \alpha + B\eta + \zeta`, so that

    .. math::
        \Sigma = \Lambda (I - B)^{-1} \Psi (I - B)^{-T} \Lambda' + \Theta, \qquad
        F = \log|\Sigma| + \operatorname{tr}(S\Sigma^{-1}) - \log|S| - p

    (plus :math:`(\bar y - \mu)'\Sigma^{-1}(\bar y - \mu)` where means are modelled) is least, and chi2 = n F. Without
    paths the model is a confirmatory factor analysis in which all constructs covary. Exogenous constructs covary; a
    construct with a single item is that item; ``model.covariances`` are residual covariances.

    Parameters
    ----------
    data
        A survey, a DataFrame, Moments, or a mapping of group labels to DataFrames or Moments.
    model
        Constructs, items and paths; ``None`` takes the model of the survey.
    engine
        ``"fisher"``: scoring on the metric of standardised items, whatever the units. ``"semopy"``: the package semopy
        under guard, an independent check for one group without means; all after theta is the same.
    groups
        Column or array with the group of each row; one model in each group.
    weights
        Sampling weights for a DataFrame; their scale plays no part. A survey brings its own. Groups of one frame weigh
        by the sums of their weights (pseudo maximum likelihood; lavaan's default too); in a mapping each is a sample of
        its own, whose weights say nothing about the size of the others, and weighs by its rows.
    missing
        ``"listwise"``, ``"raise"``, or ``"fiml"``: full information, every answer given is used.
    se
        ``"expected"`` or ``"observed"`` information; ``"robust"``: MLR sandwich with the Yuan-Bentler test [2]_;
        ``"mlm"``: MLM sandwich with the Satorra-Bentler test [3]_. With missing="fiml" the information is the observed
        one in any case but ``"robust"``, which is built on it.
    equal, free, fixed
        Parameters held equal across groups or to each other, exempt from that, or fixed; see
        :func:`csi_lab.sem.cb_specification.specification`.
    means
        Model the means; ``None``: with several groups or missing="fiml". lavaan does so with clusters too, which leaves
        estimates and their standard errors as they are and changes the SRMR and the scaled test a little; see Notes.
    identification
        ``"marker"``: first loading 1, or ``"variance"``: constructs of (residual) variance 1. The same fit.
    likelihood
        ``"normal"``: covariances with n, chi2 = n F; ``"wishart"``: with n - 1. Log-likelihood, AIC and BIC are those
        of the normal likelihood of the rows under both. Under ``"wishart"`` lavaan puts the covariances with n - 1 into
        the formula for n rows: its log-likelihood is half the number of items lower, its AIC and BIC are that number
        higher; models of the same items compare alike.
    level
        Of the intervals.
    tolerance, max_iterations
        The search rests when its next step is shorter than ``tolerance`` standard errors.

    Returns
    -------
    CBSEMFit
        A solution that is not proper says so in ``fit.problems`` and in the first line of ``str(fit)``.

    Raises
    ------
    SpecError
        If settings are unknown or contradict each other, or the model cannot be estimated so (mode B).
    DataError
        If items are absent, text or constant, no row can be used, or robust standard errors are asked of moments.
    EstimationError
        If items are exactly collinear or there are not more rows than items.

    Warns
    -----
    CsiLabWarning
        If the search did not converge.

    Notes
    -----
    Agrees with R lavaan 0.6-14 on ML, MLR, FIML and multi-group models to the tolerances of
    ``tests/reference/cbsem/README.md``: chi2 1e-5, standardised estimates 1e-5, standard errors 1e-4. Weights, strata
    and clusters enter the robust standard errors and tests through totals of primary units, without finite population
    correction; normal-theory ones are withheld then. Groups are domains of one sample: its K primary units make the
    factor K/(K - 1) and may have rows in several groups. lavaan takes the groups for strata, each with a factor of its
    own, but does not centre the totals in them.

    Exogenous single items are random, as all items (lavaan's ``fixed.x = FALSE``): estimates and chi2 of paths are the
    same either way, log-likelihood, AIC, BIC and the errors of standardised paths are not.

    The scaling factor of a model is :math:`c = [\operatorname{tr} J_1 H_1^{-1} - \operatorname{tr} J_0 H_0^{-1}]/df`.
    Modelled means add :math:`\operatorname{tr} S^{-1} J_\mu - \operatorname{tr} \hat\Sigma^{-1} J_\mu` to the
    bracket, with :math:`J_\mu` the squared totals of answers per primary unit. In a simple random sample
    :math:`J_\mu = nS`, and the sum is 0; with weights or clusters it is not, unless the model holds. With
    ``means=True`` the scaled tests are those of lavaan with ``cluster=``.

    References
    ----------
    .. [1] Joereskog, K. G. (1970). A general method for analysis of covariance structures. Biometrika, 57, 239-251.
    .. [2] Yuan, K.-H., & Bentler, P. M. (2000). Three likelihood-based methods for mean and covariance structure
       analysis with nonnormal missing data. Sociological Methodology, 30, 165-200.
    .. [3] Satorra, A., & Bentler, P. M. (1994). Corrections to test statistics and standard errors in covariance
       structure analysis. In von Eye & Clogg (eds.), Latent Variables Analysis, 399-419. Sage.
    .. [4] Arbuckle, J. L. (1996). Full information estimation in the presence of incomplete data. In Marcoulides &
       Schumacker (eds.), Advanced Structural Equation Modeling, 243-277. Erlbaum.

    Examples
    --------
    >>> import csi_lab as csi
    >>> model = csi.PathModel({"Value": ["PERV1", "PERV2"], "Satisfaction": ["CUSA1", "CUSA2", "CUSA3"]})
    >>> fit = cbsem(csi.load_survey("mobile"), model)
    >>> print(fit)
    ML confirmatory factor analysis (2 constructs, 5 items, 0 paths); 250 rows; engine fisher
    chi2(4) = 8.01, p = 0.091; CFI 0.992, TLI 0.980, RMSEA 0.063 [0.000, 0.127], SRMR 0.026
    standard errors: normal theory, expected information
    >>> fit.latent_correlations.round(3)
                            estimate     se    low   high
    construct with
    Value     Satisfaction     0.752  0.045  0.663  0.841
    """
    model = model_of(data, model)
    _require_known(engine, se, likelihood, means, level, tolerance, max_iterations)
    answers = read_answers(data, model.items, groups=groups, weights=weights, missing=missing)
    labels = tuple(part.label for part in answers.parts)
    with_means = (len(labels) > 1 or missing == "fiml") if means is None else means
    if (len(labels) > 1 or missing == "fiml") and not with_means:
        raise SpecError("several groups and missing='fiml' need the means; leave means out or set means=True")
    if likelihood == "wishart" and (missing == "fiml" or with_means):
        raise SpecError("likelihood='wishart' is for covariances of complete data without means; use 'normal'")
    if se in ("robust", "mlm"):
        if not answers.has_rows:
            raise DataError(f"se={se!r} needs the answers, not only their moments; give the survey or DataFrame")
        Clusters.of(answers)  # says now, not when the table is read, what is wrong with the design
        if se == "mlm" and missing == "fiml":
            raise SpecError("se='mlm' is for complete data; with missing='fiml' use se='robust'")
    spec = specification(
        model,
        groups=labels,
        means=with_means,
        identification=identification,
        equal=equal,
        free=free,
        fixed=fixed,
    )
    sample = answers.sample(means=with_means, likelihood=likelihood)
    found = _solved(engine, spec, sample, tolerance, max_iterations)
    fit = CBSEMFit(
        specification=spec,
        answers=answers,
        sample=sample,
        theta=found.theta,
        engine=engine,
        converged=found.converged,
        iterations=found.iterations,
        distance=found.distance,
        others=found.others,
        se="observed" if missing == "fiml" and se == "expected" else se,
        likelihood=likelihood,
        level=level,
    )
    if not found.converged:
        said = next(text for text in fit.problems if text.startswith("NOT CONVERGED"))
        warnings.warn(said, CsiLabWarning, stacklevel=2)
    return fit


def _solved(engine: Engine, spec: Specification, sample: Sample, tolerance: float, max_iterations: int) -> Found:
    if engine == "fisher":
        return search(spec, sample, tolerance=tolerance, max_iterations=max_iterations)
    if len(spec.groups) > 1 or spec.means:
        raise SpecError("engine='semopy' fits one group without means; use engine='fisher'")
    # A heavy package that only this engine needs.
    from csi_lab.sem.cb_semopy import solve

    scale, n = sample.scale[0], float(sample.n[0, 0])
    solution = solve(spec, sample.cov[0, 0] * np.outer(scale, scale), n)
    far = float(distance(spec, sample, solution.theta[None])[0])
    gaps = tuple(float(sample.count[0, 0]) * (other - solution.value) for other in solution.elsewhere)
    return Found(solution.theta, far < SEMOPY_DISTANCE, 0, far, tuple(gap for gap in sorted(gaps) if gap > SAME))


def _require_known(
    engine: Any, se: Any, likelihood: Any, means: Any, level: Any, tolerance: Any, max_iterations: Any
) -> None:
    problems = [
        f"{name}={value!r} is unknown; use one of {list(known)}"
        for name, value, known in (
            ("engine", engine, ENGINES),
            ("se", se, tuple(STANDARD_ERRORS)),
            ("likelihood", likelihood, LIKELIHOODS),
        )
        if value not in known
    ]
    if means is not None and not isinstance(means, (bool, np.bool_)):
        problems.append(f"means={means!r} must be True, False or None")
    if not is_number(level) or not 0 < level < 1:
        problems.append(f"level={level!r} must lie between 0 and 1, e.g. 0.95")
    if not is_number(tolerance) or not tolerance > 0:
        problems.append(f"tolerance={tolerance!r} must be a positive number")
    if not is_whole(max_iterations) or max_iterations < 1:
        problems.append(f"max_iterations={max_iterations!r} must be a whole number of at least 1")
    if problems:
        raise SpecError("; ".join(problems), problems)
