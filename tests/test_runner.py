"""Lessons run: mistakes are said first, outputs are complete or absent, nothing is done twice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from csi_lab.course import jobs as jobs_module
from csi_lab.course import notebook as notebooks
from csi_lab.course.notebook import LessonError
from csi_lab.course.output import output_folder, publish
from csi_lab.course.pages import formula, index_page, to_html
from csi_lab.course.runner import report, run, run_many
from csi_lab.course.store import store
from csi_lab.errors import CsiLabWarning, SpecError

PARAMETERS = (
    'n = 5  # how many\nshare: float = 1\nlanguage = "en"\nseed: int | None = 7\nflag = False\nnames = ["a = b"]'
)


def write(path: Path, *cells, title: str = "A lesson", parameters: str | None = PARAMETERS) -> Path:
    """A notebook in a file; text is code."""
    made = [new_markdown_cell(f"# {title}")] if title else []
    if parameters is not None:
        made.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    made += [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=made), path)
    return path


def seen(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".csi-lab.lock"}


class Page(HTMLParser):
    """What a page would load, its tags, its title and language."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.alts: list[str | None] = []
        self.links: list[str | None] = []
        self.language = None
        self.feed(text)
        self.title = re.search(r"<title>(.*?)</title>", text, flags=re.S)[1]

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "html":
            self.language = given.get("lang")
        if tag == "img":
            self.alts.append(given.get("alt"))
        if tag == "a":
            self.links.append(given.get("href"))
        for name in ("src", "srcset", "data", "poster") + (("href",) if tag == "link" else ()):
            if name in given and not (given[name] or "").startswith("data:"):
                self.loads.append(given[name])


