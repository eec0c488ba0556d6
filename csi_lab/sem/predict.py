"""Prediction with PLS path models: k-fold cross-validation against two benchmarks, and the test of the difference."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.answers import split_weights
from csi_lab.design import Design
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.intervals import Kind
from csi_lab.model import PathModel
from csi_lab.moments import Moments, RowsMissing
from csi_lab.sem.algorithm import Layout, Scheme
from csi_lab.sem.cvpat import CVPATResult, compare_losses
from csi_lab.sem.fit import PLSFit
from csi_lab.sem.folds import clusters_of, given_folds, shuffled_folds, training_moments
from csi_lab.sem.losses import Losses
from csi_lab.sem.pls import pls
from csi_lab.settings import generator
from csi_lab.units import Units, units_of
from csi_lab.usable import require_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Technique = Literal["direct", "earliest"]
PREDICTORS = ("pls", "lm", "mean")


@dataclass(frozen=True, eq=False)
class PLSPrediction:
    """How well a PLS path model predicts the answers of respondents it has not seen.

    Attributes
    ----------
    model, technique
        What predicted: ``"direct"`` or ``"earliest"`` antecedents.
    items
        One row per item of an endogenous construct, index (construct, item): ``rmse``, ``mae`` and ``q2`` of the model,
        ``lm_rmse``, ``lm_mae``, ``lm_q2`` of the linear model on all items of all other constructs, ``mean_rmse`` and
        ``mean_mae`` of the training mean, and in-sample ``rmse_in``, ``mae_in``, ``lm_rmse_in``, ``lm_mae_in``. Means
        over the repeats.
    by_repeat
        The same columns, index (repeat, construct, item).
    predictions
        Out-of-sample prediction of every case and item, mean over repeats; the index is that of the data.
    folds, repeats
        Folds in each repeat, and reshuffles.
    n, dropped
        Cases used, and rows left out because an item was missing.
    losses
        Squared errors per case, the material of :meth:`cvpat`.
    item_losses
        The same item by item, the material of :meth:`q2_intervals`.
    notes
        What a reader must know, one sentence each.
    """

    model: PathModel
    technique: Technique
    items: pd.DataFrame
    by_repeat: pd.DataFrame
    predictions: pd.DataFrame
    folds: int
    repeats: int
    n: int
    dropped: int
    losses: Losses
    item_losses: Losses
    notes: tuple[str, ...]

    def verdict(self, construct: str | None = None, *, error: Literal["rmse", "mae"] = "rmse") -> str:
        """Predictive power in the words of Shmueli et al. (2019).

        First no item may be predicted worse than by its training mean (Q2 predict <= 0). Then the model's error is
        compared with the linear model's, item by item: lower for all items is high, for at least half of them medium,
        for fewer low predictive power, for none a lack of it.

        Parameters
        ----------
        construct
            Usually the target construct; ``None`` takes all endogenous items.
        error
            ``"rmse"``, or ``"mae"`` when the errors are highly skewed.

        Raises
        ------
        SpecError
            If the construct is not endogenous or the error unknown.

        References
        ----------
        .. [1] Shmueli, G., Sarstedt, M., Hair, J. F., Cheah, J.-H., Ting, H., Vaithilingam, S., & Ringle, C. M. (2019).
           Predictive model assessment in PLS-SEM: guidelines for using PLSpredict. European Journal of Marketing,
           53(11), 2322-2347.
        """
        if error not in ("rmse", "mae"):
            raise SpecError(f"error={error!r} is unknown; use 'rmse' or 'mae'")
        if construct is not None and construct not in self.model.endogenous:
            raise SpecError(f"{construct!r} is not endogenous; the model predicts {list(self.model.endogenous)}")
        table = self.items if construct is None else self.items.loc[[construct]]
        where = "" if construct is None else f"{construct}: "
        worse = table.index[table["q2"] <= 0].get_level_values("item")
        head = f"{where}Q2 predict above 0 for {len(table) - len(worse)} of {len(table)} items"
        if len(worse):
            head += f" (not: {', '.join(worse)})"
        if table[f"lm_{error}"].isna().any():
            return f"{head}; the linear benchmark does not exist here, so predictive power is not rated"
        better = int((table[error] < table[f"lm_{error}"]).sum())
        if better == len(table):
            power = "high predictive power"
        elif 2 * better >= len(table):
            power = "medium predictive power"
        elif better:
            power = "low predictive power"
        else:
            power = "no predictive power beyond the linear model"
        return f"{head}; {error.upper()} below the linear model's for {better} of {len(table)}: {power}"

    def cvpat(
        self,
        *,
        level: float = 0.95,
        draws: int = 2000,
        rng: np.random.Generator | int = 0,
    ) -> CVPATResult:
        """Test whether the model's loss differs from the benchmarks'; see :func:`csi_lab.sem.cvpat.compare_losses`."""
        return compare_losses(self.losses, level=level, draws=draws, rng=rng)

    def q2_intervals(
        self,
        *,
        draws: int = 2000,
        rng: np.random.Generator | int = 0,
        kind: Kind = "percentile",
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Q2 predict of every item with its interval by the design of the sample.

        The predictions are taken as they are, as in CVPAT: the interval says how far Q2 would differ for other
        respondents predicted by models like these.

        Parameters
        ----------
        draws, rng
            Replicates of the respondents, or of their primary units.
        kind, level
            As in :func:`csi_lab.intervals.interval`.

        Returns
        -------
        DataFrame
            Index (construct, item), columns ``estimate, se, low, high``. The estimate is the ratio of losses averaged
            over the repeats; ``items["q2"]`` is the average of the ratios.

        Examples
        --------
        >>> import csi_lab as csi
        >>> found = csi.sem.plspredict(csi.load_survey("mobile"), repeats=1, rng=1).q2_intervals(draws=200, rng=1)
        >>> bool(found.loc[("Satisfaction", "CUSA1"), "low"] > 0)
        True
        """
        pairs = [(("pls", item), ("mean", item)) for item in self.items.index.get_level_values("item")]
        found = self.item_losses.share_explained(pairs, draws=draws, rng=rng, kind=kind, level=level)
        return found.to_frame(list(self.items.index), ["construct", "item"])

    def to_frame(self) -> pd.DataFrame:
        """One row per item, raw numbers."""
        return self.items

    def plot(self, ax: Axes | None = None, labels: dict[str, str] | None = None) -> Axes:
        """Q2 predict of every item as bars; see :func:`csi_lab.plots.bars`."""
        from csi_lab import plots

        table = self.items.droplevel("construct").rename(columns={"q2": "estimate"})[["estimate"]]
        return plots.bars(table, xlabel="Q² predict", decimals=2, ax=ax, labels=labels)

    def __str__(self) -> str:
        left_out = f", {self.dropped} left out (missing answers)" if self.dropped else ""
        several = f" x {self.repeats} repeats" if self.repeats > 1 else ""
        head = f"PLSpredict, {self.technique} antecedents, {self.folds} folds{several}, n = {self.n}{left_out}"
        return "\n".join([head, self.verdict(), *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        shown = self.items[["q2", "rmse", "lm_rmse", "mae", "lm_mae"]]
        return f"<p>{text}</p>{shown.round(3).to_html()}"


def plspredict(
    data: Any,
    model: PathModel | None = None,
    *,
    folds: int = 10,
    repeats: int = 10,
    rng: np.random.Generator | int = 0,
    technique: Technique = "direct",
    assignment: Any = None,
    scheme: Scheme = "path",
    scaled: bool = True,
    weights: Any = None,
    missing: RowsMissing = "listwise",
    tolerance: float = 1e-7,
    max_iterations: int = 300,
) -> PLSPrediction:
    r"""PLSpredict: errors on held-out respondents, against the training mean and a linear model.

    The respondents are dealt into k folds; the model is estimated on all folds but one and predicts the items of its
    endogenous constructs in the one left out. With :math:`z` the items standardised by training mean m and sd s, W the
    weights, T the transmission of constructs and :math:`\lambda` the loadings, :math:`\hat x = m + s \lambda (z W T)`.
    Direct antecedents: T holds the paths, from observed scores of the sources. Earliest antecedents: T holds the total
    effects of the exogenous constructs. Finally

    .. math:: Q^2_{predict} = 1 - \frac{\sum (x - \hat x)^2}{\sum (x - \bar x_{train})^2}

    The moments of all training samples are one matrix product, and all models are estimated side by side.

    Parameters
    ----------
    data, model, scheme, scaled, weights, missing, tolerance, max_iterations
        As in :func:`csi_lab.sem.pls.pls`. Moments have no rows to predict.
    folds
        k, from 2 to the number of cases (leave one out).
    repeats
        How often the respondents are dealt anew; each repeat is a fresh shuffle.
    rng
        Seed or generator.
    technique
        ``"direct"`` or ``"earliest"`` antecedents.
    assignment
        The fold of every row of the data, ``(n,)`` or ``(repeats, n)`` of any labels, to repeat an analysis (a Series
        goes by its index); then ``folds``, ``repeats`` and ``rng`` are not used.

    Returns
    -------
    PLSPrediction

    Raises
    ------
    SpecError
        If folds, repeats, technique or assignment make no sense.
    DataError
        As in pls; or the data are moments.
    EstimationError
        As in pls; or a training sample has no solution, with the items that do not vary in it.

    Notes
    -----
    Agrees with R seminr 2.3.4 ``predict_pls`` on given folds to 1e-10 (tests/reference/pls/mobi_plspredict_DA.json and
    _EA.json). There the ``reps`` repeat one shuffle; here every repeat is another. Measures are averaged over repeats.
    With sampling weights estimates and errors are weighted. Where the design has primary sampling units, whole units
    are held out together, because neighbours who stay in would tell too much about those held out.
    The linear model is left out (NaN, with a note) where its items are collinear or more than the training cases.

    References
    ----------
    .. [1] Shmueli, G., Ray, S., Velasquez Estrada, J. M., & Chatla, S. B. (2016). The elephant in the room:
       predictive performance of PLS models. Journal of Business Research, 69(10), 4552-4564.
    .. [2] Danks, N. P. (2021). The piggy in the middle: the role of mediators in PLS-SEM-based prediction. The DATA
       BASE for Advances in Information Systems, 52(SI), 24-42.

    Examples
    --------
    >>> import csi_lab as csi
    >>> from csi_lab.sem.predict import plspredict
    >>> found = plspredict(csi.load_survey("mobile"), repeats=2, rng=1)
    >>> print(found.verdict("Satisfaction"))
    Satisfaction: Q2 predict above 0 for 3 of 3 items; RMSE below the linear model's for 2 of 3: medium predictive power
    """
    if technique not in ("direct", "earliest"):
        raise SpecError(f"technique={technique!r} is unknown; use 'direct' or 'earliest'")
    if isinstance(data, Moments):
        raise DataError("moments have no rows to predict; give the survey or DataFrame they were made from")
    require_rows(missing, "prediction")
    fit = pls(
        data,
        model,
        scheme=scheme,
        scaled=scaled,
        weights=weights,
        missing=missing,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    frame, design = getattr(data, "frame", data), fit.design
    if isinstance(weights, str):
        weights = frame[weights]
    row_weights = frame[design.weights] if design.weights else weights
    # Rows are the units here, whatever the design: folds of whole PSUs come from the assignment.
    units = units_of(frame, fit.model.items, Design(), row_weights, missing)
    complete = ~frame[list(fit.model.items)].isna().to_numpy().any(axis=1)
    positive = split_weights(frame[list(fit.model.items)], row_weights)[1]
    if positive is not None:
        complete &= positive > 0
    labels = given_folds(assignment, frame, complete) if assignment is not None else None
    if labels is None:
        clusters = None if design.psu is None else clusters_of(frame[complete], design)
        labels = shuffled_folds(units.count, folds, repeats, clusters, generator(rng))
    case_weights = units.weights if fit.moments.weighted else None
    return _cross_validated(fit, units, labels, technique, frame, complete, case_weights, design)


def _cross_validated(
    fit: PLSFit,
    units: Units,
    labels: np.ndarray,
    technique: Technique,
    frame: pd.DataFrame,
    complete: np.ndarray,
    w: np.ndarray | None,
    design: Design,
) -> PLSPrediction:
    import pandas as pd

    layout = Layout.of(fit.model)
    at = np.flatnonzero(np.isin(layout.block, layout.endogenous))
    assert units.answers is not None
    x = units.answers.astype(float)
    y = x[:, at]
    names, items = list(fit.model.constructs), fit.model.items
    index = pd.MultiIndex.from_tuples([(names[layout.block[i]], items[i]) for i in at], names=["construct", "item"])
    tables, notes = [], []
    predicted = np.zeros_like(y)
    squared = {name: np.zeros_like(y) for name in PREDICTORS}
    for label in labels:
        outside, inside, remarks = _one_repeat(fit, layout, units, x, at, label, technique)
        tables.append(_measures(y, outside, inside, w))
        predicted += outside["pls"] / len(labels)
        for name in PREDICTORS:
            squared[name] += (y - outside[name]) ** 2 / len(labels)
        notes += [remark for remark in remarks if remark not in notes]
    repeats = pd.concat({r: pd.DataFrame(t, index=index) for r, t in enumerate(tables, 1)}, names=["repeat"])
    by_construct = {
        (name, names[j]): squared[name][:, layout.block[at] == j].mean(axis=1)
        for name in PREDICTORS
        for j in layout.endogenous
    } | {(name, "all items"): squared[name].mean(axis=1) for name in PREDICTORS}
    by_item = {name: pd.DataFrame(squared[name], columns=index.get_level_values("item")) for name in ("pls", "mean")}
    used = np.flatnonzero(complete)
    columns = pd.MultiIndex.from_tuples(list(by_construct), names=["predictor", "construct"])
    losses = Losses(pd.DataFrame(np.column_stack(list(by_construct.values())), columns=columns), used, frame, design, w)
    return PLSPrediction(
        model=fit.model,
        technique=technique,
        items=repeats.groupby(level=["construct", "item"], sort=False).mean(),
        by_repeat=repeats,
        predictions=pd.DataFrame(predicted, index=frame.index[used], columns=index.get_level_values("item")),
        folds=max(int(label.max()) + 1 for label in labels),
        repeats=len(labels),
        n=len(x),
        dropped=fit.moments.dropped,
        losses=losses,
        item_losses=replace(losses, table=pd.concat(by_item, axis=1, names=["predictor", "item"])),
        notes=tuple(notes),
    )


def _one_repeat(
    fit: PLSFit, layout: Layout, units: Units, x: np.ndarray, at: np.ndarray, label: np.ndarray, technique: Technique
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[str]]:
    """Predictions ``(n, P)`` of each predictor out of sample and in sample, and remarks."""
    outside = {name: np.empty((len(x), len(at))) for name in PREDICTORS}
    inside = {name: np.zeros((len(x), len(at))) for name in PREDICTORS}
    remarks: list[str] = []
    count = int(label.max()) + 1
    for first, training in training_moments(units, label, count):
        trained = fit.again(training)
        _require_solutions(trained, first, count)
        slow = int((~trained.converged).sum())
        if slow:
            remarks.append(f"weights not settled in {slow} training samples; their last iterates predict")
        linear, remark = _linear_maps(training, layout, at)
        remarks += [remark] if remark else []
        maps = {
            "pls": _pls_maps(trained, layout, at, technique),
            "lm": linear,
            "mean": np.zeros((len(linear), x.shape[1], len(at))),
        }
        for name, slope in maps.items():
            intercept = training.mean[:, at] - (training.mean[:, None, :] @ slope)[:, 0]
            # In sample: the mean of the predictions of a case by the models trained on it.
            inside[name] += x @ slope.sum(axis=0) + intercept.sum(axis=0)
            for f in range(len(slope)):
                rows = np.flatnonzero(label == first + f)
                own = x[rows] @ slope[f] + intercept[f]
                outside[name][rows] = own
                inside[name][rows] -= own
    return outside, {name: total / (count - 1) for name, total in inside.items()}, remarks


def _pls_maps(trained: PLSFit, layout: Layout, at: np.ndarray, technique: Technique) -> np.ndarray:
    """Slopes ``(folds, p, P)`` of the predictions of target items from all items."""
    solution, sd = trained.solution, trained.moments.sd
    weights = solution.weights / sd if trained.scaled else solution.weights
    if technique == "direct":
        transmission = solution.paths
    else:
        # Observed scores of exogenous constructs only, carried along every way.
        exogenous = ~layout.paths.any(axis=0)
        transmission = solution.total_effects * exogenous.astype(float)[:, None]
    target = layout.block[at]
    reach = solution.cross_loadings[:, at, target] * sd[:, at]
    return weights[:, :, None] * transmission[:, layout.block, :][:, :, target] * reach[:, None, :]


def _linear_maps(training: Moments, layout: Layout, at: np.ndarray) -> tuple[np.ndarray, str]:
    """Slopes ``(folds, p, P)`` of each target item on the items of all other constructs; NaN where there are none."""
    cov, corr = training.cov, training.corr
    slopes = np.zeros((len(cov), cov.shape[-1], len(at)))
    remark = ""
    for j in layout.endogenous:
        other, own = np.flatnonzero(layout.block != j), np.flatnonzero(layout.block[at] == j)
        smallest = np.linalg.eigvalsh(corr[:, other[:, None], other])[:, 0]
        if smallest.min() < 1e-10 or training.n.min() <= len(other) + 1:
            slopes[:, :, own] = np.nan
            few = training.n.min() <= len(other) + 1
            copies = (
                []
                if few
                else _collinear(corr[int(smallest.argmin())][np.ix_(other, other)], [training.names[i] for i in other])
            )
            reason = (
                f"exactly collinear items {copies}" if copies else f"{len(other)} items for {training.n.min()} cases"
            )
            remark = remark or f"no linear benchmark: {reason}"
            continue
        found = np.linalg.solve(cov[:, other[:, None], other], cov[:, other[:, None], at[own]])
        slopes[:, other[:, None], own] = found
    return slopes, remark


def _collinear(corr: np.ndarray, names: list[str]) -> list[str]:
    values, vectors = np.linalg.eigh(corr)
    return [n for n, v in zip(names, vectors[:, 0], strict=True) if abs(v) > 1e-6] if values[0] < 1e-10 else []


def _measures(
    y: np.ndarray, outside: dict[str, np.ndarray], inside: dict[str, np.ndarray], w: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Errors of every item, each ``(P,)``; denominator n or the sum of weights."""
    error = {name: _errors(y - outside[name], w) for name in PREDICTORS}
    fitted = {name: _errors(y - inside[name], w) for name in ("pls", "lm")}
    with np.errstate(divide="ignore", invalid="ignore"):
        q2 = {name: 1 - (error[name][0] / error["mean"][0]) ** 2 for name in ("pls", "lm")}
    return {
        "q2": q2["pls"],
        "rmse": error["pls"][0],
        "mae": error["pls"][1],
        "lm_q2": q2["lm"],
        "lm_rmse": error["lm"][0],
        "lm_mae": error["lm"][1],
        "mean_rmse": error["mean"][0],
        "mean_mae": error["mean"][1],
        "rmse_in": fitted["pls"][0],
        "mae_in": fitted["pls"][1],
        "lm_rmse_in": fitted["lm"][0],
        "lm_mae_in": fitted["lm"][1],
    }


def _errors(e: np.ndarray, w: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    share = np.full(len(e), 1 / len(e)) if w is None else w / w.sum()
    return np.sqrt(share @ e**2), share @ np.abs(e)


def _require_solutions(trained: PLSFit, first: int, count: int) -> None:
    finite = np.isfinite(trained.solution.weights).all(axis=-1) & np.isfinite(trained.solution.paths).all(axis=(-2, -1))
    if finite.all():
        return
    folds = [int(first + f + 1) for f in np.flatnonzero(~finite)]
    flat = [
        name for name, c in zip(trained.moments.names, trained.moments.constant[~finite].any(axis=0), strict=True) if c
    ]
    why = f"items that do not vary in it: {flat}" if flat else "collinear sources or items"
    raise EstimationError(
        f"no solution on the training sample without fold {folds[:5]} of {count}: {why}; use fewer folds"
    )
