"""The command line: ``csi-lab run | lessons | check | new | report | simulate | store``."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from csi_lab import __version__
from csi_lab.errors import CsiLabError, CsiLabWarning, SpecError, listed

app = typer.Typer(
    name="csi-lab",
    help="Laboratory for measuring customer satisfaction: lessons, and a report of your own survey.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

NAME_SHOWN = 80  # characters of a name in a message
INTERRUPTED = 130  # the shells' code for "ended by Ctrl-C"

Study = Annotated[str | None, typer.Option("--study", "-s", help="Shipped study, or path of a study file or folder.")]
Values = Annotated[
    list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Value of a parameter; repeatable.")
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="Notebooks at a time.", show_default="processors")
]
Force = Annotated[bool, typer.Option("--force", help="Run again although nothing changed.")]
Engine = Annotated[
    str | None,
    typer.Option("--engine", help="local or dask: read the answers in a stream, for files larger than memory."),
]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Dask scheduler; else one is started here.")
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"csi-lab {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_version)
    ] = False,
) -> None: ...


@app.command(
    epilog="Examples:  csi-lab run 02  ·  csi-lab run all -j 4  ·  csi-lab run 02 05 --study my/study.yaml -p seed=7"
)
def run(
    lessons: Annotated[list[str], typer.Argument(metavar="LESSON... | all", help="Names, numbers or notebook paths.")],
    study: Study = None,
    parameter: Values = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the outputs.")] = Path("build/course"),
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Run lessons: executed notebooks, pages, an index and a manifest appear in the output folder.

    Lessons whose inputs did not change since the last run are skipped. With "all", a parameter goes to the lessons
    that have it.
    """
    from csi_lab.course.runner import requested, run_many

    values = _values(parameter, lambda known: requested(lessons, study=study, parameters=known))
    with _interruptible():
        results = run_many(lessons, study=study, parameters=values, out=out, force=force, jobs=jobs)
    failed = [result for result in results if not result.ok]
    typer.echo(f"{len(results) - len(failed)} of {len(results)} lessons are in {out / 'index.html'}")
    for result in failed:
        typer.echo(result.error, err=True)
    raise typer.Exit(1 if failed else 0)


@app.command("lessons", epilog="Example:  csi-lab lessons")
def list_lessons() -> None:
    """List the lessons with their titles, parameters and defaults."""
    from csi_lab.course import notebook as notebooks
    from csi_lab.course.jobs import lesson_paths

    for name, path in lesson_paths().items():
        source = notebooks.read(path)
        typer.echo(f"{name}: {notebooks.title(source, name)}")
        for parameter in notebooks.parameters(source, path.name).values():
            value = repr(parameter.default) if parameter.known else parameter.default
            typer.echo(f"    -p {parameter.name}={value}" + (f"  {parameter.help}" if parameter.help else ""))


@app.command(
    epilog="Examples:  csi-lab check mobile  ·  csi-lab check my/study.yaml --language zh  ·  csi-lab check panel "
    "--engine local"
)
def check(
    study: Annotated[str, typer.Argument(help="Shipped study, or path of a study file or folder.")],
    language: Annotated[str | None, typer.Option("--language", "-l", help="Language of the labels.")] = None,
    engine: Engine = None,
    scheduler: Scheduler = None,
) -> None:
    """Load a study and its answers; print what was understood, or every problem."""
    from rich.console import Console
    from rich.table import Table

    from csi_lab.course.runner import requested_engine
    from csi_lab.course.studies import require_language
    from csi_lab.scaleout import StreamedSurvey, open_survey
    from csi_lab.study.survey import Survey, load_survey

    asked = requested_engine(engine, scheduler)
    survey: Survey | StreamedSurvey
    with _interruptible():
        survey = load_survey(study) if asked is None else open_survey(study, engine=asked, client=scheduler)
    require_language(survey, language)
    typer.echo(str(survey))
    frame = survey.to_frame(language).reset_index()
    table = Table(title="Items", title_justify="left")
    for name in frame.columns:
        table.add_column(str(name), justify="left" if name in ("item", "construct", "label") else "right")
    for row in frame.itertuples(index=False, name=None):
        table.add_row(*(_cell(name, value) for name, value in zip(frame.columns, row, strict=True)))
    # In a pipe rich would assume 80 columns and cut the labels.
    console = Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False)
    console.print(table)
    if survey.model is not None:
        typer.echo(f"Model ({survey.model}):")
        try:
            syntax = survey.model.to_lavaan()
        except SpecError as error:
            # A sound study whose names lavaan's syntax cannot hold; nothing else needs them to be written so.
            syntax = str(error)
        typer.echo("\n".join(f"  {line}" for line in syntax.splitlines()))