SHOW = """import pandas as pd
from IPython.display import Markdown, display
display(Markdown("**bold** <script>alert(1)</script> ![x](https://example.org/x.png)"))
print("<b>printed</b>", n)
pd.DataFrame({"text": ["<script>alert(2)</script>"]})"""
PICTURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Three notebooks in one run: one good, one that fails in a cell, one whose kernel dies."""
    folder = tmp_path_factory.mktemp("course")
    maths = new_markdown_cell(r"$\bar x \ge 1$, $$\begin{aligned}a &= b \\ c &= d\end{aligned}$$")
    good = write(folder / "good.ipynb", maths, SHOW, PICTURE, title="Good *news* for <us> & `you`")
    bad = write(folder / "bad.ipynb", "def f(x):\n    return x / 0", "a = 1\nb = f(a)\nc = 2", title="Bad")
    dead = write(folder / "dead.ipynb", "import os\nos._exit(1)", title="Dead")
    out = folder / "out"
    results = run_many([good, bad, dead], parameters={"n": 6, "language": "zh"}, out=out, progress=False)
    return {"folder": folder, "out": out, "results": results}


def test_a_failing_cell_is_named_with_line_and_error_and_the_others_finish(ran):
    good, bad, dead = ran["results"]
    assert good.ok
    assert bad.error == "bad: cell 4 (In [4]) stopped with ZeroDivisionError: division by zero\n  line 2: b = f(a)"
    assert dead.error == "dead: the kernel died in cell 3; often it ran out of memory"
    assert bad.page is bad.notebook is None


def test_only_complete_outputs_are_left(ran):
    assert seen(ran["out"]) == {"good.ipynb", "good.html", "index.html", "manifest.json"}


def test_the_executed_notebook_holds_results_and_no_trace_of_time_and_place(ran):
    text = (ran["out"] / "good.ipynb").read_text(encoding="utf-8")
    executed = nbformat.reads(text, as_version=4)
    assert str(ran["folder"]) not in text
    assert "papermill" not in text
    assert "without encryption" not in text
    assert not re.search(r"\b20\d\d-\d\d-\d\dT", text)
    assert [cell.execution_count for cell in executed.cells if cell.cell_type == "code"] == [1, 2, 3, 4]
    assert "<b>printed</b> 6" in text
    injected = executed.cells[2]
    assert (injected.id, injected.source.strip()) == ("injected-parameters", '# Parameters\nn = 6\nlanguage = "zh"')
    assert {key for cell in executed.cells for key in cell.metadata} == {"tags"}
    assert executed.metadata == {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def test_a_second_run_gives_the_same_bytes(ran, tmp_path):
    run(ran["folder"] / "good.ipynb", parameters={"n": 6, "language": "zh"}, out=tmp_path)
    for name in ("good.ipynb", "good.html"):
        assert (tmp_path / name).read_bytes() == (ran["out"] / name).read_bytes()


def test_the_page_loads_nothing_and_runs_nothing(ran):
    text = (ran["out"] / "good.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.loads == []
    assert "script" not in page.tags
    assert "default-src 'none'" in text
    assert page.title == "Good news for &lt;us&gt; &amp; you"
    assert page.language == "zh"
    assert page.alts == ["Figure: Good news for <us> & you"]
    assert "<strong>bold</strong>" in text
    assert "https://example.org/x.png" in page.links
    assert "&lt;b&gt;printed&lt;/b&gt;" in text
    assert page.tags.count("svg") == 3


def test_the_index_links_the_good_and_names_the_failed(ran):
    text = (ran["out"] / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.loads == []
    assert {"good.html", "good.ipynb", "manifest.json"} == set(page.links)
    assert "1 lesson executed, 2 failed." in text
    assert "bad: cell 4 (In [4]) stopped with ZeroDivisionError" in text
    assert "n = 6" in text


def test_the_manifest_says_what_the_outputs_were_made_from(ran):
    entries = json.loads((ran["out"] / "manifest.json").read_text(encoding="utf-8"))["lessons"]
    assert set(entries) == {"good"}
    entry = entries["good"]
    assert entry["parameters"] == {"n": 6, "share": 1, "language": "zh", "seed": 7, "flag": False, "names": ["a = b"]}
    assert entry["seed"] == 7
    assert set(entry["versions"]) == {"python", "csi_lab", "numpy", "pandas", "scipy", "matplotlib", "papermill"}
    assert set(entry["outputs"]) == {"good.ipynb", "good.html"}
    assert entry["seconds"] > 0
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", entry["finished"])


def test_a_finished_lesson_runs_again_only_when_something_changed(tmp_path):
    log = tmp_path / "log.txt"
    lesson = write(tmp_path / "count.ipynb", f"print(n, file=open({str(log)!r}, 'a'))")
    out = tmp_path / "out"

    def again(**how) -> bool:
        return run(lesson, out=out, **how).skipped

    assert not again()
    assert again()
    assert not again(parameters={"n": 9})
    assert not again(force=True, parameters={"n": 9})
    (out / "count.html").write_text("meddled")
    assert not again(parameters={"n": 9})
    (out / "count.ipynb").unlink()
    assert not again(parameters={"n": 9})
    content = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    del content["lessons"]["count"]["seconds"], content["lessons"]["count"]["title"]
    (out / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.warns(CsiLabWarning, match="the entry 'count' lacks title, seconds; treated as absent"):
        assert not again(parameters={"n": 9})
    write(lesson, f"print(n, file=open({str(log)!r}, 'a'))  # changed")
    assert not again(parameters={"n": 9})
    assert log.read_text().split() == ["5", "9", "9", "9", "9", "9", "9"]


def test_a_failure_leaves_the_outputs_of_the_last_good_run(tmp_path):
    lesson = write(tmp_path / "x.ipynb", "assert n < 6, 'too many'")
    run(lesson, out=tmp_path / "out")
    before = (tmp_path / "out" / "x.html").read_bytes()
    with pytest.raises(LessonError, match=r"x: cell 3 \(In \[3\]\) stopped with AssertionError: too many"):
        run(lesson, parameters={"n": 6}, out=tmp_path / "out")
    assert (tmp_path / "out" / "x.html").read_bytes() == before
    assert "1 failed" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert run(lesson, out=tmp_path / "out").skipped


def test_a_deliberate_error_is_part_of_the_lesson(tmp_path):
    shown = new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]})
    result = run(write(tmp_path / "x.ipynb", shown, "print('after')"), out=tmp_path / "out")
    assert "after" in result.notebook.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"m": 1}, "x: unknown parameter 'm'; it has n, share, language, seed, flag, names"),
        ({"langauge": "zh"}, "x: unknown parameter 'langauge'; did you mean 'language'?"),
        ({"n": "five"}, "x: n: wants int (default 5), got 'five' (str)"),
        ({"seed": -1}, "x: seed: a whole number from 0 is needed, got -1"),
        ({"n": 2.5}, "x: n: wants int (default 5), got 2.5 (float)"),
        ({"n": True}, "x: n: wants int (default 5), got True (bool)"),
        ({"n": None}, "x: n: wants int (default 5), got None (NoneType)"),
        ({"flag": 1}, "x: flag: wants bool (default False), got 1 (int)"),
        ({"language": 1}, "x: language: wants str (default 'en'), got 1 (int); to give it as text, quote it twice"),
        ({"names": "a"}, "x: names: wants list (default ['a = b']), got 'a' (str)"),
        ({"n": object}, "x: n: <class 'object'> is a type; give a plain number"),
        ({"study": "mobile"}, "x: unknown parameter 'study'"),
    ],
)
def test_wrong_parameters_are_refused_before_running(tmp_path, given, message):
    lesson = write(tmp_path / "x.ipynb", "raise SystemExit")
    with pytest.raises(SpecError) as caught:
        run(lesson, parameters=given, out=tmp_path / "out")
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_fitting_parameters_are_accepted():
    known = notebooks.parameters(
        nbformat.v4.new_notebook(cells=[new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})])
    )
    assert known["n"].help == "how many"
    assert known["names"].default == ["a = b"]
    assert (
        notebooks.misfits(known, {"n": 1, "share": 0.5, "seed": None, "flag": True, "names": [], "language": "zh"})
        == []
    )


def test_everything_wrong_is_said_at_once(tmp_path):
    one = write(tmp_path / "one.ipynb", parameters="n = 1")
    two = write(tmp_path / "two.ipynb", parameters=None)
    with pytest.raises(SpecError) as caught:
        run_many([one, two], parameters={"n": "x", "k": 2}, out=tmp_path / "out")
    assert len(caught.value.problems) == 4
    assert "two: unknown parameter 'n'; it has none (no cell tagged 'parameters')" in str(caught.value)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A notebooks folder with three lessons in place of the shipped one."""
    write(tmp_path / "lessons" / "01_first.ipynb", parameters="n = 1", title="First")
    write(tmp_path / "lessons" / "02_second.ipynb", parameters="k = 1", title="Second")
    write(tmp_path / "lessons" / "10_tenth.ipynb", parameters="k = 1", title="Tenth")
    there = jobs_module.shipped
    monkeypatch.setattr(jobs_module, "shipped", lambda kind: tmp_path if kind == "notebooks" else there(kind))
    return tmp_path


