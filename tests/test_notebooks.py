"""The rules of CONTRIBUTING.md for notebooks, enforced; and every notebook on other parameters and another study.

Outputs themselves are compared by nbval, which runs over notebooks/ in the same test run.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from made_studies import answers, play, write_study
from test_runner import write

import csi_lab as csi
from csi_lab import SpecError
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
    # One warning is meant: a machine without a Chinese font.
    assert not [o for o in noise if "font with Chinese glyphs" not in o.get("text", "")]


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


LESSON, MODEL, SOLUTION, REPORT, LARGE = (
    FOLDER / name
    for name in (
        "lessons/02_what_is_an_index.ipynb",
        "lessons/05_structural_model.ipynb",
        "solutions/02_what_is_an_index.ipynb",
        "analysis/report.ipynb",
        "analysis/report_large.ipynb",
    )
)


def design(n: int = 120) -> pd.DataFrame:
    """Strata, clusters of six, and weights that are small for the satisfied."""
    psu = np.repeat(np.arange(n // 6), 6)
    return pd.DataFrame({"psu": psu, "st": np.where(psu % 2, "a", "b")})


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> dict[str, str]:
    """Legal studies of unusual kinds."""
    folder = tmp_path_factory.mktemp("odd")
    plain = answers()
    reversed_item = plain.assign(q7=11 - plain["q7"])
    all_negative = plain.assign(**{name: 11 - plain[name] for name in ("q1", "q3", "q6", "q9")})
    weights = np.where(plain["q6"] >= 9, 0.2, 2.0)
    columns = {"weights": "w", "strata": "st", "psu": "psu"}
    few = plain.astype(float)
    few.loc[12:, "q1"] = np.nan
    untargeted = {"Image": ["q1", "q2"], "Quality": ["q3", "q4", "q5"], "Joy": ["q6", "q7", "q8"]}
    made = {
        "weighted": (plain.assign(w=weights), {"design": {"weights": "w"}}),
        "clustered": (plain.join(design()).assign(w=weights), {"design": columns}),
        "0 to 1": (answers(low=0, high=1), {"low": 0, "high": 1}),
        "1 to 2": (answers(low=1, high=2), {"low": 1, "high": 2}),
        "0 to 100": (answers(low=0, high=100), {"low": 0, "high": 100}),
        "1 to 5.5": (answers(low=1, high=5.5, step=0.5), {"low": 1, "high": 5.5}),
        "fractions": (answers(step=0.5), {}),
        "five people": (answers(5, seed=4), {}),
        "few complete": (few, {}),
        "reversed item": (reversed_item, {}),
        "all negative": (all_negative, {}),
        "no target": (
            plain,
            {"target": None, "constructs": untargeted, "paths": {"Quality": ["Image"], "Joy": ["Quality"]}},
        ),
        "Chinese only": (plain, {"languages": ["zh"]}),
    }
    return {
        name: str(write_study(folder / str(k), frame, **more)) for k, (name, (frame, more)) in enumerate(made.items())
    }


ODD = (
    "weighted",
    "clustered",
    "0 to 1",
    "1 to 2",
    "0 to 100",
    "1 to 5.5",
    "fractions",
    "five people",
    "few complete",
    "reversed item",
    "all negative",
    "Chinese only",
)


# Kernels of other tests may leave sockets behind, which Python collects, and reports, at any time.
@pytest.mark.filterwarnings("error", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("path", [LESSON, MODEL, SOLUTION, REPORT], ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_it_runs_on_every_legal_study_without_a_warning(odd, path, name):
    said = play(path, study=odd[name], **({"draws": 50} if path == REPORT else {}))
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", said)


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["clustered", "0 to 1", "0 to 100", "five people", "few complete", "all negative"])
def test_the_large_report_runs_on_every_legal_study_without_a_warning(odd, name):
    said = play(LARGE, study=odd[name], draws=50)
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", said)
    assert ("No index, because an item's weight is negative" in said) == (name == "all negative")


@pytest.mark.parametrize("path", [REPORT, LARGE], ids=lambda p: p.stem)
def test_groups_of_other_rows_than_the_index_are_said_to_be(path, tmp_path):
    frame = answers(200).assign(town=np.arange(200) % 2)
    frame.loc[:39, "q1"] = np.nan  # of the model, and not of the target
    frame.loc[40:44, "q6"] = np.nan
    said = play(path, study=str(write_study(tmp_path, frame, segments=["town"])), draws=50)
    assert "use the 195 rows that answer the items of Satisfaction; the index above, only the 155 that answer" in said
    whole = write_study(tmp_path / "whole", answers(200).assign(town=np.arange(200) % 2), segments=["town"])
    assert "that answer its whole model" not in play(path, study=str(whole), draws=50)


def test_the_report_counts_no_row_of_weight_zero_as_a_respondent(tmp_path):
    frame = answers(60).assign(w=[1.0] * 55 + [0.0] * 5).astype(float)
    frame.loc[[0, 56], "q1"] = np.nan
    said = play(REPORT, study=str(write_study(tmp_path, frame, design={"weights": "w"})), draws=50)
    assert "55 respondents" in said
    assert "most at q1 (1)" in said
    assert "54 respondents answered everything" in said


def test_the_large_report_goes_on_without_a_target(odd):
    assert "The study names no target." in play(LARGE, study=odd["no target"], draws=50)


def test_lesson_2_says_weighted_numbers_only(odd):
    said = play(LESSON, study=odd["weighted"])
    survey = csi.load_survey(odd["weighted"])
    x, w = survey.frame["q6"], survey.frame["w"]
    rate, mean = (x >= 9) @ w / w.sum(), x @ w / w.sum()
    assert f"answered q6 (q6), on average {mean:.2f}" in said
    assert f"The rate (top-2-box) was {rate:.1%} and is {rate:.1%}. The mean answer went from {mean:.2f}" in said
    assert f"{(x >= 9).mean():.1%}" not in said
    assert f"{x.mean():.2f}" not in said
    assert f"{(x > 5.5) @ w / w.sum():.0%} of the answers lie above the middle" in said
    assert "give the interval" not in said
    assert "an interval must come from replicates" in said


def test_lesson_2_says_that_an_interval_ignores_clusters_and_gives_none_for_the_index(odd):
    said = play(LESSON, study=odd["clustered"])
    assert "ignores the clusters of this sample" in said
    assert "No interval here: the sample is analysed as weights in 'w', strata in 'st', PSUs in 'psu'." in said


@pytest.mark.parametrize(
    ("name", "present", "absent"),
    [
        ("0 to 1", ["top-box", "nobody could move"], [">= -1", "top-2", "or 100%"]),
        ("1 to 2", ["top-box", "nobody could move"], [">= 0", "top-2"]),
        ("0 to 100", [">= 80", "top fifth", "by a step of 10"], [">= 99", "top-2"]),
        ("1 to 5.5", [">= 4.6", "top fifth"], ["top-2"]),
        ("five people", ["Too few people to halve"], ["One half"]),
        ("few complete", ["Note: 12 rows for 2 arrows", "Too few people to halve"], ["One half (60"]),
        ("reversed item", ["The model gives q7 a negative weight", "Below, Satisfaction has equal weights"], []),
    ],
)
def test_lesson_2_is_true_on_other_scales_and_samples(odd, name, present, absent):
    said = play(LESSON, study=odd[name])
    assert [words for words in present if words not in said] == []
    assert [words for words in absent if words in said] == []


@pytest.mark.parametrize("path", [LESSON, SOLUTION], ids=lambda p: p.parent.name)
def test_a_study_without_target_is_refused_in_words(odd, path):
    with pytest.raises(SpecError, match="names no target construct; add 'target"):
        play(path, study=odd["no target"])


def test_the_solution_passes_its_own_checks_on_a_weighted_study(odd):
    for name in ("weighted", "clustered", "0 to 100", "0 to 1"):
        assert re.findall("[✓✗]", play(SOLUTION, study=odd[name])) == ["✓"] * 3


def test_lesson_5_calls_a_reversed_item_reversed_and_not_weak(odd):
    said = play(MODEL, study=odd["reversed item"])
    assert re.search(r"Less than 0\.40 in size: none\. Negative: q7 \(-0\.\d+\) points against .* reversed\?", said)


def test_the_report_goes_on_without_an_index(odd):
    said = play(REPORT, study=odd["all negative"], draws=50)
    assert "No index, because an item's weight is negative: Image, Quality, Satisfaction, Loyalty." in said
    assert "So there is no index of the target, Satisfaction." in said
    said = play(REPORT, study=odd["no target"], draws=50)
    assert "The study names no target construct." in said


def test_alphas_of_the_report_carry_the_design(odd):
    """Feldt's interval has no standard error; replicates of a clustered sample give one."""
    heads = {name: play(REPORT, study=odd[name], draws=50).split("\nAlpha: ")[0] for name in ("clustered", "fractions")}
    assert re.search(r"estimate +se +low +high +standardised", heads["clustered"])
    assert re.search(r"estimate +low +high +standardised", heads["fractions"])


