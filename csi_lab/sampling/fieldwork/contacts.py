"""From the log of calls to dispositions, contact and cooperation rates, and calls per completed interview."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import DataError, SpecError
from csi_lab.percent import percent
from csi_lab.sampling.fieldwork.columns import require_present, shown_rows
from csi_lab.settings import require_level
from csi_lab.shares import wilson_of_counts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Outcome classes of AAPOR's Standard Definitions.
OUTCOMES = {
    "I": "complete interview",
    "P": "partial interview",
    "R": "refusal or break-off",
    "NC": "no contact",
    "O": "other eligible case without interview",
    "UH": "unknown whether there is a household",
    "UO": "unknown, other",
    "NE": "not eligible",
}
# Which of a case's outcomes is its disposition: an interview before all, then the outcome that says most. A case that
# turned out not to be eligible is none, whatever was said at other calls.
PRIORITY = ("I", "P", "NE", "R", "O", "NC", "UH", "UO")
# Attempts are pooled until this many completes are expected in each class of the test.
EXPECTED_PER_CLASS = 5


@dataclass(frozen=True, eq=False)
class ContactRecord:
    """What the calls of a survey led to.

    Attributes
    ----------
    value, se, low, high, level
        Calls per completed interview, 1/p under the geometric model, with standard error and interval (Wilson's for p,
        turned round). NaN without a complete.
    counts
        Cases by final disposition, classes ``I, P, R, NC, O, UH, UO, NE``: what
        :func:`csi_lab.sampling.response.rates` computes response rates from.
    cases
        One row per case: ``disposition`` and ``calls``.
    rates
        ``contact``, ``contact_known`` (without unknown cases), ``cooperation`` (completes among contacts) and
        ``cooperation_able`` (without other non-interviews): ``estimate, se, low, high, of`` (the denominator).
    attempts
        One row per attempt: ``calls, completes, estimate`` (completes per call)``, se, low, high, reached`` (share of
        cases completed so far) and ``geometric`` (the same if every call succeeded with the same chance).
    chi2, df, p
        Test that every attempt succeeds with the same chance; NaN when the attempts give fewer than two classes.
    calls
        Calls in the log.
    after_complete
        Calls made after the case was complete; they count as calls.
    """

    value: float
    se: float
    low: float
    high: float
    level: float
    counts: Mapping[str, int]
    cases: pd.DataFrame
    rates: pd.DataFrame
    attempts: pd.DataFrame
    chi2: float
    df: int
    p: float
    calls: int
    after_complete: int

    def to_frame(self) -> pd.DataFrame:
        """The rates and the calls per complete: ``estimate, se, low, high``."""
        import pandas as pd

        row = {"estimate": self.value, "se": self.se, "low": self.low, "high": self.high}
        calls = pd.DataFrame([row], index=pd.Index(["calls per complete"], name="rate"))
        return pd.concat([self.rates[["estimate", "se", "low", "high"]], calls])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Completes per call by attempt, with the one chance of the geometric model."""
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        from csi_lab.plots_text import as_written

        if ax is None:
            _, ax = plt.subplots(figsize=(6.0, 3.4), layout="constrained")
        table = self.attempts
        at = table.index.to_numpy()
        ax.vlines(at, 100 * table["low"], 100 * table["high"], color="#1f2933", lw=1.2)
        ax.plot(at, 100 * table["estimate"], "o", color="#2f6f9f", label=f"by attempt, {percent(self.level)} interval")
        overall = 100 * self.counts["I"] / self.calls
        ax.axhline(overall, color="#b3423a", lw=1, ls="--", label=f"geometric model: {overall:.1f} %")
        ax.set(xlabel="attempt", ylabel="completed interviews per call, %")
        ax.set_ylim(bottom=0)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        ax.spines[["top", "right"]].set_visible(False)
        return as_written(ax)

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items() if count)
        lines = [
            f"{len(self.cases)} cases, {self.calls} calls: {counts}",
            f"  {', '.join(self._said(rate) for rate in ('contact', 'cooperation'))}",
        ]
        if self.counts["I"]:
            lines.append(
                f"  {self.value:.2f} calls per complete, {percent(self.level)} CI [{self.low:.2f}, {self.high:.2f}]"
                + (f"; same chance at every attempt: p = {self.p:.3g}" if np.isfinite(self.p) else "")
            )
        else:
            lines.append("  no complete interview: calls per complete are not known")
        if self.after_complete:
            lines.append(f"  {self.after_complete} calls came after the case was complete; they are counted")
        return "\n".join(lines)

    def _said(self, rate: str) -> str:
        row = self.rates.loc[rate]
        if not row["of"]:
            return f"{rate} rate unknown (no case to take it from)"
        return f"{rate} rate {row['estimate']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.rates.round(3).to_html()}{self.attempts.round(3).to_html()}"


