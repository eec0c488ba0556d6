"""The outer skin: set-up files agree, the code is clean, the import is light, nothing private is stored."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import csi_lab

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HEAVY = ("semopy", "pingouin", "seaborn", "statsmodels", "matplotlib", "papermill", "nbconvert", "typer")

# Where the lock must serve: sys_platform, os_name, platform_system for each Python supported.
SYSTEMS = [("linux", "posix", "Linux"), ("darwin", "posix", "Darwin"), ("win32", "nt", "Windows")]
PYTHONS = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]


def declared() -> dict[str, Requirement]:
    """Every requirement of pyproject.toml, extras included, by canonical name."""
    lines = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def locked() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", check=False)


def test_environment_has_the_names_and_bounds_of_pyproject():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    by_pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    lines = [line for line in [*conda, *by_pip] if isinstance(line, str)]
    assert len(lines) == len(set(lines))
    assert "-e ." in lines
    assert "pip" in lines
    found = [Requirement(line) for line in lines if line not in ("-e .", "pip")]
    bounds = {canonicalize_name(r.name): r.specifier for r in found}
    assert bounds.pop("python") == Requirement(f"python{PROJECT['requires-python']}").specifier
    assert bounds == {name: r.specifier for name, r in declared().items()}


def test_lock_holds_exact_versions_and_no_address():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "//" not in text
    assert not re.search(r"^\s*-", text, flags=re.MULTILINE), "options such as --index-url do not belong in the lock"
    loose = [str(r) for r in locked() if [s.operator for s in r.specifier] != ["=="] or "*" in str(r.specifier)]
    assert not loose


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s[0])
def test_lock_pins_every_requirement_once_inside_its_bounds(python, system):
    platform, os_name, platform_system = system
    place = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": platform,
        "os_name": os_name,
        "platform_system": platform_system,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    pins: dict[str, list[str]] = {}
    for pin in locked():
        if pin.marker is None or pin.marker.evaluate(place):
            pins.setdefault(canonicalize_name(pin.name), []).append(next(iter(pin.specifier)).version)
    assert not {name: versions for name, versions in pins.items() if len(versions) > 1}
    assert not set(declared()) - set(pins)
    outside = {n: pins[n] for n, r in declared().items() if not r.specifier.contains(pins[n][0], prereleases=True)}
    assert not outside


def test_ruff_finds_nothing():
    done = run(sys.executable, "-m", "ruff", "check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_code_is_formatted():
    done = run(sys.executable, "-m", "ruff", "format", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_hold():
    done = run(sys.executable, "-m", "mypy")
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_is_light():
    """Each notebook pays the import once per kernel."""
    code = f"import sys, csi_lab; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", csi_lab.__all__)
def test_public_name_resolves(name):
    assert getattr(csi_lab, name) is not None
    assert name in dir(csi_lab)


def test_an_unknown_public_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'pls'; it has \["):
        csi_lab.pls  # noqa: B018


def test_types_are_announced():
    assert (ROOT / "csi_lab" / "py.typed").is_file()


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert csi_lab.__version__ == PROJECT["version"] == citation["version"]
    assert PROJECT["version"] in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_licences_are_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["license"] == citation["license"] == "GPL-3.0-or-later"
    assert "GNU GENERAL PUBLIC LICENSE" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    content = (ROOT / "LICENSE-CONTENT").read_text(encoding="utf-8")
    assert "CC-BY-4.0" in content
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in content
    assert "GPL-3.0-or-later" in README
    assert "CC BY 4.0" in README


def test_citation_has_what_the_format_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert all("name" in author or "family-names" in author for author in citation["authors"])


def stored() -> list[Path]:
    """The files under version control, and those that would be on the next `git add`."""
    done = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if done.returncode:
        pytest.skip("not a git checkout: what is stored is not known")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_home_folder_this_checkout_or_a_registry():
    private = [r"(?<![\w.])/(?:home|Users|root)/\w", r"[A-Z]:\\+Users\\", rf"{re.escape(str(ROOT))}(?!\w)"]
    registries = [
        r"index-url[ =]+\S*//",
        r"//[^/\s\"']+/simple\b",
        r"//[\w.-]*(?:pypi|pythonhosted|npmjs|anaconda)[\w-]*\.",
    ]
    pattern = re.compile("|".join([*private, *registries]).encode())
    found = {
        str(path.relative_to(ROOT)): match.group().decode()
        for path in stored()
        if (match := pattern.search(path.read_bytes()))
    }
    assert not found


def test_text_files_have_unix_line_ends():
    """A shell script with Windows line ends does not run, and a checkout must not depend on who made it."""
    text = {".py", ".yml", ".yaml", ".toml", ".md", ".lock", ".ipynb", ".cff", ""}
    assert not [str(p.relative_to(ROOT)) for p in stored() if p.suffix in text and b"\r\n" in p.read_bytes()]


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")


def recipe(target: str, *settings: str) -> str:
    """What make would run last for ``target``."""
    done = run("make", "--no-print-directory", "-n", target, *settings)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@needs_make
def test_commands_of_the_readme_are_those_of_make():
    assert "\nmake course\nmake test\n" in README
    for target, plain in (
        ("course", "csi-lab run all --out build/course"),
        ("test", "python -m pytest -n 2 --dist loadfile"),
    ):
        assert recipe(target) == f".venv/bin/{plain}"
        assert f"\n{plain}\n" in README


@needs_make
def test_help_is_the_default_and_lists_every_target():
    shown = run("make", "--no-print-directory").stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert phony is not None
    targets = set(phony.group(1).split()) - {"study-named"}
    assert targets == set(re.findall(r"^  make (\w+)", shown, flags=re.MULTILINE))


@needs_make
def test_report_asks_for_its_study():
    done = run("make", "report", "STUDY=")
    assert done.returncode != 0
    assert "make report STUDY=mobile" in done.stderr
    assert recipe("report", "STUDY=my study") == '.venv/bin/csi-lab report "my study" --out build/report'


@needs_make
@pytest.mark.skipif(os.name == "nt", reason="the stand-in for an old Python is a shell script")
def test_make_names_a_python_that_is_too_old_or_absent(tmp_path):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "oldpython"
    old.write_text(f"""#!/bin/sh
