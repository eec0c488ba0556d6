"""A study file is understood whole, or refused whole: every problem at once, with line, key and remedy."""

import re
from pathlib import Path

import pytest

import csi_lab
from csi_lab.errors import SpecError
from csi_lab.study.specification import Study, load_study

COMPLETE = """\
name: trial
title: {en: Trial, zh: 试验}
languages: [en, zh]
data: {file: answers.csv, encoding: utf-8, delimiter: ","}
scale: {low: 1, high: 10, labels: {非常满意: 10, no: 1}}
missing_codes: [99, "n/a"]
checks: {outside_scale: missing, duplicate_id: first}
constructs:
  Image: [IMAG1, IMAG2]
  Satisfaction:
    label: {en: Satisfaction, zh: 满意度}
    mode: B
    items:
      CUSA1: {en: overall satisfaction, zh: 总体满意度}
      CUSA2: {zh: 距离, low: 0, high: 100, reversed: true, missing_codes: [98]}
      CUSA3:
paths: {Satisfaction: Image}
design: {id: i, weights: w, strata: s, psu: p, population: N}
segments: [s]
open_answers: [comment]
sample: {population: everyone, dates: 2024-01-31}
"""


def study_file(folder: Path, text: str | bytes) -> Path:
    path = folder / "study.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def refused(folder: Path, text: str | bytes) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load_study(study_file(folder, text))
    message = str(caught.value)
    # The reader wrote YAML, not Python: no addresses, classes or library words.
    assert not re.search(r"https?:|pydantic|validation|Traceback|<class|\bdict\b|\btuple\b|_type\b", message)
    return caught.value


@pytest.fixture
def trial(tmp_path: Path) -> Study:
    return load_study(study_file(tmp_path, COMPLETE))


def test_short_and_long_forms_mean_the_same(tmp_path: Path):
    short = "name: a\ndata: {file: a.csv}\nscale: {low: 1, high: 5}\nconstructs: {Image: [x, y]}\nsegments: r\n"
    long = (
        "name: a\ndata:\n  file: a.csv\nscale:\n  low: 1\n  high: 5\n"
        "constructs:\n  Image:\n    items:\n      x: {}\n      y:\nsegments: [r]\n"
    )
    assert load_study(study_file(tmp_path, short)) == load_study(study_file(tmp_path, long))


def test_every_key_is_understood(trial: Study):
    assert trial.bounds == dict.fromkeys(("IMAG1", "IMAG2", "CUSA1", "CUSA3"), (1, 10)) | {"CUSA2": (0, 100)}
    assert trial.missing["IMAG1"] == (99, "n/a")
    assert trial.missing["CUSA2"] == (98,)
    assert trial.items["CUSA2"].reversed
    assert trial.model is not None
    assert trial.model.paths["Satisfaction"] == ("Image",)
    assert dict(trial.model.modes) == {"Image": "A", "Satisfaction": "B"}
    assert trial.headline == "Satisfaction"
    assert trial.scale is not None
    assert trial.scale.labels == {"非常满意": 10, "no": 1}
    assert trial.sample.dates == {"en": "2024-01-31"}


def test_a_label_falls_back_to_the_other_language_and_then_to_the_name(trial: Study):
    english, chinese, french = trial.labels("en"), trial.labels("zh"), trial.labels("fr")
    assert (english["CUSA1"], chinese["CUSA1"]) == ("overall satisfaction", "总体满意度")
    assert english["CUSA2"] == "距离"
    assert chinese["IMAG1"] == "IMAG1"
    assert french == english


def test_a_study_cannot_be_changed(trial: Study):
    with pytest.raises(ValueError, match="frozen"):
        trial.name = "other"  # type: ignore[misc]


def test_without_model_and_paths_there_is_measurement_only(tmp_path: Path):
    study = load_study(study_file(tmp_path, COMPLETE.replace("paths: {Satisfaction: Image}\n", "")))
    assert study.model is None
    assert list(study.measurement.constructs) == ["Image", "Satisfaction"]


def test_all_circles_are_named_at_once(tmp_path: Path):
    two = "{Image: Satisfaction, Satisfaction: Image, Loyalty: Trust, Trust: Loyalty}"
    text = COMPLETE.replace("constructs:\n", "constructs:\n  Trust: t\n  Loyalty: l\n")
    message = str(refused(tmp_path, text.replace("{Satisfaction: Image}", two)))
    circles = [line for line in message.splitlines() if "circle" in line]
    assert any("Image" in line and "Satisfaction" in line for line in circles), message
    assert any("Trust" in line and "Loyalty" in line for line in circles), message


