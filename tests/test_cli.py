"""The command line: what it understands, what it prints, how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from made_studies import answers, write_study
from test_runner import write

from csi_lab import __version__
from csi_lab.course.cli import main, parse_value


@pytest.fixture
def csi_lab(capsys):
    """Run the command line in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("010", 10),
        ("true", True),
        ("no", "no"),
        ("zh", "zh"),
        ("12:30", "12:30"),
        ("2024-05-01", "2024-05-01"),
        ("null", None),
        ("'5'", "5"),
        ("", None),
        ("[1, a]", [1, "a"]),
        ("满意度", "满意度"),
        ("a=b", "a=b"),
    ],
)
def test_values_are_read_as_their_writer_means(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_nothing_in_a_value_is_executed():
    from csi_lab.errors import SpecError

    with pytest.raises(SpecError, match="could not determine a constructor"):
        parse_value("!!python/object/apply:os.system ['true']")


def test_version(csi_lab):
    assert csi_lab("--version") == (0, f"csi-lab {__version__}\n", "")


@pytest.mark.parametrize("command", ["run", "lessons", "check", "new", "report", "store"])
def test_every_command_explains_itself_with_an_example(csi_lab, command):
    code, out, _ = csi_lab(command, "--help")
    assert code == 0
    assert "Example" in out
    assert f"csi-lab {command}" in out


def test_malformed_parameters_are_all_named(csi_lab, tmp_path):
    code, out, err = csi_lab(
        "run", "x.ipynb", "-p", "n", "-p", "k=[", "-p", "a=1", "-p", "a=2", "--out", tmp_path / "out"
    )
    assert (code, out) == (1, "")
    assert "-p n: write -p name=value" in err
    assert "-p k=[: " in err
    assert "-p a=2: 'a' is given twice" in err
    assert not (tmp_path / "out").exists()


def test_malformed_unknown_and_unfitting_parameters_are_named_at_once(csi_lab, tmp_path):
    code, out, err = csi_lab(
        *("run", "02", "-p", "seed=x", "-p", "foo=1", "-p", "3", "-p", "language=xx", "--out", tmp_path / "out")
    )
    assert (code, out) == (1, "")
    assert "-p 3: write -p name=value" in err
    assert "seed: wants int (default 2026), got 'x' (str)" in err
    assert "unknown parameter 'foo'" in err
    assert "language: 'xx' is none of the study 'mobile'; it has en, zh" in err
    assert not (tmp_path / "out").exists()


def test_unfitting_and_malformed_parameters_of_a_report_are_named_at_once(csi_lab, tmp_path):
    code, _, err = csi_lab("report", "mobile", "-p", "draws=many", "-p", "3", "-l", "fr", "--out", tmp_path / "out")
    assert code == 1
    assert "-p 3: write" in err
    assert "draws: wants int" in err
    assert "'fr' is none of the study 'mobile'" in err


@pytest.mark.parametrize(
    "arguments", [("check", "mobile", "-l", "xx"), ("report", "mobile", "-l", "xx"), ("run", "02", "-p", "language=xx")]
)
def test_a_language_that_the_study_lacks_is_refused_with_those_it_has(csi_lab, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, out, err = csi_lab(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("language: 'xx' is none of the study 'mobile'; it has en, zh; choose one of these")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("new", "{}"),
        ("check", "{}"),
        ("run", "{}.ipynb"),
        ("run", "02", "--study", "{}"),
        ("run", "02", "--out", "{}"),
        ("report", "{}"),
        ("report", "mobile", "--out", "{}/b"),
    ],
)
def test_a_name_too_long_for_the_system_is_said_in_one_line(csi_lab, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, out, err = csi_lab(*(word.format("x" * 300) for word in arguments))
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "File name too long" in err


def test_a_run_says_what_happened_and_fails_when_a_lesson_fails(csi_lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "good.ipynb", "print(n)")
    write(tmp_path / "bad.ipynb", "missing + n")
    code, out, err = csi_lab("run", "good.ipynb", "bad.ipynb", "-p", "n=8")
    assert code == 1
    assert out == f"1 of 2 lessons are in {Path('build/course/index.html')}\n"
    assert "good: done in " in err
    assert "bad: FAILED" in err
    assert "bad: cell 3 (In [3]) stopped with NameError: name 'missing' is not defined\n  line 1: missing + n" in err
    assert "Traceback" not in err
    assert "without encryption" not in err
    code, out, err = csi_lab("run", "good.ipynb", "-p", "n=8")
    assert (code, err) == (0, "good: unchanged, skipped\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "99_none"], "99_none: no such lesson"),
        (["run", "none.ipynb"], "none.ipynb: no such notebook"),
        (["check", "nowhere"], "no study 'nowhere'"),
        (["report", "nowhere"], "no study 'nowhere'"),
        (["report", "mobile", "--language", "zh", "-p", "language=en"], "the language is given twice"),
        (["report", "mobile", "-p", "tables=x"], "'tables' is set by the report itself"),
        (["run", "02", "--study", "mobile", "-p", "study=mobile"], "the study is given twice"),
    ],
)
def test_mistakes_end_with_one_message_and_code_1(csi_lab, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = csi_lab(*arguments)
    assert (code, out) == (1, "")
    assert words in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_wrong_use_ends_with_code_2(csi_lab):
    assert csi_lab("run")[0] == 2
    assert csi_lab("run", "02", "--jobs", "0")[0] == 2
    assert csi_lab("nonsense")[0] == 2


def test_check_prints_what_was_understood(csi_lab):
    code, out, err = csi_lab("check", "mobile")
    assert (code, err) == (0, "")
    assert "7 constructs, 24 items, 12 paths" in out
    assert "CUSA1" in out
    assert "Satisfaction =~" in out


def test_check_reads_a_folder_of_files_in_a_stream(csi_lab, tmp_path):
    study = write_study(tmp_path / "s", answers(120), data={"file": "rows/"})
    (study / "rows").mkdir()
    (study / "answers.csv").rename(study / "rows" / "a.csv")
    code, _, err = csi_lab("check", study)
    assert code == 1
    assert "csi-lab check and report with --engine local" in err
    code, out, err = csi_lab("check", study, "--engine", "local")
    assert (code, err) == (0, "")
    assert "120 rows read in a stream from 1 file" in out
    assert "Satisfaction =~" in out
    for wrong, words in (
        (("--engine", "spark"), "use local or dask"),
        (("--scheduler", "x:1"), "belongs to the engine"),
    ):
        code, _, err = csi_lab("check", study, *wrong)
        assert code == 1
        assert words in err


def test_check_prints_every_problem(csi_lab, tmp_path):
    csi_lab("new", tmp_path / "s")
    path = tmp_path / "s" / "study.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "\nnonsense: 1\nrubbish: 2\n", encoding="utf-8")
    code, out, err = csi_lab("check", tmp_path / "s")
    assert (code, out) == (1, "")
    assert "nonsense" in err
    assert "rubbish" in err


def test_check_passes_a_study_whose_names_lavaan_cannot_hold(csi_lab, tmp_path):
    csi_lab("new", tmp_path / "s")
    path = tmp_path / "s" / "study.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("Quality", "Perceived quality"), encoding="utf-8")
    code, out, err = csi_lab("check", tmp_path / "s")
    assert (code, err) == (0, "")
    assert "'Perceived quality'" in out.split("Model (")[1]


def test_a_new_study_passes_check_and_says_what_to_do_next(csi_lab, tmp_path):
    code, out, _ = csi_lab("new", tmp_path / "s")
    assert code == 0
    assert f"csi-lab check {tmp_path / 's'}" in out
    assert csi_lab("check", tmp_path / "s")[0] == 0
    code, _, err = csi_lab("new", tmp_path / "s")
    assert code == 1
    assert "not empty" in err


def test_lessons_lists_titles_and_parameters(csi_lab, tmp_path, monkeypatch):
    from csi_lab.course import jobs

    write(tmp_path / "lessons" / "01_x.ipynb", title="Asking whom?")
    monkeypatch.setattr(jobs, "shipped", lambda kind: tmp_path)
    code, out, _ = csi_lab("lessons")
    assert code == 0
    assert out.startswith("01_x: Asking whom?\n    -p n=5  how many\n")


def test_the_command_line_starts_without_the_heavy_libraries():
    code = (
        "import sys, csi_lab.course.cli\n"
        "heavy = {'papermill', 'nbconvert', 'matplotlib', 'nbclient', 'semopy', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
