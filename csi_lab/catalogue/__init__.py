"""The catalogue: published index models of customer satisfaction as data, each entry marked with its evidence.

>>> from csi_lab import models
>>> list(models)
['SCSB', 'ACSI', 'ECSI', 'ECSI mobile', 'CCSI', 'GB/T 19038', 'EPSI', 'NCSB', 'NCSI']
>>> models["ACSI"].signs["Satisfaction", "Complaints"]
'-'
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from csi_lab.catalogue.indexmodel import EVIDENCE, LANGUAGES, IndexModel, Measure, Variant
from csi_lab.errors import SpecError

__all__ = ["EVIDENCE", "LANGUAGES", "Catalogue", "IndexModel", "Measure", "Variant", "models"]


class Catalogue(Mapping[str, IndexModel]):
    """The index models by name, read and checked at first use; read-only.

    Examples
    --------
    >>> "ACSI" in models, "XYZ" in models
    (True, False)
    >>> models["ecsi"]
    Traceback (most recent call last):
    csi_lab.errors.SpecError: unknown index model: 'ecsi'; did you mean 'ECSI'? The catalogue has ['SCSB', 'ACSI', ...]
    """

    def __getitem__(self, name: str) -> IndexModel:
        catalogue = _shipped()
        if not isinstance(name, str) or name not in catalogue:
            raise SpecError(f"unknown index model: {name!r}; {_hint(name)}The catalogue has {list(catalogue)}")
        return catalogue[name]

    # Mapping builds these two on KeyError, which a wrong name does not raise here.
    def __contains__(self, name: object) -> bool:
        return name in _shipped()

    def get(self, name: object, default: Any = None) -> Any:
        """The model, or ``default`` when the catalogue has none of that name."""
        return _shipped()[name] if name in self else default  # type: ignore[index]

    def __iter__(self) -> Iterator[str]:
        return iter(_shipped())

    def __len__(self) -> int:
        return len(_shipped())

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {model.title['en']}" for name, model in self.items())


@cache
def _shipped() -> Mapping[str, IndexModel]:
    from importlib.resources import files

    from csi_lab.catalogue.reading import read_models

    return read_models(
        (files(__package__) / "models.yaml").read_text(encoding="utf-8"), "csi_lab/catalogue/models.yaml"
    )


def _hint(name: object) -> str:
    """A question back when one name of the catalogue is close, whatever its case; else nothing."""
    names = {known.casefold(): known for known in _shipped()}
    close = difflib.get_close_matches(str(name).casefold(), names, n=1)
    return f"did you mean {names[close[0]]!r}? " if close else ""


models = Catalogue()
