"""R's lavaan and psych as peers, when Rscript and the packages are on the machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import pandas as pd


@lru_cache
def available(package: str) -> bool:
    """Whether Rscript runs here and has the package."""
    if shutil.which("Rscript") is None:
        return False
    asked = f'quit(status = !requireNamespace("{package}", quietly = TRUE))'
    return subprocess.run(["Rscript", "-e", asked], capture_output=True, check=False).returncode == 0


def seconds(frame: pd.DataFrame, prepare: str, work: str, times: int = 3) -> float:
    """Median CPU seconds of an R expression.

    Parameters
    ----------
    frame
        Becomes the data frame ``x`` in R (doubles, passed as a binary file).
    prepare
        R code run once before the clock starts.
    work
        R code that is timed.
    times
        Repetitions.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "x.bin"
        frame.to_numpy(dtype=float).T.tofile(data)
        names = ", ".join(f'"{c}"' for c in frame.columns)
        size = frame.shape[0] * frame.shape[1]
        code = f"""
x <- as.data.frame(matrix(readBin("{data.as_posix()}", "double", {size}), ncol = {frame.shape[1]}))
names(x) <- c({names})
suppressMessages({{ {prepare} }})
used <- replicate({times}, {{ t <- proc.time(); {{ {work} }}; sum((proc.time() - t)[1:2]) }})
cat(median(used))
"""
        script = Path(folder) / "work.R"
        script.write_text(code, encoding="utf-8")
        done = subprocess.run(["Rscript", script], capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])
