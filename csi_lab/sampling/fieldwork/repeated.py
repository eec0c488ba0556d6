"""Interviews that look made twice: one telephone, one device, or nearly the same answers to everything."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.near_pairs import most_different, near_pairs
from csi_lab.percent import percent
from csi_lab.sampling.fieldwork.columns import require_present
from csi_lab.sampling.size.sample_size import not_share, not_whole, refuse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Share of equal answers above which two interviews are looked at again.
AGREEMENT = 0.95


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Interviews that share an identifier, or nearly all answers.

    Attributes
    ----------
    shared
        One row per identifier value that occurs more than once: ``identifier`` (the column), ``n``, ``interviewers``
        (how many different ones; NaN when not given) and ``rows``, the labels. The value itself (a telephone number) is
        not repeated here.
    pairs
        One row per pair of interviews with agreement above the cut: ``first, second, agreement, same_interviewer``
        (``None`` when not given) and ``straight`` (both gave one answer throughout).
    n
        Interviews.
    compared, sparse
        Interviews whose answers were compared, and left out of it because too much was missing.
    items, cut
        Number of items compared, and the agreement above which a pair is listed.
    """

    shared: pd.DataFrame
    pairs: pd.DataFrame
    n: int
    compared: int
    sparse: int
    items: int
    cut: float

    @property
    def flagged(self) -> list[object]:
        """Labels of all interviews in a shared identifier or a pair, each once."""
        labels = [label for rows in self.shared["rows"] for label in rows]
        labels += [*self.pairs["first"], *self.pairs["second"]]
        return list(dict.fromkeys(labels))

    def to_frame(self) -> pd.DataFrame:
        """The pairs."""
        return self.pairs

    def plot(self, ax: Axes | None = None) -> Axes:
        """How many pairs there are at each agreement above the cut."""
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        from csi_lab.plots_text import as_written

        if ax is None:
            _, ax = plt.subplots(figsize=(6.0, 3.0), layout="constrained")
        different = np.rint((1 - self.pairs["agreement"].to_numpy(dtype=float)) * self.items).astype(int)
        values = np.arange(most_different(self.items, self.cut) + 1) if self.items else np.arange(1)
        ax.bar(values, [(different == v).sum() for v in values], color="#2f6f9f", width=0.7)
        ax.set_xticks(values)
        ax.set(xlabel=f"answers that differ, of {self.items}", ylabel="pairs of interviews")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.spines[["top", "right"]].set_visible(False)
        return as_written(ax)

    def __str__(self) -> str:
        lines = [f"{self.n} interviews: {len(self.flagged)} look made twice"]
        for column, group in self.shared.groupby("identifier", sort=False):
            across = group["interviewers"].gt(1).sum()
            more = f", {across} of them across interviewers" if group["interviewers"].notna().any() else ""
            lines.append(f"  {column}: {len(group)} values shared by {group['n'].sum()} interviews{more}")
        if self.items:
            straight = int(self.pairs["straight"].sum())
            pairs = f"  answers: {len(self.pairs)} pairs agree in more than {percent(self.cut)} of {self.items} items"
            if self.pairs["same_interviewer"].notna().any():
                pairs += f", {int(self.pairs['same_interviewer'].eq(False).sum())} across interviewers"
            lines.append(pairs + (f", {straight} of them straight-lined" if straight else ""))
        if self.sparse:
            lines.append(f"  {self.sparse} interviews not compared: too many answers missing")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.shared.to_html()}{self.pairs.round(3).to_html()}"


