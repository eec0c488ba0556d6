"""The rules of CONTRIBUTING.md for notebooks, enforced; and every notebook on other parameters and another study.

Outputs themselves are compared by nbval, which runs over notebooks/ in the same test run.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

from csi_lab.course.exercises import cut
from csi_lab.course.notebook import LessonError
from csi_lab.course.runner import report, run
from csi_lab.study.datasets import new_study

FOLDER = Path(__file__).parents[1] / "notebooks"
ALL = sorted(FOLDER.rglob("*.ipynb"))
LESSONS = sorted((FOLDER / "lessons").glob("*.ipynb"))
SOLUTIONS = sorted((FOLDER / "solutions").glob("*.ipynb"))

every_notebook = pytest.mark.parametrize("path", ALL, ids=lambda p: f"{p.parent.name}/{p.stem}")
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def outputs(path: Path) -> list:
    return [output for cell in code_cells(path) for output in cell.outputs]


def test_there_are_lessons_exercises_solutions_and_a_report():
    assert {path.stem for path in LESSONS} >= {"02_what_is_an_index", "05_structural_model"}
    assert {path.stem for path in SOLUTIONS} == {path.stem for path in (FOLDER / "exercises").glob("*.ipynb")}
    assert (FOLDER / "analysis" / "report.ipynb").is_file()


@every_notebook
def test_it_is_valid_and_names_the_kernel_everybody_has(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata["kernelspec"]["name"] == "python3"


@every_notebook
def test_it_was_run_from_top_to_bottom_and_stored(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_its_parameters_are_typed_literals(path):
    [cell] = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
    for line, node in zip(cell.source.splitlines(), ast.parse(cell.source).body, strict=True):
        ast.literal_eval(node.value)
        assert re.search(r"#\s*(str|int|float|bool): \S", line), line


@every_notebook
def test_no_cell_ends_with_a_semicolon_or_is_long(path):
    for cell in code_cells(path):
        assert not cell.source.rstrip().endswith(";")
        assert len([line for line in cell.source.splitlines() if line.strip()]) <= 12, cell.source
        assert max(len(line) for line in cell.source.splitlines()) <= 120, cell.source


@every_notebook
def test_no_run_metadata_is_stored(path):
    notebook = nbformat.read(path, as_version=4)
    assert not {"papermill", "widgets"} & set(notebook.metadata)
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}, cell.metadata


@every_notebook
def test_outputs_are_free_of_noise(path):
    """Nothing on stderr, no SVG, no error, no memory address, no NumPy scalar, no path of a machine, no web address."""
    for output in outputs(path):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.get("text")
        data = output.get("data", {})
        assert "image/svg+xml" not in data
        text = output.get("text", "") + data.get("text/plain", "") + str(data.get("text/html", ""))
        assert not re.search(
            r"0x[0-9a-f]{6,}|np\.float64|array\(|/(home|root|tmp|Users)/|[A-Z]:\\\\|https?://", text
        ), text


@every_notebook
def test_it_loads_nothing_from_the_network(path):
    assert not re.search(r"https?://|!pip|%pip|!wget|!curl", json.dumps([c.source for c in code_cells(path)]))


@every_lesson
def test_a_lesson_has_the_form_of_a_lesson(path):
    cells = nbformat.read(path, as_version=4).cells
    assert 20 <= len(cells) <= 30
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert texts[0].startswith("# ")
    assert "You will be able to" in texts[0]
    assert "Time" in texts[0]
    for heading in ("## What we saw", "## What can go wrong with your own data", "## References"):
        assert any(heading in text for text in texts), heading
    assert "seed" in next(c.source for c in cells if "parameters" in c.metadata.get("tags", []))


@every_lesson
def test_sentences_outside_code_quote_no_result(path):
    """A number of the data in fixed text would turn false when a parameter changes: percentages and decimals."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown" and "## References" not in cell.source:
            text = re.sub(r"SmartPLS \d\.\d", "", cell.source)
            quoted = set(re.findall(r"\b\d+\.\d+\b|\b\d+ ?%", text)) - {"95 %"}
            assert not quoted, quoted


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)
def test_exercises_are_cut_from_their_solutions(path):
    made = cut(nbformat.read(path, as_version=4))
    stored = nbformat.read(FOLDER / "exercises" / path.name, as_version=4)
    assert [c.source for c in made.cells] == [c.source for c in stored.cells]
    assert not any("solution" in c.metadata.get("tags", []) and "= ..." not in c.source for c in stored.cells)


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)
def test_every_check_passes_in_the_solution_and_none_in_the_exercise(path):
    def marks(p: Path) -> list[str]:
        return re.findall(r"[✓✗]", "".join(o.get("data", {}).get("text/plain", "") for o in outputs(p)))

    checks = sum("check(" in cell.source for cell in code_cells(path))
    assert marks(path) == ["✓"] * checks
    assert marks(FOLDER / "exercises" / path.name) == ["✗"] * checks


