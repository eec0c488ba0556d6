"""Estimates for a population from a sample with weights, strata and clusters.

Means, totals, counts, shares, ratios, quantiles, differences, tables and regressions, over the population and its
domains. Standard errors are linearised (Taylor): an estimate is a function of weighted sums, and the variance of a sum
follows from the totals of the sampling units. :func:`of` does the same for any function of moments.

>>> import csi_lab as csi
>>> from csi_lab.sampling import estimate
>>> print(estimate.mean(csi.load_survey("mobile"), "CUSA1"))
mean of CUSA1: 7.988, se 0.07802, 95% CI [7.834, 8.142] (t, 249 df), deff 1.00, n = 250
"""

from __future__ import annotations

from csi_lab.sampling.estimate.comparisons import difference, ratio
from csi_lab.sampling.estimate.functional import of
from csi_lab.sampling.estimate.means import count, mean, total, variance
from csi_lab.sampling.estimate.quantiles import quantile
from csi_lab.sampling.estimate.regressions import regression
from csi_lab.sampling.estimate.replication import replicate_weights
from csi_lab.sampling.estimate.shares import proportion
from csi_lab.sampling.estimate.tables import crosstab

__all__ = [
    "count",
    "crosstab",
    "difference",
    "mean",
    "of",
    "proportion",
    "quantile",
    "ratio",
    "regression",
    "replicate_weights",
    "total",
    "variance",
]
