"""What every function of cleaning refuses by name: settings of the wrong kind, tables that are none, huge numbers."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

import csi_lab.cleaning as cl
from csi_lab import DataError, SpecError
from csi_lab.errors import CsiLabError

ITEMS = [f"q{i}" for i in range(6)]


def table(n: int = 40) -> pd.DataFrame:
    """Six items of one factor, the last two turned round, with gaps; a town, a duration and a weight."""
    rng = np.random.default_rng(1)
    common = rng.normal(size=(n, 1))
    x = np.clip(np.round(5.5 + 2 * common + 0.8 * rng.normal(size=(n, 6))), 1, 10)
    x[:, 3:] = 11 - x[:, 3:]
    frame = pd.DataFrame(x, columns=ITEMS).mask(rng.random((n, 6)) < 0.06)
    return frame.assign(town=["a", "b"] * (n // 2), seconds=300.0)


FRAME = table()
CONSTRUCTS = {"a": ITEMS[:2], "b": ITEMS[2:4], "c": ITEMS[4:]}
LOG = cl.decide(FRAME, cl.longstring(FRAME, ITEMS))

# Every setting in a use that works.
USES = {
    cl.longstring: {"data": FRAME, "items": ITEMS, "share": 0.5, "answered": 0.5},
    cl.irv: {"data": FRAME, "items": ITEMS, "cutoff": 0.5, "answered": 0.5},
    cl.straight_lining: {"data": FRAME, "grids": {"a": ITEMS[:3]}, "share": 1.0},
    cl.response_time: {"data": FRAME, "column": "seconds", "fraction": 0.3},
    cl.seconds_per_item: {"data": FRAME, "column": "seconds", "items": ITEMS, "cutoff": 2.0},
    cl.out_of_range: {"data": FRAME, "items": ITEMS, "bounds": (1, 10), "missing_codes": [99]},
    cl.routing_errors: {"data": FRAME, "routes": [cl.Route("q0", 5, "q1", "empty")]},
    cl.Route: {"column": "q0", "values": 5, "target": "q1", "must": "empty"},
    cl.instructed_answers: {"data": FRAME, "instructed": {"q0": 5}, "failures": 1},
    cl.even_odd: {"data": FRAME, "constructs": CONSTRUCTS, "cutoff": 0.3, "at_least": 3},
    cl.psychometric_synonyms: {"data": FRAME, "items": ITEMS, "r": 0.6, "cutoff": 0.0, "at_least": 3},
    cl.psychometric_antonyms: {"data": FRAME, "items": ITEMS, "r": -0.6, "cutoff": 0.0, "at_least": 3},
    cl.inconsistent_pairs: {"data": FRAME, "pairs": [("q0", "q1")], "difference": 2.0},
    cl.mahalanobis: {"data": FRAME, "items": ITEMS, "quantile": 0.999, "answered": 0.5},
    cl.mcd: {"data": FRAME, "items": ITEMS, "quantile": 0.999, "answered": 0.5, "support": None, "rng": 1},
    cl.tukey_fences: {"data": FRAME, "items": ITEMS, "fence": 1.5},
    cl.modified_z: {"data": FRAME, "items": ITEMS, "cutoff": 3.5},
    cl.z_scores: {"data": FRAME, "items": ITEMS, "cutoff": 3.0},
    cl.duplicate_ids: {"data": FRAME, "id": "town", "spare": "first"},
    cl.identical_answers: {"data": FRAME, "items": ITEMS, "answered": 0.5, "spare": "first"},
    cl.near_identical_answers: {"data": FRAME, "items": ITEMS, "agreement": 0.9, "answered": 0.5},
    cl.rows_by_hand: {"data": FRAME, "rows": [1, 2]},
    cl.Rule: {"action": "remove", "checks": ["longstring"], "at_least": 1, "on": "flagged"},
    cl.decide: {
        "data": FRAME,
        "flags": [cl.longstring(FRAME, ITEMS)],
        "rules": [cl.Rule("remove")],
        "id": None,
        "design": None,
        "numbers": ["q0"],
        "weight_column": "w",
    },
    cl.little_mcar: {"data": FRAME, "items": ITEMS},
    cl.patterns: {"data": FRAME, "items": ITEMS},
    cl.listwise: {"data": FRAME, "items": ITEMS},
    cl.mean: {"data": FRAME, "items": ITEMS, "within": "town", "step": 1.0, "bounds": (1, 10)},
    cl.hot_deck: {"data": FRAME, "items": ITEMS, "rng": 1, "within": "town", "most_uses": 10},
    cl.regression: {"data": FRAME, "items": ITEMS, "predictors": (), "step": 1.0, "bounds": (1, 10)},
    cl.stochastic_regression: {
        "data": FRAME,
        "items": ITEMS,
        "predictors": (),
        "step": 1.0,
        "bounds": (1, 10),
        "rng": 1,
    },
    cl.em: {"data": FRAME, "items": ITEMS},
    cl.impute: {
        "data": FRAME,
        "items": ITEMS,
        "m": 2,
        "iterations": 1,
        "rng": 1,
        "method": "chained",
        "kind": "pmm",
        "donors": 3,
        "predictors": None,
    },
    cl.compare_treatments: {
        "data": FRAME,
        "model": ITEMS[:3],
        "target": None,
        "bounds": (1, 10),
        "treatments": ["hot deck", "multiple imputation"],
        "within": None,
        "m": 2,
        "iterations": 1,
        "draws": 3,
        "rng": 0,
        "level": 0.95,
    },
    cl.pool: {"estimates": [1.0, 2.0], "variances": [1.0, 1.0], "df_complete": 10.0, "names": ["a"], "level": 0.95},
    cl.pool_r2: {"r2": [0.1, 0.2], "n": 50, "level": 0.95},
    cl.recode: {"answers": FRAME["town"], "mapping": {"a": 1, "b": 2}},
    cl.reverse: {"answers": FRAME["q0"], "low": 1, "high": 10},
    cl.rescale_100: {"answers": FRAME["q0"], "low": 1, "high": 10},
    cl.score: {"data": FRAME, "items": ITEMS, "method": "mean", "at_least": 3},
    LOG.apply: {"data": FRAME},
    LOG.drop: {"data": FRAME},
    LOG.save: {"folder": 5},
}
WRONG = [None, "x", -1, float("nan"), ["q0", "q0"], {"a": ["q0"]}, object(), [["q0"]]]
CASES = [(use, setting) for use, settings in USES.items() for setting in settings]


@pytest.mark.parametrize(("use", "setting"), CASES, ids=[f"{use.__name__}-{setting}" for use, setting in CASES])
def test_a_setting_of_the_wrong_kind_works_or_is_refused_in_words(use, setting, tmp_path, monkeypatch):
    """Errors are those of the package, never a bare TypeError, KeyError or IndexError from inside."""
    monkeypatch.chdir(tmp_path)  # a text is a folder to write to
    refused = 0
    for value in WRONG:
        try:
            str(use(**(USES[use] | {setting: value})))
        except CsiLabError:
            refused += 1
    assert refused


def test_every_function_and_setting_of_cleaning_is_tried():
    functions = {getattr(cl, name) for name in cl.__all__ if not inspect.isclass(getattr(cl, name))}
    assert functions | {cl.Rule, cl.Route} <= set(USES)
    for use in functions:
        assert set(inspect.signature(use).parameters) - {"weights", "whole", "name", "rule"} <= set(USES[use]), use


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cl.longstring(FRAME, ITEMS, share="half"), "share='half' must be a share of the items"),
        (lambda: cl.even_odd(FRAME, CONSTRUCTS, cutoff=float("nan")), "cutoff=nan must be a finite number"),
        (lambda: cl.irv(FRAME, ITEMS, cutoff="1"), "cutoff='1' must be 0 or more points"),
        (lambda: cl.longstring(FRAME, set(ITEMS)), "items must be a list of column names, which has an order; got set"),
        (lambda: cl.longstring(FRAME, [ITEMS]), r"items must be a list of column names, got \['q0'"),
        (lambda: cl.straight_lining(FRAME, ITEMS), r"grids must map each name to its columns, e\.g\. grids="),
        (lambda: cl.even_odd(FRAME, 3), "constructs must map each name to its columns"),
        (lambda: cl.response_time(FRAME, ["seconds"]), r"column=\['seconds'\] must be the name of one column"),
        (lambda: cl.routing_errors(FRAME, [("q0", 5)]), r"routes must be made by Route.*got \['tuple'\]"),
        (lambda: cl.instructed_answers(FRAME, "q0"), "instructed must map each question to its answer"),
        (lambda: cl.Rule("remove", "longstring", at_least=1.5), "at_least=1.5 checks cannot be reached"),
        (lambda: cl.Rule("remove", [1]), r"checks are called by their names.*\[1\]"),
        (lambda: cl.decide(FRAME, "longstring"), "need Flags"),
        (lambda: cl.decide(FRAME, LOG), "need Flags"),
        (lambda: cl.decide(FRAME, cl.longstring(FRAME, ITEMS), design="w"), "must be a Design"),
        (
            lambda: cl.decide(FRAME, cl.longstring(FRAME, ITEMS), numbers={"n": 3}),
            r"function of a frame; not so: \['n'\]",
        ),
        (lambda: cl.hot_deck(FRAME, ITEMS, rng="seed"), "rng='seed' must be a whole number"),
        (lambda: cl.impute(FRAME, ITEMS, rng=1, m=True), "m=True: a whole number of at least 2"),
        (lambda: cl.impute(FRAME, ITEMS, rng=1, kind=["pmm"]), r"unknown kind.*pmm"),
        (lambda: cl.compare_treatments(FRAME, ITEMS, bounds=(1, 10), draws=2.5), "draws"),
        (lambda: cl.pool([1, 2], [1, 1], names=3), "names must be a list of 1 labels, got 3"),
        (lambda: cl.recode(FRAME["town"], ["a", "b"]), "mapping must give each value its new one"),
        (lambda: cl.recode(pd.Series([["a"], "b"]), {"b": 1}), r"values without a new value: \['a'\] \(1\)"),
        (lambda: LOG.save(None), "folder=None must be the path of a folder"),
        (lambda: LOG.save(" "), "folder=' ' must be the path of a folder"),
    ],
)
def test_the_message_names_the_setting_and_the_remedy(call, message):
    with pytest.raises(CsiLabError, match=message):
        call()


def test_columns_called_by_numbers_are_columns():
    """The same findings, decisions and treatments as for columns called by texts."""
    frame = FRAME[[*ITEMS, "town"]]

    def everything(frame: pd.DataFrame) -> list[pd.DataFrame]:
        *items, town = frame.columns
        flags = [
            cl.longstring(frame, items),
            cl.out_of_range(frame, items, bounds=(2, 9)),
            cl.routing_errors(frame, cl.Route(items[0], [5, 6], items[1], "empty")),
            cl.inconsistent_pairs(frame, [(items[0], items[5])]),
            cl.mahalanobis(frame, items),
        ]
        log = cl.decide(frame, flags, [cl.Rule("set missing", "out of range")], numbers=items[:2])
        return [
            *(found.table for found in flags),
            log.apply(frame),
            log.effect,
            cl.mean(frame, items, within=town).frame,
            cl.hot_deck(frame, items, within=[town], rng=1).frame,
            cl.regression(frame, items).frame,
            cl.impute(frame, items, rng=1, m=2, predictors=[town]).completed(1),
            cl.little_mcar(frame, items).patterns,
            cl.score(frame, items, at_least=2).table,
        ]

    called = zip(
        everything(frame.set_axis(list("0123456"), axis=1)), everything(frame.set_axis(range(7), axis=1)), strict=True
    )
    for text, number in called:
        same_names = number.set_axis(text.columns, axis=1).set_axis(text.index, axis=0)
        pd.testing.assert_frame_equal(text, same_names)


@pytest.mark.parametrize("use", [cl.longstring, cl.little_mcar, cl.patterns, cl.listwise, cl.em, cl.mahalanobis])
def test_column_names_of_several_levels_are_refused_with_the_remedy(use):
    frame = FRAME[ITEMS].set_axis(pd.MultiIndex.from_product([["a", "b"], ["x", "y", "z"]]), axis=1)
    with pytest.raises(DataError, match=r"several levels.*frame\.columns = "):
        use(frame)


@pytest.mark.parametrize("use", [cl.irv, cl.z_scores, cl.mahalanobis, cl.little_mcar, cl.mean, cl.listwise])
@pytest.mark.parametrize("value", [-1.797693e308, 1e200])
@pytest.mark.filterwarnings("error")
def test_numbers_that_software_writes_for_no_answer_are_refused(use, value):
    """Their squares overflow: the standard deviation would be infinite without a word."""
    frame = FRAME[ITEMS].copy()
    frame.loc[3, "q2"] = value
    with pytest.raises(DataError, match=r"beyond 1e\+100.*'q2' in rows 3"):
        use(frame)
    assert cl.out_of_range(frame, bounds=(1, 10)).rows.tolist() == [3]


def test_an_item_without_any_answer_is_judged_by_no_outlier_check():
    """All items empty: nobody is judged, and nothing breaks."""
    for use in (cl.tukey_fences, cl.modified_z, cl.z_scores):
        assert use(FRAME[ITEMS] * np.nan).n_judged == 0


def test_settings_are_refused_before_the_data_are_read():
    with pytest.raises(SpecError, match="share"):
        cl.longstring(None, share=2)
