"""What a survey takes over from its study file, however its answers are read."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from csi_lab.design import Design
from csi_lab.errors import DataError
from csi_lab.model import PathModel
from csi_lab.study.specification import Study


class Stated:
    """Names, bounds, model and design of a study."""

    study: Study

    @property
    def name(self) -> str:
        """Short id of the study."""
        return self.study.name

    @property
    def design(self) -> Design:
        """How the respondents were chosen."""
        return self.study.design.sample

    @property
    def model(self) -> PathModel | None:
        """The path model; ``None`` if the study states none."""
        return self.study.model

    @property
    def constructs(self) -> dict[str, tuple[str, ...]]:
        """Each construct with its items."""
        return {name: tuple(block.items) for name, block in self.study.constructs.items()}

    @property
    def items(self) -> tuple[str, ...]:
        """All items, block after block."""
        return tuple(self.study.items)

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest possible answer of each item."""
        return self.study.bounds

    @property
    def target(self) -> str | None:
        """The construct whose index is the headline; ``None`` if the study states none and has no "Satisfaction"."""
        return self.study.headline

    @property
    def segments(self) -> tuple[str, ...]:
        """Columns that divide the respondents into groups to be compared."""
        return self.study.segments

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of the texts; the first is the default."""
        return self.study.languages

    def title(self, language: str | None = None) -> str:
        """Title of the study in ``language``, or else in another language of the study, or else its name."""
        return self.study.text(self.study.title, language) or self.name

    def labels(self, language: str | None = None) -> dict[str, str]:
        """Name to label for constructs and items.

        Where there is none in ``language``, also because the study does not have that language (``languages`` holds
        those it has): the label in the first language that has one, or else the name itself.
        """
        return self.study.labels(language)

    def chosen(self, items: Sequence[str] | str | None) -> list[str]:
        """The items meant; all when ``None``.

        Raises
        ------
        DataError
            If one is not an item of the study.
        """
        chosen = list(self.items if items is None else [items] if isinstance(items, str) else items)
        unknown = [name for name in chosen if name not in self.items]
        if unknown:
            near = difflib.get_close_matches(unknown[0], self.items, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the items are {', '.join(self.items)}"
            raise DataError(f"not items of the study {self.name!r}: {unknown}; {hint}")
        return chosen