def contact_record(
    log: pd.DataFrame,
    *,
    case: str = "case",
    outcome: str = "outcome",
    order: str | None = None,
    codes: Mapping[Any, str] | None = None,
    priority: Sequence[str] = PRIORITY,
    level: float = 0.95,
) -> ContactRecord:
    r"""Dispositions, rates and calls per complete from a log with one row per call.

    .. math:: contact = \frac{I + P + R + O}{I + P + R + O + NC + UH + UO}, \qquad
       cooperation = \frac{I}{I + P + R + O}, \qquad \frac{1}{\hat p} = \frac{calls}{I}

    (contact rate 1 and cooperation rate 1 of AAPOR), ``contact_known`` without UH and UO (contact rate 3),
    ``cooperation_able`` without O (cooperation rate 3). Cases that are not eligible (NE) are in none of them.

    Parameters
    ----------
    log
        One row per call.
    case, outcome
        Columns of the case's label and of the call's outcome.
    order
        Column that puts the calls of a case in order (time or number of the attempt); ``None``: the order of the rows.
    codes
        Outcome code of the log to class (``"I"``, ``"P"``, ``"R"``, ``"NC"``, ``"O"``, ``"UH"``, ``"UO"``, ``"NE"``);
        ``None``: the log holds classes.
    priority
        The class that decides a case's disposition when its calls had several, first to last.
    level
        Confidence level.

    Returns
    -------
    ContactRecord

    Raises
    ------
    DataError
        If columns are absent, values missing, or outcomes unknown; all are named.
    SpecError
        If the priority is not an order of the eight classes, codes map to unknown classes, or the level is off.

    Notes
    -----
    The geometric model lets every call succeed with the same chance p; the test says whether the log contradicts it.
    Late attempts usually succeed less often, because those easy to reach are done: then 1/p understates what one more
    interview costs. Rates treat the cases as a simple random sample. Response rates, also those that estimate how many
    unknown cases are eligible (RR3, RR4, REF2, CON2), come from ``response.rates(record.counts)``.

    References
    ----------
    .. [1] AAPOR (2023). Standard Definitions: Final Dispositions of Case Codes and Outcome Rates for Surveys
       (10th ed.). American Association for Public Opinion Research.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({
    ...     "case": [1, 1, 2, 3, 3, 3, 4, 5],
    ...     "outcome": ["NC", "I", "I", "NC", "NC", "R", "UH", "I"],
    ... })
    >>> record = contact_record(log)
    >>> print(record)
    5 cases, 8 calls: I 3, R 1, UH 1
      contact rate 80.0% [37.6%, 96.4%], cooperation rate 75.0% [30.1%, 95.4%]
      2.67 calls per complete, 95% CI [1.44, 7.31]
    >>> record.counts["R"]
    1
    """
    import pandas as pd

    require_level(level)
    require_present(log, [c for c in (case, outcome, order) if c is not None])
    if (
        isinstance(priority, str)
        or not isinstance(priority, Sequence)
        or sorted(map(str, priority)) != sorted(OUTCOMES)
    ):
        raise SpecError(f"priority={priority!r} must hold each of {list(OUTCOMES)} once")
    if codes is not None:
        if not isinstance(codes, (Mapping, pd.Series)):
            raise SpecError(f"codes={codes!r} must map outcome codes of the log to {list(OUTCOMES)}")
        strange = {code: name for code, name in codes.items() if name not in OUTCOMES}
        if strange:
            raise SpecError(f"codes map to unknown classes: {strange}; use {list(OUTCOMES)}")
    problems = [
        f"{column!r} is missing in {int(gaps.sum())} rows: {shown_rows(log.index[gaps])}"
        for column in (case, outcome, *([] if order is None else [order]))
        if (gaps := log[column].isna().to_numpy()).any()
    ]
    classes = log[outcome].map(dict(codes)) if codes is not None else log[outcome]
    unknown = sorted({str(v) for v in log[outcome][~classes.isin(list(OUTCOMES)) & log[outcome].notna()]})
    if unknown:
        problems.append(f"outcomes unknown: {unknown}; map them with codes= to {list(OUTCOMES)}")
    if problems or not len(log):
        raise DataError("call log: " + ("; ".join(problems) or "it has no rows"), problems)
    calls = pd.DataFrame({"case": log[case].to_numpy(), "class": classes.to_numpy()})
    if order is not None:
        try:
            calls = calls.iloc[np.argsort(log[order].to_numpy(), kind="stable")].reset_index(drop=True)
        except TypeError:
            raise DataError(f"{order!r} holds values that cannot be put in order") from None
    grouped = calls.groupby("case", sort=False)
    attempt = grouped.cumcount().to_numpy() + 1
    rank = calls["class"].map({name: at for at, name in enumerate(priority)}).to_numpy()
    best = pd.Series(rank).groupby(calls["case"].to_numpy(), sort=False).min()
    cases = pd.DataFrame(
        {"disposition": [priority[at] for at in best], "calls": grouped.size().to_numpy()},
        index=pd.Index(best.index, name=case),
    )
    counts = {name: int((cases["disposition"] == name).sum()) for name in OUTCOMES}
    complete = (calls["class"] == "I").to_numpy()
    done = pd.Series(complete).groupby(calls["case"].to_numpy(), sort=False).cumsum().to_numpy()
    # Only the first complete of a case is an interview; whatever follows it came after.
    first, after = complete & (done == 1), (done > 0) & ~(complete & (done == 1))
    attempts, chi2, df, p = _by_attempt(attempt, first, len(cases), level)
    rate, low, high = (float(v) for v in wilson_of_counts(np.array(counts["I"]), np.array(len(calls)), level))
    known = counts["I"] > 0
    return ContactRecord(
        value=1 / rate if known else float("nan"),
        se=float(np.sqrt((1 - rate) / counts["I"]) / rate) if known else float("nan"),
        low=1 / high if known else float("nan"),
        high=1 / low if known else float("nan"),
        level=level,
        counts=counts,
        cases=cases,
        rates=_rates(counts, level),
        attempts=attempts,
        chi2=chi2,
        df=df,
        p=p,
        calls=len(calls),
        after_complete=int(after.sum()),
    )


