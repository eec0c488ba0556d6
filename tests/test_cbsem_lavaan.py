"""CB-SEM against R lavaan: every model of tests/reference/cbsem to the bars of its README, in any units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, ecsi_mobile, read_reference

from csi_lab import Design, PathModel
from csi_lab.sem.cb_invariance import invariance
from csi_lab.sem.cbsem import cbsem

HS_MODEL = PathModel({"visual": ["x1", "x2", "x3"], "textual": ["x4", "x5", "x6"], "speed": ["x7", "x8", "x9"]})
STEPS = ("configural", "metric", "scalar", "strict")
EQUAL = ("loadings", "intercepts", "residuals")

# lavaan's name: ours, bar of the README.
MEASURES = {
    "chisq": ("chi2", 1e-5),
    "df": ("df", 0),
    "npar": ("n_parameters", 0),
    "ntotal": ("n", 0),
    "pvalue": ("p", 1e-6),
    "baseline.chisq": ("baseline_chi2", 1e-5),
    "baseline.df": ("baseline_df", 0),
    "logl": ("loglik", 1e-5),
    "aic": ("aic", 1e-5),
    "bic": ("bic", 1e-5),
    "cfi": ("cfi", 1e-6),
    "tli": ("tli", 1e-6),
    "rmsea": ("rmsea", 1e-6),
    "rmsea.ci.lower": ("rmsea_low", 1e-6),
    "rmsea.ci.upper": ("rmsea_high", 1e-6),
    "rmsea.pvalue": ("rmsea_close_p", 1e-6),
    "srmr": ("srmr", 1e-6),
    "chisq.scaling.factor": ("scaling_factor", 1e-5),
    "chisq.scaled": ("chi2_scaled", 1e-3),
    "pvalue.scaled": ("p_scaled", 1e-6),
    "baseline.chisq.scaling.factor": ("baseline_scaling_factor", 1e-5),
    "cfi.scaled": ("cfi_scaled", 1e-6),
    "tli.scaled": ("tli_scaled", 1e-6),
    "rmsea.scaled": ("rmsea_scaled", 1e-6),
    "rmsea.ci.lower.scaled": ("rmsea_low_scaled", 1e-6),
    "rmsea.ci.upper.scaled": ("rmsea_high_scaled", 1e-6),
    "rmsea.pvalue.scaled": ("rmsea_close_p_scaled", 1e-6),
    "cfi.robust": ("cfi_robust", 1e-6),
    "tli.robust": ("tli_robust", 1e-6),
    "rmsea.robust": ("rmsea_robust", 1e-6),
    "rmsea.ci.lower.robust": ("rmsea_low_robust", 1e-6),
    "rmsea.ci.upper.robust": ("rmsea_high_robust", 1e-6),
    "rmsea.pvalue.robust": ("rmsea_close_p_robust", 1e-6),
}


def holzinger(name: str = "HolzingerSwineford1939") -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / f"{name}.csv")


def mobi_cfa_model() -> PathModel:
    return PathModel({c: block for c, block in ecsi_mobile().constructs.items() if c != "Complaints"})


@pytest.fixture(scope="module")
def fits(mobi):
    hs, gaps = holzinger(), holzinger("HS_missing")
    made = {
        "hs_cfa_ml": cbsem(hs, HS_MODEL),
        "hs_cfa_mlr": cbsem(hs, HS_MODEL, se="robust"),
        "hs_cfa_fiml": cbsem(gaps, HS_MODEL, missing="fiml"),
        "mobi_cfa": cbsem(mobi, mobi_cfa_model()),
        "mobi_ecsi_sem": cbsem(mobi, ecsi_mobile()),
    }
    for k, step in enumerate(STEPS):
        made[step] = cbsem(hs, HS_MODEL, groups="school", equal=EQUAL[:k])
    return made


def reference(name: str) -> dict:
    return (
        read_reference("cbsem/hs_invariance_school.json")[name]
        if name in STEPS
        else read_reference(f"cbsem/{name}.json")
    )


def records(block: dict) -> list[dict]:
    return [dict(zip(block["columns"], row, strict=True)) for row in block["data"]]


def by_name(table: pd.DataFrame, groups: tuple[str, ...]) -> dict:
    """Rows of a table of ours under the names of lavaan's rows."""
    found = {}
    for label, row in zip(table.index, table.to_dict("records"), strict=True):
        *group, lhs, op, rhs = label
        if op == "~~":
            lhs, rhs = sorted((lhs, rhs))
        found[(groups.index(group[0]) + 1 if group else None, lhs, op, rhs)] = row
    return found