def _cell(column: str, value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return (
        f"{value:.1%}"
        if column in ("floor", "ceiling", "bottom_box", "top_box")
        else f"{value:.2f}"
        if column in ("mean", "sd")
        else f"{value:g}"
    )


@app.command(epilog="Example:  csi-lab new my-survey")
def new(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")]) -> None:
    """Write a commented study file with a tiny example, to be filled with your own survey."""
    from csi_lab.study.datasets import new_study

    for path in new_study(folder):
        typer.echo(f"wrote {path}")
    shown = f'"{folder}"' if " " in str(folder) else str(folder)
    typer.echo(
        "Next:\n"
        f"  1. csi-lab check {shown}     what csi_lab understands; the example passes\n"
        f"  2. edit {folder / 'study.yaml'}, put your answers beside it, and check again\n"
        f"  3. csi-lab report {shown}    reliability, validity, model and index of your survey"
    )


@app.command(
    epilog="Examples:  csi-lab report mobile  ·  csi-lab report my/study.yaml --language zh --out my/report  ·  "
    "csi-lab report panel/study.yaml --engine dask --scheduler tcp://10.0.0.1:8786"
)
def report(
    study: Annotated[str, typer.Argument(help="Shipped study, or path of a study file or folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the outputs.")] = Path("build/report"),
    language: Annotated[
        str | None, typer.Option("--language", "-l", help="A language of the study; else its first.")
    ] = None,
    parameter: Values = None,
    force: Force = False,
    engine: Engine = None,
    scheduler: Scheduler = None,
) -> None:
    """Analyse a study: executed notebook, HTML report without code, tables as CSV and xlsx."""
    from csi_lab.course import runner

    spoken = {} if language is None else {"language": language}
    check = partial(runner.requested_report, study, engine=engine, scheduler=scheduler)
    values = _values(parameter, lambda known: check(parameters=known | spoken))
    if spoken and "language" in values:
        raise SpecError("the language is given twice: by --language and by -p; give it once")
    values |= spoken
    with _interruptible():
        result = runner.report(study, out=out, parameters=values, force=force, engine=engine, scheduler=scheduler)
    typer.echo(f"report ({result}):")
    for path in (result.page, result.notebook, *result.tables):
        typer.echo(f"  {path}")


@app.command(
    epilog="Examples:  csi-lab simulate --out build/market  ·  csi-lab simulate --seed 7 --customers 50000 --out m"
)
def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="A new or empty folder.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed; the same seed gives the same files.")] = 20260,
    customers: Annotated[int, typer.Option("--customers", min=1, help="Customers of the market.")] = 200_000,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="YAML file with changes: section, then parameters.")
    ] = None,
    register: Annotated[str, typer.Option("--register", help="Format of the register: csv or parquet.")] = "csv",
) -> None:
    """Write a broadband market whose truth is known: register, surveys, panel, complaints and more, as a study."""
    from csi_lab.simulate import make_market, parameters, write

    if register not in ("csv", "parquet"):
        raise SpecError(f"--register {register}: use csv or parquet")
    with _interruptible():
        market = make_market(parameters(truth), customers=customers, rng=seed)
        paths = write(market, out, register="parquet" if register == "parquet" else "csv")
    typer.echo(str(market))
    for path in paths:
        typer.echo(f"wrote {path}")
    if any(path.name == "study.yaml" for path in paths):
        typer.echo(f"Next: csi-lab report {out}")