def _rates(counts: Mapping[str, int], level: float) -> pd.DataFrame:
    import pandas as pd

    met = counts["I"] + counts["P"] + counts["R"] + counts["O"]
    parts = {
        "contact": (met, sum(counts.values()) - counts["NE"]),
        "contact_known": (met, met + counts["NC"]),
        "cooperation": (counts["I"], met),
        "cooperation_able": (counts["I"], met - counts["O"]),
    }
    above, of = (np.array(v, dtype=float) for v in zip(*parts.values(), strict=True))
    estimate, low, high = wilson_of_counts(above, of, level)
    with np.errstate(invalid="ignore", divide="ignore"):
        se = np.sqrt(estimate * (1 - estimate) / of)
    columns = {"estimate": estimate, "se": se, "low": low, "high": high, "of": of.astype(int)}
    return pd.DataFrame(columns, index=pd.Index(list(parts), name="rate"))


def _by_attempt(
    attempt: np.ndarray, complete: np.ndarray, cases: int, level: float
) -> tuple[pd.DataFrame, float, int, float]:
    """Success by attempt, and the test that it is the same at each."""
    import pandas as pd

    calls = np.bincount(attempt)[1:]
    completes = np.bincount(attempt, weights=complete)[1:]
    estimate, low, high = wilson_of_counts(completes, calls, level)
    p = completes.sum() / calls.sum()
    number = np.arange(1, len(calls) + 1)
    table = pd.DataFrame(
        {
            "calls": calls,
            "completes": completes.astype(int),
            "estimate": estimate,
            "se": np.sqrt(estimate * (1 - estimate) / calls),
            "low": low,
            "high": high,
            "reached": np.cumsum(completes) / cases,
            "geometric": 1 - (1 - p) ** number,
        },
        index=pd.Index(number, name="attempt"),
    )
    # Late attempts are rare: they are pooled from the end until enough completes and failures are expected.
    needed = EXPECTED_PER_CLASS / max(min(p, 1 - p), 1e-12)
    classes, held = [], np.zeros(2)
    for one in zip(calls[::-1], completes[::-1], strict=True):
        held = held + one
        if held[0] >= needed:
            classes.append(held)
            held = np.zeros(2)
    if classes and held[0]:
        classes[-1] = classes[-1] + held
    if len(classes) < 2 or not 0 < p < 1:
        return table, float("nan"), 0, float("nan")
    size, success = np.array(classes).T
    chi2 = float(((success - size * p) ** 2 / (size * p * (1 - p))).sum())
    df = len(classes) - 1
    return table, chi2, df, float(special.chdtrc(df, chi2))
