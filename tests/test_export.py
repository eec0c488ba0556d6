"""Tables written for spreadsheets: nothing runs, nothing is lost, what changes is said."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from csi_lab.course import export
from csi_lab.course.export import neutralise, save_tables
from csi_lab.errors import SpecError


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\rx", "  =1", "\u3000＝1", "＋1", "－1", "＠x", "\ufeff=1"]
)
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text):
    assert neutralise(text) == "'" + text


@pytest.mark.parametrize("value", ["a=b", "满意 = 5", "", "–", -1.5, 3, None, True])
def test_other_values_are_left_alone(value):
    assert neutralise(value) is value


def test_formulas_are_neutralised_in_cells_headers_and_index_labels(tmp_path):
    frame = pd.DataFrame({"=A1": ["=HYPERLINK(1)", "fine"]}, index=pd.Index(["@x", "y"], name="+name"))
    frame["text"] = pd.Series(["-cmd", "ok"], index=frame.index, dtype="string")
    frame["kind"] = pd.Categorical(["=a", "b"])
    table, workbook = save_tables({"t": frame}, tmp_path)
    expected = [["'+name", "'=A1", "text", "kind"], ["'@x", "'=HYPERLINK(1)", "'-cmd", "'=a"], ["y", "fine", "ok", "b"]]
    assert rows_of(table) == expected
    sheet = openpyxl.load_workbook(workbook)["t"]
    assert [list(row) for row in sheet.iter_rows(values_only=True)] == expected
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} == {"s"}


def test_numbers_keep_full_precision_and_are_numbers(tmp_path):
    values = [0.1 + 0.2, -1 / 3, 1e-17, 72.45364831]
    table, workbook = save_tables({"n": pd.DataFrame({"x": values, "n": [-1, 2, 3, 4]})}, tmp_path)
    assert [float(row[0]) for row in rows_of(table)[1:]] == values
    stored = list(openpyxl.load_workbook(workbook)["n"].iter_rows(min_row=2, values_only=True))
    assert [row[0] for row in stored] == pytest.approx(values, rel=1e-15, abs=0)  # the format holds 16 digits
    assert [row[1] for row in stored] == [-1, 2, 3, 4]


def test_missing_infinite_and_dated_values_have_a_place(tmp_path):
    frame = pd.DataFrame(
        {
            "x": [np.nan, np.inf],
            "when": pd.to_datetime(["2024-05-01", None]),
            "zone": pd.to_datetime(["2024-05-01", None]).tz_localize("Asia/Shanghai"),
            "whole": pd.array([1, None], dtype="Int64"),
            "range": pd.IntervalIndex.from_tuples([(0, 1), (1, 2)]),
        }
    )
    table, workbook = save_tables({"t": frame}, tmp_path)
    first, second = list(openpyxl.load_workbook(workbook)["t"].iter_rows(min_row=2, values_only=True))
    assert first[0] is None
    assert second[0] == "inf"
    assert (first[1].year, second[1]) == (2024, None)
    assert first[2].startswith("2024-05-01")
    assert (first[3], second[3]) == (1, None)
    assert first[4] == "(0, 1]"
    assert rows_of(table)[1][0] == ""


def test_chinese_is_marked_as_utf8_for_spreadsheets(tmp_path):
    [table, _] = save_tables({"满意度": pd.DataFrame({"企业": ["移动"]})}, tmp_path)
    assert table.name == "满意度.csv"
    assert table.read_bytes().startswith(b"\xef\xbb\xbf")
    assert rows_of(table) == [["企业"], ["移动"]]


def test_index_and_column_levels_are_written(tmp_path):
    index = pd.MultiIndex.from_tuples([("Image", "IMAG1")], names=["construct", "item"])
    frame = pd.DataFrame(
        [[1.0, 2.0]], index=index, columns=pd.MultiIndex.from_tuples([("loading", "low"), ("loading", "high")])
    )
    [table, _] = save_tables({"t": frame}, tmp_path)
    assert rows_of(table) == [
        ["construct", "item", "loading / low", "loading / high"],
        ["Image", "IMAG1", "1.0", "2.0"],
    ]


def test_a_column_named_twice_is_written_twice(tmp_path):
    frame = pd.DataFrame([[1, "=x"], [2, "y"]], columns=["a", "a"])
    [table, _] = save_tables({"t": frame}, tmp_path)
    assert rows_of(table) == [["a", "a"], ["1", "'=x"], ["2", "y"]]


def test_an_empty_table_keeps_its_headers(tmp_path):
    [table, workbook] = save_tables({"t": pd.DataFrame({"a": [], "b": []})}, tmp_path)
    assert rows_of(table) == [["a", "b"]]
    assert [c.value for c in openpyxl.load_workbook(workbook)["t"][1]] == ["a", "b"]


def test_names_become_legal_and_stay_different(tmp_path):
    frame = pd.DataFrame({"a": [1]})
    long = "A very long name of a table, longer than a sheet allows"
    names = ["a/b", "a:b", "A_B", long, long + " too", "=x", "History", "con", "../up", "", "'quoted'"]
    files = save_tables(dict.fromkeys(names, frame), tmp_path)
    sheets = openpyxl.load_workbook(files[-1]).sheetnames
    assert len(files) == len({p.name.casefold() for p in files}) == len(names) + 1
    assert all(path.parent == tmp_path and path.is_file() for path in files)
    assert len({s.casefold() for s in sheets}) == len(names)
    assert all(len(s) <= 31 and not set(s) & set("[]:*?/\\") and s[0] not in "='" for s in sheets)
    assert sheets[:3] == ["a_b", "a_b (2)", "A_B (3)"]
    assert "con.csv" not in {path.name for path in files}


def test_control_characters_and_long_text_are_said(tmp_path, capsys):
    frame = pd.DataFrame({"a": ["bell\x07", "x" * 40_000]})
    _, workbook = save_tables({"t": frame}, tmp_path)
    assert openpyxl.load_workbook(workbook)["t"]["A2"].value == "bell\ufffd"
    said = capsys.readouterr().out
    assert "sheet 't': 1 cells held control characters" in said
    assert "sheet 't': 1 texts cut to 32767 characters" in said
    assert rows_of(tmp_path / "t.csv")[2] == ["x" * 40_000]


def test_a_table_too_large_for_a_sheet_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export, "ROWS", 3)
    save_tables({"t": pd.DataFrame({"a": [1, 2, 3]})}, tmp_path)
    assert (
        "sheet 't' is empty, because the table is too large for the format; use its CSV file" in capsys.readouterr().out
    )


def test_without_openpyxl_the_csv_files_are_written_and_it_is_said(tmp_path, capsys, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "openpyxl" else there(name))
    assert [path.name for path in save_tables({"t": pd.DataFrame({"a": [1]})}, tmp_path)] == ["t.csv"]
    assert (
        "tables.xlsx: left out, because openpyxl is not installed; pip install 'csi-lab[excel]'"
        in capsys.readouterr().out
    )


def test_what_is_not_a_table_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"not DataFrames: 'a' \(Series\), 'b' \(int\); use to_frame"):
        save_tables({"a": pd.Series([1]), "b": 3, "c": pd.DataFrame()}, tmp_path)
    with pytest.raises(SpecError, match="no tables given"):
        save_tables({}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(SpecError, match=r"taken.*cannot be written"):
        save_tables({"t": pd.DataFrame({"a": [1]})}, tmp_path / "taken")


def test_no_draft_is_left_behind(tmp_path):
    files = save_tables({"t": pd.DataFrame({"a": [1]})}, tmp_path / "new" / "folder")
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(files)