def test_a_construct_without_any_path_is_no_part_of_the_model(tmp_path: Path):
    text = COMPLETE.replace("constructs:\n", "constructs:\n  Trust: [t, u]\n")
    study = load_study(study_file(tmp_path, text.replace("{Satisfaction: Image}", "{Satisfaction: Image, Image: []}")))
    assert study.model is not None
    assert list(study.model.constructs) == ["Image", "Satisfaction"]
    assert dict(study.model.modes) == {"Image": "A", "Satisfaction": "B"}
    assert study.model.isolated == ()
    assert list(study.measurement.constructs) == ["Trust", "Image", "Satisfaction"]
    assert {"t", "u"} < set(study.items)


def test_a_catalogue_name_brings_the_paths():
    study = load_study("mobile")
    assert study.model is not None
    assert study.model.paths == csi_lab.models["ECSI mobile"].paths
    assert len(study.model.edges) == 12
    assert len(study.model.items) == 24


MANY = """\
nmae: x
data: {fil: a.csv, encoding: utf9}
scale: {low: 10, high: 1}
missing_codes: [[1]]
constructs:
  Image: [IMAG1, IMAG1, 5]
  Image: [x]
  Sat:
    mode: C
    items:
      A1: {low: 1, reversd: true}
      IMAG1: text
paths: {Sat: [Imige]}
model: ECSY
target: Satisfaction
segments: [A1]
design: {wieghts: w}
"""


@pytest.mark.parametrize(
    "expected",
    [
        "line 1, nmae: unknown key; did you mean 'name'?",
        "name: is missing; add a short id, such as `name: mobile`",
        "line 2, data.file: is missing; name the file of the answers, such as `file: answers.csv`",
        "line 2, data.fil: unknown key; did you mean 'file'?",
        "line 2, data.encoding: unknown encoding 'utf9'; common ones are utf-8, gb18030, big5, cp1252",
        "line 3, scale: low 10 is not below high 1; exchange or correct them",
        "line 4, missing_codes.1: must be a number or a text, not [1]",
        "line 6, constructs.Image.3: a list holds item names only; quote numbers",
        "line 7, constructs.Image: the key was given on line 6 already; keep one",
        "line 9, constructs.Sat.mode: must be 'A' or 'B', not 'C'",
        "line 11, constructs.Sat.items.A1.reversd: unknown key; did you mean 'reversed'?",
        "line 12, constructs.Sat.items.IMAG1: item 'IMAG1' is in Image and Sat; keep it in one place",
        "line 13, paths.Sat: no construct is called 'Imige'; did you mean 'Image'?",
        "line 13, paths: `model` and `paths` are both given; keep one of them",
        "line 14, model: unknown index model: 'ECSY'; did you mean",
        "line 15, target: no construct is called 'Satisfaction'; there are Image, Sat",
        "line 16, segments: column 'A1' is an item and a segment at once; give each its own column",
        "line 17, design.wieghts: unknown key; did you mean 'weights'?",
    ],
)
def test_all_problems_of_a_file_are_named_at_once(tmp_path: Path, expected: str):
    error = refused(tmp_path, MANY)
    assert any(expected in problem for problem in error.problems), str(error)


