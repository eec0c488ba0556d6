"""May groups be compared at all? Measurement invariance of composites in three steps."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import EstimationError
from csi_lab.model import PathModel, model_of
from csi_lab.moments import Missing, Moments
from csi_lab.sem.algorithm import Layout, Scheme
from csi_lab.sem.fit import PLSFit
from csi_lab.sem.grouped import GroupedSample, Lost, grouped_sample
from csi_lab.settings import generator, require_draws, require_level

if TYPE_CHECKING:
    import pandas as pd

# Differences below this are rounding: the composite of a single item is the same in every group.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class MICOMResult:
    """Invariance of the composites of a PLS path model between groups.

    Attributes
    ----------
    table
        Index (group, other, construct). Step 2: ``c`` (correlation of the composites that the two groups' weights form
        from the pooled answers), its ``c_cut`` (alpha quantile under shuffled labels) and ``p_c``. Step 3: ``mean``
        (difference of mean scores, first minus second), ``mean_low, mean_high, p_mean``, and ``log_var`` (logarithm of
        the ratio of variances), ``var_low, var_high, p_var``. ``verdict``: "full", "partial" or "none".
    configural
        What step 1 could establish from the data, in words.
    sizes
        Rows used per group.
    alpha, draws, failed
        Level, shuffles per pair, and shuffles left out because a group had no solution.
    notes
        What a reader must know, one sentence each.
    """

    table: pd.DataFrame
    configural: str
    sizes: dict[str, int]
    alpha: float
    draws: int
    failed: int
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """The weakest verdict over all composites: "full", "partial" or "none"."""
        return next(word for word in ("none", "partial", "full") if (self.table["verdict"] == word).any())

    def to_frame(self) -> pd.DataFrame:
        """One row per pair of groups and construct, raw numbers."""
        return self.table

    def __str__(self) -> str:
        sizes = ", ".join(f"{g} (n = {n})" for g, n in self.sizes.items())
        word = {"none": "no"}.get(self.verdict, self.verdict)
        lines = [f"MICOM: {word} measurement invariance of the whole model; {sizes}; {self.draws} shuffles per pair"]
        for (a, b), part in self.table.groupby(level=["group", "other"], sort=False):
            words = [
                f"{word}: {', '.join(part.index.get_level_values('construct')[part['verdict'] == word])}"
                for word in ("full", "partial", "none")
                if (part["verdict"] == word).any()
            ]
            lines.append(f"{a} against {b}: {'; '.join(words)}")
        return "\n".join([*lines, f"step 1: {self.configural}", *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{text}</p>{self.table.round(3).to_html()}"


def micom(
    data: Any,
    by: Any,
    model: PathModel | None = None,
    *,
    groups: Sequence[Any] | None = None,
    draws: int = 1000,
    rng: np.random.Generator | int = 0,
    alpha: float = 0.05,
    weights: Any = None,
    missing: Missing = "listwise",
    scheme: Scheme = "path",
    scaled: bool = True,
    tolerance: float = 1e-7,
    max_iterations: int = 300,
) -> MICOMResult:
    r"""Measurement invariance of composites between every two groups.

    1. Configural: same items, model, scheme and treatment of the data in both groups.
    2. Compositional: :math:`c = \operatorname{cor}(X w^{(1)}, X w^{(2)})` of the pooled answers X with the weights of
       each group. Established when c is not below the :math:`\alpha` quantile of its values under shuffled labels.
    3. Equal means and variances of the scores that the pooled weights form: the difference of means and the logarithm
       of the ratio of variances lie within the central :math:`1 - \alpha` of their values under shuffled labels.

    Steps 1 and 2 give partial invariance: paths may be compared. With step 3 invariance is full: the groups may be
    pooled, and their means compared.

    Parameters
    ----------
    data, by, groups, draws, rng
        As in :func:`csi_lab.sem.groups.compare_groups`.
    model, weights, missing, scheme, scaled, tolerance, max_iterations
        As in :func:`csi_lab.sem.pls.pls`. ``missing="em"`` and ``"mean"`` complete the answers of each group from its
        own rows, also when labels are shuffled, and those of the pooled sample from both.
    alpha
        Level of each test, .05 as in the paper. It is not adjusted for the number of tests: that would make invariance
        easier to claim.

    Returns
    -------
    MICOMResult

    Raises
    ------
    DataError, SpecError
        As in compare_groups.
    EstimationError
        If the model cannot be estimated in a group or in the pooled answers, or the sample has strata or clusters, so
        that its rows cannot be shuffled.

    Notes
    -----
    Items are standardised with the pooled means and sds in steps 2 and 3 (in their own units when ``scaled=False``),
    and with the group's own for the group's weights. Not rejecting equality in a small sample is weak evidence: read
    the intervals. With sampling weights, a row keeps its weight when its label is shuffled.

    References
    ----------
    .. [1] Henseler, J., Ringle, C. M., & Sarstedt, M. (2016). Testing measurement invariance of composites using
       partial least squares. International Marketing Review, 33(3), 405-431.

    Examples
    --------
    >>> import csi_lab as csi
    >>> from csi_lab.sem.micom import micom
    >>> found = micom(csi.load_survey("mobile"), ["first"] * 125 + ["second"] * 125, draws=200, rng=1)
    >>> found.table["c"].round(2).to_dict()[("first", "second", "Quality")]
    1.0
    """
    require_level(alpha, "alpha", 0.05)
    require_draws(draws, least=20)
    model = model_of(data, model)
    sample = grouped_sample(data, by, model.items, groups=groups, design=None, weights=weights, missing=missing)
    if not sample.exchangeable:
        raise EstimationError(
            f"MICOM shuffles rows between groups, which the design ({sample.design}) does not allow; "
            "compare item weights with compare_groups(..., what='weights', test='welch') instead"
        )
    fits = sample.fits(model, scheme=scheme, scaled=scaled, tolerance=tolerance, max_iterations=max_iterations)
    layout = Layout.of(model)
    pairs = list(itertools.combinations(range(len(fits)), 2))
    parts, failed = {}, Lost()
    for (a, b), child in zip(pairs, generator(rng).spawn(len(pairs)), strict=True):
        table, lost = _of_pair(sample.pair(a, b), fits[a], layout, list(model.constructs), draws, child, alpha)
        parts[sample.names[a], sample.names[b]] = table
        failed += lost
    return _result(sample, fits, parts, scheme, scaled, draws, failed, alpha)


def _of_pair(
    pair: GroupedSample,
    fit: PLSFit,
    layout: Layout,
    constructs: list[str],
    draws: int,
    rng: np.random.Generator,
    alpha: float,
) -> tuple[pd.DataFrame, Lost]:
    import pandas as pd

    pooled = pair.rows.point
    whole = fit.again(pooled)
    if not np.isfinite(whole.solution.weights).all():
        raise EstimationError(f"groups {pair.names[0]!r} and {pair.names[1]!r} together have no solution")
    scale = pooled.sd if fit.scaled else np.ones(len(pooled.names))
    matrix = pooled.cov / np.outer(scale, scale)
    # From raw answers to the scores that the pooled weights form.
    combine = (whole.solution.weights / scale)[:, None] * layout.member
    c, mean, log_var, _ = (
        x[0] for x in _steps(fit, [_lifted(pair.moments_of(g)) for g in (0, 1)], matrix, layout, combine)
    )
    shuffled = pair.shuffled(draws, rng)
    by_chance = _steps(fit, shuffled, matrix, layout, combine)
    ok = by_chance[3]
    if not ok.any():
        raise EstimationError("no shuffle has a solution in both groups; they may be too small for this model")
    chance_c, chance_mean, chance_var = (values[ok] for values in by_chance[:3])
    valid = len(chance_c)
    p_c = (1 + (chance_c <= c + ROUNDING).sum(axis=0)) / (1 + valid)
    p_mean, mean_ends = _two_tailed(mean, chance_mean, alpha)
    p_var, var_ends = _two_tailed(log_var, chance_var, alpha)
    verdict = np.select([p_c <= alpha, (p_mean <= alpha) | (p_var <= alpha)], ["none", "partial"], "full")
    table = pd.DataFrame(
        {
            "c": c,
            "c_cut": np.quantile(chance_c, alpha, axis=0),
            "p_c": p_c,
            "mean": mean,
            "mean_low": mean_ends[0],
            "mean_high": mean_ends[1],
            "p_mean": p_mean,
            "log_var": log_var,
            "var_low": var_ends[0],
            "var_high": var_ends[1],
            "p_var": p_var,
            "verdict": verdict,
        },
        index=pd.Index(constructs, name="construct"),
    )
    return table, Lost.of(~ok, *shuffled)


def _lifted(moments: Moments) -> Moments:
    """A single set of moments as a stack of one."""
    return replace(
        moments,
        n=np.array([moments.n]),
        weight=np.array([moments.weight]),
        sums=moments.sums[None],
        products=moments.products[None],
    )


def _steps(
    fit: PLSFit, both: Sequence[Moments], matrix: np.ndarray, layout: Layout, combine: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """c, difference of means and log ratio of variances ``(draws, J)``, and which draws have both solutions."""
    first, second = both
    a, b = fit.again(first).solution, fit.again(second).solution
    c = _agreement(a.weights, b.weights, matrix, layout.member)
    means = (first.mean - second.mean) @ combine
    with np.errstate(divide="ignore", invalid="ignore"):
        log_var = np.log(_variances(first.cov, combine) / _variances(second.cov, combine))
    return c, means, log_var, a.converged & b.converged


def _agreement(a: np.ndarray, b: np.ndarray, matrix: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Correlations ``(..., J)`` of the composites that two sets of weights ``(..., p)`` form from the same answers."""
    first, second = a[..., None] * member, b[..., None] * member
    left, right = matrix @ first, matrix @ second
    cross = (first * right).sum(axis=-2)
    return cross / np.sqrt((first * left).sum(axis=-2) * (second * right).sum(axis=-2))


