"""csi_lab: the laboratory for measuring customer satisfaction.

>>> import csi_lab as csi
>>> survey = csi.load_survey("mobile")
>>> print(survey.model)
7 constructs, 24 items, 12 paths
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from csi_lab.design import Design
from csi_lab.errors import CsiLabError, CsiLabWarning, DataError, EstimationError, SpecError
from csi_lab.model import PathModel

if TYPE_CHECKING:
    from csi_lab import (
        cleaning,
        factors,
        index,
        plots,
        polychoric,
        rates,
        reliability,
        sampling,
        scaleout,
        sem,
        simulate,
        validity,
    )
    from csi_lab.catalogue import models
    from csi_lab.course import lessons
    from csi_lab.moments import Moments
    from csi_lab.resampling import replicates
    from csi_lab.study.survey import load_survey

__version__ = "0.1.0"

# Looked up at first use, so that `import csi_lab` costs nothing that the caller does not use.
_LAZY = {
    "Moments": "csi_lab.moments:Moments",
    "cleaning": "csi_lab.cleaning",
    "factors": "csi_lab.factors",
    "index": "csi_lab.index",
    "lessons": "csi_lab.course.lessons",
    "load_survey": "csi_lab.study.survey:load_survey",
    "models": "csi_lab.catalogue:models",
    "plots": "csi_lab.plots",
    "polychoric": "csi_lab.polychoric",
    "rates": "csi_lab.rates",
    "reliability": "csi_lab.reliability",
    "replicates": "csi_lab.resampling:replicates",
    "sampling": "csi_lab.sampling",
    "scaleout": "csi_lab.scaleout",
    "sem": "csi_lab.sem",
    "simulate": "csi_lab.simulate",
    "validity": "csi_lab.validity",
}

__all__ = [
    "CsiLabError",
    "CsiLabWarning",
    "DataError",
    "Design",
    "EstimationError",
    "Moments",
    "PathModel",
    "SpecError",
    "cleaning",
    "factors",
    "index",
    "lessons",
    "load_survey",
    "models",
    "plots",
    "polychoric",
    "rates",
    "reliability",
    "replicates",
    "sampling",
    "scaleout",
    "sem",
    "simulate",
    "validity",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'csi_lab' has no attribute {name!r}; it has {__all__}")
    module, _, attribute = _LAZY[name].partition(":")
    value = importlib.import_module(module)
    return getattr(value, attribute) if attribute else value


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
