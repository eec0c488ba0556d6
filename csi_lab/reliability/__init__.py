"""Reliability of scales and of raters, and item analysis for pretests."""

from csi_lab.reliability.agreement import AgreementResult
from csi_lab.reliability.alpha import (  # noqa: F401 (private ones for the tests)
    AlphaResult,
    _alpha,
    _alpha_if_deleted,
    alpha_table,
    cronbach_alpha,
)
from csi_lab.reliability.coefficient import Coefficient, CoefficientTable
from csi_lab.reliability.composite import (
    length_for,
    rho_a,
    rho_c,
    spearman_brown,
    standard_error_of_measurement,
)
from csi_lab.reliability.congeneric import omega
from csi_lab.reliability.halves import all_splits, split_half
from csi_lab.reliability.hierarchical import omega_hierarchical
from csi_lab.reliability.intraclass import icc
from csi_lab.reliability.items import ItemAnalysis, item_analysis
from csi_lab.reliability.kappas import cohen_kappa, fleiss_kappa, gwet_ac1
from csi_lab.reliability.krippendorff import krippendorff_alpha
from csi_lab.reliability.lower_bounds import glb, guttman
from csi_lab.reliability.one_way import one_way_icc
from csi_lab.reliability.ordinal import ordinal_alpha
from csi_lab.reliability.ratings import ratings_from_counts, ratings_from_table
from csi_lab.reliability.retest import retest_reliability

__all__ = [
    "AgreementResult",
    "AlphaResult",
    "Coefficient",
    "CoefficientTable",
    "ItemAnalysis",
    "all_splits",
    "alpha_table",
    "cohen_kappa",
    "cronbach_alpha",
    "fleiss_kappa",
    "glb",
    "guttman",
    "gwet_ac1",
    "icc",
    "item_analysis",
    "krippendorff_alpha",
    "length_for",
    "omega",
    "omega_hierarchical",
    "one_way_icc",
    "ordinal_alpha",
    "ratings_from_counts",
    "ratings_from_table",
    "retest_reliability",
    "rho_a",
    "rho_c",
    "spearman_brown",
    "split_half",
    "standard_error_of_measurement",
]