@pytest.mark.parametrize(
    ("word", "stems"),
    [
        ("02_second", ["02_second"]),
        ("02", ["02_second"]),
        ("2", ["02_second"]),
        ("10", ["10_tenth"]),
        ("all", ["01_first", "02_second", "10_tenth"]),
    ],
)
def test_lessons_are_found_by_name_and_number(shelf, word, stems):
    assert [path.stem for path in jobs_module.paths_of([word])] == stems


def test_a_lesson_named_twice_runs_once(shelf):
    assert len(jobs_module.paths_of(["2", "02_second", shelf / "lessons" / "02_second.ipynb"])) == 1


def test_all_names_that_mean_nothing_are_told(shelf):
    with pytest.raises(SpecError) as caught:
        jobs_module.paths_of(["02_secnd", "3", "gone.ipynb", "1"])
    assert len(caught.value.problems) == 3
    assert "02_secnd: no such lesson; did you mean '02_second'?" in str(caught.value)
    assert "3: no such lesson; the lessons are 01_first, 02_second, 10_tenth" in str(caught.value)


def test_with_all_a_parameter_goes_to_the_lessons_that_have_it(shelf):
    paths = jobs_module.paths_of(["all"])
    with pytest.warns(CsiLabWarning, match="'k' is not known to 01_first"):
        ready = jobs_module.prepare(paths, {"k": 3}, lenient=True)
    assert [dict(job.given) for job in ready] == [{}, {"k": 3}, {"k": 3}]
    with pytest.raises(SpecError, match="unknown parameter 'x'"):
        jobs_module.prepare(paths, {"x": 3}, lenient=True)


def test_notebooks_that_would_overwrite_are_refused(tmp_path):
    here, there = write(tmp_path / "a" / "x.ipynb"), write(tmp_path / "b" / "X.ipynb")
    with pytest.raises(SpecError, match="another notebook of the name"):
        run_many([here, there], out=tmp_path / "out")
    with pytest.raises(SpecError, match=r"overwrite its source"):
        run(here, out=tmp_path / "a")
    with pytest.raises(SpecError, match=r"overwrite index\.html"):
        run(write(tmp_path / "index.ipynb"), out=tmp_path / "out")


def test_files_that_are_not_notebooks_are_refused(tmp_path):
    (tmp_path / "x.ipynb").write_text("not json")
    with pytest.raises(SpecError, match="not readable as a notebook"):
        run(tmp_path / "x.ipynb", out=tmp_path / "out")
    (tmp_path / "x.ipynb").write_text('{"nbformat": 3, "worksheets": []}')
    with pytest.raises(SpecError, match="not a notebook of format 4"):
        run(tmp_path / "x.ipynb", out=tmp_path / "out")
    stale = new_code_cell("n = 3", metadata={"tags": ["injected-parameters"]})
    with pytest.raises(SpecError, match="cell 3 is tagged 'injected-parameters' and would overrule the parameters"):
        run(write(tmp_path / "y.ipynb", stale), out=tmp_path / "out")
    with pytest.raises(SpecError, match=r"the parameters cell is not Python \(line 1"):
        run(write(tmp_path / "z.ipynb", parameters="n = = 1"), out=tmp_path / "out")


