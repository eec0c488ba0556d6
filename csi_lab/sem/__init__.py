"""Structural equation models: partial least squares path models, their prediction and groups, covariance-based SEM."""

from csi_lab.sem.cb_invariance import chi2_difference, invariance
from csi_lab.sem.cb_result import CBSEMFit
from csi_lab.sem.cbsem import cbsem
from csi_lab.sem.fit import PLSFit
from csi_lab.sem.groups import compare_groups
from csi_lab.sem.micom import micom
from csi_lab.sem.pls import pls
from csi_lab.sem.predict import plspredict
from csi_lab.sem.stored import load_fit

__all__ = [
    "CBSEMFit",
    "PLSFit",
    "cbsem",
    "chi2_difference",
    "compare_groups",
    "invariance",
    "load_fit",
    "micom",
    "pls",
    "plspredict",
]
