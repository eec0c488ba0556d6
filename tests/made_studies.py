"""Studies of odd but legal kinds, written for tests, and a way to play a notebook in this process."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import yaml

BLOCKS = {"Image": 2, "Quality": 3, "Satisfaction": 3, "Loyalty": 2}
PATHS = {"Quality": ["Image"], "Satisfaction": ["Image", "Quality"], "Loyalty": ["Satisfaction"]}


def answers(n: int = 120, *, low: float = 1, high: float = 10, seed: int = 1, step: float = 1) -> pd.DataFrame:
    """Answers of a market with one common factor, four constructs and ten items q1 to q10."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 1))
    columns, k = {}, 0
    for size in BLOCKS.values():
        own = 0.7 * common + 0.6 * rng.normal(size=(n, 1))
        for _ in range(size):
            k += 1
            z = 0.8 * own[:, 0] + 0.5 * rng.normal(size=n)
            raw = (low + high) / 2 + (high - low) / 5 * (z + 0.4)
            columns[f"q{k}"] = np.clip(low + np.round((raw - low) / step) * step, low, high)
    return pd.DataFrame(columns)


def write_study(folder: Path, frame: pd.DataFrame, *, low: float = 1, high: float = 10, **more: Any) -> Path:
    """A study of these answers; ``more`` are keys of the study file, ``None`` leaves one out."""
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "answers.csv", index=False)
    names, blocks = iter(f"q{k}" for k in range(1, 100)), {}
    for construct, size in BLOCKS.items():
        blocks[construct] = [next(names) for _ in range(size)]
    content = {
        "name": "made",
        "data": {"file": "answers.csv"},
        "scale": {"low": low, "high": high},
        "constructs": blocks,
        "paths": PATHS,
        "target": "Satisfaction",
    } | more
    text = yaml.safe_dump({k: v for k, v in content.items() if v is not None}, allow_unicode=True, sort_keys=False)
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return folder


@cache
def _compiled(path: Path) -> list[tuple[bool, Any, Any]]:
    """Each code cell: whether it holds the parameters, its statements, and the expression that it ends with."""
    cells = []
    gc.disable()  # Python 3.11 may raise SystemError when memory is collected while it builds a syntax tree
    try:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                *body, last = ast.parse(cell.source).body
                shows = isinstance(last, ast.Expr)
                code = compile(ast.Module([*body, *([] if shows else [last])], []), str(path), "exec")
                value = compile(ast.Expression(last.value), str(path), "eval") if shows else None
                cells.append(("parameters" in cell.metadata.get("tags", []), code, value))
    finally:
        gc.enable()
    return cells


def play(path: Path, **parameters: Any) -> str:
    """Everything that a notebook says on these parameters, run in this process; its pictures are left out."""
    import matplotlib.pyplot as plt

    said: list[str] = []
    space: dict[str, Any] = {"display": lambda thing: said.append(str(thing)), "__name__": "__main__"}
    space["print"] = lambda *things, sep=" ": said.append(sep.join(map(str, things)))
    for holds_parameters, code, value in _compiled(path):
        exec(code, space)
        if holds_parameters:
            assert set(parameters) <= set(space)
            space |= parameters
        if value is not None:
            shown = eval(value, space)
            said += [] if shown is None else [str(shown)]
        plt.close("all")
    return "\n".join(said)
