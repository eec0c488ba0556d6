"""The catalogue says what is published, marks what is not, and refuses what is wrong."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, replace

import pandas as pd
import pytest

import csi_lab as csi
from csi_lab import PathModel, SpecError, models
from csi_lab.catalogue import EVIDENCE, LANGUAGES
from csi_lab.catalogue.indexmodel import SIGNS, SURE
from csi_lab.catalogue.reading import read_models

NAMES = ["SCSB", "ACSI", "ECSI", "ECSI mobile", "CCSI", "GB/T 19038", "EPSI", "NCSB", "NCSI"]

# Constructs, items (None: not published) and paths, as the references of the models give them.
PUBLISHED_COUNTS = [
    ("SCSB", 5, None, 6),
    ("ACSI", 6, 15, 9),
    ("ECSI", 7, None, 13),
    ("ECSI mobile", 7, 24, 12),
    ("CCSI", 6, None, 11),
]

SMALL = """
Tiny:
  title: {en: Tiny index, zh: 小指数}
  reference: none
  country: null
  year: null
  scale: null
  target: Satisfaction
  evidence: {constructs: published, measures: recalled, paths: published}
  constructs:
    Quality: {en: Quality, zh: 质量, placeholders: 2}
    Satisfaction: {en: Satisfaction, zh: 满意, measures: [{en: overall, zh: 总体}]}
  paths:
    - [Quality, Satisfaction, "+"]
