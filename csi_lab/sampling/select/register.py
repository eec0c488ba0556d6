"""The register that samples are drawn from: what is checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from csi_lab.errors import DataError, SpecError, listed
from csi_lab.sampling.margins import as_columns
from csi_lab.settings import is_whole

if TYPE_CHECKING:
    import pandas as pd

    # What gives one number per row: a column, a number, an array or a function of the frame.
    PerRow: TypeAlias = str | float | Sequence[float] | np.ndarray | pd.Series | Callable[[pd.DataFrame], Any]

SHOWN = 8
# Sums of larger sizes could overflow.
LARGEST_SIZE = 1e200


def some(labels: Sequence[Any] | np.ndarray, show: int = SHOWN) -> str:
    """The first few of some labels, and how many more there are.

    Examples
    --------
    >>> some([3, 1, 2], show=2)
    '3, 1, … (+1)'
    """
    shown = ", ".join(str(label) for label in list(labels[:show]))
    return shown + (f", … (+{len(labels) - show})" if len(labels) > show else "")


def whole(value: Any, name: str, *, at_least: int = 1) -> int:
    """A whole number given as such; 10.0 is taken for 10, 10.5 and True are refused.

    Raises
    ------
    SpecError
        If it is no whole number, or below ``at_least``.

    Examples
    --------
    >>> whole(10.0, "n")
    10
    """
    number = not isinstance(value, (bool, np.bool_)) and isinstance(value, (int, float, np.integer, np.floating))
    if not number or not np.isfinite(value) or value != int(value):
        raise SpecError(f"{name}={value!r} must be a whole number")
    if value < at_least:
        raise SpecError(f"{name}={value!r} must be {at_least} or more")
    return int(value)


def generator(rng: np.random.Generator | int) -> tuple[np.random.Generator, int | None]:
    """A random generator, and the seed where one was given.

    Raises
    ------
    SpecError
        If ``rng`` is neither a whole number >= 0 nor a Generator, so that the draw could not be repeated.

    Examples
    --------
    >>> generator(7)[1]
    7
    """
    if isinstance(rng, np.random.Generator):
        return rng, None
    if isinstance(rng, (bool, np.bool_)) or not isinstance(rng, (int, np.integer)) or rng < 0:
        raise SpecError(f"rng={rng!r} must be a whole number >= 0 (the seed) or a numpy Generator")
    return np.random.default_rng(int(rng)), int(rng)


def row_order(frame: Any, id: str | None = None) -> np.ndarray:
    """Positions of the register's rows in the order in which they are drawn from, after the checks.

    Raises
    ------
    DataError
        If this is no DataFrame, it has no rows, columns share a name, row labels repeat, or identifiers repeat or are
        missing.

    Examples
    --------
    >>> import pandas as pd
    >>> row_order(pd.DataFrame({"customer": [7, 5, 6]}), "customer").tolist()
    [1, 2, 0]
    """
    if not hasattr(frame, "columns") or not hasattr(frame, "iloc"):
        rows = "; its rows are in .frame" if hasattr(frame, "frame") else ""
        raise DataError(f"the register must be a DataFrame with one row per unit, got {type(frame).__name__}{rows}")
    problems = []
    twice = sorted({str(c) for c in frame.columns[frame.columns.duplicated()]})
    if twice:
        problems.append(f"columns share a name: {twice}; rename them")
    if not len(frame):
        problems.append("it has no rows")
    if not frame.index.is_unique:
        labels = frame.index[frame.index.duplicated()].unique()
        problems.append(
            f"{len(labels)} row labels occur more than once: {some(labels)}; remove double entries, "
            "or number the rows with reset_index(drop=True)"
        )
    if id is not None and id not in frame.columns:
        problems.append(f"the identifier column {id!r} is not in it; it has {[str(c) for c in frame.columns][:12]}")
    elif id is not None and not twice:
        empty = int(frame[id].isna().sum())
        if empty:
            problems.append(f"the identifier {id!r} is missing in {empty} rows")
        again = frame[id][frame[id].duplicated() & frame[id].notna()].unique()
        if len(again):
            problems.append(
                f"{len(again)} identifiers {id!r} occur more than once: {some(again)}; a unit listed twice is drawn "
                "too often: keep one row each"
            )
    if problems:
        raise DataError(listed(problems, "the register cannot be drawn from"), problems)
    if id is None:
        return np.arange(len(frame))
    try:
        return np.argsort(frame[id].to_numpy(), kind="stable")
    except TypeError:
        return np.argsort(frame[id].astype(str).to_numpy(dtype=object), kind="stable")


def label_codes(frame: pd.DataFrame, columns: str | Sequence[str], role: str) -> tuple[np.ndarray, list[Any]]:
    """Number of each row's label, and the labels in order; several columns are crossed, their labels joined by " | ".

    Raises
    ------
    DataError
        If columns are absent, labels missing or of a kind that cannot be one (lists), or different combinations would
        get one label.

    Examples
    --------
    >>> import pandas as pd
    >>> codes, labels = label_codes(pd.DataFrame({"region": ["south", "north", "south"]}), "region", "stratum")
    >>> codes.tolist(), labels
    ([1, 0, 1], ['north', 'south'])
    """
    import pandas as pd

    wanted = as_columns(columns)
    require_columns(frame, wanted, role)
    problems = []
    for column in wanted:
        empty = np.flatnonzero(frame[column].isna())
        if len(empty):
            problems.append(
                f"{role} column {column!r} is empty in {len(empty)} rows: {some(frame.index[empty], 5)}; "
                "fill it or leave these rows out of the register"
            )
    if problems:
        raise DataError(listed(problems, f"every unit needs its {role}"), problems)
    if len(wanted) == 1:
        values: Any = frame[wanted[0]]
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.astype(object)
    else:
        values = frame[wanted[0]].astype(str)
        for column in wanted[1:]:
            values = values + " | " + frame[column].astype(str)
    try:
        codes, found = pd.factorize(values)
        combinations = len(found) if len(wanted) == 1 else len(frame[wanted].drop_duplicates())
    except TypeError:
        raise DataError(f"{role} columns {wanted} hold lists or other objects that cannot be labels") from None
    labels = list(found)
    if combinations > len(labels):
        raise DataError(
            f"{role}: different combinations of {wanted} get the same label when joined by ' | ' ({combinations} "
            f"combinations, {len(labels)} labels); recode labels that hold ' | ', or numbers that occur also as text"
        )
    try:
        order = sorted(range(len(labels)), key=labels.__getitem__)
    except TypeError:
        order = sorted(range(len(labels)), key=lambda i: str(labels[i]))
    place = np.empty(len(labels), dtype=np.int64)
    place[order] = np.arange(len(labels))
    return place[codes], [labels[i] for i in order]


def require_columns(frame: pd.DataFrame, columns: Sequence[str], role: str) -> None:
    """Refuse columns that are not in the register.

    Raises
    ------
    DataError
        With all of them.

    Examples
    --------
    >>> import pandas as pd
    >>> require_columns(pd.DataFrame({"spend": [1]}), ["spend"], "size")
    """
    absent = [c for c in columns if c not in frame.columns]
    if absent or not columns:
        have = [str(c) for c in frame.columns][:12]
        raise DataError(f"{role}: columns not in the register: {absent}; it has {have}")


def numbers(
    frame: pd.DataFrame, column: Any, role: str, *, low: float | None = None, high: float | None = None
) -> np.ndarray:
    """The numbers of a column.

    Raises
    ------
    DataError
        If there is no such column, or its values are text, missing, infinite or outside [``low``, ``high``].

    Examples
    --------
    >>> import pandas as pd
    >>> numbers(pd.DataFrame({"visits": [1, 4]}), "visits", "size").tolist()
    [1.0, 4.0]
    """
    require_columns(frame, [column], role)
    return _checked(frame, frame[column], f"{role} {column!r}", low, high)


def numbers_per_row(
    frame: pd.DataFrame, given: PerRow, role: str, *, low: float | None = None, high: float | None = None
) -> np.ndarray:
    """One number per row from a column name, an array, a function of the frame or a single number.

    Raises
    ------
    DataError
        If they are text, missing, infinite, of another length, or outside [``low``, ``high``].
    SpecError
        If a single whole number is also the name of a column; 1.0 is always the number.

    Examples
    --------
    >>> import pandas as pd
    >>> numbers_per_row(pd.DataFrame({"visits": [1, 4]}), lambda frame: 2 * frame["visits"], "ease", low=0).tolist()
    [2.0, 8.0]
    """
    if isinstance(given, str):
        return numbers(frame, given, role, low=low, high=high)
    if is_whole(given) and given in frame.columns:
        raise SpecError(
            f"{role}={given!r} is a number and the name of a column: give frame[{given!r}] for the column, "
            f"{given!r}.0 for the number"
        )
    return _checked(frame, given(frame) if callable(given) else given, role, low, high)


def _checked(frame: pd.DataFrame, values: Any, label: str, low: float | None, high: float | None) -> np.ndarray:
    """One finite number per row within the limits."""
    if hasattr(values, "reindex") and not values.index.equals(frame.index):
        if not values.index.is_unique or not frame.index.isin(values.index).all():
            raise DataError(f"{label}: a Series with another index than the register; align it, or give .to_numpy()")
        values = values.reindex(frame.index)
    try:
        if hasattr(values, "dtype") and (values.dtype == object or str(values.dtype) in ("str", "string")):
            raise TypeError
        out = values.to_numpy(dtype=float, na_value=np.nan) if hasattr(values, "reindex") else np.asarray(values, float)
    except (TypeError, ValueError):
        raise DataError(f"{label} must be numbers; it holds text or other objects") from None
    if out.ndim == 0:
        out = np.full(len(frame), float(out))
    if out.shape != (len(frame),):
        raise DataError(f"{label} has shape {out.shape}; the register has {len(frame)} rows")
    problems = []
    checks = [("missing or infinite", ~np.isfinite(out))]
    with np.errstate(invalid="ignore"):
        if low is not None:
            checks.append((f"below {low:g}", out < low))
        if high is not None:
            checks.append((f"above {high:g}", out > high))
    for what, bad in checks:
        at = np.flatnonzero(bad)
        if len(at):
            problems.append(f"{what} in {len(at)} rows: {some(frame.index[at], 5)}")
    if problems:
        raise DataError(listed(problems, f"{label} cannot be used"), problems)
    return out


def order_codes(frame: pd.DataFrame, column: str) -> np.ndarray:
    """Rank of each row by a column that puts the list in order, equal values alike.

    Raises
    ------
    DataError
        If the column is absent, empty in some rows, or mixes text with numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> order_codes(pd.DataFrame({"spend": [30, 10, 20, 10]}), "spend").tolist()
    [2, 0, 1, 0]
    """
    import pandas as pd

    require_columns(frame, [column], "the order column")
    values = frame[column]
    empty = frame.index[values.isna()]
    if len(empty):
        raise DataError(
            f"the order column {column!r} is empty in {len(empty)} rows: {some(empty, 5)}; fill it or leave them out"
        )
    try:
        if pd.api.types.infer_dtype(values) in ("mixed", "mixed-integer"):
            raise TypeError
        return pd.factorize(values, sort=True)[0]
    except TypeError:
        raise DataError(f"the order column {column!r} mixes values that cannot be put in order") from None


def with_columns(
    frame: pd.DataFrame, added: Mapping[str, Any], names: Mapping[str, str] | None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The rows drawn with columns added under their own or other names; nothing is overwritten.

    Raises
    ------
    SpecError
        If ``names`` is no mapping to texts, renames a column that is not added, or two get one name.
    DataError
        If a column of that name is there already.

    Examples
    --------
    >>> import pandas as pd
    >>> table, called = with_columns(pd.DataFrame({"spend": [5]}), {"weight": [2.0]}, {"weight": "w"})
    >>> list(table), called
    (['spend', 'w'], {'weight': 'w'})
    """
    if names is not None and not (isinstance(names, Mapping) and all(isinstance(v, str) for v in names.values())):
        raise SpecError(f"names={names!r} must map added columns to other names, e.g. {{'weight': 'w'}}")
    called = {key: (names or {}).get(key, key) for key in added}
    unknown = [key for key in names or {} if key not in added]
    if unknown:
        raise SpecError(f"names: no such columns are added: {unknown}; this draw adds {list(added)}")
    if len(set(called.values())) < len(called):
        raise SpecError(f"names: two columns would get one name: {called}")
    there = [name for name in called.values() if name in frame.columns]
    if there:
        rename = ", ".join(f"{key!r}: 'drawn_{key}'" for key, name in called.items() if name in there)
        raise DataError(f"columns already in the register: {there}; choose other names with names={{{rename}}}")
    return frame.assign(**{called[key]: values for key, values in added.items()}), called