def duplicates(
    frame: pd.DataFrame,
    items: Sequence[str] = (),
    *,
    identifiers: Sequence[str] = (),
    interviewer: str | None = None,
    agreement: float = AGREEMENT,
    most_missing: float = 0.5,
    most_pairs: int = 100_000,
) -> Duplicates:
    """Find interviews with one telephone or device, and pairs with nearly the same answers.

    Parameters
    ----------
    frame
        One row per interview, the index unique.
    items
        Columns of answers to compare, numbers or text; empty: no comparison.
    identifiers
        Columns in which no two interviews should share a value (telephone, device). Spaces, hyphens, dots and brackets
        do not count; missing values are not shared.
    interviewer
        Column of interviewers' labels; tells duplicates within one interviewer's work from those across.
    agreement
        Share of equal answers above which a pair is listed.
    most_missing
        Interviews with a larger share of missing answers are not compared, and counted.
    most_pairs
        More pairs than this are refused: then the answers are alike by the nature of the items.

    Returns
    -------
    Duplicates

    Raises
    ------
    DataError
        If columns are absent, or the index is not unique.
    EstimationError
        If there are more than ``most_pairs`` pairs.
    SpecError
        If a setting is out of its range, or neither items nor identifiers are given.

    Notes
    -----
    A missing answer agrees with a missing answer. The result is that of comparing all pairs, without their memory: see
    :func:`csi_lab.near_pairs.near_pairs`. Similar answers alone are no proof: on short or very skewed scales honest
    interviews agree, and so do straight-liners, who are marked.

    References
    ----------
    .. [1] Kuriakose, N., & Robbins, M. (2016). Don't get duped: fraud through duplication in public opinion surveys.
       Statistical Journal of the IAOS, 32(3), 283-291.

    Examples
    --------
    >>> import pandas as pd
    >>> answers = pd.DataFrame(np.random.default_rng(1).integers(1, 11, (50, 24))).add_prefix("q")
    >>> answers["phone"] = [f"139-{i:04d}" for i in range(49)] + ["139 0007"]
    >>> answers.iloc[20, :23] = answers.iloc[10, :23]
    >>> print(duplicates(answers, [f"q{i}" for i in range(24)], identifiers=["phone"]))
    50 interviews: 4 look made twice
      phone: 1 values shared by 2 interviews
      answers: 1 pairs agree in more than 95% of 24 items
    """
    import pandas as pd

    items = [items] if isinstance(items, str) else list(items)
    identifiers = [identifiers] if isinstance(identifiers, str) else list(identifiers)
    if not items and not identifiers:
        raise SpecError("give items=, identifiers=, or both: there is nothing to compare")
    require_present(frame, [*items, *identifiers, *([] if interviewer is None else [interviewer])])
    refuse(
        "duplicates",
        not_share("agreement", agreement),
        not_share("most_missing", most_missing, one=True) if most_missing != 0 else "",
        not_whole("most_pairs", most_pairs, 1),
    )
    if not frame.index.is_unique:
        twice = sorted({str(label) for label in frame.index[frame.index.duplicated()]})
        raise DataError(f"interviews share a label: {twice[:5]}; give the frame a unique index")
    who = None if interviewer is None else pd.factorize(frame[interviewer].to_numpy())[0]
    shared = [row for column in identifiers for row in _shared(frame, column, who)]
    columns = ["identifier", "n", "interviewers", "rows"]
    at = np.zeros((0, 2), dtype=int)
    same, rows, straight = np.zeros(0), np.zeros(0, dtype=int), np.zeros(0, dtype=bool)
    if items:
        codes = np.column_stack([pd.factorize(frame[item].to_numpy())[0] for item in items]).astype(np.int32)
        rows = np.flatnonzero((codes < 0).mean(axis=1) <= most_missing)
        at, same = _close_pairs(codes[rows], agreement, int(most_pairs))
        values = _common_codes(frame, items)[rows]
        straight = (values == values[:, :1]).all(axis=1) if len(rows) else straight
    first, second = (rows[at[:, 0]], rows[at[:, 1]]) if len(at) else (np.zeros(0, dtype=int),) * 2
    pairs = pd.DataFrame(
        {
            "first": frame.index[first],
            "second": frame.index[second],
            "agreement": same,
            "same_interviewer": pd.Series(
                [None] * len(first) if who is None else (who[first] == who[second]).tolist(), dtype=object
            ),
            "straight": straight[at[:, 0]] & straight[at[:, 1]] if len(at) else np.zeros(0, dtype=bool),
        }
    )
    return Duplicates(
        shared=pd.DataFrame(shared, columns=columns),
        pairs=pairs,
        n=len(frame),
        compared=len(rows),
        sparse=len(frame) - len(rows) if items else 0,
        items=len(items),
        cut=agreement,
    )


def _shared(frame: pd.DataFrame, column: str, who: np.ndarray | None) -> list[tuple[object, ...]]:
    """Groups of rows with one value of an identifier."""
    import pandas as pd

    values = frame[column]
    given = values.notna().to_numpy()
    if pd.api.types.is_float_dtype(values):
        # A telephone number read as a float must not carry its ".0" along.
        text = pd.Series([f"{v:.0f}" if v == round(v) else repr(v) for v in values[given].astype(float)], dtype=object)
    else:
        text = values[given].astype(str).reset_index(drop=True)
    text = text.astype(str).str.replace(r"[\s\-().]", "", regex=True).str.casefold()
    rows = np.flatnonzero(given)[(text != "").to_numpy()]
    code, _ = pd.factorize(text[text != ""].to_numpy())
    found = []
    order = np.argsort(code, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(code[order])) + 1) if len(code) else []:
        if len(group) > 1:
            members = np.sort(rows[group])
            number = np.nan if who is None else float(len(np.unique(who[members])))
            found.append((column, len(members), number, tuple(frame.index[members])))
    return sorted(found, key=lambda row: -int(row[1]))  # type: ignore[call-overload]


def _common_codes(frame: pd.DataFrame, items: list[str]) -> np.ndarray:
    """Codes ``(n, k)`` in which equal answers to different items are equal; a missing answer is its own row's."""
    import pandas as pd

    stacked = np.concatenate([frame[item].astype(object).to_numpy() for item in items])
    codes = pd.factorize(stacked)[0].reshape(len(items), len(frame)).T
    # Somebody who answered nothing gave no answer throughout.
    codes = np.where(codes < 0, -1 - np.arange(len(items)), codes)
    return codes


def _close_pairs(codes: np.ndarray, agreement: float, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs ``(m, 2)`` of rows of ``codes`` with agreement above the cut, and that agreement."""
    k = codes.shape[1]
    found: list[np.ndarray] = []
    seen = 0
    for first, second, apart in near_pairs(codes, most_different(k, agreement)):
        found.append(np.column_stack([np.minimum(first, second), np.maximum(first, second), apart]))
        seen += len(first)
        if seen > most:
            raise EstimationError(
                f"more than {most:,} pairs of interviews agree in more than {percent(agreement)} of {k} items: give "
                "more items, raise agreement=, or leave out items that everybody answers alike"
            )
    if not found:
        return np.zeros((0, 2), dtype=int), np.zeros(0)
    pairs = np.concatenate(found)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return pairs[:, :2], 1 - pairs[:, 2] / k
