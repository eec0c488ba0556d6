"""Damaged, odd and large files: read as they are written, or refused with the true cause; never a traceback."""

import csv
import random
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_study_survey import GOOD, HEAD, STUDY, refused, said, survey

from csi_lab.errors import DataError
from csi_lab.study import text_file
from csi_lab.study.specification import DataFile
from csi_lab.study.table import Table, gathered
from csi_lab.study.text_file import read_text

COMMA = STUDY.replace("{file: FILE}", '{file: FILE, delimiter: ";", decimal: ","}')
SEMICOLONS = GOOD.replace(",", ";")


def workbook(path: Path, rows: list[list[object]]) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [HEAD.strip().split(","), *rows]:
        book.active.append(row)
    book.save(path)


def answers(first: object = 2, second: object = 1) -> list[list[object]]:
    good: list[list[object]] = [[i, "ns"[i % 2], i % 10 + 1, i * 3 % 10 + 1, i * 7 % 9 + 1] for i in range(1, 13)]
    return [[0, "n", first, 5, 5], [99, "n", second, 5, 5], *good]


@pytest.mark.parametrize(("first", "second", "row"), [(True, 1, 2), (1, True, 3)])
def test_true_is_not_one_in_a_workbook(tmp_path: Path, first: object, second: object, row: int):
    workbook(tmp_path / "x.xlsx", answers(first, second))
    message = refused(tmp_path, None, file="x.xlsx")
    assert f"logical values in number columns: a (1 to 10): TRUE in row {row}. Store numbers in the file" in message
    assert "1 problem" in message


def test_true_in_parquet_is_named_with_its_remedy(tmp_path: Path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(answers(), columns=HEAD.strip().split(",")).astype({"id": str})
    frame.assign(a=[True, False] * 7).to_parquet(tmp_path / "x.parquet")
    message = refused(tmp_path, None, file="x.parquet")
    assert "logical values in number columns: a (1 to 10): TRUE in rows 1, 3, 5" in message
    assert "such as `TRUE: 1`" in message


def test_true_keeps_its_meaning_where_labels_or_codes_give_one(tmp_path: Path):
    workbook(tmp_path / "x.xlsx", answers(True, False))
    study = STUDY.replace("{十分: 10}", "{TRUE: 10}").replace('"n/a"', '"FALSE"')
    loaded = survey(tmp_path, None, file="x.xlsx", study=study)
    np.testing.assert_array_equal(loaded.frame["a"].head(3), [10, np.nan, 2])


def test_logical_ids_and_segments_of_a_workbook_stay_apart_from_numbers(tmp_path: Path):
    rows = answers()
    rows[0][:2], rows[1][:2], rows[2][:2] = [True, 1], [77, True], [1, 1]
    workbook(tmp_path / "x.xlsx", rows)
    frame = survey(tmp_path, None, file="x.xlsx").frame
    assert frame["id"].tolist()[:3] == ["TRUE", "77", "1"]
    assert frame["r"].tolist()[:3] == ["1", "TRUE", "1"]


def repacked(source: Path, target: Path, change: dict[str, bytes]) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change.get(name, old.read(name)))


