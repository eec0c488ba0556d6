"""The log of a cleaning: who was flagged by what, what was done, how many remain, and what it changed."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.cleaning.fingerprint import changed_rows
from csi_lab.cleaning.missing import shortened
from csi_lab.cleaning.respondents import stated, table_of
from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class CleaningLog:
    """Decisions about all respondents. Made by :func:`csi_lab.cleaning.decide`.

    Attributes
    ----------
    respondents
        One row per respondent, by row label: id, ``flagged_by``, ``not_judged_by``, ``action``, ``because``,
        ``weight_before``, ``weight_after``, ``answers_set_missing``.
    answers
        Each answer that becomes missing: ``row``, ``item``, ``answer``, ``found_by``.
    checks
        Each check: ``judged``, ``not_judged``, ``flagged``, ``flagged_alone`` (by no other), ``removed``, ``rule``.
    rules
        The rules of decision, in words.
    effect
        Numbers ``before``, ``after``, ``change``.
    sample
        Respondents and weight before and after in each stratum and primary unit; empty without either.
    design, id, weight_column
        Design of the sample, column of ids, and the column that holds the weights afterwards.
    nobody
        Rows of weight zero from the beginning, which are not counted.
    fingerprints
        For each check what the rows it flagged or could not judge held (see :class:`csi_lab.cleaning.Flags`): the log
        is not applied where these labels belong to other answers.
    """

    respondents: pd.DataFrame
    answers: pd.DataFrame
    checks: pd.DataFrame
    rules: tuple[str, ...]
    effect: pd.DataFrame
    sample: pd.DataFrame
    design: Design
    id: str | None
    weight_column: str
    nobody: int
    fingerprints: tuple[pd.DataFrame, ...] = ()

    @property
    def n(self) -> int:
        """Respondents before."""
        return len(self.respondents)

    @property
    def n_remaining(self) -> int:
        """Respondents after."""
        return int((self.respondents["action"] != "remove").sum())

    @property
    def weight_remaining(self) -> float:
        """Share of the weight that remains, 0 to 1."""
        return float(self.respondents["weight_after"].sum() / self.respondents["weight_before"].sum())

    @property
    def removed(self) -> pd.Index:
        """Labels of the rows removed."""
        return self._rows("remove")

    @property
    def to_review(self) -> pd.Index:
        """Labels of the rows that a person should look at; they are kept."""
        return self._rows("review")

    @property
    def table(self) -> pd.DataFrame:
        """The decision table: each combination of flags that occurs, what is done and why, and how many."""
        keys = ["flagged_by", "action", "because"]
        grouped = self.respondents.assign(n=1).groupby(keys, sort=True)[["n", "weight_before"]].sum()
        return grouped.rename(columns={"weight_before": "weight"}).reset_index()

    @property
    def emptied(self) -> tuple[str, ...]:
        """Strata and primary units of which nobody remains."""
        if not len(self.sample):
            return ()
        found = []
        keys = [str(k) for k in self.sample.index.names]
        for depth in range(1, len(keys) + 1):
            left = self.sample["respondents_after"].groupby(level=list(range(depth)), sort=True).sum()
            for label, k in left.items():
                parts = label if isinstance(label, tuple) else (label,)
                if not k:
                    found.append(", ".join(f"{key} {part}" for key, part in zip(keys, parts, strict=False)))
        return tuple(found)

    @property
    def design_after(self) -> Design:
        """The design to analyse the frame from :meth:`apply` with: its weights are zero for those removed."""
        return replace(self.design, weights=self.weight_column) if self.weighted else self.design

    @property
    def weighted(self) -> bool:
        """Whether the cleaned frame needs weights: it had some before, or somebody is removed."""
        return self.design.weights is not None or len(self.removed) > 0

    def apply(self, data: Any) -> Any:
        """The data with weight zero for those removed and wrong answers missing: every row stays.

        A sample without weights gets them when somebody is removed, and formulas that hold for unweighted samples only
        are then withheld; a simple random sample may as well be cleaned by :meth:`drop`.

        Rows of weight zero are nobody everywhere in the package, while strata and primary units stay as they were
        drawn: variances are those of a part of the sample, not of a sample that was never drawn. Weights of the others
        do not change; calibrate them anew where totals matter.

        Parameters
        ----------
        data
            The survey or the DataFrame decided about, in any order of rows; also one that was cleaned by this log.

        Returns
        -------
        Survey or DataFrame
            As given; a survey names the weights in its design and says in its notes what was done.

        Raises
        ------
        DataError
            If rows are absent or new, or a row label belongs to somebody else now: to another id, or to answers other
            than those judged.
        SpecError
            If the data have another column of the name of the weights.

        Examples
        --------
        >>> import csi_lab as csi
        >>> survey = csi.load_survey("mobile")
        >>> log = csi.cleaning.decide(survey, csi.cleaning.longstring(survey), csi.cleaning.Rule("remove"))
        >>> clean = log.apply(survey)
        >>> len(clean.frame), clean.moments(["CUSA1"]).n == log.n_remaining
        (250, True)
        """
        frame = table_of(data)
        self._require_same_rows(frame)
        name, gone = self.weight_column, np.asarray(frame.index.isin(self.removed))
        result = without_answers(frame, self.answers)
        if self.design.weights is not None:
            result[name] = frame[name].astype(float).mask(gone, 0.0)
        elif self.weighted:
            weight = np.where(gone, 0.0, 1.0)
            if name in frame.columns and not np.array_equal(frame[name].to_numpy(), weight):
                raise SpecError(f"the data have another column {name!r}; give decide() another weight_column=")
            result[name] = weight
        return self._returned(data, result, "weight 0 for", weighted=self.weighted)

    def drop(self, data: Any) -> Any:
        """The data without the rows removed, and with wrong answers missing.

        Right for simple random samples, and for software that knows no weights. Strata and primary units may lose
        members or vanish: see ``emptied``; with a design :meth:`apply` is right.

        Parameters
        ----------
        data
            As in :meth:`apply`.

        Returns
        -------
        Survey or DataFrame

        Raises
        ------
        DataError
            As in :meth:`apply`.

        Examples
        --------
        >>> import csi_lab as csi
        >>> survey = csi.load_survey("mobile")
        >>> log = csi.cleaning.decide(survey, csi.cleaning.longstring(survey), csi.cleaning.Rule("remove"))
        >>> len(log.drop(survey).frame) == log.n_remaining
        True
        """
        frame = table_of(data)
        self._require_same_rows(frame)
        result = without_answers(frame[~frame.index.isin(self.removed)], self.answers)
        return self._returned(data, result, "left out", weighted=self.design.weights is not None)

    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables of the log by name; empty ones are left out.

        ``respondents`` and ``answers`` say all that was done: with them the cleaning can be repeated without this
        package. ``summary`` holds the counts, ``rules`` the rules given, also those that never held.
        """
        import pandas as pd

        counts = {
            "respondents": self.n,
            "remaining": self.n_remaining,
            "removed": len(self.removed),
            "to review": len(self.to_review),
            "answers set missing": len(self.answers),
            "share of the weight remaining": self.weight_remaining,
            "rows of weight zero before": self.nobody,
        }
        named = {
            "summary": pd.DataFrame({"value": pd.Series(counts, dtype=object)}).rename_axis("count"),
            "rules": pd.DataFrame({"rule": self.rules}),
            "respondents": self.respondents.rename_axis(self.respondents.index.name or "row"),
            "decisions": self.table,
            "checks": self.checks,
            "answers": self.answers,
            "sample": self.sample,
            "effect": self.effect,
        }
        return {name: table for name, table in named.items() if len(table)}

    def save(self, folder: str | Path) -> list[Path]:
        """Write all tables as CSV and as one workbook; text that a spreadsheet would run is made safe.

        Parameters
        ----------
        folder
            Made when absent.

        Raises
        ------
        SpecError
            If the folder cannot be written.

        See Also
        --------
        csi_lab.course.export.save_tables : What is done to the text.

        Examples
        --------
        >>> import tempfile
        >>> import csi_lab as csi
        >>> survey = csi.load_survey("mobile")
        >>> log = csi.cleaning.decide(survey, csi.cleaning.longstring(survey))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in log.save(folder)]
        ['summary.csv', 'rules.csv', 'respondents.csv', 'decisions.csv', 'checks.csv', 'tables.xlsx']
        """
        # Writing files is the business of an upper floor; estimators and checks know no files.
        from csi_lab.course.export import save_tables

        if not isinstance(folder, (str, PathLike)) or not str(folder).strip():
            raise SpecError(f"folder={folder!r} must be the path of a folder")
        return save_tables(self.tables(), folder)

    def to_frame(self) -> pd.DataFrame:
        """One row per respondent, raw numbers."""
        return self.respondents

    def __str__(self) -> str:
        left, k, people = self.n_remaining, len(self.answers), self.answers["row"].nunique()
        lines = [
            f"{self.n} respondents: {left} remain ({self.weight_remaining:.1%} of the weight), "
            f"{self.n - left} removed, {len(self.to_review)} to review, "
            f"{k} answer{'s' * (k != 1)} of {people} respondent{'s' * (people != 1)} set missing",
            "flagged by: " + ", ".join(f"{name} {k}" for name, k in self.checks["flagged"].items()),
        ]
        blind = {name: k for name, k in self.checks["not_judged"].items() if k}
        if blind:
            lines.append("not judged by: " + ", ".join(f"{name} {k}" for name, k in blind.items()))
        if self.emptied:
            kept = "apply() keeps their place in the design, drop() does not"
            lines.append(f"nobody remains in: {'; '.join(self.emptied)} ({kept})")
        if self.nobody:
            lines.append(f"{self.nobody} rows had weight zero before and are not counted")
        lines += [f"{name}: {row.before:.4g} before, {row.after:.4g} after" for name, row in self.effect.iterrows()]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{text}</p>{self.table.round(3).to_html(index=False)}{self.checks.to_html()}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Respondents flagged by each check, and those of them who are removed."""
        import matplotlib.pyplot as plt

        ax = ax if ax is not None else plt.subplots()[1]
        y = np.arange(len(self.checks))[::-1]
        ax.barh(y, self.checks["flagged"], color="#9fb3c8", label="flagged")
        ax.barh(y, self.checks["removed"], color="#b3423a", height=0.4, label="removed")
        ax.set(yticks=y, yticklabels=list(self.checks.index), xlabel=f"respondents (of {self.n})")
        ax.legend()
        return ax

    def _rows(self, action: str) -> pd.Index:
        return self.respondents.index[self.respondents["action"] == action]

    def _require_same_rows(self, frame: pd.DataFrame) -> None:
        """Refuse other data; rows that this log removed may be gone already."""
        wanted = self.respondents.index.difference(self.removed)
        absent = wanted.difference(frame.index)
        strange = frame.index.difference(self.respondents.index)
        if self.nobody and len(strange) and self.design.weights in frame.columns:
            strange = strange[(frame.loc[strange, self.design.weights] != 0).to_numpy()]
        if len(absent) or len(strange):
            shown = ", ".join(map(str, [*absent, *strange][:5]))
            raise DataError(
                f"the log is of other data: {len(absent)} of its rows are absent, {len(strange)} rows are new ({shown})"
            )
        if self.id is not None and self.id in frame.columns:
            both = self.respondents.index.intersection(frame.index)
            known, now = self.respondents.iloc[:, 0].loc[both], frame.loc[both, self.id]
            same = (known.isna() & now.isna()) | (known.astype(str) == now.astype(str))
            other = both[~same.to_numpy(dtype=bool)]
            if len(other):
                shown = ", ".join(map(str, other[:5]))
                raise DataError(
                    f"row labels belong to other respondents now: {len(other)} have another {self.id!r} ({shown}); "
                    "was the index reset in between?"
                )
        changed = {
            label: None
            for marks in self.fingerprints
            for label in changed_rows(marks.drop(columns=self.weight_column, errors="ignore"), frame, self.answers)
        }
        if changed:
            raise DataError(
                f"{len(changed)} rows do not hold the answers that were judged ({shortened(list(changed))}): the order "
                "of rows and the index, or the answers themselves, were changed in between; run the checks and "
                "decide() again"
            )

    def _returned(self, data: Any, frame: pd.DataFrame, how: str, *, weighted: bool) -> Any:
        """The frame, or the survey with this frame, its weights named, and a note."""
        if stated(data, "study") is None:
            return frame
        study = data.study
        if weighted:
            columns = study.design.model_copy(update={"weights": self.weight_column})
            study = study.model_copy(update={"design": columns})
        note = (
            f"Cleaned: {how} {self.n - self.n_remaining} of {self.n} respondents, {len(self.answers)} answers set "
            f"missing; rules: {'; '.join(self.rules)}."
        )
        notes = data.notes if note in data.notes else (*data.notes, note)
        cleaned = replace(data, study=study, frame=frame, notes=notes)
        if study.checks.outside_scale == "keep" and not cleaned.impossible():
            # Nothing impossible is left, so that the answers are no different now from those of any other survey.
            checks = study.checks.model_copy(update={"outside_scale": "error"})
            cleaned = replace(cleaned, study=study.model_copy(update={"checks": checks}))
        return cleaned


def without_answers(frame: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """The frame with some answers (``row``, ``item``) missing; rows that the frame does not hold are passed over.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [7, 99], "q2": [8, 9]})
    >>> without_answers(frame, pd.DataFrame({"row": [1], "item": ["q1"]}))["q1"].tolist()
    [7.0, nan]
    """
    result = frame.copy()
    for item, part in answers.groupby("item", sort=False):
        wrong = frame.index.isin(list(part["row"]))
        if wrong.any():
            # A column of numbers that held a text is a column of numbers again.
            result[item] = frame[item].mask(wrong).infer_objects()
    return result
