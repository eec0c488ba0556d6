"""Exercises cut from solutions."""

from __future__ import annotations

import pytest
from nbformat import validate
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from csi_lab.course.exercises import cut
from csi_lab.errors import SpecError


def solved(source: str):
    return new_code_cell(source, metadata={"tags": ["solution"]})


def stub_of(source: str) -> str:
    return cut(new_notebook(cells=[solved(source)])).cells[0].source


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a = 1\nb = a + 1", "b"),
        ("a = 1\nprint(a)", "a"),
        ("a: float = 2.0", "a"),
        ("total = 0\nfor i in range(3):\n    total += i", "total"),
        ("first, *rest = [1, 2]", "rest"),
        ("table = make()\ntable['x'] = 1\ntable.y = 2", "table"),
        ("if x:\n    yes = 1\nelse:\n    no = 2", "no"),
        ("def rate(box):\n    inner = 1\n    return inner", "rate"),
        ("a = [b for b in range(3)]", "a"),
        ("满意度 = 72.5", "满意度"),
    ],
)
def test_the_stub_binds_the_last_variable(source, name):
    assert stub_of(source) == f"{name} = ...  # your answer"


def test_everything_else_is_kept_and_answers_are_not_shown():
    output = new_output("stream", text="72.45")
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# 02 Solution: what is an index\n\nThe solution follows."),
            new_code_cell("n = 5", metadata={"tags": ["parameters"]}, execution_count=1),
            new_markdown_cell("Because the weights differ.", metadata={"tags": ["solution"]}),
            new_code_cell(
                "answer = 72.45", metadata={"tags": ["solution", "wide"]}, outputs=[output], execution_count=2
            ),
            new_code_cell("check('02', answer)", outputs=[output], execution_count=3),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    before = str(notebook)
    exercise = cut(notebook)
    assert [cell.source for cell in exercise.cells] == [
        "# 02 Exercise: what is an index\n\nThe solution follows.",
        "n = 5",
        "answer = ...  # your answer",
        "check('02', answer)",
    ]
    assert exercise.cells[1].metadata == {"tags": ["parameters"]}
    assert exercise.cells[2].metadata == {"tags": ["wide"]}
    assert exercise.metadata == notebook.metadata
    assert all(c.outputs == [] and c.execution_count is None for c in exercise.cells if c.cell_type == "code")
    assert str(notebook) == before
    validate(exercise)


def test_ids_follow_from_the_content():
    def notebook():  # nbformat draws new random ids for each
        return new_notebook(cells=[new_markdown_cell("x"), new_markdown_cell("x"), solved("a = 1")])

    ids = [cell.id for cell in cut(notebook()).cells]
    assert ids == [cell.id for cell in cut(notebook()).cells]
    assert len(set(ids)) == 3


def test_all_cells_that_cannot_be_cut_are_named():
    notebook = new_notebook(cells=[solved("print(1)"), solved("%time x = 1"), solved("a = 1")])
    with pytest.raises(SpecError) as caught:
        cut(notebook)
    assert len(caught.value.problems) == 2
    assert "cell 1 assigns no variable" in str(caught.value)
    assert "cell 2 is not plain Python (line 1" in str(caught.value)


def test_a_notebook_without_solutions_is_refused():
    with pytest.raises(SpecError, match="no code cell is tagged 'solution'"):
        cut(new_notebook(cells=[new_code_cell("a = 1")]))