def test_an_output_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SpecError, match=r"file: cannot write there .*choose another folder"):
        run(write(tmp_path / "x.ipynb"), out=tmp_path / "file")


def test_two_runs_do_not_write_into_one_folder(tmp_path):
    with (
        output_folder(tmp_path),
        pytest.raises(SpecError, match="another run is writing there"),
        output_folder(tmp_path),
    ):
        pass
    with output_folder(tmp_path) as staging:
        assert staging.is_dir()


def test_the_remains_of_killed_runs_are_cleared(tmp_path):
    (tmp_path / ".csi-lab-run-dead" / "sub").mkdir(parents=True)
    with output_folder(tmp_path):
        pass
    assert seen(tmp_path) == set()


def test_a_folder_with_files_of_others_is_not_replaced(tmp_path):
    out, place = tmp_path / "out", tmp_path / "stage" / "place"
    for path, text in (
        (out / "tables" / "mine.txt", "precious"),
        (place / "tables" / "t.csv", "new"),
        (place / "r.html", "new"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with pytest.raises(SpecError, match=r"would be lost.*: tables; move what is yours"):
        publish(place, out)
    with pytest.raises(SpecError, match=r"would be lost.*: tables/mine\.txt; move what is yours"):
        publish(place, out, ours=["tables/t.csv"])
    assert (seen(out), (out / "tables" / "mine.txt").read_text()) == ({"tables"}, "precious")
    publish(place, out, ours=["tables/mine.txt"])
    assert seen(out) == {"tables", "r.html"}
    assert seen(out / "tables") == {"t.csv"}


def test_a_refused_move_is_undone(tmp_path, monkeypatch):
    out, place = tmp_path / "out", tmp_path / "stage" / "place"
    for path, text in (
        (out / "a.html", "old"),
        (out / "b.html", "old"),
        (place / "a.html", "new"),
        (place / "b.html", "new"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    move = os.replace

    def locked(source, target):
        if Path(source) == place / "b.html" and Path(target) == out / "b.html":
            raise PermissionError(13, "in use", str(target))
        move(source, target)

    monkeypatch.setattr(os, "replace", locked)
    with pytest.raises(SpecError, match=r"b\.html cannot be replaced \(in use\); close it"):
        publish(place, out, ours=["a.html", "b.html"])
    assert [(out / name).read_text() for name in ("a.html", "b.html")] == ["old", "old"]


def test_a_study_given_as_path_works_from_any_folder(tmp_path, monkeypatch):
    from csi_lab.study.datasets import new_study

    new_study(tmp_path / "mine")
    lesson = write(
        tmp_path / "elsewhere" / "x.ipynb",
        "import csi_lab as csi\nprint(len(csi.load_survey(study).frame))",
        parameters='study = "mobile"',
    )
    monkeypatch.chdir(tmp_path)
    [job] = jobs_module.prepare([lesson], {"study": "mine"})
    assert job.study == str((tmp_path / "mine" / "study.yaml").resolve())
    [shipped] = jobs_module.prepare([lesson], {"study": "mobile"})
    [default] = jobs_module.prepare([lesson], {})
    assert shipped.study == default.study == "mobile"
    assert shipped.fingerprint == default.fingerprint != job.fingerprint
    assert shipped.inputs != job.inputs
    with pytest.raises(SpecError, match="no study 'mobil'"):
        jobs_module.prepare([lesson], {"study": "mobil"})
    assert run(lesson, study="mine", out="out").ok


REPORT = """import pandas as pd
from csi_lab.course.export import save_tables
paths = save_tables({"index": pd.DataFrame({"study": [study]})}, tables) if tables else []
print([path.as_posix() for path in paths])"""


def test_the_report_leaves_page_notebook_and_tables(tmp_path):
    book = write(tmp_path / "report.ipynb", REPORT, title="Report", parameters='study = "mobile"\ntables = None')
    out = tmp_path / "out"
    result = report("mobile", out=out, notebook=book, progress=False)
    assert {path.name for path in result.tables} == {"index.csv", "tables.xlsx"}
    assert all(path.is_file() for path in result.tables)
    assert seen(out) == {"report.ipynb", "report.html", "tables", "manifest.json"}
    assert str(tmp_path) not in result.notebook.read_text(encoding="utf-8")
    text = result.page.read_text(encoding="utf-8")
    assert "save_tables" not in text
    assert "In&nbsp;[" not in text
    assert "tables/index.csv" in text
    assert report("mobile", out=out, notebook=book, progress=False).skipped
    assert not report("mobile", out=out, notebook=book, progress=False, force=True).skipped
    (out / "tables" / "note.txt").write_text("mine")
    with pytest.raises(SpecError, match=r"would be lost.*: tables/note\.txt; move"):
        report("mobile", out=out, notebook=book, progress=False, force=True)
    assert (out / "tables" / "index.csv").is_file()


def test_a_report_without_tables_is_a_failure(tmp_path):
    book = write(tmp_path / "report.ipynb", parameters='study = "mobile"\ntables = None')
    with pytest.raises(LessonError, match="report: wrote no tables"):
        report("mobile", out=tmp_path / "out", notebook=book, progress=False)
    assert seen(tmp_path / "out") == set()


def test_store_executes_in_place_and_cuts_the_exercises(tmp_path):
    write(tmp_path / "lessons" / "02_x.ipynb", "print(n)")
    solution = new_code_cell("answer = n + 1", metadata={"tags": ["solution"]})
    write(tmp_path / "solutions" / "02_x.ipynb", solution, "print(answer)", title="Solution")
    write(tmp_path / "analysis" / "bad.ipynb", "1 / 0")
    before = (tmp_path / "analysis" / "bad.ipynb").read_bytes()
    done = {one.path.relative_to(tmp_path).as_posix(): one for one in store(folder=tmp_path, progress=False)}
    assert {name: (one.changed, bool(one.error)) for name, one in done.items()} == {
        "lessons/02_x.ipynb": (True, False),
        "solutions/02_x.ipynb": (True, False),
        "exercises/02_x.ipynb": (True, False),
        "analysis/bad.ipynb": (False, True),
    }
    assert (tmp_path / "analysis" / "bad.ipynb").read_bytes() == before
    exercise = nbformat.read(tmp_path / "exercises" / "02_x.ipynb", as_version=4)
    assert [cell.source for cell in exercise.cells][::2] == ["# Exercise", "answer = ...  # your answer"]
    assert exercise.cells[3].outputs[0].text == "Ellipsis\n"
    assert [cell.execution_count for cell in exercise.cells[1:]] == [1, 2, 3]
    again = store(folder=tmp_path, only="02_x", progress=False)
    assert [one.changed for one in again] == [False, False, False]
    with pytest.raises(SpecError, match=r"no notebook is called '03'; there are 02_x, bad"):
        store(folder=tmp_path, only="03", progress=False)


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl-C alone there")
def test_ctrl_c_leaves_no_half_files_and_no_kernels(tmp_path):
    mark = tmp_path / "pid"
    slow = write(
        tmp_path / "slow.ipynb", f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(120)"
    )
    waiting = write(tmp_path / "waiting.ipynb", "print(1)")
    command = [
        sys.executable,
        "-m",
        "csi_lab.course.cli",
        "run",
        slow,
        waiting,
        "--jobs",
        "1",
        "--out",
        tmp_path / "out",
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Under nohup, or in the background, SIGINT is ignored, and a child would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 60
        while not (mark.is_file() and mark.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        kernel = int(mark.read_text())
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said == ("", "stopped; what was finished before is complete, nothing else was written\n")
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)
    assert seen(tmp_path / "out") == set()


def test_pages_escape_what_comes_from_notebooks():
    entry = {"title": "<i>x</i>", "study": "<b>", "parameters": {"a": "<u>"}, "seconds": 1.0}

    class Failed:
        title, error = "<em>", "<script>alert(1)</script>"

    page = Page(index_page({"a b": entry}, {"<s>": Failed}, {"python": "3"}))
    assert not {"i", "b", "u", "em", "script", "s"} & set(page.tags)
    assert "a%20b.html" in page.links
    assert (
        "script" not in Page(to_html(new_notebook(cells=[new_markdown_cell("x")]), "</title><script>x</script>")).tags
    )


def test_formulas_are_drawn_or_shown_as_their_source():
    assert formula(r"\lambda_i \ge .70").startswith('<svg class="formula" role="img" aria-label="')
    for tex in (r"\nonsense{x}", "满意", r"\quad", r"\frac{a}{<b>"):
        assert formula(tex).startswith("<code>")
    assert "<b>" not in formula(r"\frac{a}{<b>")
