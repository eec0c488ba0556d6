"""The 0-100 index: from item means and weights to a satisfaction index and its interval."""

from csi_lab.index.constructs import compare, from_fit, from_items, negative_weights
from csi_lab.index.formula import Bounds
from csi_lab.index.respondents import by_group, respondent_index
from csi_lab.index.result import VARIANTS, IndexResult, Variant

__all__ = [
    "VARIANTS",
    "Bounds",
    "IndexResult",
    "Variant",
    "by_group",
    "compare",
    "from_fit",
    "from_items",
    "negative_weights",
    "respondent_index",
]
