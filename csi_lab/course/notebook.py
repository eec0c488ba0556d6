"""One notebook: read it, know its parameters, execute it, and leave nothing in it that depends on time or machine."""

from __future__ import annotations

import ast
import copy
import io
import json
import logging
import re
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csi_lab.errors import CsiLabError, SpecError

if TYPE_CHECKING:
    from nbformat import NotebookNode

PARAMETERS = "parameters"
INJECTED = "injected-parameters"
SEED = "seed"
PLAIN = (type(None), bool, int, float, str, list, dict)


class LessonError(CsiLabError):
    """A notebook did not run to its end; the message names the cell, the line and the error."""


@dataclass(frozen=True)
class Parameter:
    """One assignment of the parameters cell: name, default value and the comment beside it.

    ``known`` is False when the default is not a literal, so that nothing can be said about its type.
    """

    name: str
    default: Any
    annotation: str = ""
    help: str = ""
    known: bool = True


def read(path: Path) -> NotebookNode:
    """The notebook in a file, every cell with an id.

    Raises
    ------
    SpecError
        If the file is absent, not a notebook, of an old format, or holds the values of an earlier parameterised run.
    """
    import nbformat

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"{path}: no such notebook") from None
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: not readable as a notebook ({error}); open and save it in JupyterLab") from None
    if not isinstance(content, dict) or content.get("nbformat") != 4 or not isinstance(content.get("cells"), list):
        raise SpecError(f"{path}: not a notebook of format 4; open and save it in JupyterLab")
    for position, cell in enumerate(content["cells"], 1):
        if isinstance(cell, dict):
            cell.setdefault("id", f"cell-{position}")  # nbformat would draw a random one
    content["nbformat_minor"] = max(5, int(content.get("nbformat_minor", 0)))
    try:
        notebook = nbformat.v4.reads(json.dumps(content))  # joins the lines of a source
        nbformat.validate(notebook)
    except (nbformat.ValidationError, AttributeError, KeyError, TypeError) as error:
        message = str(getattr(error, "message", error)).splitlines()[0]
        raise SpecError(f"{path}: not a valid notebook ({message}); open and save it in JupyterLab") from None
    stale = [i for i, cell in enumerate(notebook.cells, 1) if INJECTED in tags(cell)]
    if stale:
        raise SpecError(
            f"{path}: cell {stale[0]} is tagged {INJECTED!r} and would overrule the parameters; it was left by an "
            "earlier run: delete it, or run the lesson that it came from"
        )
    return notebook


def text(notebook: NotebookNode) -> str:
    """The content of a notebook file."""
    import nbformat

    return nbformat.writes(notebook).rstrip("\n") + "\n"


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def heading(source: str) -> str | None:
    """The first heading of a markdown text, without its marks."""
    outside = re.sub(r"^(```|~~~).*?^\1", "", source, flags=re.M | re.S)
    found = re.search(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$", outside, flags=re.M)
    if not found:
        return None
    return re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", lambda m: m[1] or "", found[1]).strip() or None


def title(notebook: NotebookNode, fallback: str) -> str:
    """The first heading of the notebook, or ``fallback``."""
    found = (heading(cell.source) for cell in notebook.cells if cell.cell_type == "markdown")
    return next((text for text in found if text), fallback)


def parameters(notebook: NotebookNode, where: str = "the notebook") -> dict[str, Parameter]:
    """The parameters of a notebook: the assignments in its cell tagged ``parameters``.

    Read from the syntax tree: a default such as ``"a = b"`` or one written over several lines is understood too.
    """
    cell = next((c for c in notebook.cells if c.cell_type == "code" and PARAMETERS in tags(c)), None)
    if cell is None:
        return {}
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError as error:
        raise SpecError(f"{where}: the parameters cell is not Python (line {error.lineno}: {error.msg})") from None
    reader = io.StringIO(cell.source).readline
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(reader)
        if token.type == tokenize.COMMENT
    }
    found: dict[str, Parameter] = {}
    for node in statements:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
        try:
            default, known = ast.literal_eval(node.value), True
        except ValueError:
            default, known = ast.unparse(node.value), False
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name):
                comment = comments.get(node.end_lineno or 0, "")
                found[target.id] = Parameter(target.id, default, annotation, comment, known)
    return found


def misfits(known: Mapping[str, Parameter], given: Mapping[str, Any]) -> list[str]:
    """What is wrong with the values given: unknown names, values of another type, a seed that is none."""
    problems = []
    for name, value in given.items():
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            has = f"it has {', '.join(known)}" if known else "it has none (no cell tagged 'parameters')"
            problems.append(f"unknown parameter {name!r}{hint}; {has}")
        elif not isinstance(value, PLAIN):
            problems.append(
                f"{name}: {value!r} is a {type(value).__name__}; give a plain number, text, list or mapping"
            )
        elif not _fits(known[name], value):
            wanted = type(known[name].default).__name__
            problems.append(
                f"{name}: wants {wanted} (default {known[name].default!r}), got {value!r} ({type(value).__name__})"
                + ("; to give it as text, quote it twice: -p " + f"{name}='\"{value}\"'" if wanted == "str" else "")
            )
        elif name == SEED and isinstance(value, int) and value < 0:
            problems.append(f"{name}: a whole number from 0 is needed, got {value!r}")
    return problems


