"""From a customer register to estimates that carry the sample design: size, selection, weights, estimation, mode."""

from csi_lab.sampling import error_budget, estimate, fieldwork, mode, response, select, size, weight

__all__ = ["error_budget", "estimate", "fieldwork", "mode", "response", "select", "size", "weight"]
