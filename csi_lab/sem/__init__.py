"""Structural equation models: partial least squares path models, their prediction and groups, covariance-based SEM."""

from csi_lab.sem.cbsem import cbsem
from csi_lab.sem.fit import PLSFit
from csi_lab.sem.groups import compare_groups
from csi_lab.sem.micom import micom
from csi_lab.sem.pls import pls
from csi_lab.sem.predict import plspredict
from csi_lab.sem.stored import load_fit

__all__ = ["PLSFit", "cbsem", "compare_groups", "load_fit", "micom", "pls", "plspredict"]
