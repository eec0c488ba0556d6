"""Studies of odd but legal kinds, written for tests, and a way to play a notebook in this process."""

from __future__ import annotations

import ast
import json
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


def play(path: Path, **parameters: Any) -> str:
    """Everything that a notebook says on these parameters, run in this process; its pictures are left out."""
    import matplotlib.pyplot as plt

    said: list[str] = []
    space: dict[str, Any] = {"display": lambda thing: said.append(str(thing)), "__name__": "__main__"}
    space["print"] = lambda *things, sep=" ": said.append(sep.join(map(str, things)))
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        source = cell.source
        if "parameters" in cell.metadata.get("tags", []):
            source += "".join(f"\n{name} = {json.dumps(value)}" for name, value in parameters.items())
        *body, last = ast.parse(source).body
        shows = isinstance(last, ast.Expr)
        exec(compile(ast.Module([*body, *([] if shows else [last])], []), str(path), "exec"), space)
        if shows:
            value = eval(compile(ast.Expression(last.value), str(path), "eval"), space)
            said += [] if value is None else [str(value)]
        plt.close("all")
    return "\n".join(said)