@app.command(epilog="Examples:  csi-lab store  ·  csi-lab store --only 02_what_is_an_index")
def store(
    only: Annotated[str | None, typer.Option("--only", metavar="NAME", help="Only notebooks of this name.")] = None,
    jobs: Jobs = None,
) -> None:
    """For authors: execute the repository's notebooks in place and cut the exercises from the solutions."""
    from csi_lab.course.store import store as store_all

    with _interruptible():
        stored = store_all(only=only, jobs=jobs)
    failed = [one.error for one in stored if one.error]
    typer.echo(f"{len(stored)} notebooks: {sum(one.changed for one in stored)} changed, {len(failed)} failed")
    for error in failed:
        typer.echo(error, err=True)
    raise typer.Exit(1 if failed else 0)


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped; what was finished before is complete, nothing else was written", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _values(given: list[str] | None, check: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """``-p name=value`` as a mapping; every malformed one is named, with what ``check`` finds in the others."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            problems.append(f"-p {text}: write -p name=value")
        elif name.strip() in values:
            problems.append(f"-p {text}: {name.strip()!r} is given twice")
        else:
            try:
                values[name.strip()] = parse_value(value)
            except SpecError as error:
                problems.append(f"-p {text}: {error}")
    if problems:
        try:
            check(values)
        except CsiLabError as error:
            problems += getattr(error, "problems", None) or [str(error)]
        raise SpecError(listed(problems, "parameters not understood"), problems)
    return values


def parse_value(text: str) -> Any:
    """A value typed on the command line, by the rules of YAML 1.2.

    Numbers, ``true``, ``false``, ``null``, ``[lists]`` and ``{mappings}``; anything else is text. The older rules would
    take ``no`` for False, ``010`` for eight and ``12:30`` for 750.

    Examples
    --------
    >>> [parse_value(text) for text in ("5", "1e-3", "true", "no", "010", "12:30", "zh", "[1, 2]")]
    [5, 0.001, True, 'no', 10, '12:30', 'zh', [1, 2]]
    """
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012, a class attribute of PyYAML

    for tag, pattern, make in (
        ("null", r"~|null|Null|NULL|", lambda word: None),
        ("bool", r"true|True|TRUE|false|False|FALSE", lambda word: word.lower() == "true"),
        ("int", r"[-+]?[0-9]+", int),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
    ):
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), None)
        Loader.add_constructor(f"tag:yaml.org,2002:{tag}", partial(_scalar, make))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        what = getattr(error, "problem", None) or "not YAML"
        raise SpecError(f"{what}; quote text with special signs: -p name='\"text: more\"'") from None


def _scalar(make: Callable[[str], Any], loader: Any, node: Any) -> Any:
    return make(loader.construct_scalar(node))


def _note(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """A warning of csi_lab as a plain note; others as Python shows them."""
    if issubclass(category, CsiLabWarning):
        typer.echo(f"note: {message}", err=True)
    else:
        _shown_by_python(message, category, *place, **more)


_shown_by_python = warnings.showwarning


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; exit code 0, 1 (something failed), 2 (wrong use) or 130 (Ctrl-C)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console without Chinese shows "?" and does not end the program
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", CsiLabWarning)
            warnings.showwarning = _note
            app(args=arguments)  # ends in SystemExit
    except CsiLabError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    except OSError as error:  # a name that is too long, a disk that went away
        typer.echo(_of_the_system(error), err=True)
        sys.exit(1)
    sys.exit(0)


def _of_the_system(error: OSError) -> str:
    name = str(error.filename or "")
    shown = f"{name[:NAME_SHOWN]}…" if len(name) > NAME_SHOWN else name
    return ": ".join(part for part in (shown, error.strerror or str(error)) if part)


if __name__ == "__main__":
    main()
