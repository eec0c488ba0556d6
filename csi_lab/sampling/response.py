"""Fieldwork outcomes: response, cooperation, refusal and contact rates by AAPOR's definitions."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.answers import split_weights
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.percent import percent
from csi_lab.sampling.nonresponse_bias import NonresponseBias, bias
from csi_lab.settings import is_number, is_whole, require_level
from csi_lab.shares import wilson

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["OUTCOMES", "RATES", "NonresponseBias", "ResponseRates", "bias", "rates"]

OUTCOMES = {
    "I": "complete interview",
    "P": "partial interview",
    "R": "refusal or break-off",
    "NC": "non-contact",
    "O": "other eligible, no interview",
    "UH": "unknown if a household or customer",
    "UO": "unknown, other",
    "NE": "not eligible",
}
# First digits of AAPOR's final disposition codes, e.g. 2.11 refusal, 3.21 no screener completed; longest match wins.
DIGITS = {"11": "I", "12": "P", "21": "R", "22": "NC", "23": "O", "31": "UH", "32": "UO", "39": "UO", "4": "NE"}

_KNOWN = frozenset(("I", "P", "R", "NC", "O"))
_UNKNOWN = frozenset(("UH", "UO"))


@dataclass(frozen=True)
class Rate:
    """Numerator and denominator of a rate, as outcomes; ``unknown``: how unknown cases count below ("all", "e", "")."""

    name: str
    numerator: frozenset[str]
    denominator: frozenset[str]
    unknown: str = ""


def _rate(name: str, numerator: str, denominator: str, unknown: str = "") -> Rate:
    return Rate(name, frozenset(numerator.split()), frozenset(denominator.split()), unknown)


RATES = (
    _rate("RR1", "I", "I P R NC O", "all"),
    _rate("RR2", "I P", "I P R NC O", "all"),
    _rate("RR3", "I", "I P R NC O", "e"),
    _rate("RR4", "I P", "I P R NC O", "e"),
    _rate("RR5", "I", "I P R NC O"),
    _rate("RR6", "I P", "I P R NC O"),
    _rate("COOP1", "I", "I P R O"),
    _rate("COOP2", "I P", "I P R O"),
    _rate("COOP3", "I", "I P R"),
    _rate("COOP4", "I P", "I P R"),
    _rate("REF1", "R", "I P R NC O", "all"),
    _rate("REF2", "R", "I P R NC O", "e"),
    _rate("REF3", "R", "I P R NC O"),
    _rate("CON1", "I P R O", "I P R NC O", "all"),
    _rate("CON2", "I P R O", "I P R NC O", "e"),
    _rate("CON3", "I P R O", "I P R NC O"),
)


@dataclass(frozen=True, eq=False)
class ResponseRates:
    """Outcome rates of a fieldwork.

    Attributes
    ----------
    table
        ``estimate, se, low, high, numerator, denominator`` of every rate; Wilson intervals.
    outcomes
        ``meaning, cases, weighted, share`` of every outcome.
    e, e_source
        Share of the cases of unknown eligibility that is taken to be eligible, and where it comes from.
    cases
        Cases in all.
    level
        Of the intervals.
    weighted
        Whether the rates are weighted.
    """

    table: pd.DataFrame
    outcomes: pd.DataFrame
    e: float
    e_source: str
    cases: int
    level: float
    weighted: bool

    def __getitem__(self, name: str) -> float:
        """One rate, 0 to 1: ``found["RR1"]``."""
        if name not in self.table.index:
            raise SpecError(f"rate {name!r} is unknown; there are {list(self.table.index)}")
        return float(self.table.loc[name, "estimate"])

    def to_frame(self) -> pd.DataFrame:
        """The rates, raw numbers."""
        return self.table

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {self[name]:.1%}" for name in ("RR1", "RR3", "COOP1", "REF1", "CON1"))
        weighted = ", weighted" if self.weighted else ""
        return f"{self.cases:,} cases{weighted}: {shown}\ne = {self.e:.3f} ({self.e_source})"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(3).to_html()}{self.outcomes.round(3).to_html()}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """The rates with their intervals.

        Examples
        --------
        >>> rates({"I": 40, "P": 10, "R": 30, "NC": 20}).plot().get_xlabel()
        'rate, % (95% interval)'
        """
        import matplotlib.pyplot as plt

        from csi_lab.plots import ACCENT

        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
        shown = self.table[self.table["estimate"].notna()] * 100
        at = np.arange(len(shown))[::-1]
        ax.hlines(at, shown["low"], shown["high"], color=ACCENT, lw=2)
        ax.plot(shown["estimate"], at, "o", color=ACCENT)
        ax.set_yticks(at, list(shown.index))
        ax.set(xlabel=f"rate, % ({percent(self.level)} interval)", xlim=(0, 100))
        ax.spines[["top", "right"]].set_visible(False)
        return ax


def rates(
    outcomes: Any,
    *,
    weights: Any = None,
    codes: Mapping[Any, str] | None = None,
    e: float | None = None,
    level: float = 0.95,
) -> ResponseRates:
    r"""Response (RR1-RR6), cooperation, refusal and contact rates from counts or from one code per case.

    .. math:: RR1 = \frac{I}{(I + P) + (R + NC + O) + (UH + UO)}

    RR2, RR4, RR6 count partial interviews as responses; RR3 and RR4 weigh the unknown cases UH + UO by e, RR5 and RR6
    leave them out. Cooperation rates leave out non-contacts (COOP3 and COOP4 also O).

    Parameters
    ----------
    outcomes
        Counts: ``{"I": 400, "P": 20, "R": 300, "NC": 150, "O": 10, "UH": 80, "UO": 40, "NE": 60}`` (absent means 0),
        or a Series of counts whose index holds the codes (``frame["code"].value_counts()``);
        or one disposition code per case. Codes are these letters, or AAPOR's numbers such as 1.1, 2.11 or "2.20".
    weights
        Weights per case ``(n,)``, for codes per case only.
    codes
        Own code of every disposition to these letters, e.g. ``{"complete": "I", "no answer": "NC"}``.
    e
        Share of the unknown cases that is eligible. Default: proportional allocation (CASRO),
        eligible / (eligible + not eligible) among the cases that are known.
    level
        Of the intervals.

    Returns
    -------
    ResponseRates

    Raises
    ------
    DataError
        If codes are unknown or missing, or counts negative or all zero.
    SpecError
        If e, level or codes are impossible, or weights are given with counts.

    Notes
    -----
    Intervals are Wilson's, with Kish's effective number of cases in the denominator, and treat e as known.
    A rate whose denominator is 0 is NaN.

    References
    ----------
    .. [1] American Association for Public Opinion Research (2023). Standard Definitions: Final Dispositions of Case
       Codes and Outcome Rates for Surveys, 10th edition.
    .. [2] Wilson, E. B. (1927). Journal of the American Statistical Association, 22, 209-212.

    Examples
    --------
    >>> found = rates({"I": 400, "P": 20, "R": 300, "NC": 150, "O": 10, "UH": 80, "UO": 40, "NE": 120})
    >>> print(found)
    1,120 cases: RR1 40.0%, RR3 40.6%, COOP1 54.8%, REF1 30.0%, CON1 73.0%
    e = 0.880 (proportional allocation: 880 eligible and 120 not eligible among known cases)
    >>> found.to_frame().loc[["RR1", "RR2"]].round(3)
          estimate     se   low   high  numerator  denominator
    rate
    RR1       0.40  0.015  0.37  0.431      400.0       1000.0
    RR2       0.42  0.016  0.39  0.451      420.0       1000.0
    """
    import pandas as pd

    require_level(level)
    if e is not None and not (is_number(e) and 0 <= e <= 1):
        raise SpecError(f"e={e!r} must lie between 0 and 1")
    if codes is not None and not isinstance(codes, Mapping):
        raise SpecError(f"codes must map each own code to one of {list(OUTCOMES)}, got {type(codes).__name__}")
    if _are_counts(outcomes, codes):
        outcomes = outcomes.to_dict()
    counted = isinstance(outcomes, Mapping)
    if counted and weights is not None:
        raise SpecError("weights belong to cases; with counts per outcome give weighted counts, or one code per case")
    cases, mass, squares = _from_counts(outcomes, codes) if counted else _from_cases(outcomes, weights, codes)
    known = sum(mass[c] for c in _KNOWN)
    if e is None:
        share, source = _allocated(known, mass)
    else:
        share, source = float(e), "given"
    rows, z = [], float(special.ndtri(0.5 + level / 2))
    for rate in RATES:
        used = dict.fromkeys(rate.denominator, 1.0)
        if rate.unknown:
            used |= dict.fromkeys(_UNKNOWN, 1.0 if rate.unknown == "all" else share)
        numerator = sum(mass[c] for c in rate.numerator)
        denominator = sum(f * mass[c] for c, f in used.items())
        if not denominator > 0:
            rows.append((np.nan, np.nan, np.nan, np.nan, numerator, denominator))
            continue
        p = numerator / denominator
        n = denominator**2 / sum(f * squares[c] for c, f in used.items())
        rows.append((p, np.sqrt(p * (1 - p) / n), *(float(end) for end in wilson(p, n, z)), numerator, denominator))
    table = pd.DataFrame(
        rows,
        columns=["estimate", "se", "low", "high", "numerator", "denominator"],
        index=pd.Index([rate.name for rate in RATES], name="rate"),
    )
    total = sum(mass.values())
    shown = pd.DataFrame(
        {
            "meaning": list(OUTCOMES.values()),
            "cases": [cases[c] for c in OUTCOMES],
            "weighted": [mass[c] for c in OUTCOMES],
            "share": [mass[c] / total for c in OUTCOMES],
        },
        index=pd.Index(list(OUTCOMES), name="outcome"),
    )
    return ResponseRates(table, shown, share, source, sum(cases.values()), level, weights is not None)


def _allocated(known: float, mass: Mapping[str, float]) -> tuple[float, str]:
    """e by proportional allocation, and its description."""
    if not known + mass["NE"] > 0:
        return 1.0, "taken as 1: no case of known eligibility"
    if not mass["NE"] > 0:
        return 1.0, "proportional allocation: no case known as not eligible, so all unknown ones count"
    share = known / (known + mass["NE"])
    text = f"{known:,.6g} eligible and {mass['NE']:,.6g} not eligible among known cases"
    return share, f"proportional allocation: {text}"


def _are_counts(outcomes: Any, codes: Mapping[Any, str] | None) -> bool:
    """Whether a Series holds counts by code rather than codes by case.

    Whole numbers as labels are those of rows, unless ``codes`` gives them a meaning.
    """
    import pandas as pd

    if not isinstance(outcomes, pd.Series) or not len(outcomes) or not outcomes.index.is_unique:
        return False
    own = codes or {}
    return all(label in own or (not is_whole(label) and _letter(label) is not None) for label in outcomes.index)


def _from_counts(
    outcomes: Mapping[Any, Any], codes: Mapping[Any, str] | None
) -> tuple[dict[str, int], dict[str, float], dict[str, float]]:
    """Cases, sums of weights and of their squares per outcome, from counts."""
    letters, problems = _letters(list(outcomes), codes), []
    cases = dict.fromkeys(OUTCOMES, 0)
    for code, count in outcomes.items():
        if not (is_number(count) and math.isfinite(count) and count >= 0 and count == int(count)):
            problems.append(f"outcome {code!r}: {count!r} is no count (a whole number >= 0)")
        else:
            cases[letters[code]] += int(count)
    if problems:
        raise DataError(listed(problems, "counts of outcomes"), problems)
    if not sum(cases.values()):
        raise DataError("there are no cases: all counts are 0")
    mass = {c: float(k) for c, k in cases.items()}
    return cases, mass, mass


def _from_cases(
    outcomes: Any, weights: Any, codes: Mapping[Any, str] | None
) -> tuple[dict[str, int], dict[str, float], dict[str, float]]:
    """The same from one code per case."""
    import pandas as pd

    if isinstance(outcomes, str) or not hasattr(outcomes, "__len__") or np.ndim(outcomes) != 1:
        raise DataError("outcomes must be counts per outcome or one disposition code per case")
    column = outcomes if isinstance(outcomes, pd.Series) else pd.Series(list(outcomes), dtype=object)
    if not len(column):
        raise DataError("there are no cases")
    given = split_weights(column.to_frame("outcome"), weights)[1]
    w = np.ones(len(column)) if given is None else given
    absent = column.isna().to_numpy() & (w > 0)
    if absent.any():
        raise DataError(f"{int(absent.sum())} cases have no disposition code; code unknown ones as UH or UO")
    letters = _letters(list(dict.fromkeys(column[w > 0])), codes)
    outcome = np.array([letters[c] for c in column[w > 0]])
    w = w[w > 0]
    if not len(w):
        raise DataError("the weights are all zero")
    parts = {c: w[outcome == c] for c in OUTCOMES}
    return (
        {c: len(part) for c, part in parts.items()},
        {c: float(part.sum()) for c, part in parts.items()},
        {c: float((part**2).sum()) for c, part in parts.items()},
    )


def _letters(given: list[Any], codes: Mapping[Any, str] | None) -> dict[Any, str]:
    """The outcome that each code stands for."""
    codes = codes or {}
    wrong = {k: v for k, v in codes.items() if v not in OUTCOMES}
    if wrong:
        raise SpecError(f"codes map to unknown outcomes: {wrong}; use {list(OUTCOMES)}")
    found = {c: codes[c] if c in codes else _letter(c) for c in given}
    unknown = [c for c, letter in found.items() if letter is None]
    if unknown:
        raise DataError(
            f"disposition codes without a meaning: {unknown[:10]}; use {list(OUTCOMES)}, AAPOR's numbers (1.1, 2.11), "
            "or say what they mean with codes="
        )
    return {c: letter for c, letter in found.items() if letter is not None}


def _letter(code: Any) -> str | None:
    """The outcome of a letter or of an AAPOR number."""
    text = str(code).strip()
    if text in OUTCOMES:
        return text
    whole, point, rest = text.partition(".")
    if not (len(whole) == 1 and whole.isdigit() and (not point or rest.isdigit())):
        return None
    digits = whole + rest
    return DIGITS.get(digits[:2]) or DIGITS.get(digits[:1])
