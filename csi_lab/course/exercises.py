"""Exercises are cut from their solutions, so that the two never drift apart."""

from __future__ import annotations

import ast
import copy
import hashlib
import re
from typing import TYPE_CHECKING

from csi_lab.course.notebook import tags
from csi_lab.errors import SpecError, listed

if TYPE_CHECKING:
    from nbformat import NotebookNode

SOLUTION = "solution"


def cut(notebook: NotebookNode) -> NotebookNode:
    """The exercise of a solution notebook.

    A code cell tagged ``solution`` becomes a stub that binds the last variable it assigned, a markdown cell with this
    tag goes, and the word "Solution" in the title becomes "Exercise". Everything else is kept, except outputs and
    execution counts: they belong to the solution and would give the answers away. Cell ids follow from the content, so
    that the same solution always gives the same exercise.

    Parameters
    ----------
    notebook
        The solution; it is not changed.

    Returns
    -------
    NotebookNode

    Raises
    ------
    SpecError
        If no cell is tagged ``solution``, or such a cell is not Python or assigns nothing; all cells are named.

    Examples
    --------
    >>> from nbformat import v4
    >>> cell = v4.new_code_cell("parts = 2\\nanswer = 40 + parts", metadata={"tags": ["solution"]})
    >>> cut(v4.new_notebook(cells=[cell])).cells[0].source
    'answer = ...  # your answer'
    """
    result = copy.deepcopy(notebook)
    cells, problems, titled = [], [], False
    for position, cell in enumerate(result.cells, 1):
        if SOLUTION in tags(cell):
            if cell.cell_type != "code":
                continue
            try:
                cell.source = f"{_last_assigned(cell.source)} = ...  # your answer"
            except SpecError as error:
                problems.append(f"cell {position} {error}")
            cell.metadata["tags"] = [tag for tag in tags(cell) if tag != SOLUTION]
            if not cell.metadata["tags"]:
                del cell.metadata["tags"]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        elif cell.cell_type == "markdown" and not titled:
            cell.source, titled = _retitled(cell.source)
        cells.append(cell)
    if not any(SOLUTION in tags(cell) and cell.cell_type == "code" for cell in notebook.cells):
        problems.append("no code cell is tagged 'solution'; tag the cells that hold the answers")
    if problems:
        raise SpecError(listed(problems, "the exercise cannot be cut from this solution"), problems)
    result.cells = _with_ids(cells)
    return result


def _last_assigned(source: str) -> str:
    """The variable (or function) that the cell's statements bind last."""
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise SpecError(f"is not plain Python (line {error.lineno}: {error.msg})") from None
    names = [name for statement in statements for name in _bound(statement)]
    if not names:
        raise SpecError("assigns no variable; let it end in `name = ...`, which the exercise asks for")
    return names[-1]


def _bound(statement: ast.stmt) -> list[str]:
    """Names that a statement binds by assignment or definition, in order; those inside blocks too."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        targets: list[ast.expr] = statement.targets
    elif isinstance(statement, ast.AugAssign) or (isinstance(statement, ast.AnnAssign) and statement.value):
        targets = [statement.target]
    else:
        blocks = [getattr(statement, part, []) for part in ("body", "orelse", "finalbody")]
        blocks += [handler.body for handler in getattr(statement, "handlers", [])]
        blocks += [case.body for case in getattr(statement, "cases", [])]
        return [name for block in blocks for inner in block for name in _bound(inner)]
    return [name for target in targets for name in _names(target)]


def _names(target: ast.expr) -> list[str]:
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, ast.Tuple | ast.List):
        return [name for part in target.elts for name in _names(part)]
    return _names(target.value) if isinstance(target, ast.Starred) else []


def _retitled(source: str) -> tuple[str, bool]:
    """The text with "Solution" in its first heading turned into "Exercise", and whether it has a heading."""
    heading = re.search(r"^ {0,3}#{1,6}[ \t].*$", source, flags=re.M)
    if not heading:
        return source, False
    line = re.sub(r"\bSolution\b", "Exercise", re.sub(r"\bsolution\b", "exercise", heading[0]))
    return source[: heading.start()] + line + source[heading.end() :], True


def _with_ids(cells: list[NotebookNode]) -> list[NotebookNode]:
    seen: dict[str, int] = {}
    for cell in cells:
        key = f"{cell.cell_type}\0{cell.source}"
        seen[key] = seen.get(key, 0) + 1
        cell.id = hashlib.sha256(f"{key}\0{seen[key]}".encode()).hexdigest()[:12]
    return cells