def test_problems_come_in_the_order_of_the_lines(tmp_path: Path):
    lines = [int(p.split(",")[0].removeprefix("line ")) for p in refused(tmp_path, MANY).problems]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("- a\n- b\n", "holds a list"),
        ("hello", "holds a single text"),
        ("name: x\ndata:\n\tfile: a.csv\n", "line 3, column 1: a tab"),
        ("title: 满意\n".encode("gb18030"), "byte 8 is not UTF-8; save the study file with encoding UTF-8"),
        (
            "name: !!python/object/apply:os.abort []\n",
            "line 1, name: tag !!python/object/apply:os.abort is not allowed",
        ),
        ("name: !secret x\n", "tag !secret is not allowed"),
        ("a: 1\nb: *x\n", "line 2, column 4: references (&name, *name) are not used in study files"),
        ("title: &a hello\n", "line 1, column 8: references (&name, *name) are not used in study files"),
        ("title: &Co\n", "or put the text in quotes"),
        ("constructs: &c {Image: [&i x]}\n", "line 1, column 13: references (&name, *name) are not used"),
        ("name: x\n---\nname: y\n", "line 2, column 1: a second document"),
        ("title: a: b\n", "a colon where none can stand"),
        ('title: "abc\n', "a quotation mark is not closed"),
        ("data: {file: a.csv\nname: x\n", "a bracket or brace is not closed"),
        ("a: " + "[" * 5000, "brackets nest too deeply"),
        (b"name: \x00", "line 1: a control character"),
        ("name: x\nname: y\n", "line 2, name: the key was given on line 1 already"),
        ("? [a, b]\n: 1\n", "a key must be one word or text"),
        ("no: 1\n", "line 1, no: unknown key"),
        ("true: 1\n", "line 1, true: unknown key"),
        ("title: {en: Overall, how satisfied}\n", "put the text before it in quotes"),
        ("scale: {low: 1e400, high: " + "9" * 5000 + "}\n", "scale.high: must be a finite number"),
        ("name: ../x\n", "name: must be one short word"),
        ("name: 2024\n", "name: must be text; put it in quotes, not 2024"),
    ],
)
def test_a_file_that_is_no_study_is_refused_with_the_remedy(tmp_path: Path, text: str | bytes, expected: str):
    assert expected in str(refused(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "missing_codes: [99",
            "missing_codes: [5, 99",
            "line 6, missing_codes: 5 is a possible answer of IMAG1 (1 to 10)",
        ),
        ("no: 1}", "no: 111}", "scale.labels.no: stands for 111, which is outside the scale"),
        ("no: 1}", "n/a: 1}", "scale.labels.n/a: is a missing code as well"),
        (
            "{low: 1, high: 10, labels: {非常满意: 10, no: 1}}",
            "",
            "scale: is missing, and these items have no low and high",
        ),
        ("low: 0, high: 100", "low: 11", "constructs.Satisfaction.items.CUSA2: low 11 is not below high 10"),
        ("CUSA1:", "Image:", "'Image' is a construct too; rename the construct"),
        ("open_answers: [comment]", "open_answers: [w]", "column 'w' is weights and an open answer at once"),
        ("psu: p", "psu: s", "column 's' is strata and psu at once"),
        ("segments: [s]", "segments: [s, s]", "segments: 's' stands twice"),
        ("languages: [en, zh]", "languages: [en]", "language 'zh' is not in `languages` (en); add it"),
        ("answers.csv", "answers.xls", "data.file: cannot read .xls; save it as one of .csv"),
        ("answers.csv", "answers.sav", "data.delimiter: has no meaning for a .sav file; remove it"),
        ('delimiter: ","', "sheet: one", "data.sheet: has no meaning for a .csv file; remove it"),
        (
            "{Satisfaction: Image}",
            "{Satisfaction: Image, Image: Satisfaction}",
            "line 17, paths: paths run in a circle",
        ),
        ("{Satisfaction: Image}", "{Satisfaction: [], Image: []}", "line 17, paths: no path is given; name what"),
        ('delimiter: ","', 'decimal: ";"', "line 4, data.decimal: must be '.' or ',', not ';'"),
        (
            'answers.csv, encoding: utf-8, delimiter: ","',
            'answers.parquet, decimal: ","',
            "data.decimal: has no meaning for a .parquet file; remove it",
        ),
        (
            'delimiter: ","}\nscale: {low: 1, high: 10, labels: {非常满意: 10, no: 1}}\nmissing_codes: [99',
            'decimal: ","}\nscale: {low: 1, high: 10, labels: {非常满意: 10, no: 1}}\nmissing_codes: ["9,5"',
            "missing_codes: 9,5 is a possible answer of IMAG1 (1 to 10)",
        ),
        (
            "paths: {Satisfaction: Image}",
            "model: ECSI mobile",
            "it needs Expectation, Quality, Value, Complaints, Loyalty",
        ),
        ("outside_scale: missing", "outside_scale: clip", "must be 'error', 'missing' or 'keep', not 'clip'"),
        ("duplicate_id: first", "duplicate_id: last", "must be 'error', 'first' or 'keep', not 'last'"),
        ("open_answers: [comment]", "keep: [comment, comment]", "keep: 'comment' stands twice; keep it once"),
        ("open_answers: [comment]", "keep: s", "column 's' is strata and a segment and a column to keep at once"),
        ("open_answers: [comment]", "keep: [IMAG1]", "column 'IMAG1' is an item and a column to keep at once"),
        ("open_answers: [comment]", "keep: {a: b}", "keep: must be a list such as [a, b]"),
        ("reversed: true", "reversed: maybe", "reversed: must be true or false, not 'maybe'"),
        ("Image: [IMAG1, IMAG2]", "Image: []", "constructs.Image.items: is empty; list the items"),
    ],
)
def test_a_contradiction_is_named_with_its_remedy(tmp_path: Path, old: str, new: str, expected: str):
    assert old in COMPLETE
    assert expected in str(refused(tmp_path, COMPLETE.replace(old, new)))


def test_a_code_inside_the_scale_is_allowed_where_the_item_states_it(tmp_path: Path):
    # 99 is an answer on 0 to 100: the item of this scale must say which codes are its own.
    text = COMPLETE.replace(", missing_codes: [98]", "")
    assert "99 is a possible answer of CUSA2 (0 to 100)" in str(refused(tmp_path, text))
    assert load_study(study_file(tmp_path, COMPLETE)).missing["CUSA2"] == (98,)
