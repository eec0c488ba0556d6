"""What a table of the market needs of register, latent scores and parameters, checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import DataError, SpecError


def needed(register: pd.DataFrame, latent: pd.DataFrame, columns: Sequence[str], scores: Sequence[str] = ()) -> None:
    """Refuse a register or latent scores that a table cannot be made from.

    Parameters
    ----------
    register, latent
        Customers and their latent scores, row by row the same people.
    columns, scores
        Columns that must be there, without gaps.

    Raises
    ------
    DataError
        If there are no customers, lengths differ, columns are absent or have gaps, or a customer comes twice.

    Examples
    --------
    >>> needed(pd.DataFrame({"customer": [1, 1]}), pd.DataFrame({"SAT": [0.1]}), ["customer", "operator"])
    Traceback (most recent call last):
    csi_lab.errors.DataError: register: columns ['operator'] are absent; customers come twice; latent has 1 rows, not 2
    """
    problems = []
    for name, frame, wanted in (("register", register, columns), ("latent", latent, scores)):
        absent = [c for c in wanted if c not in frame]
        gaps = [c for c in wanted if c in frame and frame[c].isna().any()]
        problems += [f"{name}: columns {absent} are absent"] if absent else []
        problems += [f"{name}: columns {gaps} have gaps"] if gaps else []
    if len(register) == 0:
        problems.append("the register is empty")
    if "customer" in register and register["customer"].duplicated().any():
        problems.append("customers come twice")
    if len(latent) != len(register):
        problems.append(f"latent has {len(latent)} rows, not {len(register)}")
    if problems:
        raise DataError("; ".join(problems), problems)


def shares(section: str, table: Mapping[Any, float]) -> np.ndarray:
    """Shares that add up to 1, as an array.

    Raises
    ------
    SpecError
        If a share is negative or missing, or they do not add up to 1.

    Examples
    --------
    >>> shares("kano", {"A": 0.2, "O": 0.8})
    array([0.2, 0.8])
    """
    values = np.array([float(v) for v in table.values()])
    if not (values >= 0).all() or abs(values.sum() - 1) > 1e-9:
        raise SpecError(f"{section}: shares must be 0 or more and add up to 1, got {dict(table)}")
    return values / values.sum()
