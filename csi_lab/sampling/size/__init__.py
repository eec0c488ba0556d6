"""How many interviews: the front door to all sample-size calculations.

>>> from csi_lab.sampling import size
>>> print(size.proportion(0.05, deff=1.5, response_rate=0.30))
proportion: n = 577 completed interviews (exact 576.22), 1,921 addresses to issue
  margin 0.05; p 0.5; interval wald, level 95%; design effect 1.5; response rate 0.3
"""

from csi_lab.sampling.size.agreement import bonett, kappa, reliability_width
from csi_lab.sampling.size.comparisons import overlapping_waves, two_means, two_proportions
from csi_lab.sampling.size.issued_and_pilot import domains, issued, pilot
from csi_lab.sampling.size.models import Power, pls_inverse_square_root, pls_ten_times, rmsea_power, rmsea_size
from csi_lab.sampling.size.of_index import index, index_sd
from csi_lab.sampling.size.planned_deff import design_effect
from csi_lab.sampling.size.printed import krejcie_morgan, krejcie_morgan_table, yamane
from csi_lab.sampling.size.sample_size import SampleSize
from csi_lab.sampling.size.single import mean, proportion, relative_error

__all__ = [
    "Power",
    "SampleSize",
    "bonett",
    "design_effect",
    "domains",
    "index",
    "index_sd",
    "issued",
    "kappa",
    "krejcie_morgan",
    "krejcie_morgan_table",
    "mean",
    "overlapping_waves",
    "pilot",
    "pls_inverse_square_root",
    "pls_ten_times",
    "proportion",
    "relative_error",
    "reliability_width",
    "rmsea_power",
    "rmsea_size",
    "two_means",
    "two_proportions",
    "yamane",
]
