"""Path models: what is refused, all offenders at once, and what stays equal."""

from __future__ import annotations

import pickle

import pytest

from csi_lab import PathModel, SpecError


def test_every_problem_is_named_at_once():
    with pytest.raises(SpecError) as caught:
        PathModel(
            {"A": ["x1", "x2"], "B": ["x1"], "C": []},
            {"B": ["A", "Q"], "A": "B"},
            {"A": "C"},
            [("x1", "x9"), ("x2", "x2")],
        )
    text = str(caught.value)
    for part in ("without items: ['C']", "'x1' in A and B", "['Q']", "{'A': 'C'}", "circle", "('x1', 'x9')", "itself"):
        assert part in text
    assert len(caught.value.problems) == 7


def test_all_separate_circles_are_named():
    names = dict.fromkeys("ABCDE")
    with pytest.raises(SpecError, match=r"A -> B -> A|B -> A -> B") as caught:
        PathModel({n: n.lower() for n in names}, {"A": "B", "B": "A", "C": "D", "D": "E", "E": "C"})
    assert str(caught.value).count("->") == 2 + 3


def test_a_path_to_itself_is_a_circle():
    with pytest.raises(SpecError, match="A -> A"):
        PathModel({"A": "a"}, {"A": "A"})


def test_equality_ignores_the_order_of_sources_and_survives_pickling():
    a = PathModel({"A": "a", "B": "b", "C": "c"}, {"C": ["A", "B"]})
    b = PathModel({"A": "a", "B": "b", "C": "c"}, {"C": ["B", "A"]})
    assert a == b
    assert hash(a) == hash(b)
    assert pickle.loads(pickle.dumps(a)) == a


def test_the_model_cannot_be_changed():
    model = PathModel({"A": "a"})
    with pytest.raises(TypeError):
        model.constructs["B"] = ("b",)


def test_names_become_text_everywhere():
    model = PathModel({1: ["a", "b"], 2: "c"}, {2: [1]}, {1: "B"})
    assert model.modes == {"1": "B", "2": "A"}


def test_new_items_keep_paths_and_modes():
    model = PathModel({"A": ["a1", "a2"], "B": "b"}, {"B": "A"}, {"A": "B"}, [("a1", "b")])
    other = model.with_items({"A": ["z1", "z2"]})
    assert (other.paths, other.modes, other.covariances) == (model.paths, model.modes, ())
    with pytest.raises(SpecError, match=r"\['Q'\]"):
        model.with_items({"Q": "q"})


def test_syntax_refuses_names_it_cannot_hold():
    with pytest.raises(SpecError, match=r"\['My Sat', 'Q-2', '1st'\]"):
        PathModel({"My Sat": ["Q-2", "1st"]}).to_lavaan()


def test_single_numbers_are_said_in_the_singular():
    assert str(PathModel({"A": "a", "B": "b"}, {"B": "A"})) == "2 constructs, 2 items, 1 path"


NOT_NAMES = [
    ({"constructs": None}, "constructs must be a mapping of construct names, got NoneType"),
    ({"constructs": {"A": None}}, r"constructs\['A'\] must be a name or a list of names, got NoneType"),
    ({"constructs": {"A": ["x1", None, float("nan"), ""]}}, r"holds what is no name: \[None, nan, ''\]"),
    ({"constructs": {"A": {"x1", "x2"}}}, "must be a name or a list of names, got set"),
    ({"constructs": {"": "x1"}}, r"keys that are no names: \[''\]"),
    ({"constructs": {1: "x1", "1": "x2"}}, r"twice, as text and as a number: \['1'\]"),
    ({"paths": [("A", "B")]}, "paths must be a mapping of construct names, got list"),
    ({"paths": {"A": 3}}, r"paths\['A'\] must be a name or a list of names, got int"),
    ({"modes": ["A"]}, "modes must be a mapping"),
    ({"covariances": [("x1", "x2", "x3")]}, r"list of pairs of items.*\('x1', 'x2', 'x3'\)"),
    ({"covariances": ("x1", "x2")}, r"list of pairs of items.*\['x1', 'x2'\]"),
    ({"covariances": None}, "list of pairs of items"),
    ({"covariances": [("x1", "x2"), ("x2", "x1")]}, r"given twice: \['x2 ~~ x1'\]"),
]


@pytest.mark.parametrize(("given", "message"), NOT_NAMES)
def test_what_is_no_name_is_refused(given, message):
    with pytest.raises(SpecError, match=message):
        PathModel(**{"constructs": {"A": ["x1", "x2", "x3"]}, **given})


def test_lists_that_can_be_read_once_are_read_once():
    model = PathModel({"A": (c for c in "ab"), "B": "c"}, {"B": (c for c in "A")})
    assert (model.items, model.edges) == (("a", "b", "c"), (("A", "B"),))


def test_numbers_are_names_in_covariances_too():
    assert PathModel({"A": [1, 2, 3]}, covariances=[(1, 2)]).covariances == (("1", "2"),)


def test_single_items_keep_their_mode_in_syntax():
    model = PathModel({"A": "a", "B": ["b", "c"]}, {"B": "A"}, {"A": "B"})
    assert PathModel.from_lavaan(model.to_lavaan()) == model


def test_syntax_refuses_a_construct_that_is_called_like_an_item():
    """lavaan 0.6-14 takes ``CUSCO =~ 1*CUSCO`` for a construct measured by itself and stops."""
    with pytest.raises(SpecError, match=r"name of an item: \['CUSCO'\]"):
        PathModel({"Image": ["i1", "i2"], "CUSCO": "CUSCO"}).to_lavaan()
