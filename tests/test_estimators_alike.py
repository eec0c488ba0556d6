"""What the estimators of reliability, validity and factors promise alike: names, settings, replicates made before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import csi_lab as csi
from csi_lab import DataError, Design, SpecError
from csi_lab.factors import Rotation, efa, kmo, map_test, parallel_analysis, scree
from csi_lab.polychoric import polychoric
from csi_lab.reliability import (
    all_splits,
    alpha_table,
    cohen_kappa,
    cronbach_alpha,
    glb,
    guttman,
    icc,
    item_analysis,
    krippendorff_alpha,
    omega,
    omega_hierarchical,
    ordinal_alpha,
    retest_reliability,
    split_half,
)
from csi_lab.resampling import replicates
from csi_lab.validity import (
    content_validity_index,
    criterion_validity,
    fornell_larcker,
    harman,
    heterotrait_monotrait,
    known_groups,
    marker_variable,
)

Estimator = Callable[..., Any]

# Each takes a frame of six items and settings.
ESTIMATORS: dict[str, Estimator] = {
    "alpha": cronbach_alpha,
    "omega": omega,
    "omega hierarchical": lambda d, **k: omega_hierarchical(d, factors=2, **k),
    "guttman": guttman,
    "glb": glb,
    "split half": split_half,
    "all splits": all_splits,
    "icc": icc,
    "retest": lambda d, **k: retest_reliability(d, d.columns[0], d.columns[1], **k),
    "items": item_analysis,
    "ordinal alpha": ordinal_alpha,
    "harman": harman,
    "htmt": lambda d, **k: heterotrait_monotrait(d, {"A": d.columns[:3], "B": d.columns[3:6]}, **k),
    "criterion": lambda d, **k: criterion_validity(d, list(d.columns[:3]), d.columns[4], **k),
    "marker": lambda d, **k: marker_variable(d, d.columns[5], {"A": d.columns[:2], "B": d.columns[2:5]}, **k),
    "known groups": lambda d, **k: known_groups(d, list(d.columns[:3]), np.arange(len(d)) % 2, **k),
    "kmo": kmo,
    "scree": scree,
    "map": map_test,
    "efa": lambda d, **k: efa(d, 1, **k),
    "polychoric": polychoric,
}
# The others resample tables of answers or moments of groups, which replicates of the items do not hold.
TAKE_REPLICATES = [name for name in ESTIMATORS if name not in ("ordinal alpha", "known groups", "polychoric")]
HAVE_INTERVALS = [name for name in ESTIMATORS if name != "map"]


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    """One factor, 1 to 10, 120 respondents, no missing answers."""
    rng = np.random.default_rng(1)
    x = np.rint(5.5 + 1.6 * rng.normal(size=(120, 1)) + 1.4 * rng.normal(size=(120, 6)))
    return pd.DataFrame(np.clip(x, 1, 10), columns=[f"q{i}" for i in range(1, 7)])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_columns_called_by_numbers_serve_as_well_as_names(answers, name):
    """Same numbers with and without draws, whatever the columns are called."""
    estimator = ESTIMATORS[name]
    called = answers.set_axis(range(6), axis=1)
    for settings in ({}, {"draws": 20, "rng": 3}):
        ours, theirs = (estimator(frame, **settings).to_frame().to_numpy() for frame in (called, answers))
        numbers = [[v for v in table.ravel() if isinstance(v, float)] for table in (ours, theirs)]
        assert numbers[0] == pytest.approx(numbers[1], nan_ok=True)


@pytest.mark.parametrize("name", TAKE_REPLICATES)
def test_replicates_of_other_rows_are_refused_by_all(answers, name):
    """Made from rows that are complete on more items, they belong to other estimates than those shown."""
    gaps = answers.assign(extra=np.where(np.arange(120) < 20, np.nan, answers["q1"]))
    made = replicates(gaps, draws=20)
    with pytest.raises(DataError, match="100 rows used there, 120 here"):
        ESTIMATORS[name](answers, replicates=made)


@pytest.mark.parametrize("name", TAKE_REPLICATES)
def test_replicates_are_asked_for_by_their_kind(answers, name):
    with pytest.raises(SpecError, match=r"csi\.replicates\(\) makes, not str"):
        ESTIMATORS[name](answers, replicates="2000")


def test_replicates_of_the_same_rows_are_taken_whatever_the_origin(answers):
    """Means near zero, large and small spreads: rounding is not another sample."""
    for scale in (1e-6, 1.0, 1e6):
        frame = (answers - answers.mean()) * scale
        assert cronbach_alpha(frame, replicates=replicates(frame, draws=20)).se > 0


@pytest.mark.parametrize("name", HAVE_INTERVALS)
@pytest.mark.parametrize(
    ("settings", "message"),
    [({"level": 95}, "level=95"), ({"level": "0.95"}, "level='0.95'"), ({"kind": "exact"}, "kind='exact'")],
)
def test_settings_of_an_interval_are_checked_even_when_there_is_none(answers, name, settings, message):
    with pytest.raises(SpecError, match=message):
        ESTIMATORS[name](answers, **settings)


@pytest.mark.parametrize("coefficient", [cohen_kappa, krippendorff_alpha])
def test_so_are_those_of_raters(answers, coefficient):
    for settings in ({"level": None}, {"kind": "exact"}):
        with pytest.raises(SpecError):
            coefficient(answers[["q1", "q2"]], **settings)


def test_one_name_is_one_item_and_not_its_letters(answers):
    with pytest.raises(DataError, match=r"three items or more, got \['q1'\]"):
        harman(answers, "q1")
    with pytest.raises(DataError, match=r"named twice: \['q1'\]; each counts once"):
        known_groups(answers, ["q1", "q1"], np.arange(120) % 2)


def numbers(result: Any) -> pd.DataFrame:
    """Estimates and ends of a result."""
    table = getattr(result, "intervals", None)
    table = result.to_frame() if table is None else table
    return table[["estimate", "se", "low", "high"]].astype(float)


@pytest.mark.parametrize("name", [name for name in TAKE_REPLICATES if name != "map"])
def test_clusters_of_copies_change_no_interval(answers, name):
    """Each respondent five times, the five a cluster: the same draws of clusters give the same interval as of rows.

    Exactly so for ratios of moments; where divisors n or n - 1 enter, 600 rows are 1 % from 120.
    """
    apart = answers.assign(person=range(120))
    copies = apart.loc[np.repeat(apart.index, 5)].reset_index(drop=True)
    rows, clusters = (
        ESTIMATORS[name](frame[list(answers)], replicates=replicates(frame, Design(psu="person"), draws=50, rng=2))
        for frame in (apart, copies)
    )
    exact = name not in ("icc", "retest", "items")
    assert numbers(clusters).to_numpy() == pytest.approx(
        numbers(rows).to_numpy(), rel=1e-6 if exact else 0.02, abs=1e-7 if exact else 0.01, nan_ok=True
    )


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "known groups"])
def test_whole_weights_count_rows(answers, name):
    """Weights 1, 2, 3 and rows repeated so often: the same estimates (up to n - 1 where it enters)."""
    weights = 1 + np.arange(120) % 3
    repeated = answers.loc[np.repeat(answers.index, weights)].reset_index(drop=True)
    weighted, rows = ESTIMATORS[name](answers, weights=weights), ESTIMATORS[name](repeated)
    column = "squared" if name == "map" else "estimate"
    exact = name not in ("icc", "retest")
    if name == "items":
        column = ["mean", "item_rest", "alpha_if_deleted", "floor"]
    assert weighted.to_frame()[column].to_numpy(dtype=float) == pytest.approx(
        rows.to_frame()[column].to_numpy(dtype=float), rel=1e-7 if exact else 0.02, nan_ok=True
    )


@pytest.mark.parametrize("items", [pd.Index(["q1", "q2", "q3"]), np.array(["q1", "q2", "q3"]), ("q1", "q2", "q3")])
@pytest.mark.parametrize("estimator", [cronbach_alpha, omega, item_analysis, harman, kmo, polychoric])
def test_items_may_come_in_any_row_of_names(answers, estimator, items):
    ours, theirs = estimator(answers, items).to_frame(), estimator(answers, ["q1", "q2", "q3"]).to_frame()
    assert ours.equals(theirs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: omega_hierarchical(d, factors="3"), "factors='3'"),
        (lambda d: item_analysis(d, share="27"), "share='27'"),
        (lambda d: item_analysis(d, bounds=10), r"pairs \(lowest, highest\).*'q1': 10"),
        (lambda d: item_analysis(d, bounds={"q2": (1,)}), r"\{'q2': \(1,\)\}"),
        (lambda d: all_splits(d, rng="x"), "rng='x'"),
        (lambda d: cohen_kappa(d[["q1", "q2"]], design="psu"), r"csi\.Design, not str"),
        (lambda d: cohen_kappa(d[["q1", "q2"]], categories=[[1], [2]]), "labels or numbers"),
        (lambda d: criterion_validity(d, "q1", "q2", reliabilities=0.8), "give two"),
        (lambda d: criterion_validity(d, "q1", "q2", reliabilities=("a", None)), "above 0 and up to 1"),
        (lambda d: content_validity_index(d, scale=10), "scale=10"),
        (lambda d: content_validity_index(d, scale=(1, 10), bands={"good": "high"}), "bands="),
        (lambda d: efa(d, 1, lower="x"), "lower='x'"),
        (lambda d: efa(d, 1, max_iterations=1.5), r"max_iterations=1\.5"),
        (lambda d: parallel_analysis(d, "500"), "draws='500'"),
        (lambda d: parallel_analysis(d, 50, rng=-1), "rng=-1"),
        (lambda d: parallel_analysis(d, 50, n="x"), "n='x'"),
        (lambda d: kmo(d, minimum=None), "minimum=None"),
        (lambda d: efa(d, 1).table("x"), "cut='x'"),
        (lambda d: efa(d, 1).assignment(primary=np.nan), "primary=nan"),
        (lambda d: polychoric(d).smoothed(-1), "floor=-1"),
        (lambda d: polychoric(d, design="psu"), r"csi\.Design, not str"),
        (lambda d: Rotation("promax", power="4"), "power='4' must be a finite number"),
        (lambda d: Rotation("geomin", starts=2.5, tolerance=0), r"(?s)starts=2\.5.*tolerance=0"),
        (lambda d: Rotation("varimax", kaiser="yes"), "kaiser='yes'"),
    ],
)
def test_settings_of_the_wrong_kind_are_named(answers, call, message):
    with pytest.raises(SpecError, match=message):
        call(answers)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: heterotrait_monotrait(d, [["q1"], ["q2"]]), r"\{name: \[items\]\}, not as list"),
        (lambda d: marker_variable(d, "q6", "q1"), "not as str"),
        (lambda d: alpha_table(d, {}), "one or more"),
        (lambda d: fornell_larcker({"A": {"x": 0.8, "y": 0.7}}, np.eye(1)), "DataFrame by construct"),
        (lambda d: efa(d, 1).scores([[1, 2]]), "need a survey or a DataFrame"),
        (lambda d: efa(d, 1).scores(d.assign(q1=np.inf)), "infinite values: 'q1'"),
        (lambda d: known_groups(d, "q1", np.arange(120) % 2, groups=5), r"without a row: \[5\]"),
        (lambda d: item_analysis(d, weights=np.zeros(120)), "no row has a positive weight"),
    ],
)
def test_data_of_the_wrong_kind_are_named(answers, call, message):
    with pytest.raises(DataError, match=message):
        call(answers)


def test_scores_are_those_of_the_survey_and_of_numbered_columns(answers):
    fit = efa(answers, 1)
    expected = fit.scores(answers)
    numbered = efa(answers.set_axis(range(6), axis=1), 1)
    assert np.allclose(numbered.scores(answers.set_axis(range(6), axis=1)), expected)
    survey = csi.load_survey("mobile")
    quality = efa(survey, 1, survey.constructs["Quality"])
    assert quality.scores(survey).equals(quality.scores(survey.frame))