def key_of(row: dict) -> tuple:
    """lavaan enters CUSCO as an observed variable, we as the construct Complaints with that item."""
    lhs, rhs = ("Complaints" if name == "CUSCO" else name for name in (row["lhs"], row["rhs"]))
    if row["op"] == "~~":
        lhs, rhs = sorted((lhs, rhs))
    return row.get("group"), lhs, row["op"], rhs


NAMES = ["hs_cfa_ml", "hs_cfa_mlr", "hs_cfa_fiml", *STEPS, "mobi_cfa", "mobi_ecsi_sem"]


@pytest.mark.parametrize("name", NAMES)
def test_measures_of_fit(fits, name):
    theirs, ours = reference(name)["fit"], fits[name].fit_measures
    # With incomplete data lavaan's robust versions use another correction, and ours has none.
    compared = [k for k in MEASURES if k in theirs and not (name == "hs_cfa_fiml" and "robust" in k)]
    assert len(compared) >= 17
    for measure in compared:
        mine, bar = MEASURES[measure]
        assert abs(ours[mine] - theirs[measure]) <= bar, measure


@pytest.mark.parametrize("name", ["hs_cfa_ml", "hs_cfa_mlr", "mobi_cfa", "mobi_ecsi_sem"])
def test_gfi_of_covariances(fits, name):
    """lavaan's GFI adds the means where they are modelled; ours is of covariances, so those models are not compared."""
    assert fits[name].fit_measures["gfi"] == pytest.approx(reference(name)["fit"]["gfi"], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_estimates_standard_errors_and_standardised_solution(fits, name):
    fit, theirs = fits[name], reference(name)
    nearly_collinear = name == "mobi_ecsi_sem"
    ours = by_name(fit.parameters, fit.specification.groups)
    compared = 0
    for row in records(theirs["estimates"]):
        mine = ours[key_of(row)]
        compared += 1
        assert mine["standardised"] == pytest.approx(row["std.all"], abs=1e-3 if nearly_collinear else 1e-5), row
        if row["se"] == 0:
            assert mine["estimate"] == row["est"]
            assert mine["se"] == 0
            continue
        assert abs(mine["estimate"] - row["est"]) < 1e-3 * row["se"], row
        assert mine["se"] == pytest.approx(row["se"], rel=1e-3 if nearly_collinear else 1e-4), row
        assert mine["z"] == pytest.approx(row["z"], rel=2e-3, abs=2e-3), row
    assert compared == len(theirs["estimates"]["data"])
    standard = by_name(fit.standardised, fit.specification.groups)
    for row in records(theirs["std_all"]) if "std_all" in theirs else []:
        if row["se"]:
            assert standard[key_of(row)]["se"] == pytest.approx(row["se"], rel=1e-3 if nearly_collinear else 1e-4), row


@pytest.mark.parametrize(("name", "block"), [("hs_cfa_ml", "modindices"), ("mobi_cfa", "modindices_top40")])
def test_modification_indices(fits, name, block):
    theirs = records(reference(name)[block])
    ours = by_name(fits[name].modification_indices(), ("",))
    if block == "modindices":
        assert len(ours) == len(theirs)
    for row in theirs:
        mine = ours[key_of(row)]
        assert abs(mine["mi"] - row["mi"]) <= 1e-3 * max(1, row["mi"])
        assert mine["epc"] == pytest.approx(row["epc"], rel=1e-3, abs=1e-5)
        assert mine["epc_standardised"] == pytest.approx(row["sepc.all"], rel=1e-3, abs=1e-5)


def test_residual_correlations(fits):
    theirs = pd.DataFrame(**reference("hs_cfa_ml")["residuals_cor"])
    assert (fits["hs_cfa_ml"].residuals - theirs).abs().to_numpy().max() < 1e-5


@pytest.mark.parametrize("name", ["hs_cfa_ml", "mobi_cfa"])
def test_reliability_in_its_versions(fits, name):
    theirs = pd.DataFrame(**reference(name)["reliability"])
    ours = fits[name].reliability["estimate"].unstack("coefficient")
    for construct in theirs.columns:
        assert ours.loc[construct, "omega"] == pytest.approx(theirs.loc["omega", construct], abs=1e-5)
        assert ours.loc[construct, "omega_observed"] == pytest.approx(theirs.loc["omega3", construct], abs=1e-5)
        assert ours.loc[construct, "ave_unstandardised"] == pytest.approx(theirs.loc["avevar", construct], abs=1e-5)


def test_the_textbook_reliability_of_loyalty(fits):
    """README of tests/reference/cbsem: CR .584 and AVE .383 from standardised loadings, .534 and .327 from raw ones."""
    loyalty = fits["mobi_cfa"].reliability.loc["Loyalty", "estimate"].round(3)
    assert loyalty[["cr", "ave", "omega", "omega_observed", "ave_unstandardised"]].tolist() == [
        0.584,
        0.383,
        0.534,
        0.544,
        0.327,
    ]


def test_latent_correlations(fits):
    theirs = pd.DataFrame(**reference("mobi_cfa")["cor_lv"])
    for (a, b), row in fits["mobi_cfa"].latent_correlations.iterrows():
        assert row["estimate"] == pytest.approx(theirs.loc[a, b], abs=1e-5)


def test_r2_of_constructs_and_items(fits):
    theirs = reference("mobi_ecsi_sem")["r2"]
    fit = fits["mobi_ecsi_sem"]
    ours = {**fit.r2["estimate"], **fit.item_r2["estimate"]}
    ours["CUSCO"] = ours.pop("Complaints")
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, abs=1e-3), name