@pytest.mark.parametrize("path", [LESSON, MODEL, REPORT], ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_language_that_the_study_lacks_is_refused(path):
    with pytest.raises(SpecError, match="'xx' is none of the study 'mobile'; it has en, zh"):
        play(path, language="xx")


def test_all_items_of_a_long_questionnaire_stand_in_the_report_with_whole_labels(tmp_path):
    names = [f"q{k}" for k in range(1, 71)]
    wording = (
        "and all in all, thinking of everything that you have told us so far, how good was number {} in your view?"
    )
    blocks = {
        construct: {"items": {name: wording.format(name) for name in names[at : at + 14]}}
        for at, construct in zip(range(0, 70, 14), ("A", "B", "C", "D", "E"), strict=True)
    }
    rng = np.random.default_rng(1)
    common = rng.normal(size=(200, 1))
    frame = pd.DataFrame(np.clip(np.rint(6 + common + rng.normal(size=(200, 70))), 1, 10), columns=names)
    paths = {"B": ["A"], "C": ["B"], "D": ["C"], "E": ["D"]}
    study = write_study(tmp_path / "long", frame, constructs=blocks, paths=paths, target="E")
    page = report(study, out=tmp_path / "out", parameters={"draws": 20}, progress=False).page.read_text(
        encoding="utf-8"
    )
    for name in names:
        assert page.count(f"<th>{name}</th>") == 3  # answers, reliability, loadings
        assert page.count(f"<td>{wording.format(name)}</td>") == 3
    assert "<td>...</td>" not in page


def test_code_on_a_page_is_wrapped_and_not_cut_off(tmp_path):
    page = run(write(tmp_path / "x.ipynb", "print(1)"), out=tmp_path / "out").page.read_text(encoding="utf-8")
    assert re.search(r"\.highlight pre \{ white-space: pre-wrap; overflow-wrap: anywhere; \}", page)
