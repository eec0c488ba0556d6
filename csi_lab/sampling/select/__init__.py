"""Drawing samples from a register: every method of the course by its name.

Random samples carry their probabilities, weights and design; the four that chance does not draw are simulations for
comparison with the truth.

>>> import pandas as pd
>>> register = pd.DataFrame({"region": ["north"] * 60 + ["south"] * 40, "visits": range(1, 101)})
>>> simple_random(register, 10, rng=1).random, convenience(register, 10, "visits", rng=1).random
(True, False)
"""

from __future__ import annotations

from csi_lab.sampling.select.allocation import Allocation, allocate
from csi_lab.sampling.select.by_size import pps
from csi_lab.sampling.select.clusters import cluster, multistage
from csi_lab.sampling.select.groups import rao_hartley_cochran
from csi_lab.sampling.select.list_order import StartsResult, successive_difference, systematic, systematic_starts
from csi_lab.sampling.select.network import Network, contact_network
from csi_lab.sampling.select.nonrandom import convenience, judgement
from csi_lab.sampling.select.quotas import quota, quota_margins
from csi_lab.sampling.select.random_selection import simple_random, stratified
from csi_lab.sampling.select.referrals import snowball, volz_heckathorn
from csi_lab.sampling.select.sample import Record, Sample
from csi_lab.sampling.select.stage import Stage
from csi_lab.sampling.select.totals import TotalEstimate, hansen_hurwitz, horvitz_thompson, rao_hartley_cochran_total
from csi_lab.sampling.select.unequal import inclusion_probabilities

__all__ = [
    "Allocation",
    "Network",
    "Record",
    "Sample",
    "Stage",
    "StartsResult",
    "TotalEstimate",
    "allocate",
    "cluster",
    "contact_network",
    "convenience",
    "hansen_hurwitz",
    "horvitz_thompson",
    "inclusion_probabilities",
    "judgement",
    "multistage",
    "pps",
    "quota",
    "quota_margins",
    "rao_hartley_cochran",
    "rao_hartley_cochran_total",
    "simple_random",
    "snowball",
    "stratified",
    "successive_difference",
    "systematic",
    "systematic_starts",
    "volz_heckathorn",
]
