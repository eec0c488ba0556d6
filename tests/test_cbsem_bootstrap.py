"""Bootstrap and jackknife of CB-SEM: missing answers, groups and designs, against loops of single fits and theory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference

import csi_lab as csi
from csi_lab import DataError, PathModel, SpecError
from csi_lab.resampling import replicates
from csi_lab.sem.cb_check import improper
from csi_lab.sem.cb_engine import distance
from csi_lab.sem.cb_inference import cells_of
from csi_lab.sem.cb_likelihood import evaluate
from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cbsem import cbsem

MODEL = PathModel({"F": ["a", "b", "c"], "G": ["d", "e", "f"]}, {"G": "F"})
ITEMS = list("abcdef")
HS_MODEL = PathModel({"visual": ["x1", "x2", "x3"], "textual": ["x4", "x5", "x6"], "speed": ["x7", "x8", "x9"]})


class _Survey:
    """What cbsem asks of a survey: answers and how they were drawn."""

    def __init__(self, frame: pd.DataFrame, design: csi.Design) -> None:
        self.frame, self.design, self.model = frame, design, None


def answers(n: int = 240, seed: int = 0, towns: int = 24, spread: float = 0.7) -> pd.DataFrame:
    """Normal answers of two factors in towns that differ, in strata, with weights and two groups in every town."""
    rng = np.random.default_rng(seed)
    town = np.repeat(np.arange(towns), n // towns)
    f = rng.normal(size=n) + spread * rng.normal(size=towns)[town]
    g = 0.6 * f + 0.8 * rng.normal(size=n)
    x = np.column_stack([f, f, f, g, g, g]) * [1, 0.8, 0.7, 1, 0.9, 0.8] + 0.7 * rng.normal(size=(n, 6))
    return pd.DataFrame(x, columns=ITEMS).assign(
        town=town, stratum=town // (towns // 3), w=rng.uniform(0.5, 2, n), group=np.where(rng.random(n) < 0.5, "u", "v")
    )


def planned_gaps(frame: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """A questionnaire in three forms, each without one item of each factor; a third of the rows has all items."""
    form = np.random.default_rng(seed).integers(0, 6, len(frame))
    out = frame.copy()
    for k, lost in enumerate((["a", "f"], ["b", "e"], ["c", "d"])):
        out.loc[form == k, lost] = np.nan
    return out


DESIGN = csi.Design(weights="w", strata="stratum", psu="town")


@pytest.mark.parametrize("groups", [None, "group"])
@pytest.mark.parametrize("design", [None, DESIGN])
@pytest.mark.parametrize("method", ["auto", "jackknife"])
def test_with_complete_answers_full_information_is_the_listwise_bootstrap(groups, design, method):
    frame = answers()
    data = frame if design is None else _Survey(frame, design)
    kind = "normal" if method == "jackknife" else "percentile"
    # 70 draws: more than one block.
    full, listwise = (
        cbsem(data, MODEL, groups=groups, **kw).bootstrap(70, rng=5, method=method, kind=kind).resampled
        for kw in ({"missing": "fiml"}, {"means": True})
    )
    spread = listwise.theta.std(axis=0)
    assert np.abs((full.theta - listwise.theta) / spread).max() < 1e-8
    assert (full.method, full.df) == (listwise.method, listwise.df)
    assert full.interval(lambda t: t, np.zeros(full.theta.shape[1])).se == pytest.approx(
        listwise.interval(lambda t: t, np.zeros(full.theta.shape[1])).se, rel=1e-8
    )


def test_the_jackknife_of_incomplete_answers_is_a_fit_without_each_row():
    frame = planned_gaps(answers(120))
    fit = cbsem(frame, MODEL, missing="fiml")
    left_out = fit.bootstrap(method="jackknife", kind="normal").resampled
    se = np.sqrt(np.diagonal(fit.covariance))
    assert left_out.draws == 120
    for row in (0, 41, 119):
        alone = cbsem(frame.drop(index=row), MODEL, missing="fiml").theta
        assert np.abs((left_out.theta[row] - alone) / se).max() < 1e-5


def test_given_rows_of_incomplete_answers_are_fits_of_these_rows():
    frame = planned_gaps(answers(120))
    frame.loc[7, ITEMS] = np.nan  # a row without any answer, which a draw may still name
    rows = np.random.default_rng(1).integers(0, 120, size=(5, 120))
    fit = cbsem(frame, MODEL, missing="fiml")
    drawn = fit.bootstrap(indices=rows)
    se = np.sqrt(np.diagonal(fit.covariance))
    for at, theta in zip(rows, drawn.resampled.theta, strict=True):
        alone = cbsem(frame.iloc[at], MODEL, missing="fiml")
        assert np.abs((theta - alone.theta) / se).max() < 1e-5
    assert drawn.resampled.method == "given"


def test_given_weights_of_incomplete_answers_are_weighted_fits():
    frame = planned_gaps(answers(120))
    weights = np.random.default_rng(2).uniform(0, 2, size=(3, 120))
    fit = cbsem(frame, MODEL, missing="fiml")
    drawn = fit.bootstrap(replicate_weights=weights)
    se = np.sqrt(np.diagonal(fit.covariance))
    for w, theta in zip(weights, drawn.resampled.theta, strict=True):
        alone = cbsem(frame, MODEL, missing="fiml", weights=w)
        assert np.abs((theta - alone.theta) / se).max() < 1e-5


def test_answers_missing_at_random_have_the_standard_errors_of_the_observed_information():
    """Normal answers. 400 draws leave an sd with a relative error of 3.5 %; the fourth moments of 1,500 rows behind it
    another of about 1/2 sqrt(8/1500) = 3.7 %. No parameter is off by four of these, and their mean by one of them."""
    frame = planned_gaps(answers(1500, towns=1500, spread=0.0))[ITEMS]
    fit = cbsem(frame, MODEL, missing="fiml")
    ratio = fit.bootstrap(400, rng=3).parameters["se"] / fit.parameters["se"]
    gap = np.log(ratio.dropna())
    band = np.hypot(0.035, 0.037)
    assert gap.abs().max() < 4 * band
    assert abs(gap.mean()) < band


def test_the_bootstrap_of_a_third_of_answers_missing_is_wider_than_of_all():
    """Efficiency: with a third of each item unanswered in half of the rows the draws must vary more."""
    whole = answers(600)
    some, all_ = (
        cbsem(frame[ITEMS], MODEL, missing="fiml").bootstrap(300, rng=1).resampled.theta.std(axis=0)
        for frame in (planned_gaps(whole), whole)
    )
    assert np.median(some / all_) > 1.05


def test_holzinger_with_gaps_is_near_the_full_information_errors_of_lavaan():
    """Answers are not normal, so that single errors differ; half of them lie within 10 %, as the sandwich's do."""
    block = read_reference("cbsem/hs_cfa_fiml.json")["estimates"]
    theirs = [dict(zip(block["columns"], row, strict=True)) for row in block["data"]]
    gaps = pd.read_csv(REFERENCE / "data" / "HS_missing.csv")
    fit = cbsem(gaps, HS_MODEL, missing="fiml").bootstrap(300, rng=1)
    ours = {(a, op, b): se for (a, op, b), se in fit.parameters["se"].items()}
    ratio = [ours[row["lhs"], row["op"], row["rhs"]] / row["se"] for row in theirs if row["se"]]
    assert len(ratio) == 30
    assert 0.9 < np.median(ratio) < 1.15
    assert min(ratio) > 0.8


