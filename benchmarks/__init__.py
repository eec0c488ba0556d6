"""Speed of csi_lab beside its peers, measured in one run: ``python -m benchmarks``."""

import os

# One BLAS thread for everybody: what is compared is the work, not the number of cores. Set before NumPy is loaded.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