def test_a_damaged_workbook_is_refused_in_words(tmp_path: Path):
    source, target = tmp_path / "good.xlsx", tmp_path / "x.xlsx"
    workbook(source, answers())
    sheet = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(source) as book:
        whole, place = book.read(sheet), book.getinfo(sheet).header_offset
    repacked(source, target, {sheet: whole[: len(whole) // 2]})
    message = refused(tmp_path, None, file="x.xlsx")
    assert "x.xlsx: sheet 'Sheet' is damaged after row" in message
    assert "save it again as .xlsx" in message
    packed = bytearray(source.read_bytes())
    packed[place + 60 : place + 90] = b"\xff" * 30  # inside the compressed sheet
    target.write_bytes(packed)
    assert "damaged" in refused(tmp_path, None, file="x.xlsx")
    repacked(source, target, {"xl/workbook.xml": b"<workbook"})
    assert "not a workbook, or damaged" in refused(tmp_path, None, file="x.xlsx")


@pytest.mark.parametrize("file", ["x.xlsx", "x.parquet", "x.sav"])
def test_bytes_changed_at_random_never_end_in_a_traceback(tmp_path: Path, file: str):
    frame = pd.DataFrame(answers(), columns=HEAD.strip().split(",")).astype({"id": str})
    if file == "x.xlsx":
        workbook(tmp_path / file, answers())
    elif file == "x.parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(tmp_path / file)
    else:
        pytest.importorskip("pyreadstat").write_sav(frame, str(tmp_path / file))
    content, chance, outcomes = (tmp_path / file).read_bytes(), random.Random(5), set()
    for _ in range(40):
        damaged = bytearray(content)
        for _ in range(20):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            survey(tmp_path, bytes(damaged), file=file)
            outcomes.add("read")
        except DataError:
            outcomes.add("refused")
    assert "refused" in outcomes


def test_a_parquet_file_with_a_name_twice_is_refused_with_the_places(tmp_path: Path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    columns = [pa.array(column) for column in zip(*answers(), strict=True)]
    pq.write_table(pa.Table.from_arrays(columns, names=["id", "r", "a", "a", "c"]), tmp_path / "x.parquet")
    message = refused(tmp_path, None, file="x.parquet")
    assert "column names given more than once: 'a' (columns 3, 4); rename or delete the copies" in message
    assert "columns not in the file: 'b'" in message


def test_a_name_too_long_for_a_file_is_refused(tmp_path: Path):
    assert "(File name too long); correct `data: file`" in refused(tmp_path, None, file="x" * 300 + ".csv")


def test_a_long_open_answer_is_read(tmp_path: Path):
    study, long = STUDY + "open_answers: [said]\n", "好，" * 100_000
    head, *lines = GOOD.splitlines()
    before = csv.field_size_limit()
    for cell in (long, f'"{long}"'):
        content = "\n".join([head + ",said", *(f"{line}," for line in lines), f"77,n,1,2,3,{cell}\n"])
        assert survey(tmp_path, content, study=study).frame["said"].iloc[-1] == long
    assert csv.field_size_limit() == before
    assert refused(tmp_path, content[:-2], study=study).endswith(
        "row 14, beginning on line 14: a quotation mark is not closed; close it, or write a quotation mark "
        'within a text twice ("")'
    )
    assert csv.field_size_limit() == before


def test_text_after_a_closing_quotation_mark_is_named_as_such(tmp_path: Path):
    message = refused(tmp_path, GOOD + '9,"n"n,1,2,3\n')
    assert "row 14, beginning on line 14: something other than ',' follows a closing quotation mark" in message


def test_a_decimal_comma_is_read_where_the_study_says_so(tmp_path: Path):
    content = SEMICOLONS + "1,5;n;7,5; 2,25 ;1e0\n21;n;99,0;10;3\n"
    loaded = survey(tmp_path, content, study=COMMA)
    expected = [[7.5, 2.25, 1], [np.nan, 10, 3]]
    np.testing.assert_array_equal(loaded.frame[["a", "b", "c"]].tail(2), expected)
    assert loaded.frame["id"].iloc[-2] == "1,5"  # a text stays as it is
    assert "delimiter ';', decimal comma" in said(loaded, "Read 14 rows")
    assert "decimal" not in said(survey(tmp_path), "Read 12 rows")


def test_a_decimal_sign_is_never_guessed(tmp_path: Path):
    message = refused(tmp_path, SEMICOLONS + "20;n;7.5;1.000,5;17,5\n", study=COMMA)
    assert "text in number columns: a (1 to 10): '7.5' in row 14; b (1 to 10): '1.000,5' in row 14" in message
    assert 'the study file says `decimal: ","`' in message
    assert "values outside the scale: c (1 to 10): 17,5 in row 14" in message
    plain = COMMA.replace(', decimal: ","', "")
    message = refused(tmp_path, SEMICOLONS + "20;n;7,5;1;1\n", study=plain)
    assert 'if numbers are written with a decimal comma, write `decimal: ","` under `data`' in message
    assert "decimal comma" not in refused(tmp_path, SEMICOLONS + "20;n;good;1;1\n", study=plain)


def test_weights_and_codes_take_the_decimal_comma_too(tmp_path: Path):
    head, *lines = SEMICOLONS.splitlines()
    content = "\n".join([head + ";w", *(f"{line};0,5" for line in lines), "20;n;9,9;3;3;1,25"])
    study = COMMA.replace("{id: id}", "{id: id, weights: w}").replace("99", '"9,9"').replace("high: 10", "high: 9")
    study = study.replace("{low: 1, high: 9, labels: {十分: 10}}", "{low: 1, high: 9}")
    study += "checks: {outside_scale: missing}\n"
    loaded = survey(tmp_path, content, study=study)
    assert loaded.frame["w"].tolist() == [0.5] * 12 + [1.25]
    assert said(loaded, "Missing codes became missing") == "Missing codes became missing: a (1)."


def slow(content: bytes, delimiter: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    with monkeypatch.context() as patch:
        patch.setattr(text_file, "_plain", lambda *given: None)
        return fast(content, delimiter, folder)


def fast(content: bytes, delimiter: str, folder: Path) -> Table:
    (folder / "x.csv").write_bytes(content)
    return read_text(folder / "x.csv", DataFile(file="x.csv", delimiter=delimiter), ["a", "b", "d"], "x.csv")


def test_both_ways_of_reading_text_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever the cells and however the rows are broken: the quick way gives what the careful way gives."""
    monkeypatch.setattr(text_file, "_BLOCK", 64)  # many blocks, also inside one row
    chance, quick = random.Random(3), 0
    cells = ["", "1", "10", "007", " 7 ", "九", "12345678", "123456789", "a\u2028b", "\x0b", "x" * 70, "-0", "😀"]
    for trial in range(300):
        delimiter, end = chance.choice([",", ";", "\t", "|"]), chance.choice(["\n", "\r\n", "\r"])
        rows = [["a", "b", "c", "d"]] + [[chance.choice(cells) for _ in "abcd"] for _ in range(chance.randrange(9))]
        if trial % 3 == 0:
            rows.insert(chance.randrange(1, len(rows) + 1), [chance.choice(cells)] * chance.choice([0, 1, 3, 5, 8]))
        if trial % 5 == 0:
            rows[-1][-1:] = ['"quoted\n"']
        content = end.join(delimiter.join(row) for row in rows) + end * chance.randrange(3)
        given = content.encode(), delimiter, tmp_path
        one, other = fast(*given), slow(*given, monkeypatch=monkeypatch)
        quick += text_file._plain(content.encode(), delimiter, rows[0], ["a"], []) is not None
        assert (one.names, one.notes, one.problems) == (other.names, other.notes, other.problems)
        np.testing.assert_array_equal(one.rows, other.rows)
        assert list(one.columns) == list(other.columns)
        for name, column in one.columns.items():
            assert column.values == other.columns[name].values
            np.testing.assert_array_equal(column.codes, other.columns[name].codes)
    assert 50 < quick < 300


def test_a_code_has_the_type_of_its_value():
    table = gathered(["a"], enumerate([[1], [True], ["1"], [1]], 2), ["a"], [], "")
    assert table.columns["a"].values == (1, True, "1")
    assert [type(value) for value in table.columns["a"].values] == [int, bool, str]
    assert table.columns["a"].codes.tolist() == [0, 1, 2, 0]
