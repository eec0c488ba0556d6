"""From a customer register to estimates that carry the sample design: size, selection, weights, estimation, mode."""

from csi_lab.sampling import big_data, error_budget, estimate, fieldwork, mode, response, select, size, weight

__all__ = ["big_data", "error_budget", "estimate", "fieldwork", "mode", "response", "select", "size", "weight"]