"""


def test_the_nine_models_are_there_by_name():
    assert list(models) == NAMES
    assert csi.models is models


@pytest.mark.parametrize(("name", "constructs", "items", "paths"), PUBLISHED_COUNTS)
def test_sizes_are_the_published_ones(name, constructs, items, paths):
    model = models[name]
    assert (len(model.constructs), len(model.edges)) == (constructs, paths)
    if items is not None:
        assert len(model.items) == items


def test_acsi_blocks_have_their_published_sizes():
    sizes = {c: len(block) for c, block in models["ACSI"].constructs.items()}
    assert sizes == {"Expectation": 3, "Quality": 3, "Value": 2, "Satisfaction": 3, "Complaints": 1, "Loyalty": 3}


def test_ecsi_mobile_has_the_columns_of_the_data_file_in_order():
    expected = [f"IMAG{i}" for i in range(1, 6)] + [f"CUEX{i}" for i in range(1, 4)] + [f"PERQ{i}" for i in range(1, 8)]
    expected += ["PERV1", "PERV2", "CUSA1", "CUSA2", "CUSA3", "CUSCO", "CUSL1", "CUSL2", "CUSL3"]
    assert list(models["ECSI mobile"].items) == expected


def test_ecsi_mobile_has_the_paths_of_tenenhaus_2005():
    assert {t: set(s) for t, s in models["ECSI mobile"].paths.items()} == {
        "Expectation": {"Image"},
        "Quality": {"Expectation"},
        "Value": {"Expectation", "Quality"},
        "Satisfaction": {"Image", "Expectation", "Quality", "Value"},
        "Complaints": {"Satisfaction"},
        "Loyalty": {"Image", "Satisfaction", "Complaints"},
    }


def test_ecsi_has_no_complaints_construct():
    assert "Complaints" not in models["ECSI"].constructs


def test_epsi_has_three_measures_per_construct_or_more():
    assert min(len(block) for block in models["EPSI"].constructs.values()) >= 3


def test_complaining_has_a_negative_sign_where_it_is_a_complaint_and_positive_where_it_is_handling():
    assert models["ACSI"].signs["Satisfaction", "Complaints"] == "-"
    assert models["ACSI"].signs["Complaints", "Loyalty"] == "diagnostic"
    assert models["ECSI mobile"].signs["Satisfaction", "Complaints"] == "+"


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_carries_its_mark(name):
    model = models[name]
    assert set(model.signs) == set(model.evidence["paths"]) == set(model.edges)
    assert set(model.evidence["constructs"]) == set(model.construct_labels) == set(model.constructs)
    assert tuple(model.measures) == tuple(model.evidence["measures"]) == model.items
    assert set(model.signs.values()) <= set(SIGNS)
    for part in ("constructs", "measures", "paths"):
        assert set(model.evidence[part].values()) <= set(EVIDENCE)
    assert model.target in model.constructs
    assert not model.isolated


@pytest.mark.parametrize("name", NAMES)
def test_every_text_is_there_in_both_languages(name):
    model = models[name]
    chinese = [model.title["zh"], *model.labels("zh").values(), *(m.zh for m in model.measures.values())]
    english = [model.title["en"], *model.labels("en").values(), *(m.en for m in model.measures.values())]
    assert all(any("\u4e00" <= sign <= "\u9fff" for sign in text) for text in chinese)
    assert all(text and all(ord(sign) < 128 for sign in text) for text in english)


@pytest.mark.parametrize(
    ("name", "part", "words"),
    [
        ("SCSB", "measures", {"recalled"}),
        ("ECSI", "constructs", {"published"}),
        ("ECSI", "paths", {"recalled"}),
        ("ECSI", "measures", {"published", "placeholder"}),
        ("CCSI", "constructs", {"published"}),
        ("CCSI", "paths", {"inference"}),
        ("CCSI", "measures", {"recalled"}),
        ("GB/T 19038", "constructs", {"inference"}),
        ("GB/T 19038", "paths", {"inference"}),
        ("GB/T 19038", "measures", {"placeholder"}),
        ("EPSI", "paths", {"inference"}),
        ("NCSB", "measures", {"placeholder"}),
        ("NCSI", "paths", {"inference"}),
    ],
)
def test_what_is_not_published_is_not_called_published(name, part, words):
    assert set(models[name].evidence[part].values()) == words


def test_commitment_paths_of_the_ncsb_are_marked_as_recalled():
    evidence = models["NCSB"].evidence["paths"]
    commitment = {path: word for path, word in evidence.items() if any("Commitment" in end for end in path)}
    assert len(commitment) == 4
    assert set(commitment.values()) == {"recalled"}
    assert evidence["Price", "Loyalty"] == "published"


@pytest.mark.parametrize("name", NAMES)
def test_the_second_line_says_what_is_uncertain(name):
    model = models[name]
    line = str(model).splitlines()[1]
    assert line.startswith("Uncertain: ")
    doubtful = {word for part in ("constructs", "measures", "paths") for word in model.evidence[part].values()} - set(
        SURE
    )
    assert all(word in line for word in doubtful)
    assert ("year not known" in line) == (model.year is None)
    assert ("scale not known" in line) == (model.scale is None)


def test_only_the_fully_published_model_claims_that_nothing_is_uncertain():
    assert [name for name in models if not models[name].uncertain] == ["ECSI mobile"]


def test_placeholders_cannot_be_mistaken_for_measures():
    placeholders = [m for model in models.values() for m in model.measures.values() if m.evidence == "placeholder"]
    assert placeholders
    assert {(m.en, m.zh) for m in placeholders} == {("not known", "未知")}


def test_variant_of_the_ccsi_swaps_one_path_and_keeps_eleven():
    model = models["CCSI"]
    other = model.variant("image-loyalty")
    assert set(model.edges) - set(other.edges) == {("Image", "Value")}
    assert set(other.edges) - set(model.edges) == {("Image", "Loyalty")}
    assert len(other.edges) == 11
    assert set(other.signs) == set(other.evidence["paths"]) == set(other.edges)
    assert other.evidence["paths"]["Image", "Loyalty"] == "inference"
    assert "image-loyalty" in str(other).splitlines()[0]
    assert ("Image", "Value") in models["CCSI"].edges


def test_unknown_variant_names_those_there_are():
    with pytest.raises(SpecError, match=r"CCSI has no variant 'x'; it has \['image-loyalty'\]"):
        models["CCSI"].variant("x")
    with pytest.raises(SpecError, match="ACSI has no variant 'x'; it has none"):
        models["ACSI"].variant("x")


def test_unknown_model_names_those_there_are_and_a_close_one():
    with pytest.raises(SpecError, match="unknown index model: 'acsi'; did you mean 'ACSI'") as raised:
        models["acsi"]
    assert all(name in str(raised.value) for name in NAMES)
    with pytest.raises(SpecError, match="unknown index model: 7"):
        models[7]


def test_a_wrong_name_is_absent_and_not_an_error_when_one_only_asks():
    assert "XYZ" not in models
    assert models.get("XYZ") is None
    assert models.get("ACSI") is models["ACSI"]


def test_unknown_language_names_those_there_are():
    with pytest.raises(SpecError, match=r"language 'de'.*\['en', 'zh'\]"):
        models["ACSI"].labels("de")
    assert LANGUAGES == ("en", "zh")


def test_catalogue_and_models_are_read_only():
    model = models["ACSI"]
    with pytest.raises(TypeError):
        models["ACSI"] = model
    with pytest.raises(FrozenInstanceError):
        model.title = {}
    for mapping in (model.title, model.signs, model.measures, model.evidence["paths"], model.construct_labels["Value"]):
        with pytest.raises(TypeError):
            mapping["x"] = "y"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_or_a_trip_to_a_worker_loses_nothing(again):
    for model in (models["CCSI"], models["CCSI"].variant("image-loyalty")):
        other = again(model)
        assert type(other) is type(model)
        assert other == model
        assert str(other) == str(model)
        assert other.measures == model.measures
        assert other.variants == model.variants


def test_a_model_of_the_catalogue_equals_the_same_path_model_by_hand():
    model = models["SCSB"]
    plain = PathModel(dict(model.constructs), dict(model.paths))
    assert model == plain
    assert hash(model) == hash(plain)


def test_own_columns_go_in_as_with_any_path_model():
    mine = models["GB/T 19038"].with_items({"Image": ["q1", "q2"], "Satisfaction": ["q9"]})
    assert type(mine) is PathModel
    assert mine.constructs["Image"] == ("q1", "q2")
    assert mine.edges == models["GB/T 19038"].edges


def test_frame_has_one_row_per_path():
    frame = models["ECSI mobile"].to_frame()
    assert list(frame.columns) == ["source", "target", "sign", "evidence"]
    assert list(zip(frame["source"], frame["target"], strict=True)) == list(models["ECSI mobile"].edges)
    assert set(frame["evidence"]) == {"published"}


def test_measures_make_a_table():
    table = pd.DataFrame(models["ACSI"].measures.values())
    assert list(table.columns) == ["id", "construct", "en", "zh", "evidence", "scale"]
    complaint = table.set_index("id").loc["Complaints1"]
    assert complaint["scale"] == (0, 1)
    assert table.set_index("id").loc["Loyalty1", "scale"] == (1, 10)


def test_html_is_escaped():
    model = replace(models["ACSI"], title={"en": "<script>alert(1)</script>", "zh": "x"}, notes=("a < b & c",))
    page = model._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "a &lt; b &amp; c" in page


def test_a_well_formed_catalogue_is_read_with_counted_names():
    tiny = read_models(SMALL, "tiny.yaml")["Tiny"]
    assert tiny.items == ("Quality1", "Quality2", "Satisfaction1")
    assert tiny.evidence["measures"] == {
        "Quality1": "placeholder",
        "Quality2": "placeholder",
        "Satisfaction1": "recalled",
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "measures: recalled",
            "measures: remembered",
            r"Tiny / evidence / measures: unknown word; use one of .*recalled",
        ),
        ('"+"', '"?"', r"Tiny / paths / 1 / sign: unknown word; use one of .*diagnostic"),
        (', "+"]', "]", r"Tiny / paths / 1: a path is \[source, target, sign\]"),
        (", zh: 质量", "", r"Tiny / constructs / Quality / zh: missing"),
        ("zh: 质量", "zh: ''", r"Tiny / constructs / Quality / zh: String should have at least 1 character"),
        ("reference:", "referense:", r"(?s)Tiny / reference: missing.*Tiny / referense: unknown key"),
        ("target: Satisfaction", "target: Satsfaction", r"Tiny: target 'Satsfaction' is no construct"),
        ("year: null", "year: 1999", r"Tiny: year is given, its evidence is not given; say its evidence"),
        ("scale: null", "scale: [1, 5]", r"Tiny: scale is given, its evidence is not given"),
        ("[Quality, Sat", "[Qualty, Sat", r"Tiny: paths name unknown constructs: \['Qualty'\]"),
        ("  paths:\n", '  paths:\n    - [Satisfaction, Quality, "+"]\n', r"Tiny: paths run in a circle"),
        ("  paths:\n", '  paths:\n    - [Quality, Satisfaction, "-"]\n', r"Tiny: paths given twice: \['Quality -> Sat"),
        (", placeholders: 2", "", r"Tiny: constructs without items: \['Quality'\]"),
        ("    Quality: {", "    Satisfaction: {", r"the key 'Satisfaction' stands twice"),
        ("[{en: overall", "[{id: Quality1, en: overall", r"Tiny: items used more than once: 'Quality1'"),
        ("  title:", "  title: [", r"tiny.yaml: cannot be read as YAML"),
        (SMALL, "- 1", r"tiny.yaml: 1 problem\n  the file: expected keys with values"),
        (
            "  paths:\n",
            "  variants: {v: {note: n, remove: [[Image, Value]]}}\n  paths:\n",
            r"Tiny: variant 'v' removes paths that the model lacks: \['Image -> Value'\]",
        ),
        (
            "  paths:\n",
            '  variants: {v: {note: n, add: [[Image, Quality, "+"]]}}\n  paths:\n',
            r"Tiny: paths name unknown constructs: \['Image'\]",
        ),
    ],
)
def test_a_wrong_catalogue_is_refused_with_the_place(old, new, message):
    broken = SMALL.replace(old, new)
    assert broken != SMALL
    with pytest.raises(SpecError, match=message):
        read_models(broken, "tiny.yaml")


def test_all_problems_are_named_at_once():
    broken = (
        SMALL.replace("measures: recalled", "measures: x").replace('"+"', '"?"').replace("reference: none", "ref: 1")
    )
    with pytest.raises(SpecError, match=r"tiny.yaml: 4 problems") as raised:
        read_models(broken, "tiny.yaml")
    assert len(raised.value.problems) == 4
    assert "http" not in str(raised.value)
