"""From 250 answers to a billion: one pass over files, by threads or by a cluster, with the same numbers."""

from csi_lab.scaleout.kernel import Recode
from csi_lab.scaleout.scan import Scan, moments, scan

__all__ = ["Recode", "Scan", "moments", "scan"]