def _fits(parameter: Parameter, value: Any) -> bool:
    default = parameter.default
    if not parameter.known or default is None:
        return True
    if value is None:
        return "None" in parameter.annotation or "Optional" in parameter.annotation
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float) or (isinstance(default, int) and "float" in parameter.annotation):
        return isinstance(value, int | float)
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, type(default))


def execute(
    notebook: NotebookNode,
    given: Mapping[str, Any],
    *,
    name: str,
    folder: Path,
    kernel_manager: type | None = None,
    on_cell: Callable[[], None] = lambda: None,
) -> NotebookNode:
    """The executed notebook, cleaned.

    Parameters
    ----------
    notebook
        The source; it is not changed.
    given
        Values for its parameters, checked before.
    name
        How error messages call it.
    folder
        Working directory of the kernel.
    kernel_manager
        Class that starts the kernel.
    on_cell
        Called when a cell begins.

    Raises
    ------
    LessonError
        If a cell fails or the kernel dies.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill.engines import papermill_engines
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    # What papermill would tell is told here, once, in words of the lesson.
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    # The pieces of papermill.execute_notebook, because that function takes the deliberate error of a cell tagged
    # raises-exception for a failure, and braces in a path for a template.
    ready = load_notebook_node(copy.deepcopy(notebook))
    if given:
        ready = parameterize_notebook(ready, dict(given), kernel_name="python3", language="python")
    for cell in ready.cells:
        if INJECTED in tags(cell):
            cell.id = INJECTED
    options = {"kernel_manager_class": kernel_manager} if kernel_manager else {}
    begun: list[int] = []

    def began(cell_index: int, **_: Any) -> None:
        begun.append(cell_index)
        on_cell()

    try:
        done = papermill_engines.execute_notebook_with_engine(
            None,
            ready,
            kernel_name="python3",
            progress_bar=False,
            autosave_cell_every=0,
            resources={"metadata": {"path": str(folder)}},
            coalesce_streams=True,
            on_cell_start=began,
            # ipykernel warns at each start that it speaks TCP on this machine, and at times that it was asked to end.
            # Failures are in the messages of the kernel; its log says nothing that a reader could act on.
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
            **options,
        )
    except DeadKernelError:
        where = _place(ready, begun[-1]) if begun else "before the first cell"
        raise LessonError(f"{name}: the kernel died in {where}; often it ran out of memory") from None
    except RuntimeError as error:  # the kernel did not start
        raise LessonError(f"{name}: the kernel did not answer ({error})") from None
    for position, cell in enumerate(done.cells):
        if cell.metadata.get("papermill", {}).get("exception"):
            raise LessonError(_failure(done, position, name))
    return clean(done, notebook)


def clean(executed: NotebookNode, source: NotebookNode) -> NotebookNode:
    """Outputs and execution counts stay; times, tool metadata and versions of the machine go."""
    result = copy.deepcopy(executed)
    tagged = {cell.id for cell in source.cells if "tags" in cell.metadata}
    for cell in result.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags") and cell.id not in tagged:
            cell.metadata.pop("tags", None)
    kept = {
        k: v for k, v in result.metadata.items() if k not in ("papermill", "widgets", "kernelspec", "language_info")
    }
    kept["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    kept["language_info"] = {"name": "python"}
    result.metadata = type(result)(kept)
    return result


def _place(executed: NotebookNode, position: int) -> str:
    """Where a cell stands in the source notebook, counted from 1."""
    injected = next((i for i, cell in enumerate(executed.cells) if cell.id == INJECTED), len(executed.cells))
    if position == injected:
        return "the injected parameters"
    return f"cell {position + (position < injected)}"


def _failure(executed: NotebookNode, position: int, name: str) -> str:
    """One message for a failed cell: where, what, and the line that failed."""
    cell = executed.cells[position]
    error = next((o for o in reversed(cell.outputs) if o.output_type == "error"), None)
    what, words, trace = (error.ename, error.evalue, error.traceback) if error else ("an error without output", "", [])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(trace))
    lines = cell.source.splitlines()
    here = [int(n) for run, n in re.findall(r"Cell In\[(\d+)\], line (\d+)", plain) if int(run) == cell.execution_count]
    number = here[0] if here and here[0] <= len(lines) else None
    head = f"{name}: {_place(executed, position)} (In [{cell.execution_count}]) stopped with {what}"
    failing = [f"  line {number}: {lines[number - 1].strip()}"] if number else []
    return "\n".join([f"{head}: {words}" if words else head, *failing])
