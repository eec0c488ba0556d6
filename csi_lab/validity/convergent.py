"""Convergent validity: do the items of a construct measure one thing?"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.settings import require_level
from csi_lab.validity.measurement import average_variance_extracted, measurement

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class ConvergentResult:
    """Average variance extracted and loadings against their cut-offs.

    Attributes
    ----------
    constructs
        One row per construct: number of ``items``, AVE as ``estimate, se, low, high``, ``verdict``. AVE is NaN for a
        single item and for a construct that its items form, because it says nothing there.
    loadings
        One row per (construct, item): ``estimate, se, low, high, verdict``.
    ave, loading
        The cut-offs.
    """

    constructs: pd.DataFrame
    loadings: pd.DataFrame
    ave: float
    loading: float

    def to_frame(self) -> pd.DataFrame:
        """AVE, one row per construct."""
        return self.constructs

    def plot(self, ax: Axes | None = None, labels: dict[str, str] | None = None) -> Axes:
        """AVE as bars, with the cut-off and, where there are any, intervals; see :func:`csi_lab.plots.bars`."""
        from csi_lab import plots

        table = self.constructs.dropna(subset="estimate")
        columns = ["estimate", "low", "high"] if table["low"].notna().all() else ["estimate"]
        return plots.bars(table[columns], xlabel="AVE", limits=(0, 1), decimals=2, cut=self.ave, ax=ax, labels=labels)

    def __str__(self) -> str:
        judged = self.constructs.dropna(subset="estimate")
        low = [f"{c} ({v:.2f})" for c, v in judged.loc[judged["estimate"] < self.ave, "estimate"].items()]
        weak = self.loadings["verdict"].str.startswith("below")
        items = [f"{i} ({v:.2f})" for (_, i), v in self.loadings.loc[weak, "estimate"].items()]
        lines = [
            f"AVE of {self.ave:.2f} reached by {len(judged) - len(low)} of {len(judged)} constructs"
            + (f"; below: {', '.join(low)}" if low else "")
        ]
        if items:
            lines.append(f"loadings below {self.loading:.3f}: {', '.join(items)}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{text}</p>{self.constructs.round(3).to_html()}{self.loadings.round(3).to_html()}"


def convergent_validity(source: Any, *, ave: float = 0.50, loading: float = 0.708) -> ConvergentResult:
    r"""AVE of every construct and loading of every item against cited cut-offs.

    .. math:: \text{AVE} = \frac{1}{k} \sum_i \lambda_i^2

    Parameters
    ----------
    source
        A PLS fit (after ``.bootstrap()`` with intervals), a CB-SEM fit of one group (its intervals stand in
        ``fit.reliability``), or standardised loadings: a Series or a DataFrame with the column ``estimate`` and index
        (construct, item), or ``{construct: {item: loading}}``.
    ave
        Default .50 (Fornell & Larcker 1981): the items share half of their variance with the construct.
    loading
        Default .708 (Hair et al. 2022), whose square is .50.

    Returns
    -------
    ConvergentResult

    Raises
    ------
    DataError
        If loadings are no numbers between -1 and 1.
    SpecError
        If a cut-off lies outside 0..1.

    Notes
    -----
    AVE agrees with R seminr 2.3.4 (tests/reference/pls/mobi_A_path.json) to 1e-10.

    References
    ----------
    .. [1] Fornell, C., & Larcker, D. F. (1981). Evaluating structural equation models with unobservable variables and
       measurement error. Journal of Marketing Research, 18(1), 39-50.
    .. [2] Hair, J. F., Hult, G. T. M., Ringle, C. M., & Sarstedt, M. (2022). A Primer on PLS-SEM, 3rd ed. Sage.

    Examples
    --------
    >>> print(convergent_validity({"Satisfaction": {"q1": 0.8, "q2": 0.9}, "Loyalty": {"q3": 0.9, "q4": 0.2}}))
    AVE of 0.50 reached by 1 of 2 constructs; below: Loyalty (0.43)
    loadings below 0.708: q4 (0.20)
    """
    for name, cut in (("ave", ave), ("loading", loading)):
        require_level(cut, name, 0.5)
    found = measurement(source)
    member, names = found.member, list(found.blocks)
    sizes = member.sum(axis=0)
    silent = np.array([c in found.formed or k == 1 for c, k in zip(names, sizes, strict=True)])

    def extracted(loadings: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.where(silent, np.nan, average_variance_extracted(loadings, member))

    constructs = found.table(extracted, names, ["construct"])
    constructs.insert(0, "items", sizes.astype(int))
    constructs["verdict"] = [
        "formed by its items: no AVE"
        if c in found.formed
        else ("single item: no AVE" if np.isnan(v) else f"{'reaches' if v >= ave else 'below'} {ave:.2f}")
        for c, v in constructs["estimate"].items()
    ]
    index = [(c, item) for c, items in found.blocks.items() for item in items]
    loadings = found.table(lambda values, _: values, index, ["construct", "item"])
    loadings["verdict"] = [
        ("formative: see its weight" if c in found.formed else "single item")
        if c in found.formed or len(found.blocks[c]) == 1
        else f"{'reaches' if v >= loading else 'below'} {loading:.3f}"
        for (c, _), v in loadings["estimate"].items()
    ]
    return ConvergentResult(constructs, loadings, ave, loading)
