"""Measure everything, print the table, and write ``docs/performance.md``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks import cfa, factors, pls, reliability, rpeers, scaleout
from benchmarks.report import Row, page

REPORT = Path(__file__).parents[1] / "docs" / "performance.md"


def main() -> None:
    """Run all rooms in turn."""
    rows: list[Row] = []
    for room in (pls, reliability, factors, cfa, scaleout):
        for row in room.rows():
            print(row, flush=True)
            rows.append(row)
    table = pd.DataFrame(pls.growth())
    lines = ["| task | seconds | peak MB |", "| --- | ---: | ---: |"]
    lines += [f"| {r['task']} | {r['seconds']:.4g} | {r['peak MB']:.1f} |" for r in table.to_dict("records")]
    skipped = [f"R {package}: not on this machine." for package in ("lavaan", "psych") if not rpeers.available(package)]
    REPORT.write_text(page(rows, "\n".join(lines), skipped), encoding="utf-8")
    print(f"written: {REPORT.relative_to(REPORT.parents[1])}")


if __name__ == "__main__":
    main()