@pytest.fixture(scope="module")
def own_study(tmp_path_factory) -> Path:
    """What `csi-lab new` writes: another model, missing answers, codes, 40 respondents."""
    folder = tmp_path_factory.mktemp("studies") / "own"
    new_study(folder)
    return folder


@pytest.mark.parametrize("path", [*LESSONS, *SOLUTIONS], ids=lambda p: f"{p.parent.name}/{p.stem}")
@pytest.mark.parametrize(("study", "language"), [("reputation", "en"), ("own", "zh")])
def test_it_runs_on_another_study_with_other_parameters(path, study, language, own_study, tmp_path):
    parameters = {"language": language}
    if any("seed" in c.source for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])):
        parameters["seed"] = 7
    result = run(path, study=own_study if study == "own" else study, parameters=parameters, out=tmp_path)
    noise = [o for o in outputs(result.notebook) if o.get("name") == "stderr" or o.output_type == "error"]
    # Two warnings are meant: 19 respondents in half of a tiny study, and a machine without a Chinese font.
    meant = re.compile("fewer than ten per arrow|font with Chinese glyphs")
    assert not [o for o in noise if not meant.search(o.get("text", ""))]


@pytest.mark.parametrize("study", ["reputation", "own"])
def test_the_report_runs_on_any_study(study, own_study, tmp_path):
    result = report(own_study if study == "own" else study, parameters={"language": "zh"}, out=tmp_path)
    page = result.page.read_text(encoding="utf-8")
    assert "say(" not in page
    assert {path.name for path in result.tables} >= {"index.csv", "items.csv", "paths.csv", "reliability.csv"}


def test_a_study_without_paths_gets_a_report_without_a_model(own_study, tmp_path):
    text = (own_study / "study.yaml").read_text(encoding="utf-8")
    folder = tmp_path / "measured"
    new_study(folder)
    kept = re.sub(r"(?ms)^paths:\n(?:[ \t]+.*\n|#.*\n|\n)*", "", text)
    assert kept != text
    (folder / "study.yaml").write_text(kept, encoding="utf-8")
    result = report(folder, out=tmp_path / "out")
    assert "names no model and no paths" in result.page.read_text(encoding="utf-8")
    assert not [path for path in result.tables if path.name == "paths.csv"]


def test_a_lesson_on_an_unsuitable_study_stops_with_the_cell_named(tmp_path):
    folder = tmp_path / "own"
    new_study(folder)
    study = folder / "study.yaml"
    text = study.read_text(encoding="utf-8")
    study.write_text(re.sub(r"(?ms)^paths:\n(?:[ \t]+.*\n|#.*\n|\n)*", "", text), encoding="utf-8")
    with pytest.raises(LessonError, match=r"02_what_is_an_index: cell \d+ \(In \[\d+\]\).*no model"):
        run("02", study=folder, out=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.ipynb"))
