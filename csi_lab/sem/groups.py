"""Do groups of respondents follow the same path model? Multi-group analysis of PLS models."""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import SpecError
from csi_lab.intervals import Interval, interval
from csi_lab.model import PathModel, model_of
from csi_lab.moments import Missing
from csi_lab.sem.algorithm import Layout, Scheme, Solution
from csi_lab.sem.fit import PLSFit
from csi_lab.sem.group_tests import compared, omnibus, solved
from csi_lab.sem.grouped import GroupedSample, Lost, grouped_sample
from csi_lab.settings import generator, require_draws, require_level
from csi_lab.validity.labels import holm

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

What = Literal["paths", "total effects", "loadings", "weights", "r2"]
Test = Literal["permutation", "welch", "pooled", "bootstrap"]
TESTS = ("permutation", "welch", "pooled", "bootstrap")
IntervalKind = Literal["percentile", "normal", "bc"]


@dataclass(frozen=True, eq=False)
class GroupComparison:
    """A PLS path model in several groups, compared.

    Attributes
    ----------
    what
        Which estimates are compared.
    estimates
        Index (group, ...), columns ``estimate, se, low, high``.
    differences
        Index (group, other, ...): ``estimate`` (first minus second) with ``se, low, high``, and two-sided p-values
        ``p_permutation``, ``p_welch``, ``p_pooled``, ``p_bootstrap``; ``p_holm`` adjusts those of ``test`` over all
        rows; ``verdict``. A test that does not fit the design is NaN, see ``notes``.
    omnibus
        For three groups or more: the permutation test that all are equal, ``statistic`` (between-group sum of squares
        weighted by group size), ``p`` and ``p_holm``; ``None`` for two.
    sizes
        Rows used per group.
    test, alpha, level
        Which test ``p_holm`` and the verdicts rest on, at which level; level of the intervals.
    draws
        Replicates and shuffles of each.
    failed
        Replicates or shuffles left out because a group had no solution.
    notes
        What a reader must know, one sentence each.
    """

    what: What
    estimates: pd.DataFrame
    differences: pd.DataFrame
    omnibus: pd.DataFrame | None
    sizes: dict[str, int]
    test: Test
    alpha: float
    level: float
    draws: int
    failed: int
    notes: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """The differences, raw numbers."""
        return self.differences

    def plot(self, ax: Axes | None = None) -> Axes:
        """Differences with their intervals as bars; see :func:`csi_lab.plots.bars`."""
        from csi_lab import plots

        table = self.differences.copy()
        table.index = [f"{' → '.join(map(str, key[2:]))} ({key[0]} − {key[1]})" for key in table.index]
        return plots.bars(table, xlabel=f"difference of {self.what}", decimals=2, ax=ax)

    def __str__(self) -> str:
        sizes = ", ".join(f"{g} (n = {n})" for g, n in self.sizes.items())
        differ = self.differences.index[self.differences["p_holm"] < self.alpha]
        shown = "; ".join(f"{' -> '.join(map(str, key[2:]))}: {key[0]} against {key[1]}" for key in differ)
        head = f"{self.what} in {len(self.sizes)} groups: {sizes}"
        result = f"{len(differ)} of {len(self.differences)} differences shown ({self.test} test, Holm, {self.alpha:g})"
        return "\n".join([head, result + (f": {shown}" if shown else ""), *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{text}</p>{self.differences.round(3).to_html()}"


def compare_groups(
    data: Any,
    by: Any,
    model: PathModel | None = None,
    *,
    groups: Sequence[Any] | None = None,
    what: What = "paths",
    draws: int = 1000,
    rng: np.random.Generator | int = 0,
    test: Test | None = None,
    alpha: float = 0.05,
    kind: IntervalKind = "percentile",
    level: float = 0.95,
    design: Design | None = None,
    weights: Any = None,
    missing: Missing = "listwise",
    scheme: Scheme = "path",
    scaled: bool = True,
    consistent: bool = False,
    tolerance: float = 1e-7,
    max_iterations: int = 300,
) -> GroupComparison:
    r"""Multi-group analysis: four tests of every difference between every two groups.

    With estimates :math:`b_1, b_2` of two groups, bootstrap errors :math:`s_1, s_2` and :math:`d = b_1 - b_2`:

    * permutation: share of shuffles of the group labels with :math:`|d^*| \ge |d|`, the sample itself counted in;
    * Welch-Satterthwaite: :math:`t = d/\sqrt{s_1^2 + s_2^2}`,
      :math:`df = (s_1^2 + s_2^2)^2 / (s_1^4/(n_1 - 1) + s_2^4/(n_2 - 1))`;
    * pooled (Keil et al. 2000):
      :math:`t = d / \bigl(\sqrt{\tfrac{(n_1-1)^2 s_1^2 + (n_2-1)^2 s_2^2}{n_1+n_2-2}} \sqrt{1/n_1 + 1/n_2}\bigr)`,
      :math:`df = n_1 + n_2 - 2`;
    * bootstrap (Henseler et al. 2009): with :math:`P` the share of all pairs of replicates with
      :math:`2\bar b_1 - b_{1j} > 2\bar b_2 - b_{2i}`, two-sided :math:`2 \min(P, 1 - P)`.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    by
        Column that divides the respondents, or a label for each row. Rows without a label are left out and counted.
    model, weights, missing, scheme, scaled, consistent, tolerance, max_iterations
        As in :func:`csi_lab.sem.pls.pls`. ``missing="em"`` and ``"mean"`` complete the answers of each group, replicate
        and shuffle from its own rows; EM of thousands of draws takes minutes where nearly every row misses other items.
    groups
        Which labels to compare, in which order; default all, sorted.
    what
        ``"paths"``, ``"total effects"``, ``"loadings"``, ``"weights"`` or ``"r2"``.
    draws, rng
        Replicates of each group and shuffles of each pair.
    test
        The test that ``p_holm`` and verdicts rest on; default permutation, or Welch where rows cannot be shuffled.
    alpha
        Level of the verdicts.
    kind, level
        Of the intervals.
    design
        Design of a DataFrame; a survey brings its own.

    Returns
    -------
    GroupComparison

    Raises
    ------
    DataError
        If there are fewer than two groups, labels do not fit, or as in pls.
    EstimationError
        If the model cannot be estimated in a group; every such group is named.
    SpecError
        If settings are unknown, or ``test`` does not fit the design.

    Warns
    -----
    CsiLabWarning
        As in pls, with the name of the group.

    Notes
    -----
    Some texts multiply the bootstrap variances of Welch's test by (n - 1)/n and subtract 2 from its degrees of freedom;
    here it is the test of Welch. With strata, clusters or population sizes the rows are not exchangeable: permutation,
    pooled and bootstrap tests are NaN, the groups share the replicates of the whole sample, and t is the difference
    over its replicate standard error with the degrees of freedom of the design. Compare groups only after measurement
    invariance (:func:`csi_lab.sem.micom.micom`). All p-values are two-sided; Holm's adjustment covers all rows of the
    table.

    References
    ----------
    .. [1] Keil, M., Tan, B. C. Y., Wei, K.-K., Saarinen, T., Tuunainen, V., & Wassenaar, A. (2000). A cross-cultural
       study on escalation of commitment behavior in software projects. MIS Quarterly, 24(2), 299-325.
    .. [2] Henseler, J., Ringle, C. M., & Sinkovics, R. R. (2009). The use of partial least squares path modeling in
       international marketing. Advances in International Marketing, 20, 277-319.
    .. [3] Chin, W. W., & Dibbern, J. (2010). A permutation based procedure for multi-group PLS analysis. Handbook of
       Partial Least Squares, 171-193.

    Examples
    --------
    >>> import csi_lab as csi
    >>> from csi_lab.sem.groups import compare_groups
    >>> survey = csi.load_survey("mobile")
    >>> halves = ["first"] * 125 + ["second"] * 125
    >>> found = compare_groups(survey, halves, draws=200, rng=1)
    >>> found.sizes, len(found.differences)
    ({'first': 125, 'second': 125}, 12)
    """
    _check_settings(what, test, alpha, draws)
    model = model_of(data, model)
    sample = grouped_sample(data, by, model.items, groups=groups, design=design, weights=weights, missing=missing)
    if test is None:
        test = "permutation" if sample.exchangeable else "welch"
    if not sample.exchangeable and test != "welch":
        raise SpecError(f"test={test!r} needs rows drawn at random; with strata or clusters use test='welch'")
    fits = sample.fits(
        model,
        scheme=scheme,
        scaled=scaled,
        consistent=consistent,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    layout = Layout.of(model)
    function, index, names = _quantity(what, model, layout)
    boot, shuffle = generator(rng).spawn(2)
    made = sample.replicates(draws, boot)
    values = [function(fit.solution) for fit in fits]
    drawn = [solved(fit, replicated.moments, function) for fit, replicated in zip(fits, made, strict=True)]
    inner = [interval(v, d, kind=kind, level=level, df=r.df) for v, d, r in zip(values, drawn, made, strict=True)]
    failed = Lost()
    for d, replicated in zip(drawn, made, strict=True):
        failed += Lost.of(np.isnan(d).all(axis=1), replicated.moments)
    rows = {}
    for a, b in itertools.combinations(range(len(fits)), 2):
        between = interval(values[a] - values[b], drawn[a] - drawn[b], kind=kind, level=level, df=made[a].df)
        table, lost = compared(sample, fits[a], (a, b), inner, drawn, between, made[a].df, function, draws, shuffle)
        rows[sample.names[a], sample.names[b]] = between.to_frame(index, names).assign(**table)
        failed += lost
    overall = None
    if len(fits) > 2 and sample.exchangeable:
        overall, lost = omnibus(sample, fits[0], np.stack(values), function, draws, shuffle.spawn(1)[0], index, names)
        failed += lost
    return _result(sample, fits, what, inner, rows, overall, test, alpha, level, draws, failed, index, names)


def _quantity(
    what: What, model: PathModel, layout: Layout
) -> tuple[Callable[[Solution], np.ndarray], list[Any], list[str]]:
    """How to read the quantity ``(..., k)`` from a solution, with its labels."""
    names = list(model.constructs)
    if what == "r2":
        return lambda s: s.r2[..., layout.endogenous], [names[j] for j in layout.endogenous], ["construct"]
    if what in ("loadings", "weights"):
        index = [(c, item) for c, items in model.constructs.items() for item in items]
        p = np.arange(len(layout.block))
        if what == "weights":
            return lambda s: s.weights, index, ["construct", "item"]
        return lambda s: s.cross_loadings[..., p, layout.block], index, ["construct", "item"]
    if what == "paths":
        pairs = np.argwhere(layout.paths)
        rows, columns = pairs.T
        return (
            lambda s: s.paths[..., rows, columns],
            [(names[i], names[j]) for i, j in pairs],
            ["source", "target"],
        )
    reach = np.linalg.inv(np.eye(len(names)) - layout.paths) - np.eye(len(names)) > 0.5
    pairs = np.argwhere(reach)
    rows, columns = pairs.T
    return (
        lambda s: s.total_effects[..., rows, columns],
        [(names[i], names[j]) for i, j in pairs],
        ["source", "target"],
    )


def _result(
    sample: GroupedSample,
    fits: Sequence[PLSFit],
    what: What,
    inner: Sequence[Interval],
    rows: dict[tuple[str, str], pd.DataFrame],
    omnibus: pd.DataFrame | None,
    test: Test,
    alpha: float,
    level: float,
    draws: int,
    failed: Lost,
    index: Sequence[object],
    names: Sequence[str],
) -> GroupComparison:
    import pandas as pd

    differences = pd.concat(rows, names=["group", "other"])
    adjusted = holm(differences[f"p_{test}"].to_numpy())
    differences["p_holm"] = adjusted
    differences["verdict"] = [
        "untested" if np.isnan(p) else ("different" if p < alpha else "no difference shown") for p in adjusted
    ]
    notes = sample.notes(fits)
    if not sample.exchangeable:
        notes.append(f"only Welch's test: the design ({sample.design}) does not let rows be shuffled")
    tested = int(np.isfinite(adjusted).sum())
    if test == "permutation" and tested / (draws + 1) >= alpha:
        # The smallest p of a permutation test is that of a value beyond all shuffled ones.
        notes.append(
            f"{draws} draws cannot show a difference: the smallest p, 1/{draws + 1}, times {tested} rows (Holm) is not "
            f"below {alpha:g}; take draws={int(tested / alpha) + 1} or more"
        )
    notes += failed.told("replicates or shuffles")
    return GroupComparison(
        what=what,
        estimates=pd.concat(
            {g: found.to_frame(index, names) for g, found in zip(sample.names, inner, strict=True)}, names=["group"]
        ),
        differences=differences,
        omnibus=omnibus,
        sizes={g: int(n) for g, n in zip(sample.names, sample.sizes, strict=True)},
        test=test,
        alpha=alpha,
        level=level,
        draws=draws,
        failed=failed.count,
        notes=tuple(notes),
    )


def _check_settings(what: str, test: str | None, alpha: float, draws: int) -> None:
    known = ("paths", "total effects", "loadings", "weights", "r2")
    if what not in known:
        raise SpecError(f"what={what!r} is unknown; use one of {list(known)}")
    if test is not None and test not in TESTS:
        raise SpecError(f"test={test!r} is unknown; use one of {list(TESTS)}")
    require_level(alpha, "alpha", 0.05)
    require_draws(draws, least=20)
