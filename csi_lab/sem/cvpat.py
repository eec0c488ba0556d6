"""The cross-validated predictive ability test: is one predictor's loss really smaller than another's?"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.percent import percent
from csi_lab.sem.losses import Losses
from csi_lab.settings import require_level

if TYPE_CHECKING:
    import pandas as pd

BENCHMARKS = {"mean": "training mean", "lm": "linear model"}


@dataclass(frozen=True, eq=False)
class CVPATResult:
    """Differences in predictive loss between the model and its benchmarks.

    Attributes
    ----------
    table
        Index (benchmark, construct); ``loss`` of the model, ``benchmark_loss``, their difference ``estimate``
        (negative: the model predicts better) with ``se, low, high``, ``t``, ``p`` (two-sided) and ``verdict``.
    n, df, level
        Cases, degrees of freedom, level of the intervals.
    method
        Where the standard errors come from.
    """

    table: pd.DataFrame
    n: int
    df: float
    level: float
    method: str

    def to_frame(self) -> pd.DataFrame:
        """One row per benchmark and construct, raw numbers."""
        return self.table

    def __str__(self) -> str:
        lines = [f"CVPAT, {self.method}, n = {self.n}, {self.df:g} df"]
        for benchmark in BENCHMARKS.values():
            row = self.table.loc[(benchmark, "all items")]
            lines.append(
                f"against the {benchmark}: loss {row['loss']:.3f} - {row['benchmark_loss']:.3f} = "
                f"{row['estimate']:.3f}, {percent(self.level)} CI [{row['low']:.3f}, {row['high']:.3f}]: "
                f"{row['verdict']}"
                if np.isfinite(row["estimate"])
                else f"against the {benchmark}: {row['verdict']}"
            )
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{text}</p>{self.table.round(3).to_html()}"


def compare_losses(
    losses: Losses, *, level: float = 0.95, draws: int = 2000, rng: np.random.Generator | int = 0
) -> CVPATResult:
    r"""CVPAT: paired comparison of predictive losses.

    With :math:`D_i` the model's loss minus the benchmark's for case i (each the mean squared error over the items of a
    construct, or over all endogenous items), :math:`t = \bar D / (s_D / \sqrt n)` with n - 1 degrees of freedom.

    Parameters
    ----------
    losses
        From :attr:`csi_lab.sem.predict.PLSPrediction.losses`.
    level
        Of the intervals and verdicts.
    draws, rng
        Replicates for the standard error of samples with weights, strata or clusters; not used otherwise.

    Returns
    -------
    CVPATResult

    Raises
    ------
    SpecError
        If the level is not between 0 and 1.

    Notes
    -----
    Two-sided, whereas the papers test whether the model is better. The cases share training data, so that the test is
    approximate, as in the papers. Losses are in squared units of the answers.

    References
    ----------
    .. [1] Liengaard, B. D., Sharma, P. N., Hult, G. T. M., Jensen, M. B., Sarstedt, M., Hair, J. F., & Ringle, C. M.
       (2021). Prediction: coveted, yet forsaken? Decision Sciences, 52(2), 362-392.
    .. [2] Sharma, P. N., Liengaard, B. D., Hair, J. F., Sarstedt, M., & Ringle, C. M. (2023). Predictive model
       assessment and selection in composite-based modeling using PLS-SEM. European Journal of Marketing, 57(6),
       1662-1677.

    Examples
    --------
    >>> import csi_lab as csi
    >>> from csi_lab.sem.predict import plspredict
    >>> test = plspredict(csi.load_survey("mobile"), repeats=1, rng=1).cvpat()
    >>> test.table.loc[("training mean", "all items"), "verdict"]
    'the model predicts better'
    """
    import pandas as pd

    require_level(level)
    table = losses.table
    constructs = list(table["pls"].columns)
    gaps = {(b, c): (table[("pls", c)] - table[(b, c)]).to_numpy() for b in BENCHMARKS for c in constructs}
    differences = np.column_stack(list(gaps.values()))
    estimate, se, df, method = _mean_and_se(losses, differences, draws, rng)
    half = special.stdtrit(df, 1 - (1 - level) / 2) * se
    with np.errstate(divide="ignore", invalid="ignore"):
        t = estimate / se
    p = 2 * special.stdtr(df, -np.abs(t))
    share = np.full(len(table), 1 / len(table)) if losses.weights is None else losses.weights / losses.weights.sum()
    mean = pd.Series(share @ table.to_numpy(), index=table.columns)
    rows = pd.DataFrame(
        {
            "loss": [mean["pls", c] for _, c in gaps],
            "benchmark_loss": [mean[b, c] for b, c in gaps],
            "estimate": estimate,
            "se": se,
            "low": estimate - half,
            "high": estimate + half,
            "t": t,
            "p": p,
            "verdict": [_verdict(e, q, 1 - level) for e, q in zip(estimate, p, strict=True)],
        },
        index=pd.MultiIndex.from_tuples([(BENCHMARKS[b], c) for b, c in gaps], names=["benchmark", "construct"]),
    )
    return CVPATResult(rows, len(table), df, level, method)


def _mean_and_se(
    losses: Losses, differences: np.ndarray, draws: int, rng: Any
) -> tuple[np.ndarray, np.ndarray, float, str]:
    """Mean difference ``(k,)``, its standard error, degrees of freedom, and the method in words."""
    n = len(differences)
    if losses.simple:
        return differences.mean(axis=0), differences.std(axis=0, ddof=1) / np.sqrt(n), n - 1.0, "paired t test"
    known = np.isfinite(differences).all(axis=0)
    made = losses.replicates(list(differences[:, known].T), draws, rng)
    found = made.interval(lambda moments: moments.mean, kind="normal")
    estimate, se = np.full(len(known), np.nan), np.full(len(known), np.nan)
    estimate[known], se[known] = found.estimate, found.se
    return estimate, se, made.df, f"standard errors from {made.draws} replicates ({made.method})"


def _verdict(difference: float, p: float, alpha: float) -> str:
    if np.isnan(difference):
        return "the benchmark does not exist"
    if not p < alpha:
        return "no difference shown"
    return "the model predicts better" if difference < 0 else "the model predicts worse"
