"""The criteria by which modes of data collection are compared: the shipped matrix, and how such a file is read."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from csi_lab.errors import SpecError, listed
from csi_lab.sampling.size.sample_size import is_number

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Criteria:
    """The shipped criteria matrix, with its labels.

    Attributes
    ----------
    scores
        One row per criterion, one column per mode, 1 (poor) to 5 (good). Copy and edit it.
    labels
        Language (``"en"``, ``"zh"``) to the label of every mode and criterion.
    evidence
        Where the scores come from: ``"judgement"``, the project's own, to be replaced by the reader's.
    """

    scores: pd.DataFrame
    labels: Mapping[str, Mapping[str, str]]
    evidence: str

    def to_frame(self) -> pd.DataFrame:
        """The scores."""
        return self.scores.copy()

    def __str__(self) -> str:
        modes = ", ".join(str(mode) for mode in self.scores.columns)
        return f"{len(self.scores)} criteria for {modes}; evidence: {self.evidence} (edit the scores to your case)"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.scores.to_html()}"


def criteria() -> Criteria:
    """The shipped matrix of ten criteria for five modes: the project's judgement, meant to be edited.

    Returns
    -------
    Criteria

    Examples
    --------
    >>> print(criteria())
    10 criteria for telephone, intercept, household, mail, web; evidence: judgement (edit the scores to your case)
    >>> criteria().labels["zh"]["web"]
    '网络调查'
    """
    shipped = _shipped()
    return Criteria(shipped.scores.copy(), shipped.labels, shipped.evidence)


@cache
def _shipped() -> Criteria:
    from importlib.resources import files

    text = (files("csi_lab.catalogue") / "modes.yaml").read_text(encoding="utf-8")
    return read_criteria(text, "csi_lab/catalogue/modes.yaml")


def read_criteria(text: str, source: str) -> Criteria:
    """A criteria matrix from a YAML text of the form of ``csi_lab/catalogue/modes.yaml``.

    Parameters
    ----------
    text
        The YAML.
    source
        Name of the file, for messages.

    Returns
    -------
    Criteria

    Raises
    ------
    SpecError
        If the text is not YAML, keys are absent or unknown, or scores are outside their scale; all are named.

    Examples
    --------
    >>> small = '''
    ... evidence: judgement
    ... scale: [1, 5]
    ... modes: {web: {en: Web, zh: 网络}, mail: {en: Mail, zh: 邮寄}}
    ... criteria: {speed: {en: Speed, zh: 速度, scores: [5, 1]}}
    ... '''
    >>> read_criteria(small, "small.yaml").scores.loc["speed"].to_dict()
    {'web': 5, 'mail': 1}
    """
    import pandas as pd
    import yaml

    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"{source}: cannot be read as YAML: {error}") from error
    wanted = {"evidence", "scale", "modes", "criteria"}
    if not isinstance(raw, dict) or set(raw) != wanted:
        found = sorted(map(str, raw)) if isinstance(raw, dict) else type(raw).__name__
        raise SpecError(f"{source}: the keys must be {sorted(wanted)}, found {found}")
    problems = [
        f"{part} must map names to entries"
        for part in ("modes", "criteria")
        if not isinstance(raw[part], dict) or not all(isinstance(entry, dict) for entry in raw[part].values())
    ]
    scale = raw["scale"]
    if not (isinstance(scale, list) and len(scale) == 2 and all(is_number(v) for v in scale) and scale[0] < scale[1]):
        problems.append(f"scale must be [lowest, highest], found {scale!r}")
    if not problems:
        low, high = scale
        modes = list(raw["modes"])
        for part, keys in (("modes", {"en", "zh"}), ("criteria", {"en", "zh", "scores"})):
            for name, entry in raw[part].items():
                if set(entry) != keys:
                    problems.append(f"{part}, {name}: the keys must be {sorted(keys)}, found {sorted(map(str, entry))}")
        for name, entry in raw["criteria"].items():
            scores = entry.get("scores")
            if not (isinstance(scores, list) and len(scores) == len(modes)):
                problems.append(f"criteria, {name}: needs {len(modes)} scores, one per mode, found {scores!r}")
            elif not all(is_number(v) and low <= v <= high for v in scores):
                problems.append(f"criteria, {name}: scores must lie between {low} and {high}, found {scores!r}")
    if problems:
        raise SpecError(listed(problems, f"{source}: {len(problems)} problem{'s' * (len(problems) > 1)}"), problems)
    labels = {
        language: {str(n): str(e[language]) for part in ("modes", "criteria") for n, e in raw[part].items()}
        for language in ("en", "zh")
    }
    table = pd.DataFrame(
        {mode: [entry["scores"][at] for entry in raw["criteria"].values()] for at, mode in enumerate(modes)},
        index=pd.Index(list(raw["criteria"]), name="criterion"),
    )
    return Criteria(table, labels, str(raw["evidence"]))
