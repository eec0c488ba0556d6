"""Validity: does the questionnaire measure what it is meant to measure?"""

from csi_lab.validity.content_index import content_validity_index
from csi_lab.validity.content_ratio import content_validity_ratio, critical_cvr
from csi_lab.validity.convergent import convergent_validity
from csi_lab.validity.criterion import criterion_validity
from csi_lab.validity.discriminant import heterotrait_monotrait, htmt, htmt2
from csi_lab.validity.fornell_larcker import fornell_larcker
from csi_lab.validity.known_groups import known_groups
from csi_lab.validity.marker import marker_variable
from csi_lab.validity.method_bias import full_collinearity, harman

__all__ = [
    "content_validity_index",
    "content_validity_ratio",
    "convergent_validity",
    "criterion_validity",
    "critical_cvr",
    "fornell_larcker",
    "full_collinearity",
    "harman",
    "heterotrait_monotrait",
    "htmt",
    "htmt2",
    "known_groups",
    "marker_variable",
]
