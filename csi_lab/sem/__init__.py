"""Structural equation models: partial least squares path models."""

from csi_lab.sem.fit import PLSFit
from csi_lab.sem.pls import pls

__all__ = ["PLSFit", "pls"]