def test_a_draw_of_incomplete_answers_without_a_solution_is_counted_first():
    frame = planned_gaps(answers(72))
    rows = np.random.default_rng(1).integers(0, 72, size=(40, 72))
    rows[3] = 5  # one respondent only
    rows[4] = np.flatnonzero(frame["a"].isna())[0]  # and one who never answered an item
    fit = cbsem(frame, MODEL, missing="fiml").bootstrap(indices=rows)
    assert np.isnan(fit.resampled.theta[[3, 4]]).all()
    first = str(fit).splitlines()[0]
    assert f"{fit.resampled.failed} of" in first
    assert fit.loadings["se"].notna().all()


def test_bca_of_unconstrained_groups_is_that_of_each_group_alone():
    """Nothing is equal across groups, so that each is a model of its own with its own stream of random numbers."""
    frame = answers(168)[[*ITEMS, "group"]]
    for missing in ("listwise", "fiml"):
        data = planned_gaps(frame) if missing == "fiml" else frame
        both = cbsem(data, MODEL, groups="group", missing=missing).bootstrap(60, rng=4, kind="bca")
        streams = np.random.default_rng(4).spawn(2)
        for part, stream in zip(both.answers.parts, streams, strict=True):
            means = {"means": True} if missing == "listwise" else {}
            alone = cbsem(data[data["group"] == part.label], MODEL, missing=missing, **means)
            alone = alone.bootstrap(60, rng=stream, kind="bca")
            ours = both.loadings.loc[part.label]
            for column in ("se", "low", "high"):
                assert ours[column].to_numpy() == pytest.approx(alone.loadings[column].to_numpy(), abs=1e-4), column


