"""Writing the market: every table as CSV, the truth, the codebook; complete or not at all."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from csi_lab.errors import DataError, SpecError
from csi_lab.simulate import truth
from csi_lab.simulate.assembly import complaint_register, tables
from csi_lab.simulate.census import census_values
from csi_lab.simulate.columns import codebook

if TYPE_CHECKING:
    from csi_lab.simulate.market import Market

Register = Literal["csv", "parquet"]
STUDY = "study.yaml"


def csv_text(table: pd.DataFrame) -> str:
    r"""A table as CSV: UTF-8, lines end with "\n", logical values as 1 and 0, no index.

    Examples
    --------
    >>> csv_text(pd.DataFrame({"town": ["p1t01"], "urban": [True]}))
    'town,urban\np1t01,1\n'
    """
    logical = [name for name in table.columns if pd.api.types.is_bool_dtype(table[name])]
    return table.astype(dict.fromkeys(logical, int)).to_csv(index=False, lineterminator="\n")


def truth_text(market: Market) -> str:
    """Every parameter and what follows from it in the census, as YAML."""
    import yaml

    head = (
        "# What is true of the simulated market: all parameters, then what an estimator finds when it asks everybody.\n"
        "# Written by `csi-lab simulate`; comments on the parameters stand in csi_lab/simulate/truth.\n"
    )
    stated = truth.plain(market.parameters)
    content = {"seed": market.seed, "customers": len(market.register), "parameters": stated}
    content["census"] = census_values(market)
    return head + yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)


def write(market: Market, folder: str | Path, *, register: Register | None = "csv") -> list[Path]:
    """Write the market into a new or empty folder.

    Parameters
    ----------
    market
        The market.
    folder
        A folder that does not exist or is empty. Nothing appears in it before everything is complete.
    register
        Format of the register of all customers; ``None`` leaves it out, and the whole register of complaints with it.

    Returns
    -------
    list of Path
        The files: one CSV per table, ``register.csv`` or ``.parquet``, ``register_complaints.csv`` and so on with all
        complaints of the market, ``truth.yaml``, ``codebook.csv``, and the study file of the shipped study.

    Raises
    ------
    SpecError
        If the folder is not empty or cannot be written, or parquet is asked for without pyarrow.
    DataError
        If the market is too small for its tables.

    Examples
    --------
    >>> import csi_lab as csi
    >>> market = csi.simulate.make_market(customers=6_000)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write(market, f"{folder}/market", register=None)
    >>> [file.name for file in files if file.name.startswith("t")]
    ['totals.csv', 'truth.yaml']
    """
    target = Path(folder).expanduser()
    if register not in ("csv", "parquet", None):
        raise SpecError(f"register={register!r} is unknown; use 'csv', 'parquet' or None")
    if register == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise SpecError("parquet needs pyarrow: pip install 'csi-lab[scale]', or write the register as csv")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise SpecError(f"{target} is not an empty folder; give the name of a new one")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that the last step is a move inside one file system.
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise SpecError(f"cannot write to {target} ({error.strerror or error}); choose another folder") from None
    try:
        _write_all(market, staging, register)
        names = sorted(path.name for path in staging.iterdir())
        target.mkdir(exist_ok=True)
        for name in names:
            os.replace(staging / name, target / name)
    except OSError as error:
        raise SpecError(f"cannot write to {target} ({error.strerror or error}); choose another folder") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return [target / name for name in names]


def _write_all(market: Market, folder: Path, register: Register | None) -> None:
    made = tables(market)
    texts = {f"{name}.csv": csv_text(table) for name, table in made.items()}
    if register is not None:
        texts |= {f"register_{name}.csv": csv_text(table) for name, table in complaint_register(market).items()}
    texts["codebook.csv"] = csv_text(codebook({**made, "register": market.register}))
    texts["truth.yaml"] = truth_text(market)
    if register == "csv":
        texts["register.csv"] = csv_text(market.register)
    elif register == "parquet":
        market.register.to_parquet(folder / "register.parquet", index=False)
    for name, text in (texts | _study()).items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def _study() -> dict[str, str]:
    """The study file of the shipped study, where there is one."""
    from csi_lab.study.datasets import shipped

    try:
        path = shipped("data") / "broadband" / STUDY
    except DataError:
        return {}
    return {STUDY: path.read_text(encoding="utf-8")} if path.is_file() else {}


def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Safe YAML without references: a mapping that occurs twice is written twice."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    return Dumper


_Dumper = _dumper()
