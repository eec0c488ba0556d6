"""Reading lavaan syntax: the way there and back, what is accepted, and every refusal with its line and remedy."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ecsi_mobile

from csi_lab import PathModel, SpecError, load_survey, models

# As the manuals write it; the model of tests/reference/cbsem/hs_cfa_ml.json.
HS = """
# three factors
visual  =~ x1 + x2 + x3   ! comment of the other kind
textual =~ x4 + x5 + x6 ; speed =~ x7 + x8 + x9
"""


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        PathModel.from_lavaan(text)
    return list(caught.value.problems)


@pytest.mark.parametrize("name", list(models))
def test_way_there_and_back_of_the_catalogue(name):
    model = models[name]
    assert PathModel.from_lavaan(model.to_lavaan()) == model
    for variant in model.variants:
        assert PathModel.from_lavaan(model.variant(variant).to_lavaan()) == model.variant(variant)


@pytest.mark.parametrize("study", ["mobile", "reputation"])
def test_way_there_and_back_of_the_studies(study):
    """The reputation study has four constructs in mode B and a single item."""
    model = load_survey(study).model
    back = PathModel.from_lavaan(model.to_lavaan())
    assert back == model
    assert dict(back.modes) == dict(model.modes)


def test_way_there_and_back_of_covariances():
    model = PathModel(
        {"形象": ["信任", "稳定"], "满意.度": ["a_1", ".b", "总体1"]},
        {"满意.度": "形象"},
        covariances=[("信任", "a_1"), (".b", "稳定")],
    )
    back = PathModel.from_lavaan(model.to_lavaan())
    assert back == model
    assert list(back.covariances) == list(model.covariances)


def test_reads_a_text_as_the_manuals_write_it():
    assert PathModel.from_lavaan(HS) == PathModel(
        {"visual": ["x1", "x2", "x3"], "textual": ["x4", "x5", "x6"], "speed": ["x7", "x8", "x9"]}
    )


def test_reads_the_mobile_model_in_another_layout():
    """Continuation before and after the plus sign, across comments and empty lines; statements that add up."""
    text = (
        "Image=~IMAG1+IMAG2+IMAG3\r\nImage =~ IMAG4 + IMAG5;\n"
        "Expectation =~ CUEX1 +\n\n   # the other two\n  CUEX2 + CUEX3\n"
        "Quality =~ PERQ1 + PERQ2 + PERQ3 + PERQ4\n + PERQ5 + PERQ6\n\t+ PERQ7 ! done\n"
        "Value =~\n PERV1 + PERV2;Satisfaction =~ CUSA1 + CUSA2 + CUSA3\n"
        "Complaints =~ 1.0*CUSCO; Loyalty =~ 1*CUSL1 + CUSL2 + CUSL3;;\n"
        "Expectation ~ Image; Quality ~ Expectation\nValue ~ Expectation\nValue ~ Quality\n"
        "Satisfaction ~ Image + Expectation + Quality + Value\nComplaints ~ Satisfaction\n"
        "Loyalty ~ Image + Satisfaction + Complaints"
    )
    assert PathModel.from_lavaan(text) == ecsi_mobile()


def test_the_order_of_the_statements_does_not_matter():
    lines = ecsi_mobile().to_lavaan().splitlines()
    assert set(PathModel.from_lavaan("\n".join(reversed(lines))).edges) == set(ecsi_mobile().edges)


def test_several_targets_and_several_pairs_in_one_statement():
    model = PathModel.from_lavaan("f =~ a + b\ng =~ c + d\nh =~ e + i\ng + h ~ f\na ~~ c + d\na + b ~~ e")
    assert set(model.edges) == {("f", "g"), ("f", "h")}
    assert model.covariances == (("a", "c"), ("a", "d"), ("a", "e"), ("b", "e"))


def test_formed_constructs_are_in_mode_b():
    model = PathModel.from_lavaan("f <~ a + b\ng <~ 1*c + d\nh =~ 1*e\nk <~ q\nh ~ f + g + k")
    assert dict(model.modes) == {"f": "B", "g": "B", "h": "A", "k": "B"}


def test_a_subclass_gives_a_plain_model():
    assert type(type(models["ECSI"]).from_lavaan(HS)) is PathModel


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    assert list(PathModel.from_lavaan("\ufefff =~ a + b").constructs) == ["f"]


# One problem each: the text, the line, and what the message must say.
REFUSED = [
    ("f =~ NA*x1 + x2", 1, "'NA*x1' frees a loading; remove 'NA*'"),
    ("f =~ x1 + 1*x2", 1, "'1*x2' fixes a loading; remove '1*'"),
    ("f =~ 0.8*x1 + x2", 1, "'0.8*x1' fixes a loading"),
    ("f =~ -1*x1 + x2", 1, "'-1*x1' fixes a loading"),
    ("f =~ x1\n + a*x2", 2, "'a*x2' labels or constrains a loading; remove 'a*'"),
    ("f =~ x1 + c(a, a)*x2", 1, "'c(a, a)*x2' labels or constrains a loading"),
    ('f =~ x1 + equal("f=~x1")*x2', 1, "labels or constrains a loading"),
    ("f =~ x1 + start(0.5)*x2", 1, "gives a start value; remove 'start(0.5)*'"),
    ("f =~ x1 + 0.5?x2", 1, "gives a start value; remove '0.5?'"),
    ("f =~ *x1", 1, "'*x1' has nothing before '*'"),
    ("f =~ 1*", 1, "'*' has no name after it"),
    ("f =~ x1 + x2; f ~~ 1*f", 1, "'f ~~ 1*f' is a variance; delete it: the first loading, 1, sets the scale"),
    ("f =~ x1 + x2\nf ~~ f", 2, "'f ~~ f' is a variance; delete it"),
    ("f =~ x1 + x2\nx1 ~~ x1", 2, "residual variances need no line"),
    ("f =~ x1 + x2\nx1 ~~ 0*x2", 2, "residuals are uncorrelated unless a pair of items is named"),
    ("f =~ x1 + x2\nx1 ~~ r*x2", 2, "labels or constrains a covariance"),
    ("f =~ x1; g =~ y1\nf ~~ g", 2, "constructs that no path explains always covary freely; delete it"),
    ("f =~ x1; g =~ y1\ng ~ f\nf ~~ 0*g", 3, "only the residuals of two items may covary"),
    ("f =~ x1 + x2\nf ~~ x1", 2, "only the residuals of two items may covary"),
    ("f =~ x1 + x2\nx1 ~~ q", 2, "'q', which no '=~' gives to a construct"),
    ("f =~ x1 + x2\nx1 ~~ x2\nx2 ~~ x1", "2, 3", "the covariance of x1 and x2 is given twice"),
    ("f =~ x1 + x2 + x1", 1, "'x1' is an item twice of 'f'"),
    ("f =~ x1 + x2\n\ng =~ x2 + x3", "1, 3", "'x2' is an item of 'f' and 'g'"),
    ("f =~ x1\nf <~ x2", "1, 2", "'f' is given with '=~' and with '<~'; use one"),
    ("f =~ x1\ng =~ f", 2, "a construct of constructs is not a path model"),
    ("Price =~ Price", 1, "'Price' is an item and also a construct"),
    ("f =~ x1\nf ~ CUSCO", 2, "write 'Name =~ 1*CUSCO' if it is a column"),
    ("f =~ x1\nIndex ~ f", 2, "'Index' in '~' is no construct"),
    ("f =~ x1; g =~ x2\ng ~ x1", 2, "'x1' in '~' is an item of 'f'; paths join constructs"),
    ("f =~ x1; g =~ x2\ng ~ f\ng ~ f", "2, 3", "the path f -> g is given twice"),
    ("f =~ x1; g =~ x2\ng ~ f\nf ~ g", "2, 3", "paths run in a circle"),
    ("f =~ x1\nf ~ f", 2, "paths run in a circle: f -> f"),
    ("f =~ x1; g =~ x2\ng ~ 0.5*f", 2, "'0.5*f' fixes a path; remove '0.5*'"),
    ("f =~ x1; g =~ x2\ng ~ b*f", 2, "labels or constrains a path"),
    ("f =~ x1\nx1 ~ 1", 2, "'1' is an intercept; delete the line"),
    ("f =~ x1; g =~ x2; h =~ x3\nh ~ f + g + f:g", 2, "'f:g' is an interaction"),
    ("f =~ x1\nind := a*b", 2, "'ind := a*b' defines a parameter; delete the line"),
    ("f =~ x1\na == b", 2, "constrains parameters"),
    ("f =~ x1\na > 0", 2, "constrains parameters"),
    ("f =~ x1\na < 0", 2, "constrains parameters"),
    ("f =~ x1\nx1 | t1 + t2", 2, "thresholds"),
    ("f =~ x1\nx1 ~*~ x1", 2, "scaling factors"),
    ("group: 1\nf =~ x1", 1, "opens a block of groups or levels"),
    ("f =~ x1\nlevel: 2", 2, "opens a block of groups or levels"),
    ("efa('e')*f =~ x1 + x2", 1, "carries a modifier on the left"),
    ("f = x1", 1, "uses '=', which is no operator; write '=~'"),
    ("f =~ x1; g =~ x2\nf -> g", 2, "draws an arrow; write 'target ~ source'"),
    ("f =~ x1; g =~ x2\ng <- f", 2, "draws an arrow"),
    ("f =~ x1 + x2\nx1 <-> x2", 2, "and 'a ~~ b' for a covariance"),
    ("f ~ ~ x1", 1, "holds several operators (~, ~)"),
    ("f =~ x1 +\ng =~ x2", 1, "holds several operators (=~, =~); give each statement its own line"),
    ("f x1", 1, "holds none of the operators =~, <~, ~, ~~"),
    ("DEFINE(latent) f", 1, "holds none of the operators"),
    ("=~ x1", 1, "has nothing on the left of '=~'"),
    ("f =~", 1, "has nothing on the right of '=~'"),
    ("f =~ x1 + + x2", 1, "has '+' without a name on each side"),
    ("f =~ x1 +", 1, "has '+' without a name on each side"),
    ("f =~ x 1 + x2", 1, "'x 1' is not one name (a missing '+'?)"),
    ("f =~ x-1 + x2", 1, "'x-1' is not a name"),
    ("f =~ 2x + x2", 1, "'2x' is not a name"),
    ("f =~ _x + x2", 1, "'_x' is not a name"),
    ("f =~ 'x 1' + x2", 1, "is not a name"),
    ("f =~ (x1 + x2)", 1, "is not a name"),
    ("f =~ x1, x2", 1, "is not a name"),
    ("f =~ x1 $ x2", 1, "is not a name"),
    ("满意 ＝～ 总体 ＋ 期望", 1, "full-width signs: '＝' for '=', '～' for '~', '＋' for '+'; type the plain ones"),
    ("满意 =~ 总体；忠诚 =~ 重购", 1, "full-width signs: '；' for ';'"),
    ("f =~ x1; g =~ x2\ng ∼ f", 2, "full-width signs: '∼' for '~'"),
]


@pytest.mark.parametrize(("text", "line", "says"), REFUSED)
def test_refusals_name_the_line_and_the_remedy(text, line, says):
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith(f"line {line}: " if isinstance(line, int) else f"lines {line}: ")
    assert says in found[0]


def test_full_width_signs_within_a_comment_are_a_comment():
    assert PathModel.from_lavaan("满意 =~ 总体 + 期望 # 注释：（全角）；＝～").items == ("总体", "期望")


def test_all_problems_come_at_once_in_the_order_of_the_lines():
    found = problems("f =~ a*x1 + x2\nf ~~ 1*f\n\ng =~ x2 + NA*x3\nind := a*b\ng ~ f + Q\nf ~ g\nx1 ~ 1")
    starts = [problem.split(":")[0] for problem in found]
    assert starts == ["line 1", "lines 1, 4", "line 2", "line 4", "line 5", "line 6", "lines 6, 7", "line 8"]
    with pytest.raises(SpecError, match=r"the model text has 2 problems\n  1\. line 1: .*\n  2\. line 2: "):
        PathModel.from_lavaan("f =~ a*x1 + x2\nf ~~ 1*f")


def test_every_circle_is_named():
    found = problems("f =~ a; g =~ b; h =~ c; k =~ d\nf ~ g; g ~ f\nh ~ k\nk ~ h")
    assert [problem.split(":")[0] for problem in found] == ["line 2", "lines 3, 4"]
    assert all("paths run in a circle" in problem for problem in found)


def test_a_statement_that_cannot_be_read_causes_no_second_complaint():
    """Image is named in a broken block: nothing is said about its paths."""
    assert len(problems("Image =~ IMAG1 + + IMAG2\nLoyalty =~ CUSL1 + CUSL2\nLoyalty ~ Image")) == 1


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n! here", ";;"])
def test_a_text_without_a_construct_is_refused(text):
    assert problems(text) == ["no construct is measured; write for example 'Image =~ IMAG1 + IMAG2'"]


@pytest.mark.parametrize("text", [None, 5, b"f =~ x1", ["f =~ x1"], {"f": ["x1"]}])
def test_only_text_is_read(text):
    with pytest.raises(SpecError, match="need the model as text"):
        PathModel.from_lavaan(text)


@pytest.mark.parametrize("seed", range(5))
def test_broken_texts_end_in_a_spec_error_or_a_model(seed):
    """Pieces of syntax in random order: nothing but a SpecError may come out."""
    import random

    pieces = [
        "f",
        "g",
        "x1",
        "x2",
        "=~",
        "~",
        "~~",
        "<~",
        "+",
        "*",
        "1",
        "NA",
        ":=",
        ";",
        "\n",
        "(",
        ")",
        "|",
        "'",
        "#",
    ]
    draw = random.Random(seed)
    outcomes = set()
    for _ in range(400):
        text = " ".join(draw.choices(pieces, k=draw.randint(1, 12)))
        try:
            outcomes.add(type(PathModel.from_lavaan(text)))
        except SpecError:
            outcomes.add(SpecError)
    assert outcomes <= {PathModel, SpecError}
    assert SpecError in outcomes


def test_the_reader_is_loaded_only_when_asked_for():
    code = "import sys, csi_lab; csi_lab.PathModel; raise SystemExit('csi_lab.lavaan_syntax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
