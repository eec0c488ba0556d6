"""Tables and words of a fitted model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.sem import cb_fit
from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_specification import Specification

if TYPE_CHECKING:
    import pandas as pd

    from csi_lab.sem.cb_result import CBSEMFit

STANDARD_ERRORS = {
    "expected": "normal theory, expected information",
    "observed": "normal theory, observed information",
    "robust": "robust sandwich (MLR), observed information",
    "mlm": "robust sandwich (MLM), expected information",
}
RELIABILITY = ("cr", "ave", "omega", "omega_observed", "ave_unstandardised")


def summary(fit: CBSEMFit) -> str:
    """Problems first, then the model, its fit, and where standard errors come from."""
    m = fit.fit_measures
    groups = fit.specification.groups
    several = f", {len(groups)} groups ({', '.join(groups)})" if len(groups) > 1 else ""
    kind = "structural equation model" if fit.model.edges else "confirmatory factor analysis"
    lost = f", {fit.answers.dropped} left out" if fit.answers.dropped else ""
    how = ", full information on missing answers" if fit.answers.missing == "fiml" else ""
    head = f"ML {kind} ({fit.model}){several}; {fit.n} rows{lost}{how}; engine {fit.engine}"
    p = f", p {_p(m['p'])}" if np.isfinite(m["p"]) else ""
    ends = f" [{m['rmsea_low']:.3f}, {m['rmsea_high']:.3f}]" if np.isfinite(m["rmsea_low"]) else ""
    tests = (
        f"chi2({m['df']:.0f}) = {m['chi2']:.2f}{p}; CFI {m['cfi']:.3f}, TLI {m['tli']:.3f}, "
        f"RMSEA {m['rmsea']:.3f}{ends}, SRMR {m['srmr']:.3f}"
    )
    lost_draws = fit.resampled is not None and fit.resampled.failed > 0
    lines = [*fit.problems, head, tests]
    if "chi2_scaled" in m:
        which = "robust" if "cfi_robust" in m else "scaled"
        covariances = fit.answers.design.psu is not None and not fit.specification.means
        factor = f" (factor {m['scaling_factor']:.3f})" if np.isfinite(m["scaling_factor"]) else ""
        lines.append(
            f"scaled chi2 = {m['chi2_scaled']:.2f}{factor}, p {_p(m['p_scaled'])}; "
            f"{which} CFI {m[f'cfi_{which}']:.3f}, RMSEA {m[f'rmsea_{which}']:.3f}"
            + "; of covariances alone (means=True models the means too, as lavaan does with cluster=)"
            * covariances
        )
    if fit.resampled is not None:
        # Draws that were lost are said before anything else, few or many.
        doubtful = lines[0].startswith("DOUBTFUL")
        lines.insert(0 if lost_draws and not doubtful else len(lines), str(fit.resampled))
    elif fit.withheld:
        lines.append(f"no standard errors: {fit.withheld}")
    else:
        lines.append(f"standard errors: {STANDARD_ERRORS[fit.se]}")
    return "\n".join(lines)


def empty(names: Sequence[str]) -> pd.DataFrame:
    """A table of estimates without rows."""
    import pandas as pd

    levels = pd.MultiIndex.from_arrays([[] for _ in names], names=names)
    index = levels if len(names) > 1 else pd.Index([], name=names[0])
    return pd.DataFrame({c: np.empty(0) for c in ("estimate", "se", "low", "high")}, index=index)


def residuals(specification: Specification, sample: Sample, theta: np.ndarray) -> pd.DataFrame:
    """Correlation residuals, items by items; with several groups one block under the other."""
    import pandas as pd

    items = pd.Index(specification.items, name="item")
    found = {}
    for g, (label, built) in enumerate(
        zip(specification.groups, cb_fit.implied(specification, sample, theta), strict=True)
    ):
        s = sample.cov[0, g]
        sd = np.sqrt(np.diagonal(s))
        found[label] = pd.DataFrame((s - built.sigma[0]) / np.outer(sd, sd), index=items, columns=items.rename("with"))
    return found[""] if list(found) == [""] else pd.concat(found, names=["group"])


def modifications(specification: Specification, sample: Sample, theta: np.ndarray) -> pd.DataFrame:
    """Modification indices, the largest first."""
    import pandas as pd

    found = cb_fit.modifications(specification, sample, theta)
    several = len(specification.groups) > 1
    names = (["group"] if several else []) + ["lhs", "op", "rhs"]
    columns = {"mi": found.index, "epc": found.change, "epc_standardised": found.standardised}
    labels = [((specification.groups[r.group],) if several else ()) + (r.lhs, r.op, r.rhs) for r in found.rows]
    if not labels:
        return pd.DataFrame(columns, index=empty(names).index)
    index = pd.MultiIndex.from_tuples(labels, names=names)
    return pd.DataFrame(columns, index=index).sort_values("mi", ascending=False, kind="stable")


def with_omega_observed(table: pd.DataFrame, extra: pd.DataFrame) -> pd.DataFrame:
    """The table of reliabilities with omega over the observed variance of the sum of items in its place."""
    import pandas as pd

    if not len(table):
        return table
    homes = list(dict.fromkeys(label[:-1] for label in table.index))
    return pd.concat([table, extra]).loc[[(*home, step) for home in homes for step in RELIABILITY]]


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"= {value:.3f}"
