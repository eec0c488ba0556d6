"""A pass reads what it says it reads: every file, label and cell is used as it stands, or named."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from made_studies import answers, write_study

import csi_lab as csi
from csi_lab import CsiLabWarning, DataError
from csi_lab.moments import Moments
from csi_lab.scaleout import Form, Recode, moments, open_survey, scan, write_scores
from csi_lab.scaleout.columns import NO_LABEL

ITEMS = ["q1", "q2", "q3"]


def small(n: int = 60) -> pd.DataFrame:
    return answers(n)[ITEMS].astype("int8")


def problems_of(call) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        call()
    return caught.value.problems


# Labels


@pytest.mark.parametrize("cut", [1, 7, 60])
@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.dictionary(pa.int8(), pa.float64())])
def test_a_label_is_the_same_whatever_else_its_batch_holds(cut, kind, tmp_path):
    region = np.resize([1.0, 2.0, 2.5, np.nan, 0.1], 60)
    column = pa.array(region, kind.value_type if pa.types.is_dictionary(kind) else kind, from_pandas=True)
    column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column
    table = pa.Table.from_pandas(small()).append_column("region", column)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=cut)
    [found] = scan(tmp_path / "a.parquet", ITEMS, by=["region"]).sums.keyed
    assert {label: int(np.sum(cell.n)) for (label,), cell in found.items()} == dict.fromkeys(
        ["1", "2", "2.5", "0.1", NO_LABEL], 12
    )


def test_whole_labels_are_one_label_in_every_number_type(tmp_path):
    for name, kind in {"a": pa.int8(), "b": pa.float32(), "c": pa.float64(), "d": pa.decimal128(5, 2)}.items():
        table = pa.Table.from_pandas(small()).append_column("region", pa.array([3, 4] * 30, kind))
        pq.write_table(table, tmp_path / f"{name}.parquet")
    assert list(scan(tmp_path, ITEMS, by=["region"]).segments("region")) == ["3", "4"]


# Cells of text files


def test_only_the_empty_cell_of_a_text_file_is_missing(tmp_path):
    frame = small().astype(object).assign(region=["NA", "null", "nan"] * 20)
    frame.loc[4, "q1"] = ""
    frame.loc[5, "q2"] = "  "
    frame.to_csv(tmp_path / "a.csv", index=False)
    found = scan(tmp_path / "a.csv", ITEMS, by=["region"])
    assert sorted(found.segments("region")) == ["NA", "nan", "null"]
    assert found.sums.missing.tolist() == [1, 1, 0]


@pytest.mark.parametrize("word", ["NA", "NaN", "n/a", "NULL", "1_0", "0x7", "refused"])
def test_a_word_among_answers_is_refused_and_all_items_are_named(word, tmp_path):
    frame = small().astype(object)
    frame.loc[[3, 9], "q1"] = word
    frame.loc[8, "q3"] = word
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match="declare texts that mean no answer as missing codes") as caught:
        moments(tmp_path / "a.csv", ITEMS)
    assert f"a.csv: the item 'q1' holds text: '{word}'" in str(caught.value)
    assert f"the item 'q3' holds text: '{word}'" in str(caught.value)
    assert "'q2'" not in str(caught.value)


def test_text_columns_of_a_parquet_file_are_all_named():
    with pytest.raises(DataError, match=r"'q1' holds .*string, not numbers.*'q3' holds text: 'x'"):
        moments(pa.table({"q1": ["1", "2"], "q2": [1, 2], "q3": ["1", "x"]}), ITEMS)


def test_texts_declared_as_missing_codes_mean_the_same_as_in_memory(tmp_path):
    frame = answers(200).astype(object)
    frame.loc[[3, 9, 11], "q1"] = ["NA", " NA ", ""]
    frame.loc[[8, 9], "q3"] = ["refused", 99]
    study = write_study(tmp_path, frame, missing_codes=["NA", "refused", 99])
    loaded, streamed = csi.load_survey(study), open_survey(study)
    for words in ("Missing codes became missing: q1 (2), q3 (2).", "Empty cells: q1 (1)."):
        assert words in loaded.notes
        assert words in streamed.notes
    assert (loaded.moments().cov == streamed.moments().cov).all()
    assert loaded.moments().n == 200 - 4


def test_a_point_under_a_decimal_comma_is_refused_and_blanks_around_numbers_are_not(tmp_path):
    (tmp_path / "a.csv").write_text("q1;q2\n 1,5 ;2\n2,25;3\n4;1\n")
    found = moments(tmp_path / "a.csv", ["q1", "q2"], form=Form(";", None, ","))
    assert found.mean.tolist() == pytest.approx([(1.5 + 2.25 + 4) / 3, 2])
    (tmp_path / "a.csv").write_text("q1;q2\n1.5;2\n2,25;3\n")
    with pytest.raises(DataError, match=r"decimal sign is ',': 'q1' \('1\.5'\)"):
        moments(tmp_path / "a.csv", ["q1", "q2"], form=Form(";", None, ","))


def test_text_among_weights_is_refused_with_the_text(tmp_path):
    small().assign(w=["1"] * 59 + ["heavy"]).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match=r"the weights 'w' hold text: 'heavy'"):
        moments(tmp_path / "a.csv", ITEMS, weights="w")


def test_line_breaks_within_quotes_do_not_cut_a_row_in_a_file_of_many_blocks(tmp_path):
    n = 40_000
    frame = pd.concat([small(1000)] * (n // 1000), ignore_index=True)
    frame.insert(0, "comment", "first line\nsecond, line " + "x" * 600)
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert (tmp_path / "a.csv").stat().st_size > 2 << 23  # more than two blocks
    found = moments(tmp_path / "a.csv", ITEMS)
    assert found.n == n
    assert (found.cov == Moments.from_frame(frame[ITEMS]).cov).all()


def test_a_quotation_mark_that_is_never_closed_loses_no_rows_in_silence(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('q1,q2,comment\n1,2,fine\n3,3,"never closed\n4,1,x\n')
    with pytest.raises(DataError, match=r"a\.csv: the row that begins on line 3 cannot be read .*close its quotation"):
        moments(file, ["q1", "q2"])
    file.write_text('q1,q2,comment\n1,2,fine\n3,3,5" screen\n4,1,x\n')
    assert moments(file, ["q1", "q2"]).n == 3


def test_chinese_text_is_read_as_in_memory_when_nobody_says_its_encoding(tmp_path):
    frame = answers(300).assign(region=["北京", "上海", "深圳"] * 100)
    study = write_study(tmp_path, frame, segments=["region"])
    frame.to_csv(tmp_path / "answers.csv", index=False, encoding="gb18030")
    loaded, streamed = csi.load_survey(study), open_survey(study)
    assert set(streamed.scan.segments("region")) == set(loaded.frame["region"])
    assert any("read as GB18030: answers.csv" in note for note in streamed.notes)
    with pytest.warns(CsiLabWarning, match="GB18030"):
        scan(tmp_path / "answers.csv", ITEMS, by=["region"])
    frame.to_csv(tmp_path / "answers.csv", index=False, encoding="utf-8-sig")
    assert set(open_survey(study).scan.segments("region")) == set(frame["region"])
    frame.to_csv(tmp_path / "answers.csv", index=False, encoding="utf-16")
    with pytest.raises(DataError, match=r"answers\.csv: the file is UTF-16"):
        open_survey(study)
    (tmp_path / "answers.csv").write_bytes(b"q1,region\n1,\xff\xff\n")
    with pytest.raises(DataError, match="neither UTF-8 nor GB18030"):
        open_survey(study)


# Files of a folder


def test_files_that_may_be_answers_are_never_skipped_in_silence(tmp_path):
    place = tmp_path / "answers"
    place.mkdir()
    small().to_parquet(place / "a.parquet")
    small().to_parquet(place / "b.pq")
    small().to_parquet(place / "part-3")
    (place / "b.csv.gz").write_bytes(gzip.compress(b"q1\n1\n"))
    (place / "broken.parquet").symlink_to(tmp_path / "nowhere")
    (tmp_path / "more").mkdir()
    (place / "linked").symlink_to(tmp_path / "more")
    found = problems_of(lambda: moments(place, ITEMS))
    assert sorted(p.split(":")[0] for p in found) == ["b.csv.gz", "b.pq", "broken.parquet", "linked", "part-3"]


def test_what_is_harmless_in_a_folder_is_skipped_and_other_kinds_are_noted(tmp_path):
    study = write_study(tmp_path, answers(60), data={"file": "answers/"})
    place = tmp_path / "answers"
    (place / "_old").mkdir(parents=True)
    answers(60).to_parquet(place / "a.parquet")
    answers(60).to_parquet(tmp_path / "elsewhere.parquet")
    (place / "b.parquet").symlink_to(tmp_path / "elsewhere.parquet")
    for name in ("_SUCCESS", ".a.parquet.crc", "_old/x.parquet", ".hidden.parquet"):
        (place / name).write_bytes(b"")
    assert not any("another kind" in note for note in open_survey(study).notes)
    (place / "codebook.txt").write_text("q1: recommend")
    survey = open_survey(study)
    assert survey.scan.rows == 120  # the link to a file is a file
    assert "Files of another kind beside the answers were left aside: codebook.txt." in survey.notes
    with pytest.warns(CsiLabWarning, match=r"codebook\.txt"):
        moments(place, ITEMS)


def test_a_file_given_twice_is_refused_and_one_matched_twice_is_read_once(tmp_path):
    (tmp_path / "x").mkdir()
    small().to_parquet(tmp_path / "x" / "a.parquet")
    with pytest.raises(DataError, match=r"given twice, .*: \['a.parquet'\]"):
        moments([tmp_path / "x" / "a.parquet", tmp_path / "x"], ITEMS)
    assert moments(str(tmp_path / "**"), ITEMS).n == 60
    (tmp_path / "x" / "latest.parquet").symlink_to(tmp_path / "x" / "a.parquet")
    with pytest.raises(DataError, match=r"by links: \['a.parquet', 'latest.parquet'\]"):
        moments(tmp_path / "x", ITEMS)


def test_a_folder_with_signs_of_a_pattern_in_its_name_is_a_folder(tmp_path):
    place = tmp_path / "[x]"
    place.mkdir()
    small().to_parquet(place / "a.parquet")
    for source in (place, place / "a.parquet", place / "*.parquet"):
        assert moments(str(source), ITEMS).n == 60


# Columns in names of folders


def test_only_folders_below_the_source_are_columns(tmp_path):
    root = tmp_path / "wave=above"
    for region in ("north", "south"):
        folder = root / "answers" / f"region={region}"
        folder.mkdir(parents=True)
        small().to_parquet(folder / "a.parquet")
    files = sorted(root.rglob("*.parquet"))
    for source in (root / "answers", str(root / "answers" / "region=*" / "*.parquet"), files):
        assert list(scan(source, ITEMS, by=["region"]).segments("region")) == ["north", "south"]
        with pytest.raises(DataError, match=r"columns not in .*\['wave'\]"):
            scan(source, ITEMS, by=["wave"])
    for source in (files[0], files[:1], str(files[0].parent / "*.parquet"), files[0].parent):
        with pytest.raises(DataError, match=r"columns not in .*\['region'\]"):
            scan(source, ITEMS, by=["region"])


def test_a_column_of_the_file_and_of_its_folder_is_refused_by_both_names(tmp_path):
    (tmp_path / "wave=2024").mkdir()
    small().assign(wave="2023").to_parquet(tmp_path / "wave=2024" / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: 'wave' is a column of the file and of its folder wave=2024"):
        scan(tmp_path, ITEMS, by=["wave"])
    assert moments(tmp_path, ITEMS).n == 60


# The same files in every pass


def test_later_passes_read_the_files_of_the_first_and_refuse_changed_ones(tmp_path):
    study = write_study(tmp_path, answers(300), data={"file": "answers/"})
    place = tmp_path / "answers"
    place.mkdir()
    answers(300).mask(np.random.default_rng(1).random((300, 10)) < 0.05).to_parquet(place / "a.parquet")
    survey = open_survey(study)
    answers(50).to_parquet(place / "b.parquet")  # came later: not part of the survey
    fit = csi.sem.pls(survey)
    assert write_scores(survey, fit, tmp_path / "scores").rows == 300
    assert survey.moments(["q1", "q9"]).n > survey.moments().n  # a pass of its own
    assert open_survey(study).fingerprint != survey.fingerprint
    os.utime(place / "a.parquet", ns=(1, 1))
    for later in (
        lambda: write_scores(survey, fit, tmp_path / "again"),
        lambda: survey.moments(["q1", "q8"]),
        lambda: survey.moments(missing="em"),
    ):
        with pytest.raises(DataError, match=r"open the survey again\n  a\.parquet: changed"):
            later()
    assert not (tmp_path / "again").exists()
    (place / "a.parquet").unlink()
    with pytest.raises(DataError, match=r"a\.parquet: no longer there"):
        survey.moments(["q1", "q8"])


# Damage


def test_damaged_files_and_files_of_another_form_are_listed_together(tmp_path):
    small().to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 nothing PAR1")
    small().drop(columns="q2").to_parquet(tmp_path / "c.parquet")
    small().assign(q3="x").to_parquet(tmp_path / "d.parquet")
    found = problems_of(lambda: moments(tmp_path, ITEMS))
    assert [p.split(":")[0] for p in found] == ["b.parquet", "c.parquet", "d.parquet"]


def test_an_error_in_the_middle_says_that_more_may_follow(tmp_path):
    for name in ("a", "b"):
        file = tmp_path / f"{name}.parquet"
        pq.write_table(pa.Table.from_pandas(small(5000)), file)
        content = bytearray(file.read_bytes())
        start = pq.read_metadata(file).row_group(0).column(0).dictionary_page_offset
        content[start : start + 400] = bytes(400)
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet, row group 0 cannot be read.*what comes after may be damaged too"):
        moments(tmp_path, ITEMS)


# Names of columns


def test_columns_that_share_a_name_are_refused_in_every_kind_of_source(tmp_path):
    twice = pa.table([[1, 2], [3, 4], [1, 3]], names=["q1", "q1", "q2"])
    pq.write_table(twice, tmp_path / "a.parquet")
    pyarrow.feather.write_feather(twice, str(tmp_path / "a.arrow"))
    (tmp_path / "a.csv").write_text("q1,q1,q2\n1,3,1\n2,4,3\n")
    frame = pd.DataFrame([[1, 3, 1], [2, 4, 3]], columns=["q1", "q1", "q2"])
    sources = [tmp_path / "a.parquet", tmp_path / "a.arrow", tmp_path / "a.csv", twice, frame, twice.to_batches()[0]]
    for source in sources:
        with pytest.raises(DataError, match=r"columns share a name: \['q1'\]; rename them"):
            moments(source, ["q1", "q2"])


def test_columns_named_by_numbers_get_the_remedy():
    frame = pd.DataFrame({1: [1, 2, 3], "q2": [1, 3, 2]})
    for items in (["1", "q2"], [1, "q2"]):
        with pytest.raises(DataError, match=r"rename them with frame\.columns = frame\.columns\.astype\(str\)"):
            moments(frame, items)


def test_a_filtered_dataset_is_refused_with_the_reason(tmp_path):
    small().to_parquet(tmp_path / "a.parquet")
    whole = ds.dataset(tmp_path / "a.parquet")
    assert moments(whole, ITEMS).n == 60
    with pytest.raises(DataError, match="the Dataset cannot be cut into parts"):
        moments(whole.filter(ds.field("q1") > 3), ITEMS)


def test_declared_texts_are_no_answers_in_text_columns_of_parquet():
    table = pa.table({"q1": ["1", "NA", "3", None], "q2": [1, 2, 2, 3]})
    recodes = {"q1": Recode(texts=("NA",)), "q2": Recode()}
    found = scan(table, recodes)
    assert (found.sums.missing.tolist(), found.sums.coded.tolist(), found.moments.n) == ([2, 0], [1, 0], 2)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_blanks_around_labels_make_no_group_and_no_unit_of_their_own(form, tmp_path):
    """As in memory: a label is what a person sees in the cell, and a cell of blanks is empty."""
    labels = ["T 01", " T 01", "T 01 ", "T 02", "T 02 ", "  ", ""] * 20
    frame = pd.DataFrame({"q1": np.arange(140) % 10 + 1, "town": labels})
    file = tmp_path / f"a.{form}"
    frame.to_csv(file, index=False) if form == "csv" else frame.to_parquet(file)
    found = scan(file, ["q1"], by=["town"]).segments("town")
    assert {label: part.n for label, part in found.items()} == {"(no group)": 40, "T 01": 60, "T 02": 40}
    with pytest.raises(DataError, match="'town' is empty in 40 rows"):
        scan(file, ["q1"], design=csi.Design(psu="town"))
    filled = frame[frame["town"].str.strip() != ""]
    assert scan(filled, ["q1"], design=csi.Design(psu="town")).units.count == 2


def test_logical_labels_are_written_as_in_memory(tmp_path):
    frame = pd.DataFrame({"q1": [1, 2, 3, 4], "g": [True, False, True, True]})
    assert {label: part.n for label, part in scan(frame, ["q1"], by="g").segments("g").items()} == {
        "FALSE": 1,
        "TRUE": 3,
    }


def test_a_decimal_comma_among_answers_gets_its_remedy(tmp_path):
    (tmp_path / "a.csv").write_text('q1\n"7,5"\n8\n')
    with pytest.raises(DataError, match=r"'7,5'.*decimal=','"):
        scan(tmp_path / "a.csv", ["q1"])


def test_an_empty_name_is_not_the_folder_one_happens_to_be_in(tmp_path, monkeypatch):
    pd.DataFrame({"q1": [1, 2, 3]}).to_parquet(tmp_path / "a.parquet")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        scan("", ["q1"])


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    """Writers of partitioned tables call every file alike."""
    for year in (2021, 2022, 2023):
        folder = tmp_path / "a" / f"wave={year}"
        folder.mkdir(parents=True)
        small().to_parquet(folder / "part-0.parquet", row_group_size=20)
    damaged = tmp_path / "a" / "wave=2022" / "part-0.parquet"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-100])
    files = [str(path) for path in sorted((tmp_path / "a").rglob("*.parquet"))]
    for source in (tmp_path / "a", str(tmp_path / "a" / "*" / "*.parquet"), files):
        [problem] = problems_of(lambda given=source: scan(given, ITEMS))
        assert problem.startswith("wave=2022/part-0.parquet: ")
    data = ds.dataset(files[::2], format="parquet")
    small().assign(q1=["word"] * 60).to_parquet(files[2])
    with pytest.raises(DataError, match=r"^wave=2023/part-0\.parquet, row group 0"):
        moments(data, ITEMS)
    damaged.write_bytes(whole)
    assert "wave=2023/part-0.parquet: 'q1' holds text, in wave=2021/part-0.parquet numbers" in problems_of(
        lambda: scan(tmp_path / "a", ITEMS)
    )


def test_columns_that_seem_absent_get_the_remedy(tmp_path):
    (tmp_path / "a.csv").write_text("q1;q2\n1;2\n3;4\n")
    with pytest.raises(DataError, match=r"seem to be separated by ';': say delimiter=';'"):
        scan(tmp_path / "a.csv", ["q1", "q2"])
    (tmp_path / "b.csv").write_text("q1, q2\n1,2\n3,4\n")
    with pytest.raises(DataError, match=r"remove the blanks around \[' q2'\]"):
        scan(tmp_path / "b.csv", ["q1", "q2"])
