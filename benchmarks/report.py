"""One row of the report for each task, and the page they make."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy


@dataclass(frozen=True)
class Row:
    """A task, what csi_lab needs, what the peer needs, and the bar.

    ``ratio`` is peer over csi_lab unless ``bar`` says otherwise; ``met`` is ``None`` where there is no bar.
    """

    task: str
    ours: float
    peer: str
    theirs: float | None
    bar: str
    met: bool | None
    memory: float | None = None
    note: str = ""

    def __str__(self) -> str:
        theirs = "not run" if self.theirs is None else f"{self.theirs:.4g} s"
        ratio = "" if self.theirs is None else f"{self.theirs / self.ours:.2f}"
        met = {None: "", True: "yes", False: "**no**"}[self.met]
        memory = "" if self.memory is None else f"{self.memory:.1f}"
        cells = [self.task, f"{self.ours:.4g} s", memory, self.peer, theirs, ratio, self.bar, met, self.note]
        return "| " + " | ".join(cells) + " |"


HEAD = """| task | csi_lab | peak MB | peer | peer's time | peer / csi_lab | bar | met | remark |
| --- | ---: | ---: | --- | ---: | ---: | --- | --- | --- |"""


def page(rows: Sequence[Row], growth: str, skipped: Sequence[str]) -> str:
    """The whole of docs/performance.md."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    libraries = f"NumPy {np.__version__}, SciPy {scipy.__version__}, pandas {pd.__version__}"
    table = "\n".join(map(str, rows))
    left = "\n".join(f"* {line}" for line in skipped) or "* nothing"
    return f"""# Performance

Written by `make bench` (`python -m benchmarks`). CPU seconds of one call, medians over rounds in which the candidates
take turns; one BLAS thread for everybody. Peak memory is what one call of csi_lab holds at its worst moment on top of
the data. The machine is named but not quiet: look at the ratios.

Machine: {machine}, {libraries}. Date: {datetime.date.today()}.

{HEAD}
{table}

## How time and memory grow

{growth}

## Not measured here

{left}
"""
