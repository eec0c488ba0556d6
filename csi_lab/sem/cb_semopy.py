r"""semopy as an independent engine: its syntax, its model and its likelihood, under guard.

semopy 2.3.11 depends on the units of the items, on their names and on the order of a hash, calls an answer a success
that is none, and can run for ever [1]_. Here it gets a model in names and syntax of ours (``v0``, ``L0``, first loading
1, every parameter labelled), the correlation matrix, two starts, and a limit of time. What its solver returns is only
the start of a polish: BFGS on its own objective F and gradient, then Newton steps on the gradient alone, where F no
longer has digits. An end is accepted when the gradient is zero, F falls in no direction, and every parameter moves
Sigma.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from csi_lab.errors import EstimationError
from csi_lab.sem.cb_marker import MarkerForm, require_expressible, standardised
from csi_lab.sem.cb_semopy_search import movements, searched
from csi_lab.sem.cb_specification import Specification
from csi_lab.sem.time_limit import within

TIME_LIMIT = 60.0
# Start of the loadings: correlations with the marker, as semopy takes them from rows of data; and 0, its choice when it
# is given a matrix. In models that are nearly collinear they can end in different minima: the lower one is the answer.
STARTS = ("marker", "zero")
# Belsley, Kuh & Welsch (1980), Regression Diagnostics: indices above 30 are strong collinearity.
NEARLY_COLLINEAR = 30.0
# Ends whose F agree so far are one minimum.
SAME_MINIMUM = 1e-8


@dataclass(frozen=True, eq=False)
class SemopySolution:
    """What semopy found, polished.

    Attributes
    ----------
    theta
        ``(k,)`` the free parameters of the specification, in the units of the data.
    value
        F at the end, log det Sigma + tr(S Sigma^-1) - log det S - p; chi2 is n F.
    gradient
        Largest element of dF/dtheta at the end, in the metric of standardised items.
    gradient_before
        The same where semopy's own solver had stopped.
    condition
        Condition index of the derivative of Sigma with columns of length 1, at the solution: above NEARLY_COLLINEAR
        the items hardly tell some parameters apart.
    others
        F at the end of the search from each of STARTS; NaN where it found no minimum.
    model
        The semopy model in its own names, with the polished estimates written back.
    """

    theta: np.ndarray
    value: float
    gradient: float
    gradient_before: float
    condition: float
    others: tuple[float, ...]
    model: Any = field(repr=False)

    @property
    def elsewhere(self) -> tuple[float, ...]:
        """F of other minima that the search has found."""
        return tuple(other for other in self.others if other > self.value + SAME_MINIMUM)

    def __str__(self) -> str:
        warned = "nearly collinear, " if self.condition > NEARLY_COLLINEAR else ""
        return (
            f"semopy: {warned}F = {self.value:.6f}, largest gradient {self.gradient:.1e} "
            f"({self.gradient_before:.1e} before the polish), condition index {self.condition:.0f}"
            + "".join(f"; another start ends at F = {other:.6f}" for other in self.elsewhere)
            + "; another start finds no minimum" * int(np.isnan(self.others).sum())
        )

    __repr__ = __str__


def solve(
    specification: Specification, covariance: np.ndarray, n: float, *, time_limit: float = TIME_LIMIT
) -> SemopySolution:
    r"""Fit a model with semopy and polish the answer.

    The model is fitted to the correlations R with the first loading of each construct 1, by minimising

    .. math:: F = \log|\Sigma| + \operatorname{tr}(R \Sigma^{-1}) - \log|R| - p

    and the estimates are then scaled to the units of the data (and, with ``identification="variance"``, to constructs
    of variance 1). Estimates therefore do not depend on the units of the items. The bounds that semopy puts on
    variances bind its own solver only: the polish drops them, so that an improper solution shows itself.

    Parameters
    ----------
    specification
        One group, no means, no parameters held equal.
    covariance
        ``(p, p)`` of the items, in the order of ``specification.items``.
    n
        Rows behind it.
    time_limit
        Seconds until the search is given up. It runs in a thread of its own, into which an exception is raised when
        the time is over; that reaches every loop written in Python, in semopy's start values too.

    Returns
    -------
    SemopySolution

    Raises
    ------
    SpecError
        If the model has means, several groups or parameters held equal; ``engine="fisher"`` fits those.
    DataError
        If the covariances are not finite or not symmetric, an item does not vary, or items are copies of each other.
    EstimationError
        If the model is not identified (df < 0, or parameters that can move without moving Sigma), the time is over,
        or the search ends where F has no minimum.

    Notes
    -----
    Agrees with ``tests/reference/cbsem`` (lavaan 0.6-14): chi2 to 1e-6, estimates to 1e-3 standard errors.

    References
    ----------
    .. [1] Meshcheryakov, G., Igolkina, A. A., & Samsonova, M. G. (2021). semopy 2: a structural equation modeling
       package with random effects in Python. arXiv:2106.01140.

    Examples
    --------
    >>> from csi_lab import PathModel
    >>> from csi_lab.sem.cb_specification import specification
    >>> spec = specification(PathModel({"f": ["a", "b", "c"]}))
    >>> loadings = np.array([1.0, 2.0, 0.5])
    >>> sigma = 3.0 * np.outer(loadings, loadings) + np.diag([1.0, 4.0, 2.0])
    >>> dict(zip(spec.names, solve(spec, sigma, n=200).theta.round(6).tolist()))
    {'f =~ b': 2.0, 'f =~ c': 0.5, 'a ~~ a': 1.0, 'b ~~ b': 4.0, 'c ~~ c': 2.0, 'f ~~ f': 3.0}
    """
    require_expressible(specification)
    if specification.df < 0:
        raise EstimationError(
            f"the model is not identified: {specification.n_free} free parameters, but {len(specification.items)} "
            f"items give only {specification.n_free + specification.df} variances and covariances; use more items "
            "per construct or fewer paths"
        )
    correlation, d = standardised(np.asarray(covariance, dtype=float), specification.items, n)
    form = MarkerForm.of(specification, d)
    with _quiet():
        import semopy

        return within(
            time_limit,
            lambda: _solve(form, correlation, n, semopy),
            "semopy (engine='fisher' fits the same model)",
        )


def syntax(specification: Specification) -> str:
    """The model as semopy is given it: items ``v0, v1, ...``, constructs ``L0, L1, ...``, parameters ``p0, p1, ...``.

    Parameters
    ----------
    specification
        One group, no means, no parameters held equal.

    Returns
    -------
    str
        One statement per row of the specification.

    Examples
    --------
    >>> from csi_lab import PathModel
    >>> from csi_lab.sem.cb_specification import specification
    >>> print(syntax(specification(PathModel({"Trust in us": ["x 1", "x-1"]}))))
    L0 =~ 1*v0
    L0 =~ p1*v1
    v0 ~~ p2*v0
    v1 ~~ p3*v1
    L0 ~~ p4*L0
    """
    require_expressible(specification)
    return MarkerForm.of(specification, np.ones(len(specification.items))).text


def _solve(form: MarkerForm, correlation: np.ndarray, n: float, semopy: Any) -> SemopySolution:
    with np.errstate(all="ignore"):
        ends = [searched(form, correlation, n, semopy, start) for start in STARTS]
        labels = [form.specification.rows[k].name for k in ends[0].order]
        problems = [end.problem(labels) for end in ends]
        answers = [end for end, problem in zip(ends, problems, strict=True) if problem is None]
        if not answers:
            raise EstimationError(str(problems[int(np.nanargmin([end.gradient for end in ends]))]))
        best = min(answers, key=lambda end: end.value)
        best.model.param_vals = best.x
        best.model.update_matrices(best.x)
        best.model.last_result.x, best.model.last_result.fun = best.x, best.value
        size, _ = movements(best.model, best.x)
    return SemopySolution(
        theta=form.theta(dict(zip(best.order, best.x.tolist(), strict=True))),
        value=best.value,
        gradient=best.gradient,
        gradient_before=best.gradient_before,
        condition=float(size[0] / size[-1]),
        others=tuple(
            end.value if problem is None else float("nan") for end, problem in zip(ends, problems, strict=True)
        ),
        model=best.model,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep semopy from setting up the logging of the whole program, which its first message would do."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