def test_steps_of_invariance():
    theirs = read_reference("cbsem/hs_invariance_school.json")
    found = invariance(holzinger(), HS_MODEL, "school")
    deltas, tests = (pd.DataFrame(**theirs[k]).astype(float) for k in ("deltas", "lrt"))
    for ours, column, bar in (
        ("chi2", "chisq", 1e-5),
        ("df", "df", 0),
        ("cfi", "cfi", 1e-6),
        ("rmsea", "rmsea", 1e-6),
        ("srmr", "srmr", 1e-6),
        ("aic", "aic", 1e-5),
        ("bic", "bic", 1e-5),
    ):
        assert (found.table[ours].astype(float) - deltas[column]).abs().max() <= bar, ours
    later = list(STEPS[1:])
    for ours, column in (("d_chi2", "Chisq diff"), ("d_df", "Df diff"), ("d_p", "Pr(>Chisq)")):
        assert (found.table.loc[later, ours].astype(float) - tests.loc[later, column]).abs().max() < 1e-5, ours


class _Clustered:
    """A survey of rows with clusters."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame, self.design, self.model = frame, Design(psu="psu"), None


@pytest.mark.parametrize("name", ["clusters", "weights", "weights_means"])
def test_scaled_tests_of_clusters_and_weights(name):
    """With clusters lavaan models the means; its scaling of the baseline model then counts theirs too."""
    theirs = read_reference("cbsem/hs_cfa_clusters.json")[name]
    frame = holzinger().assign(psu=lambda d: d["id"] // 5)
    if name == "clusters":
        fit = cbsem(_Clustered(frame), HS_MODEL, se="robust", means=True)
    else:
        fit = cbsem(frame, HS_MODEL, se="robust", weights=1 + (frame["x1"] > 5), means=name == "weights_means")
    for measure, value in theirs["fit"].items():
        ours, bar = MEASURES[measure]
        assert abs(fit.fit_measures[ours] - value) <= bar, measure
    loadings = fit.parameters.loc[(slice(None), "=~"), "se"]
    assert loadings.to_numpy() == pytest.approx(np.array(theirs["se_loadings"]), rel=1e-4, abs=1e-12)


def test_clusters_without_means_say_that_lavaan_models_them():
    frame = holzinger().assign(psu=lambda d: d["id"] // 5)
    told = "means=True models the means too, as lavaan does with cluster="
    assert told in str(cbsem(_Clustered(frame), HS_MODEL, se="robust"))
    assert told not in str(cbsem(_Clustered(frame), HS_MODEL, se="robust", means=True))
    assert told not in str(cbsem(frame, HS_MODEL, se="robust"))


UNITS = {
    "x 0.001": lambda x: x * 0.001,
    "x 100": lambda x: x * 100,
    "mixed": lambda x: x * np.resize([1e-3, 1.0, 1e4], x.shape[1]),
    "0-100": lambda x: (x - x.min()) / (x.max() - x.min()) * 100,
}


@pytest.mark.parametrize("units", list(UNITS))
@pytest.mark.parametrize("name", ["hs_cfa_ml", "mobi_cfa", "mobi_ecsi_sem"])
def test_the_units_of_the_items_change_nothing(fits, mobi, name, units):
    """Where lavaan 0.6-14 itself stops early or refuses."""
    fit = fits[name]
    data = (holzinger() if name == "hs_cfa_ml" else mobi)[list(fit.specification.items)].astype(float)
    other = cbsem(UNITS[units](data), fit.model)
    assert other.fit_measures["chi2"] == pytest.approx(fit.fit_measures["chi2"], abs=1e-7)
    assert other.fit_measures["chi2"] == pytest.approx(reference(name)["fit"]["chisq"], abs=1e-5)
    bar = 1e-5 if name == "mobi_ecsi_sem" else 1e-8
    gap = (other.parameters["standardised"] - fit.parameters["standardised"]).abs()
    assert gap.max() < bar
    assert other.standardised["se"].to_numpy() == pytest.approx(fit.standardised["se"].to_numpy(), rel=1e-4, abs=1e-10)


@pytest.mark.parametrize("name", ["hs_cfa_ml", "mobi_cfa", "mobi_ecsi_sem"])
def test_marker_and_unit_variance_are_the_same_fit(fits, mobi, name):
    fit = fits[name]
    data = holzinger() if name == "hs_cfa_ml" else mobi
    other = cbsem(data, fit.model, identification="variance")
    assert other.fit_measures["chi2"] == pytest.approx(fit.fit_measures["chi2"], abs=1e-7)
    assert (other.loadings["estimate"] - fit.loadings["estimate"]).abs().max() < 1e-6
    assert other.loadings["se"].to_numpy() == pytest.approx(fit.loadings["se"].to_numpy(), rel=1e-4, abs=1e-10)


def test_the_order_of_items_and_constructs_changes_nothing(mobi, fits):
    turned = PathModel({c: b[::-1] for c, b in reversed(list(mobi_cfa_model().constructs.items()))})
    other = cbsem(mobi.sample(frac=1, random_state=1), turned)
    assert other.fit_measures["chi2"] == pytest.approx(fits["mobi_cfa"].fit_measures["chi2"], abs=1e-7)
    again = other.loadings["estimate"].reindex(fits["mobi_cfa"].loadings.index)
    assert (again - fits["mobi_cfa"].loadings["estimate"]).abs().max() < 1e-7


def test_improper_and_nearly_collinear_solutions_say_so_first(fits):
    """mobi_cfa has post_check false in lavaan; mobi_ecsi_sem a path of 4.8 with standard error 23.7."""
    assert str(fits["mobi_cfa"]).startswith(
        "IMPROPER SOLUTION: covariances of the constructs are not positive definite"
    )
    first = str(fits["mobi_ecsi_sem"]).splitlines()[0]
    assert first.startswith("NEARLY COLLINEAR: the sources of Value")
    assert "Expectation (VIF" in first
    assert fits["hs_cfa_ml"].problems == ()