def test_the_jackknife_of_groups_leaves_out_the_units_of_all_in_turn():
    frame = answers(168)[[*ITEMS, "group"]]
    both = cbsem(frame, MODEL, groups="group").bootstrap(method="jackknife", kind="normal")
    assert both.resampled.draws == 168
    assert both.resampled.df == 166
    for label in ("u", "v"):
        alone = cbsem(frame[frame["group"] == label], MODEL, means=True).bootstrap(method="jackknife", kind="normal")
        assert both.loadings.loc[label, "se"].to_numpy() == pytest.approx(alone.loadings["se"].to_numpy(), rel=1e-4)


@pytest.mark.parametrize("missing", ["listwise", "fiml"])
def test_towns_are_drawn_with_their_rows_in_all_groups(missing):
    """Towns differ, and both groups live in every town: the means of the groups vary together, as the sandwich says."""
    frame = answers(720, towns=72)
    data = _Survey(planned_gaps(frame) if missing == "fiml" else frame, csi.Design(psu="town"))
    fit = cbsem(data, MODEL, groups="group", missing=missing, se="robust")
    at = [fit.specification.names.index(f"a ~1 [{g}]") for g in ("u", "v")]
    drawn = fit.bootstrap(400, rng=2).resampled
    own = fit.covariance[np.ix_(at, at)]
    theirs = np.cov(drawn.theta[:, at].T)
    r_own, r_theirs = (m[0, 1] / np.sqrt(m[0, 0] * m[1, 1]) for m in (own, theirs))
    assert r_own > 0.5
    # Fisher's z of a correlation over 400 draws has the standard error .05.
    assert abs(np.arctanh(r_own) - np.arctanh(r_theirs)) < 4 * 0.05 + 1 / 72
    assert drawn.df == 71
    assert drawn.method == "rao-wu"


@pytest.mark.parametrize("missing", ["listwise", "fiml"])
def test_the_jackknife_of_a_design_is_near_its_sandwich(missing):
    """JKn and linearisation differ by terms of order 1/PSUs."""
    frame = answers(600, towns=60)
    data = _Survey(planned_gaps(frame) if missing == "fiml" else frame, DESIGN)
    fit = cbsem(data, MODEL, missing=missing, se="robust")
    jackknife = fit.bootstrap(method="jackknife", kind="normal")
    ratio = (jackknife.parameters["se"] / fit.parameters["se"]).dropna()
    assert len(ratio) == len(fit.theta)
    assert ratio.between(0.95, 1.10).all()


def test_draws_do_not_depend_on_how_many_follow():
    fit = cbsem(planned_gaps(answers(120)), MODEL, missing="fiml")
    few, many = (fit.bootstrap(k, rng=7).resampled.theta for k in (20, 90))
    assert (few == many[:20]).all()


def test_improper_draws_are_kept_and_counted():
    frame = answers(40, towns=40, seed=3)
    fit = cbsem(frame, MODEL).bootstrap(200, rng=1)
    found = fit.resampled
    kept = found.theta[~np.isnan(found.theta).any(axis=1)]
    by_hand = 0
    for theta in kept:
        by_hand += any(value <= 0 for name, value in zip(fit.specification.names, theta, strict=True) if "~~" in name)
    assert 0 < by_hand <= found.improper
    assert f"{found.improper} with an improper one and kept" in str(fit)
    assert improper(fit.specification, fit.theta[None]).tolist() == [bool(cbsem(frame, MODEL).problems)]