def _variances(cov: np.ndarray, combine: np.ndarray) -> np.ndarray:
    return (combine * (cov @ combine)).sum(axis=-2)


def _two_tailed(value: np.ndarray, chance: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """p-value of each statistic from both tails, and the central range of its values by chance."""
    below, above = (chance <= value + ROUNDING).sum(axis=0), (chance >= value - ROUNDING).sum(axis=0)
    p = np.minimum(2 * (1 + np.minimum(below, above)) / (1 + len(chance)), 1.0)
    return p, np.quantile(chance, [alpha / 2, 1 - alpha / 2], axis=0)


def _result(
    sample: GroupedSample,
    fits: Sequence[PLSFit],
    parts: dict[tuple[str, str], pd.DataFrame],
    scheme: str,
    scaled: bool,
    draws: int,
    failed: Lost,
    alpha: float,
) -> MICOMResult:
    import pandas as pd

    treatment = "standardised in each group" if scaled else "in their own units"
    configural = (
        f"same {len(sample.rows.point.names)} items, same model, {scheme} scheme and sign rule, items {treatment}, "
        f"in all {len(sample.names)} groups; whether the questions mean the same to them is for experts to judge"
    )
    notes = sample.notes(fits)
    notes += failed.told("shuffles")
    return MICOMResult(
        table=pd.concat(parts, names=["group", "other"]),
        configural=configural,
        sizes={g: int(n) for g, n in zip(sample.names, sample.sizes, strict=True)},
        alpha=alpha,
        draws=draws,
        failed=failed.count,
        notes=tuple(notes),
    )
