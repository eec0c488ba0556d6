"""The search that semopy begins and a polish ends: one start, its end, and whether that end is an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from csi_lab.errors import EstimationError
from csi_lab.sem.cb_marker import MarkerForm

# Largest element of the gradient of F at which BFGS rests, at which Newton rests, and at which the answer is accepted.
BFGS_GRADIENT = 1e-8
NEWTON_GRADIENT = 1e-12
LARGEST_GRADIENT = 1e-6
NEWTON_STEPS = 20
# Step of the differences that give the curvature, and their error as a share of the largest curvature.
STEP = 1e-5
CURVATURE_ERROR = 1e-9
# Singular values of the derivative of Sigma below this share of the largest are rounding: parameters move and Sigma
# does not. At the end of a search the point is known to fewer digits.
SMALLEST_SINGULAR = 1e-9
SMALLEST_AT_END = 1e-7

# semopy keeps its table of operators on the class: two models built at once would write into each other.
_BUILDING = threading.Lock()


@dataclass(frozen=True, eq=False)
class End:
    """Where the search from one start has ended: estimates of the rows ``order``, F, gradient and curvature there."""

    model: Any
    order: list[int]
    x: np.ndarray
    value: float
    gradient: float
    gradient_before: float
    curvature: np.ndarray

    def problem(self, labels: Sequence[str]) -> str | None:
        """Why this is no answer."""
        if not self.gradient <= LARGEST_GRADIENT or not np.isfinite(self.curvature).all():
            return (
                f"semopy does not converge: the largest gradient is {self.gradient_before:.1e} where it stops and "
                f"{self.gradient:.1e} after the polish; look at the items of the model, or use engine='fisher'"
            )
        values = np.linalg.eigvalsh(self.curvature)
        if values[0] < -CURVATURE_ERROR * values[-1]:
            return "the search ends on a saddle, not in a minimum of F; use engine='fisher'"
        size, directions = movements(self.model, self.x)
        if size[-1] < SMALLEST_AT_END * size[0]:
            return (
                f"these data do not identify the model: {_moving(directions[-1], labels)} can move at the solution "
                "without moving Sigma; remove some of them or add items"
            )
        return None


def searched(form: MarkerForm, correlation: np.ndarray, n: float, semopy: Any, start: str) -> End:
    """semopy's own solver from a start, then the polish."""
    import pandas as pd

    names = [f"v{i}" for i in range(len(correlation))]
    frame = pd.DataFrame(correlation, index=names, columns=names)
    with _BUILDING:
        model = semopy.Model(form.text, cov_diag=True)
    rows, item = form.specification.rows, form.specification.items.index
    for k, value in form.fixed().items():
        parameter = model.parameters[f"p{k}"]
        parameter.active, parameter.start = False, value
    for k in form.free if start == "marker" else ():
        if rows[k].matrix == "Lambda":
            marker = rows[form.markers[rows[k].lhs]].rhs
            model.parameters[f"p{k}"].start = float(correlation[item(rows[k].rhs), item(marker)])
    model.load(cov=frame, n_samples=n)
    order = [int(name[1:]) for name, parameter in model.parameters.items() if parameter.active]
    _require_identified(model, [rows[k].name for k in order])
    model.fit(cov=frame, n_samples=n)
    before = float(np.abs(model.grad_mlw(model.param_vals)).max())
    x, curvature = _polished(model.obj_mlw, model.grad_mlw, np.array(model.param_vals, dtype=float))
    gradient = float(np.abs(model.grad_mlw(x)).max())
    return End(model, order, x, _discrepancy(model, x), gradient, before, curvature)


def _require_identified(model: Any, labels: Sequence[str]) -> None:
    """Refuse a model whose parameters can move without moving Sigma, at a point that is not special in any way."""
    start = np.array(model.param_vals, dtype=float)
    size, directions = movements(model, np.random.default_rng(0).uniform(0.3, 0.9, len(start)))
    model.update_matrices(start)
    rank = int((size > SMALLEST_SINGULAR * size[0]).sum())
    if rank < len(labels):
        lost = np.abs(directions[rank:]).max(axis=0)
        raise EstimationError(
            f"the model is not identified: {len(labels)} free parameters, but only {rank} ways to move Sigma; "
            f"{_moving(lost, labels)} cannot be told apart: remove some of them or add items"
        )


def movements(model: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular values and directions of the derivative of Sigma, each parameter's column scaled to length 1."""
    model.update_matrices(x)
    _, parts = model.calc_sigma()
    lower = np.tril_indices(len(model.mx_cov))
    columns = [np.broadcast_to(g, model.mx_cov.shape)[lower] for g in model.calc_sigma_grad(*parts)]
    jacobian = np.array(columns).T
    jacobian /= np.maximum(np.linalg.norm(jacobian, axis=0), np.finfo(float).tiny)
    _, size, directions = np.linalg.svd(jacobian, full_matrices=False)
    return size, directions


def _moving(direction: np.ndarray, labels: Sequence[str]) -> list[str]:
    """The parameters that share a direction."""
    size = np.abs(direction)
    return [label for label, s in zip(labels, size, strict=True) if s > 0.01 * size.max()]


def _discrepancy(model: Any, x: np.ndarray) -> float:
    """F, which semopy's objective calls infinite where rounding takes it below 0."""
    value = float(model.obj_mlw(x))
    return value if np.isfinite(value) else 0.0


def _curvature(gradient: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """Second derivatives ``(k, k)`` by central differences of the gradient."""
    steps = np.diag(STEP * np.maximum(1.0, np.abs(x)))
    rows = [(gradient(x + step) - gradient(x - step)) / (2 * step.max()) for step in steps]
    second = np.array(rows)
    return (second + second.T) / 2


def _polished(
    objective: Callable[[np.ndarray], float], gradient: Callable[[np.ndarray], np.ndarray], x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The minimum of F near x and the curvature there.

    BFGS in the units of the curvature, then Newton steps on the gradient alone as long as they halve it.
    """
    from scipy.optimize import minimize

    second = _curvature(gradient, x)
    options: dict[str, Any] = {"gtol": BFGS_GRADIENT, "maxiter": 1000}
    if np.isfinite(second).all():
        values, vectors = np.linalg.eigh(second)
        inverse = (vectors / np.maximum(np.abs(values), 1e-6 * np.abs(values).max())) @ vectors.T
        options["hess_inv0"] = (inverse + inverse.T) / 2
    # BFGS reports lost precision at the optimum; what counts is the gradient, read by the caller.
    x = minimize(objective, x, jac=gradient, method="BFGS", options=options).x
    g, second = gradient(x), _curvature(gradient, x)
    for _ in range(NEWTON_STEPS):
        if np.abs(g).max() < NEWTON_GRADIENT or not np.isfinite(second).all():
            break
        new = x - np.linalg.lstsq(second, g, rcond=None)[0]
        slope = gradient(new)
        if not np.abs(slope).max() < 0.5 * np.abs(g).max():
            break
        x, g, second = new, slope, _curvature(gradient, new)
    return x, second
