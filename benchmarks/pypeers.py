"""Peers that cannot live beside our dependencies: each in an environment of its own, made when first asked for."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

# Kept between runs; `make clean` removes it.
FOLDER = Path(__file__).parents[1] / "build" / "peers"

PROGRAM = """
import statistics, sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
x = np.load(sys.argv[1])
{prepare}
used = []
for _ in range({times}):
    start = time.process_time()
    result = {work}
    used.append(time.process_time() - start)
np.save(sys.argv[2], np.asarray({answer}))
print(statistics.median(used))
"""


@lru_cache
def environment(name: str, *requirements: str) -> Path | None:
    """The Python of an environment that holds the requirements; ``None`` where it cannot be made."""
    folder = FOLDER / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = folder / ".ready"
    wanted = "\n".join(requirements)
    if ready.exists() and ready.read_text(encoding="utf-8") == wanted:
        return python
    install = [str(python), "-m", "pip", "install", *requirements]
    steps = ([sys.executable, "-m", "venv", "--clear", str(folder)], install)
    for step in steps:
        if subprocess.run(step, capture_output=True, check=False).returncode:
            return None
    ready.write_text(wanted, encoding="utf-8")
    return python


def seconds(
    python: Path, frame: pd.DataFrame, prepare: str, work: str, answer: str, times: int = 5
) -> tuple[float, np.ndarray]:
    """Median CPU seconds of an expression in another environment, and what it found.

    Parameters
    ----------
    python
        Of :func:`environment`.
    frame
        Becomes the array ``x`` there.
    prepare
        Statements run once before the clock starts.
    work
        The expression that is timed; its value is ``result``.
    answer
        Expression of an array that shows that the peer did the same work.
    times
        Repetitions.
    """
    with tempfile.TemporaryDirectory() as folder:
        data, found = Path(folder) / "x.npy", Path(folder) / "answer.npy"
        np.save(data, frame.to_numpy(dtype=float))
        program = PROGRAM.format(prepare=prepare, work=work, answer=answer, times=times)
        command = [str(python), "-c", program, str(data), str(found)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1]), np.load(found)
