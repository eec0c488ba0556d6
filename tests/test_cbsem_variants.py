"""CB-SEM against R lavaan where models, constraints, designs and missing answers meet: reference/cbsem/variants.R."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference
from test_cbsem_lavaan import HS_MODEL, MEASURES, by_name, holzinger, key_of, records

from csi_lab import Design, PathModel
from csi_lab.sem.cb_result import CBSEMFit
from csi_lab.sem.cbsem import cbsem

BLOCKS = HS_MODEL.constructs
SEM = PathModel(BLOCKS, {"textual": "visual", "speed": ["visual", "textual"]})
RESIDUALS = PathModel(BLOCKS, covariances=[("x1", "x7"), ("x4", "x5")])
DEMOCRACY = PathModel(
    {"ind60": ["x1", "x2", "x3"], "dem60": ["y1", "y2", "y3", "y4"], "dem65": ["y5", "y6", "y7", "y8"]},
    {"dem60": "ind60", "dem65": ["ind60", "dem60"]},
    covariances=[("y1", "y5"), ("y2", "y4"), ("y2", "y6"), ("y3", "y7"), ("y4", "y8"), ("y6", "y8")],
)
CHAIN = PathModel({"x1": "x1", "x2": "x2", "x3": "x3"}, {"x2": "x1", "x3": ["x1", "x2"]})
SCALAR = ("loadings", "intercepts")
PARTIAL = ("x3~1", "x7~1", "visual=~x2")
FIML = {"missing": "fiml"}
ROBUST = {"se": "robust"}
BY_SCHOOL = {"groups": "school"}

# Reference: data, model, settings. A design is given as psu and weights.
CASES: dict[str, tuple[str, PathModel, dict]] = {
    "wishart": ("hs", HS_MODEL, {"likelihood": "wishart"}),
    "observed": ("pd", DEMOCRACY, {"se": "observed"}),
    "democracy": ("pd", DEMOCRACY, {}),
    "democracy_mlr": ("pd", DEMOCRACY, ROBUST),
    "democracy_mlm": ("pd", DEMOCRACY, {"se": "mlm"}),
    "sem_mlr": ("hs", SEM, {**ROBUST, "means": True}),
    "sem_fiml_mlr": ("gaps", SEM, {**FIML, **ROBUST}),
    "fiml_groups": ("gaps", HS_MODEL, {**FIML, **BY_SCHOOL}),
    "fiml_scalar_mlr": ("gaps", HS_MODEL, {**FIML, **ROBUST, **BY_SCHOOL, "equal": SCALAR}),
    "fiml_clusters": ("gaps", HS_MODEL, {**FIML, **ROBUST, "psu": "psu"}),
    "fiml_weights": ("gaps", HS_MODEL, {**FIML, **ROBUST, "weights": "w"}),
    "partial": ("hs", HS_MODEL, {**BY_SCHOOL, "equal": SCALAR, "free": PARTIAL}),
    "partial_mlr": ("hs", HS_MODEL, {**ROBUST, **BY_SCHOOL, "equal": SCALAR, "free": PARTIAL}),
    "metric_mlm": ("hs", HS_MODEL, {"se": "mlm", **BY_SCHOOL, "equal": "loadings"}),
    "scalar_mlm": ("hs", HS_MODEL, {"se": "mlm", **BY_SCHOOL, "equal": SCALAR}),
    "scalar_variance": ("hs", HS_MODEL, {"identification": "variance", **BY_SCHOOL, "equal": SCALAR}),
    "sem_groups": ("hs", SEM, {**BY_SCHOOL, "equal": (*SCALAR, "paths")}),
    "all_equal": (
        "hs",
        SEM,
        {**BY_SCHOOL, "equal": (*SCALAR, "paths", "residuals", "latent_variances", "latent_means")},
    ),
    "covariances_equal": (
        "hs",
        RESIDUALS,
        {**BY_SCHOOL, "equal": ("loadings", "residual_covariances", "latent_variances", "latent_covariances")},
    ),
    "tied_mlr": ("hs", HS_MODEL, {**ROBUST, "equal": [("visual =~ x2", "visual =~ x3")]}),
    "fixed": ("hs", HS_MODEL, {"fixed": {"visual =~ x2": 0.5, "visual ~~ speed": 0}}),
    "saturated_mlr": ("hs", CHAIN, ROBUST),
    "clusters_weights": ("hs", HS_MODEL, {**ROBUST, "psu": "psu", "weights": "w", "means": True}),
    "weights_metric": ("hs", HS_MODEL, {**ROBUST, "weights": "w", **BY_SCHOOL, "equal": "loadings"}),
}
EFFECTS = ("democracy", "democracy_mlr", "democracy_mlm", "observed", "sem_mlr", "sem_fiml_mlr")


class _Survey:
    def __init__(self, frame: pd.DataFrame, design: Design) -> None:
        self.frame, self.design, self.model = frame, design, None


def data(name: str) -> pd.DataFrame:
    if name == "pd":
        return pd.read_csv(REFERENCE / "data" / "PoliticalDemocracy.csv")
    hs = holzinger()
    frame = hs if name == "hs" else holzinger("HS_missing").assign(school=hs["school"])
    return frame.assign(psu=hs["id"] // 5, w=1.0 + (hs["x1"] > 5))


@cache
def fitted(case: str) -> CBSEMFit:
    name, model, settings = CASES[case]
    settings, frame = dict(settings), data(name)
    if "psu" in settings:
        design = Design(psu=settings.pop("psu"), weights=settings.pop("weights", None))
        return cbsem(_Survey(frame, design), model, **settings)
    return cbsem(frame, model, **settings)


def reference(case: str) -> dict:
    return read_reference("cbsem/variants.json")[case]


@pytest.mark.parametrize("case", list(CASES))
def test_measures_of_fit(case):
    theirs, fit = reference(case)["fit"], fitted(case)
    ours = fit.fit_measures
    left_out = {"logl", "aic", "bic"} if case == "wishart" else set()
    if not fit.answers.simple:
        # Normal theory is withheld from samples with weights or clusters.
        left_out |= {"pvalue", "rmsea.ci.lower", "rmsea.ci.upper", "rmsea.pvalue"}
    if case == "saturated_mlr":
        left_out |= {"pvalue"}
    compared = [
        k
        for k in theirs
        if k in MEASURES and k not in left_out and not (fit.answers.missing == "fiml" and "robust" in k)
    ]
    assert len(compared) >= 13
    for measure in compared:
        mine, bar = MEASURES[measure]
        assert abs(ours[mine] - theirs[measure]) <= max(bar, 1e-12), measure


@pytest.mark.parametrize("case", list(CASES))
def test_estimates_and_their_errors_raw_and_standardised(case):
    fit, theirs = fitted(case), reference(case)
    groups = fit.specification.groups
    ours, standard = by_name(fit.parameters, groups), by_name(fit.standardised, groups)
    compared = 0
    for row in records(theirs["estimates"]):
        if row["op"] in (":=", "=="):
            continue
        compared += 1
        mine = ours[key_of(row)]
        assert abs(mine["estimate"] - row["est"]) <= 1e-3 * max(row["se"], 1e-9), row
        assert mine["se"] == pytest.approx(row["se"], rel=2e-4, abs=1e-12), row
        assert mine["standardised"] == pytest.approx(row["std.all"], abs=2e-5), row
    assert compared >= 6
    for row in records(theirs["standardised"]):
        if row["op"] not in (":=", "=="):
            assert standard[key_of(row)]["se"] == pytest.approx(row["se"], rel=2e-4, abs=1e-9), row


@pytest.mark.parametrize("case", EFFECTS)
def test_indirect_and_total_effects_by_the_delta_method(case):
    theirs, fit = reference(case), fitted(case)
    source, target = ("ind60", "dem65") if "dem" in case or case == "observed" else ("visual", "speed")
    for block, value, standardised in (("estimates", "est", False), ("standardised", "est.std", True)):
        effects = fit.effects(standardised=standardised)
        rows = [row for row in records(theirs[block]) if row["op"] == ":="]
        assert [row["lhs"] for row in rows] == ["indirect", "total"]
        for row in rows:
            mine = effects.loc[(row["lhs"], source, target)]
            assert mine["estimate"] == pytest.approx(row[value], abs=1e-3 * row["se"])
            assert mine["se"] == pytest.approx(row["se"], rel=2e-4)


@pytest.mark.parametrize("case", [c for c in CASES if c not in ("wishart", "saturated_mlr")])
def test_modification_indices_of_the_same_candidates(case):
    """Fixed parameters are candidates too: a value set by the user, the markers where loadings are equal."""
    theirs, fit = reference(case), fitted(case)
    ours = by_name(fit.modification_indices(), fit.specification.groups)
    assert len(ours) == theirs["candidates"]
    for row in records(theirs["indices"]):
        mine = ours[key_of(row)]
        assert abs(mine["mi"] - row["mi"]) <= 1e-3 * max(1, row["mi"]), row
        assert mine["epc"] == pytest.approx(row["epc"], rel=1e-3, abs=1e-4), row
        assert mine["epc_standardised"] == pytest.approx(row["sepc.all"], rel=1e-3, abs=1e-4), row


def test_where_lavaan_goes_another_way_under_the_wishart_likelihood():
    """Its log-likelihood puts covariances with n - 1 into the formula for n rows: lower by tr(S W) / 2 = p / 2. Its
    modification indices count n where chi2 counts n - 1.
    """
    theirs, fit = reference("wishart"), fitted("wishart")
    assert fit.fit_measures["loglik"] == pytest.approx(theirs["fit"]["logl"] + 9 / 2, abs=1e-5)
    assert fit.fit_measures["aic"] == pytest.approx(theirs["fit"]["aic"] - 9, abs=1e-5)
    ours = by_name(fit.modification_indices(), ("",))
    for row in records(theirs["indices"]):
        assert ours[key_of(row)]["mi"] == pytest.approx(row["mi"] * 300 / 301, rel=1e-3, abs=1e-3), row


def test_clusters_of_all_groups_are_one_sample_where_lavaan_takes_groups_for_strata():
    """Without constraints the two differ by the factors K/(K - 1) alone: of all clusters, or of those of the group."""
    frame = data("hs")
    fit = cbsem(_Survey(frame, Design(psu="psu")), HS_MODEL, se="robust", groups="school")
    ours = by_name(fit.parameters, fit.specification.groups)
    here = [frame.loc[frame["school"] == g, "psu"].nunique() for g in fit.specification.groups]
    whole = frame["psu"].nunique()
    for row in records(reference("clusters_groups")["estimates"]):
        if row["se"]:
            k = here[row["group"] - 1]
            factor = np.sqrt((k / (k - 1)) / (whole / (whole - 1)))
            assert row["se"] == pytest.approx(ours[key_of(row)]["se"] * factor, rel=2e-4), row


@pytest.mark.parametrize("missing", ["listwise", "fiml"])
def test_whole_weights_are_repeated_rows_in_groups_too(missing):
    """What is equal across groups follows them by the sums of their weights."""
    frame = data("hs" if missing == "listwise" else "gaps")
    frame["w"] = np.where(frame["school"] == "Pasteur", 3.0, 1.0) + (frame["x2"] > 6)
    repeated = frame.loc[frame.index.repeat(frame["w"].astype(int))]
    settings = {"groups": "school", "equal": SCALAR, "missing": missing}
    weighted, many = cbsem(frame, HS_MODEL, weights="w", **settings), cbsem(repeated, HS_MODEL, **settings)
    assert weighted.theta == pytest.approx(many.theta, rel=1e-6, abs=1e-8)
    ratio = frame["w"].sum() / len(frame)
    assert many.fit_measures["chi2"] == pytest.approx(weighted.fit_measures["chi2"] * ratio, rel=1e-8)
    assert weighted.fit_measures["n"] == pytest.approx(301)
    again = cbsem(frame.assign(w=frame["w"] * 1000), HS_MODEL, weights="w", **settings)
    assert again.theta == pytest.approx(weighted.theta, rel=1e-8, abs=1e-9)


def test_samples_of_their_own_keep_their_sizes_whatever_the_scale_of_their_weights():
    frame = data("hs")
    parts = {g: _Survey(f, Design(weights="w")) for g, f in frame.groupby("school", sort=False)}
    louder = {
        g: _Survey(s.frame.assign(w=s.frame["w"] * k), s.design)
        for k, (g, s) in zip((1, 500), parts.items(), strict=True)
    }
    one, other = (cbsem(p, HS_MODEL, equal=SCALAR) for p in (parts, louder))
    assert other.theta == pytest.approx(one.theta, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("case", ["sem_mlr", "scalar_mlm", "fiml_scalar_mlr", "weights_metric"])
@pytest.mark.parametrize("units", [np.full(9, 1e-3), np.resize([1e-3, 1.0, 1e4], 9)])
def test_robust_errors_and_tests_do_not_depend_on_units(case, units):
    name, model, settings = CASES[case]
    items, frame = list(model.items), data(name)
    other, fit = cbsem(frame.assign(**(frame[items] * units)), model, **settings), fitted(case)
    for measure in ("chi2", "chi2_scaled", "scaling_factor", "srmr"):
        assert other.fit_measures[measure] == pytest.approx(fit.fit_measures[measure], rel=1e-8), measure
    for column in ("estimate", "se"):
        ours = other.standardised[column].to_numpy()
        assert ours == pytest.approx(fit.standardised[column].to_numpy(), rel=1e-6, abs=1e-10)
    gains = [f.modification_indices()["mi"] for f in (other, fit)]
    assert gains[0].to_numpy() == pytest.approx(gains[1].reindex(gains[0].index).to_numpy(), rel=1e-6, abs=1e-8)