def test_the_model_of_collinear_constructs_finds_more_solutions_and_only_summits(mobi, ecsi):
    """Of these 30 draws R lavaan 0.6-14 (sem, its defaults, on the covariances of each draw) brings 23 to rest."""
    items = list(ecsi.items)
    moments = replicates(mobi[items], draws=30, rng=1).moments
    fit = cbsem(mobi, ecsi)
    theta = fit.refit(moments).to_numpy().T
    solved = ~np.isnan(theta).any(axis=1)
    assert solved.sum() > 23
    sample = Sample.complete([moments], means=False).draws(np.flatnonzero(solved))
    assert distance(fit.specification, sample, theta[solved]).max() < 1e-5
    found = evaluate(cells_of(fit.specification), sample.groups, sample.scale, theta[solved], "observed").information
    size = np.sqrt(np.diagonal(found, axis1=1, axis2=2))
    assert (np.linalg.eigvalsh(found / (size[:, :, None] * size[:, None, :]))[:, 0] > 0).all()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"kind": "studentised"}, SpecError, "not offered"),
        ({"kind": "median"}, SpecError, "is unknown; use one of"),
        ({"level": 95}, SpecError, "between 0 and 1"),
        ({"method": "jackknife"}, SpecError, "kind='normal'"),
        ({"method": "rows"}, SpecError, "unknown"),
        ({"draws": 0}, SpecError, "whole number"),
        ({"draws": 2.5}, SpecError, "whole number"),
        ({"indices": np.full((3, 5), 120)}, DataError, "between 0 and 119"),
        ({"indices": np.zeros((3, 5))}, DataError, "whole numbers"),
        ({"replicate_weights": -np.ones((3, 120))}, DataError, "not negative"),
        ({"replicate_weights": np.zeros((3, 120))}, DataError, "positive weight"),
        ({"replicate_weights": np.ones((3, 7))}, DataError, r"\(draws, 120\)"),
        ({"indices": np.zeros((3, 5), int), "replicate_weights": np.ones((3, 120))}, SpecError, "not both"),
        ({"indices": np.zeros((3, 120), int), "kind": "bca"}, SpecError, "kind='bc'"),
        ({"replicates": "made"}, SpecError, "resamples the answers"),
    ],
)
def test_what_cannot_be_resampled_is_refused_with_missing_answers_too(settings, error, message):
    frame = planned_gaps(answers(120))
    if "replicates" in settings:
        settings = {"replicates": replicates(frame[ITEMS], draws=5)}
    with pytest.raises(error, match=message):
        cbsem(frame, MODEL, missing="fiml").bootstrap(**settings)


def test_a_design_is_not_resampled_by_rows():
    data = _Survey(planned_gaps(answers(120)), DESIGN)
    with pytest.raises(SpecError, match="would ignore the strata"):
        cbsem(data, MODEL, missing="fiml", se="robust").bootstrap(10, method="bootstrap")


@pytest.mark.parametrize("missing", ["listwise", "fiml"])
def test_the_jackknife_of_weighted_groups_with_equal_loadings_is_a_fit_without_each_row(missing):
    """The groups weigh by their weights; the weights of a group are not raised when one of its rows is left out."""
    frame = answers(96)[[*ITEMS, "group", "w"]]
    frame = planned_gaps(frame) if missing == "fiml" else frame
    settings = {"groups": "group", "weights": "w", "missing": missing, "equal": ["loadings", "intercepts"]}
    fit = cbsem(frame, MODEL, **settings)
    drawn = fit.bootstrap(method="jackknife", kind="normal").resampled.theta
    order = np.concatenate([part.frame.index for part in fit.answers.parts])
    for k in (0, 30, 60, 95):
        alone = cbsem(frame.drop(index=order[k]), MODEL, **settings)
        assert drawn[k] == pytest.approx(alone.theta, rel=1e-4, abs=1e-5)
