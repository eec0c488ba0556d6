"""A path model judged in words: every estimate against its cited cut-off."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import EstimationError, SpecError
from csi_lab.sem.assess import reflective
from csi_lab.settings import require_cutoff

if TYPE_CHECKING:
    import pandas as pd

    from csi_lab.sem.fit import PLSFit

PRIMER = "Hair, Hult, Ringle & Sarstedt 2022"
SOURCES = {
    "loading": PRIMER,
    "reliability": PRIMER,
    "redundancy": PRIMER,
    "AVE": "Fornell & Larcker 1981",
    "Fornell-Larcker": "Fornell & Larcker 1981",
    "HTMT": "Henseler, Ringle & Sarstedt 2015",
    "VIF": PRIMER,
    "item VIF": PRIMER,
    "path": PRIMER,
    "SRMR": "Hu & Bentler 1999",
}


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Estimates against cut-offs.

    Attributes
    ----------
    table
        One row per comparison: ``check``, ``subject``, ``estimate``, ``low`` and ``high`` (NaN without replicates),
        ``cutoff``, ``holds``, ``words``, ``source``. ``holds`` compares the estimate, not the ends of its interval;
        for paths it says whether the interval leaves out 0.
    alarms
        What makes the whole fit doubtful: not converged, improper.
    reliability
        One row per construct with its reliability statistics; NaN for a single item, which has none.
    """

    table: pd.DataFrame
    alarms: tuple[str, ...]
    reliability: pd.DataFrame

    def failing(self, check: str | None = None) -> pd.DataFrame:
        """The comparisons that do not hold, of one check or of all.

        Raises
        ------
        SpecError
            If there is no such check.
        """
        known = list(SOURCES)
        if check is not None and check not in known:
            raise SpecError(f"no check is called {check!r}; there are {known}")
        wanted = ~self.table["holds"] & (True if check is None else self.table["check"] == check)
        return self.table[wanted]

    def to_frame(self) -> pd.DataFrame:
        """The table of all comparisons."""
        return self.table

    def __str__(self) -> str:
        held = int(self.table["holds"].sum())
        lines = [*self.alarms, f"{held} of {len(self.table)} comparisons with cut-offs hold"]
        return "\n".join([*lines, *(f"  {words}" for words in self.failing()["words"])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rest = str(self).removeprefix("\n".join(self.alarms)).lstrip("\n").splitlines()
        alarms = "".join(f"<p><strong>{html.escape(alarm)}</strong></p>" for alarm in self.alarms)
        points = "".join(f"<li>{html.escape(line.strip())}</li>" for line in rest)
        table = self.reliability.round(3).to_html(na_rep="–")
        return f"{alarms}<p>{html.escape(head)}</p><ul>{points}</ul>{table}"


def judge(
    fit: PLSFit,
    *,
    loading: float = 0.708,
    weak_loading: float = 0.40,
    reliability: float = 0.70,
    redundancy: float = 0.95,
    ave: float = 0.50,
    htmt: float = 0.90,
    vif: float = 5.0,
    srmr: float = 0.08,
) -> Verdicts:
    """Compare the estimates of one fit with cut-offs, and say in words which do not hold.

    Loadings, reliabilities, AVE, HTMT and the Fornell-Larcker criterion concern mode A blocks of several items (a pair
    of constructs may have a single item on one side); variance inflation of items concerns mode B blocks.

    Parameters
    ----------
    fit
        A single fit. A bootstrapped one adds intervals, and a check of every path against 0.
    loading, weak_loading
        An item should load at least .708 (half of its variance shared) on its construct; below .40 it should be left
        out [1]_.
    reliability, redundancy
        alpha, rho_A and rho_C should lie between .70 and .95; beyond, items repeat each other [1]_.
    ave
        Average variance extracted, at least .50 [2]_; its root should exceed the correlations with other constructs.
    htmt
        Below .90; .85 for constructs that theory keeps well apart [3]_.
    vif
        Variance inflation below 5; Hair et al. call 3 ideal [1]_.
    srmr
        At most .08 [4]_; the rule comes from covariance-based models.

    Returns
    -------
    Verdicts

    Raises
    ------
    EstimationError
        If the fit holds several draws.
    SpecError
        If a cut-off is no finite number.

    References
    ----------
    .. [1] Hair, J. F., Hult, G. T. M., Ringle, C. M., & Sarstedt, M. (2022). A Primer on Partial Least Squares
       Structural Equation Modeling, 3rd ed., ch. 4-6. Sage.
    .. [2] Fornell, C., & Larcker, D. F. (1981). Evaluating structural equation models with unobservable variables and
       measurement error. Journal of Marketing Research, 18(1), 39-50.
    .. [3] Henseler, J., Ringle, C. M., & Sarstedt, M. (2015). A new criterion for assessing discriminant validity in
       variance-based structural equation modeling. Journal of the Academy of Marketing Science, 43, 115-135.
    .. [4] Hu, L., & Bentler, P. M. (1999). Cutoff criteria for fit indexes in covariance structure analysis. Structural
       Equation Modeling, 6(1), 1-55.

    Examples
    --------
    >>> import csi_lab as csi
    >>> fit = csi.sem.pls(csi.load_survey("mobile"))
    >>> for words in judge(fit).failing("HTMT")["words"]:
    ...     print(words)
    HTMT of Image and Quality is 0.929, not below 0.90: hardly told apart (Henseler, Ringle & Sarstedt 2015)
    HTMT of Image and Satisfaction is 0.910, not below 0.90: hardly told apart (Henseler, Ringle & Sarstedt 2015)
    HTMT of Quality and Satisfaction is 0.954, not below 0.90: hardly told apart (Henseler, Ringle & Sarstedt 2015)
    HTMT of Satisfaction and Loyalty is 0.957, not below 0.90: hardly told apart (Henseler, Ringle & Sarstedt 2015)
    """
    import pandas as pd

    cutoffs = {"loading": loading, "weak_loading": weak_loading, "reliability": reliability, "redundancy": redundancy}
    for name, value in (cutoffs | {"ave": ave, "htmt": htmt, "vif": vif, "srmr": srmr}).items():
        require_cutoff(value, name)
    if fit.moments.shape:
        raise EstimationError("verdicts are passed on one fit; this one holds several draws")
    of_several = dict(zip(fit.model.constructs, reflective(fit.layout), strict=True))
    rows = [
        *_loadings(fit, of_several, loading, weak_loading),
        *_reliabilities(fit, of_several, reliability, redundancy, ave),
        *_discriminant(fit, of_several, htmt),
        *_collinearity(fit, vif),
        *_paths(fit),
        *_misfit(fit, srmr),
    ]
    columns = ["check", "subject", "estimate", "low", "high", "cutoff", "holds", "words", "source"]
    wide = fit.reliability["estimate"].unstack()[list(dict.fromkeys(fit.reliability.index.get_level_values(1)))]
    wide = wide.loc[list(fit.model.constructs)]
    wide.loc[[c for c, items in fit.model.constructs.items() if len(items) == 1]] = np.nan
    return Verdicts(pd.DataFrame(rows, columns=columns), fit._alarms(), wide)


def _loadings(fit: PLSFit, of_several: dict[str, np.bool_], cutoff: float, weak: float) -> Iterator[tuple[Any, ...]]:
    for (construct, item), row in fit.loadings.iterrows():
        if not of_several[construct]:
            continue
        value = row["estimate"]
        remedy = "leave it out" if value < weak else "keep it only if reliability and content need it"
        if value < 0:
            remedy = "reverse it or leave it out"
        limit = weak if value < weak else cutoff
        words = f"{item} loads {_shown(row)} on {construct}, below {_cut(limit)}: {remedy}"
        yield _row("loading", f"{item} on {construct}", row, limit, value >= cutoff, words)


def _reliabilities(
    fit: PLSFit, of_several: dict[str, np.bool_], cutoff: float, redundancy: float, ave: float
) -> Iterator[tuple[Any, ...]]:
    for (construct, statistic), row in fit.reliability.iterrows():
        if not of_several[construct] or statistic == "alpha (raw)":
            continue
        subject, value = f"{statistic} of {construct}", row["estimate"]
        if statistic == "AVE":
            words = f"AVE of {construct} is {_shown(row)}, below {_cut(ave)}: less shared variance than error"
            yield _row("AVE", construct, row, ave, value >= ave, words)
            continue
        words = f"{subject} is {_shown(row)}, below {_cut(cutoff)}: the items do not hang together well"
        yield _row("reliability", subject, row, cutoff, value >= cutoff, words)
        words = f"{subject} is {_shown(row)}, above {_cut(redundancy)}: the items repeat each other"
        yield _row("redundancy", subject, row, redundancy, value <= redundancy, words)


def comparable_pairs(fit: PLSFit) -> list[tuple[str, str]]:
    """Pairs of constructs that may be compared as measures of one thing each, in the order of ``fit.htmt``.

    A mode B block has neither loadings nor an AVE that would measure one thing; two single items have nothing within.
    """
    of_several = dict(zip(fit.model.constructs, reflective(fit.layout), strict=True))
    usable = {c: of_several[c] or len(items) == 1 for c, items in fit.model.constructs.items()}
    return [(a, b) for a, b in fit.htmt.index if usable[a] and usable[b] and (of_several[a] or of_several[b])]


def _discriminant(fit: PLSFit, of_several: dict[str, np.bool_], cutoff: float) -> Iterator[tuple[Any, ...]]:
    pairs = comparable_pairs(fit)
    for a, b in pairs:
        row = fit.htmt.loc[(a, b)]
        words = f"HTMT of {b} and {a} is {_shown(row)}, not below {_cut(cutoff)}: hardly told apart"
        yield _row("HTMT", f"{b} and {a}", row, cutoff, row["estimate"] < cutoff, words)
    values = fit.fornell_larcker
    for a, b in pairs:
        row = values.loc[(a, b)]
        root, least = min((values.loc[(c, c), "estimate"], c) for c in (a, b) if of_several[c])
        words = f"{b} and {a} correlate {_shown(row)}, not below the root of the AVE of {least}, {root:.3f}"
        yield _row("Fornell-Larcker", f"{b} and {a}", row, root, abs(row["estimate"]) < root, words)


def _collinearity(fit: PLSFit, cutoff: float) -> Iterator[tuple[Any, ...]]:
    for (source, target), row in fit.vif.iterrows():
        if len(fit.model.paths[target]) > 1:
            words = f"VIF of {source} as a source of {target} is {_shown(row)}, not below {_cut(cutoff)}"
            yield _row("VIF", f"{source} -> {target}", row, cutoff, 0 < row["estimate"] < cutoff, words)
    for (construct, item), row in fit.item_vif.iterrows():
        if fit.model.modes[construct] == "B" and len(fit.model.constructs[construct]) > 1:
            words = f"VIF of {item} among the items that form {construct} is {_shown(row)}, not below {_cut(cutoff)}"
            yield _row("item VIF", item, row, cutoff, row["estimate"] < cutoff, words)


def _paths(fit: PLSFit) -> Iterator[tuple[Any, ...]]:
    if fit.replicated is None:
        return
    for (source, target), row in fit.paths.iterrows():
        words = f"the path {source} -> {target} is {_shown(row)}: its interval holds 0"
        yield _row("path", f"{source} -> {target}", row, 0.0, row["low"] > 0 or row["high"] < 0, words)


def _misfit(fit: PLSFit, cutoff: float) -> Iterator[tuple[Any, ...]]:
    row = fit.model_fit.loc["SRMR"]
    words = f"SRMR is {_shown(row)}, above {_cut(cutoff)}: the model reproduces the item correlations poorly"
    yield _row("SRMR", "model", row, cutoff, row["estimate"] <= cutoff, words)


def _row(check: str, subject: str, row: pd.Series, cutoff: float, holds: Any, words: str) -> tuple[Any, ...]:
    source = SOURCES[check]
    ends = row.get("low", np.nan), row.get("high", np.nan)
    said = "" if holds else f"{words} ({source})"
    return check, subject, row["estimate"], *ends, cutoff, bool(holds), said, source


def _shown(row: pd.Series) -> str:
    if not np.isfinite(row["estimate"]):
        return "undefined" if np.isnan(row["estimate"]) else "infinite"
    ends = f" [{row['low']:.3f}, {row['high']:.3f}]" if "low" in row else ""
    return f"{row['estimate']:.3f}{ends}"


def _cut(value: float) -> str:
    return f"{value:.2f}" if round(value, 2) == value else f"{value:g}"
