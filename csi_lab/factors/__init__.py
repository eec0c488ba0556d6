"""Exploratory factor analysis: is it worth while, how many factors, what are they, and who scores how."""

from csi_lab.factors.analysis import efa
from csi_lab.factors.parallel import ParallelResult, parallel_analysis
from csi_lab.factors.result import EFAFit
from csi_lab.factors.retention import MapResult, ScreeResult, map_test, scree
from csi_lab.factors.rotation import Rotation
from csi_lab.factors.suitability import BartlettResult, KMOResult, bartlett, kmo

__all__ = [
    "BartlettResult",
    "EFAFit",
    "KMOResult",
    "MapResult",
    "ParallelResult",
    "Rotation",
    "ScreeResult",
    "bartlett",
    "efa",
    "kmo",
    "map_test",
    "parallel_analysis",
    "scree",
]