exec "{sys.executable}" -c "import sys; sys.version_info = (3, 9, 2); exec(sys.argv[1])" "$2"
""")
    old.chmod(0o755)
    done = run("make", "course", f"PYTHON={old}", cwd=tmp_path)
    assert done.returncode != 0
    assert re.search(r"csi_lab needs Python 3\.11 or newer; .* is Python 3\.9", done.stderr)
    done = run("make", "course", "PYTHON=nopython", cwd=tmp_path)
    assert done.returncode != 0
    assert "no program nopython here; install Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_continuous_integration_runs_the_test_command_of_the_readme():
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert lines[-1] == "make test"
    if os.name != "nt":
        assert os.access(script, os.X_OK)


def test_python_of_the_readme_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    done = run(sys.executable, "-W", "error", "-c", code, PYTHONIOENCODING="utf-8")
    assert done.returncode == 0, done.stderr
    assert "Satisfaction" in done.stdout


def test_links_of_the_documents_lead_somewhere():
    """Relative links and, in the table of the README, folders that exist."""
    documents = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/README.md")]
    links = [
        (document, link)
        for document in documents
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
    ]
    broken = [f"{d.relative_to(ROOT)}: {link}" for d, link in links if not (d.parent / link).exists()]
    folders = [
        cell for row in re.findall(r"^\| `.*$", README, flags=re.MULTILINE) for cell in re.findall(r"`(\S+/)`", row)
    ]
    assert len(folders) > 5
    broken += [f for f in folders if not (ROOT / f).is_dir() and not (ROOT / "notebooks" / f).is_dir()]
    assert not broken


def test_hooks_fetch_nothing():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    hooks = {hook["id"]: hook for repo in config["repos"] for hook in repo["hooks"]}
    assert {hook["language"] for hook in hooks.values()} == {"system"}


def test_notebook_hook_strips_the_run_and_keeps_the_results(tmp_path):
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entry = next(h["entry"] for repo in config["repos"] for h in repo["hooks"] if h["id"] == "notebook-metadata")
    program, *options = shlex.split(entry)
    assert program == "nbstripout"
    output = {"output_type": "stream", "name": "stdout", "text": ["alpha is 0.87\n"]}
    cell = {
        "cell_type": "code",
        "id": "first",
        "execution_count": 1,
        "metadata": {"tags": ["parameters"], "papermill": {"duration": 1.5}, "execution": {"iopub.execute_input": "x"}},
        "outputs": [output],
        "source": ["print()"],
    }
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "papermill": {"output_path": "out.ipynb"},
    }
    path = tmp_path / "lesson.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
    done = run(sys.executable, "-m", "nbstripout", *options, str(path))
    assert done.returncode == 0, done.stderr
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["cells"] == [{**cell, "metadata": {"tags": ["parameters"]}}]
    assert "papermill" not in stored["metadata"]


PUBLIC = (
    "csi_lab", "csi_lab.sem", "csi_lab.reliability", "csi_lab.validity", "csi_lab.factors", "csi_lab.index",
    "csi_lab.rates", "csi_lab.polychoric", "csi_lab.intervals", "csi_lab.resampling", "csi_lab.moments",
    "csi_lab.plots", "csi_lab.cleaning", "csi_lab.sampling.size", "csi_lab.sampling.select",
    "csi_lab.sampling.weight", "csi_lab.sampling.estimate", "csi_lab.sampling.mode", "csi_lab.sampling.fieldwork",
    "csi_lab.sampling.response", "csi_lab.sampling.error_budget", "csi_lab.scaleout", "csi_lab.simulate",
)  # fmt: skip


@pytest.mark.parametrize("room", PUBLIC)
def test_every_public_function_has_an_example_that_runs(room):
    """Examples are doctests of the same run, so that those which stand there are those which work."""
    module = importlib.import_module(room)
    listed = getattr(module, "__all__", None)
    own = [n for n, o in vars(module).items() if not n.startswith("_") and getattr(o, "__module__", "") == room]
    functions = {n: getattr(module, n) for n in listed or own if inspect.isfunction(getattr(module, n))}
    assert functions or listed
    assert [n for n, f in functions.items() if ">>>" not in (inspect.getdoc(f) or "")] == []
