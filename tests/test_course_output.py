"""Output folders: what is not ours is never replaced, damage is said, one lesson's trouble is its own."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from test_runner import REPORT, seen, write

from csi_lab.course import manifest as manifests
from csi_lab.course import runner
from csi_lab.course.manifest import Manifest
from csi_lab.course.output import refuse_strangers
from csi_lab.course.runner import report, run, run_many
from csi_lab.errors import CsiLabWarning, SpecError

GOOD = {
    "title": "T",
    "parameters": {},
    "study": None,
    "inputs": "x",
    "outputs": {"a.html": "0"},
    "seconds": 1.5,
}


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".csi-lab.lock"
    }


def test_a_report_names_all_files_of_others_in_its_way_and_touches_none(tmp_path):
    book = write(tmp_path / "report.ipynb", REPORT, parameters='study = "mobile"\ntables = None')
    out = tmp_path / "vic"
    (out / "report.html").mkdir(parents=True)
    for name in ("tables", "report.ipynb", "report.html/inside"):
        (out / name).write_text("mine", encoding="utf-8")
    before = contents(out)
    with pytest.raises(SpecError, match=r"vic: would be lost.*: report\.ipynb, report\.html, tables; move .*--out"):
        report("mobile", out=out, notebook=book, progress=False)
    assert contents(out) == before


def test_a_run_does_not_replace_a_page_or_a_notebook_that_it_did_not_make(tmp_path):
    lesson = write(tmp_path / "x.ipynb", "print(n)")
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("my site", encoding="utf-8")
    (out / "x.ipynb").write_text("my answers", encoding="utf-8")
    with pytest.raises(SpecError, match=r"would be lost.*: index\.html, x\.ipynb; "):
        run(lesson, out=out)
    assert contents(out) == {"index.html": "my site", "x.ipynb": "my answers"}


def test_a_run_beside_an_exercise_of_its_name_leaves_the_exercise(tmp_path):
    lesson, exercise = write(tmp_path / "lessons" / "x.ipynb"), write(tmp_path / "exercises" / "x.ipynb", "a = ...")
    before = exercise.read_bytes()
    with pytest.raises(SpecError, match=r"would be lost.*: x\.ipynb; "):
        run(lesson, out=tmp_path / "exercises")
    assert exercise.read_bytes() == before


def test_a_link_of_somebody_is_not_replaced_even_when_it_leads_nowhere(tmp_path):
    (tmp_path / "a.html").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SpecError, match=r"a\.html"):
        refuse_strangers(tmp_path, ["a.html"], [])
    refuse_strangers(tmp_path, ["a.html", "b.html"], ["a.html"])


def test_a_file_put_there_during_the_run_is_left_alone(tmp_path):
    out = tmp_path / "out"
    lesson = write(tmp_path / "x.ipynb", f"open({str(out / 'x.html')!r}, 'w').write('mine')")
    [result] = run_many([lesson], out=out, progress=False)
    assert "would be lost" in result.error
    assert (out / "x.html").read_text() == "mine"


def test_what_a_run_made_it_may_make_again(tmp_path):
    lesson, bad = write(tmp_path / "x.ipynb", "print(n)"), write(tmp_path / "bad.ipynb", "1 / 0")
    out = tmp_path / "out"
    assert not run_many([bad], out=out, progress=False)[0].ok  # leaves an index alone
    assert seen(out) == {"index.html", "manifest.json"}
    for n in (1, 2):
        assert not run(lesson, parameters={"n": n}, out=out).skipped


def test_a_file_that_is_no_manifest_stops_the_run(tmp_path):
    lesson, out = write(tmp_path / "x.ipynb"), tmp_path / "out"
    out.mkdir()
    for text in ("{", '{"name": "my app"}', "[]", '{"format": 2, "lessons": {}}'):
        (out / "manifest.json").write_text(text, encoding="utf-8")
        with pytest.raises(SpecError, match=r"manifest\.json: not a manifest of csi-lab \(.*choose another folder"):
            run(lesson, out=out)
        assert (out / "manifest.json").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, "lacks title, parameters, study, inputs, outputs, seconds"),
        (GOOD | {"seconds": "long"}, "has no usable seconds"),
        (GOOD | {"outputs": ["a.html"]}, "has no usable outputs"),
        (GOOD | {"outputs": {"a.html": 1}}, "has no usable outputs"),
        ({k: v for k, v in GOOD.items() if k != "title"} | {"inputs": 1}, "lacks title and has no usable inputs"),
        ("text", "is not a mapping"),
    ],
)
def test_a_damaged_entry_is_treated_as_absent_and_said_so(tmp_path, entry, words):
    content = {"format": 1, "files": ["index.html"], "lessons": {"bad": entry, "good": GOOD}}
    (tmp_path / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.warns(CsiLabWarning, match=rf"the entry 'bad' {words}; treated as absent"):
        found = manifests.load(tmp_path)
    assert list(found.entries) == ["good"]
    assert found.files == {"index.html", "a.html"}


def test_the_files_of_a_damaged_entry_are_still_ours(tmp_path):
    content = {"format": 1, "lessons": {"bad": {"outputs": {"b.html": "0"}}}}
    (tmp_path / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.warns(CsiLabWarning, match="'bad' lacks"):
        assert manifests.load(tmp_path).files == {"b.html"}


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    manifests.save(tmp_path, Manifest({"x": dict(GOOD)}, {"a.html", "index.html"}))
    assert manifests.load(tmp_path) == Manifest({"x": GOOD}, {"a.html", "index.html"})
    assert seen(tmp_path) == {"manifest.json"}


def test_a_full_disk_fails_one_lesson_in_one_line_and_the_others_go_on(tmp_path, monkeypatch):
    paths = [write(tmp_path / f"{name}.ipynb", "print(n)") for name in ("a", "b", "c")]
    make = runner._make

    def full(job, place, *rest):
        if job.name == "a":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place / "a.html"))
        if job.name == "b":
            raise RuntimeError("two\nlines")
        make(job, place, *rest)

    monkeypatch.setattr(runner, "_make", full)
    a, b, c = run_many(paths, out=tmp_path / "out", progress=False)
    assert a.error == "a: its outputs could not be written: No space left on device (a.html)"
    assert b.error == "b: stopped by RuntimeError: two lines"
    assert c.ok
    assert seen(tmp_path / "out") == {"c.ipynb", "c.html", "index.html", "manifest.json"}


def test_an_index_that_cannot_be_written_is_said_in_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runner, "index_page", full)
    with pytest.raises(SpecError, match=r"index\.html cannot be written \(No space left on device\)$"):
        run_many([write(tmp_path / "x.ipynb")], out=tmp_path / "out", progress=False)


def test_files_are_listed_before_they_are_moved(tmp_path, monkeypatch):
    """A disk that fills up between the outputs and their entry must not turn our own files into those of others."""
    lesson, out = write(tmp_path / "x.ipynb"), tmp_path / "out"
    save, calls = manifests.save, []

    def second_fails(folder, manifest):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(folder, manifest)

    monkeypatch.setattr(manifests, "save", second_fails)
    assert "could not be written" in run_many([lesson], out=out, progress=False)[0].error
    assert run(lesson, out=out).ok
