"""Invariance across groups and tests of nested models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE
from scipy import stats

from csi_lab import CsiLabWarning, PathModel, SpecError
from csi_lab.sem.cb_invariance import chi2_difference, invariance
from csi_lab.sem.cbsem import cbsem

ITEMS = [f"x{k}" for k in range(1, 10)]
MODEL = PathModel({"visual": ["x1", "x2", "x3"], "textual": ["x4", "x5", "x6"], "speed": ["x7", "x8", "x9"]})


@pytest.fixture(scope="module")
def hs() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "HolzingerSwineford1939.csv")


def test_the_verdicts_follow_the_cut_offs(hs):
    """lavaan's changes: CFI -.0025, -.0385, -.0095; the scalar step is rejected, so the strict one is not reached."""
    found = invariance(hs, MODEL, "school")
    assert found.value == "metric"
    assert found.table["holds"].tolist() == [True, True, False, False]
    assert found.table.loc["scalar", "verdict"] == "rejected: CFI falls by 0.038"
    assert found.table.loc["strict", "verdict"] == "not reached: scalar is rejected"
    lenient = invariance(hs, MODEL, "school", cfi_fall=0.05)
    assert lenient.value == "strict"
    assert "RMSEA rises by 0.015" in invariance(hs, MODEL, "school", rmsea_rise=0.01).table.loc["scalar", "verdict"]


def test_partial_invariance_meets_the_textbook_example(hs):
    """lavaan's tutorial frees the intercepts of x3 and x7: chi2 129.422 with 58 df, difference 5.378 with 4."""
    found = invariance(hs, MODEL, "school", steps=("metric", "scalar"), partial=("x3 ~ 1", "x7~1"))
    assert found.table.loc["scalar", "chi2"] == pytest.approx(129.422, abs=5e-4)
    assert found.table.loc["scalar", "df"] == 58
    assert found.table.loc["scalar", "d_df"] == 4
    assert found.value == "scalar"
    assert "free: x3 ~ 1, x7~1" in str(found)


def test_the_p_value_is_that_of_the_chi_square_distribution(hs):
    d = chi2_difference(cbsem(hs, MODEL, fixed={"visual ~~ speed": 0}), cbsem(hs, MODEL))
    assert d.df == 1
    assert d.p == pytest.approx(stats.chi2.sf(d.value, 1), rel=1e-9)
    assert d.scaling == 1
    assert d.to_frame().loc["narrow - wide", "value"] == d.value


def test_a_scaled_difference_uses_both_factors(hs):
    """Satorra & Bentler (2001), written out."""
    wide, narrow = (cbsem(hs, MODEL, se="mlm", fixed=f) for f in (None, {"visual ~~ speed": 0, "textual ~~ speed": 0}))
    a, b = narrow.fit_measures, wide.fit_measures
    factor = (26 * a["scaling_factor"] - 24 * b["scaling_factor"]) / 2
    d = chi2_difference(narrow, wide)
    assert d.scaling == pytest.approx(factor, rel=1e-12)
    assert d.value == pytest.approx((a["chi2"] - b["chi2"]) / factor, rel=1e-12)


def test_groups_as_a_mapping_a_column_or_an_array_are_the_same(hs):
    parts = {str(s): hs[hs["school"] == s] for s in ("Pasteur", "Grant-White")}
    chi2 = [
        cbsem(hs, MODEL, groups="school", equal=["loadings"]).fit_measures["chi2"],
        cbsem(hs, MODEL, groups=hs["school"].to_numpy(), equal="loadings").fit_measures["chi2"],
        cbsem(parts, MODEL, equal=["loadings"]).fit_measures["chi2"],
    ]
    assert chi2 == pytest.approx([chi2[0]] * 3, abs=1e-9)


def test_groups_without_constraints_are_separate_fits(hs):
    both = cbsem(hs, MODEL, groups="school")
    apart = [cbsem(hs[hs["school"] == s], MODEL) for s in ("Pasteur", "Grant-White")]
    assert both.fit_measures["chi2"] == pytest.approx(sum(f.fit_measures["chi2"] for f in apart), abs=1e-7)
    for label, fit in zip(("Pasteur", "Grant-White"), apart, strict=True):
        gap = both.loadings.xs(label)["estimate"] - fit.loadings["estimate"]
        assert gap.abs().max() < 1e-7


@pytest.mark.parametrize("identification", ["marker", "variance"])
def test_the_identification_changes_no_step(hs, identification):
    """Reference: chi2 124.0435, 164.1028, 181.5113 (tests/reference/cbsem/hs_invariance_school.json)."""
    found = invariance(hs, MODEL, "school", identification=identification)
    assert found.table["chi2"].tolist() == pytest.approx([115.8513, 124.0435, 164.1028, 181.5113], abs=1e-4)
    assert found.table["df"].tolist() == [48, 54, 60, 69]


def test_a_shift_of_the_scale_moves_means_not_the_fit(hs):
    items = list(MODEL.items)
    moved = hs.assign(**{i: hs[i] * 100 + 1000 for i in items})
    a, b = (invariance(d, MODEL, "school", steps=("metric", "scalar")) for d in (hs, moved))
    assert a.table["chi2"].tolist() == pytest.approx(b.table["chi2"].tolist(), abs=1e-6)
    means = [t.fits["scalar"].standardised.loc[("Grant-White", "textual", "~1", ""), "estimate"] for t in (a, b)]
    assert means[0] == pytest.approx(means[1], abs=1e-8)


def test_known_invariance_is_found_and_a_known_breach_too():
    """3,000 per group, equal loadings and intercepts; then one intercept is .8 higher in the second group."""
    rng = np.random.default_rng(0)
    f = rng.normal(size=6000) + np.repeat([0, 0.5], 3000)
    x = f[:, None] * [0.8, 0.7, 0.6, 0.75] + rng.normal(size=(6000, 4)) * 0.6
    frame = pd.DataFrame(x, columns=list("abcd")).assign(g=np.repeat(["u", "v"], 3000))
    model = PathModel({"F": list("abcd")})
    clean = invariance(frame, model, "g")
    assert clean.value == "strict"
    assert clean.table["d_p"].dropna().min() > 1e-3
    mean = clean.fits["scalar"].parameters.loc[("v", "F", "~1", "")]
    loading = 0.8  # the construct has the units of its marker
    assert abs(mean["estimate"] - 0.5 * loading) < 4 * mean["se"]
    breach = invariance(frame.assign(c=frame["c"] + 0.8 * (frame["g"] == "v")), model, "g")
    assert breach.value == "metric"


def test_full_information_and_robust_steps_run_together(hs):
    holes = pd.read_csv(REFERENCE / "data" / "HS_missing.csv")
    found = invariance(holes, MODEL, "school", steps=("metric", "scalar"), missing="fiml", se="robust")
    assert found.table.loc["scalar", "d_df"] == 6
    assert not found.table.loc["scalar", "holds"]


def test_the_html_has_the_table_and_no_markup_of_the_data(hs):
    shown = invariance(hs.assign(school="<i>" + hs["school"]), MODEL, "school", steps=("configural", "metric"))
    assert "<i>" not in shown._repr_html_()
    assert shown.to_frame() is shown.table


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": None}, "groups= is needed"),
        ({"steps": ("scalar", "metric")}, "in the order"),
        ({"steps": ("metric",)}, "two or more"),
        ({"steps": ("metric", "full")}, r"unknown steps: \['full'\]"),
        ({"partial": ("x3 ~2",)}, r"not parameters of this model: \['x3 ~2'\]"),
        ({"equal": ["loadings"]}, "set by the steps"),
        ({"partial": 3}, "names of parameters"),
        ({"partial": "visual ~~ speed"}, r"no step holds equal: \['visual ~~ speed'\]"),
        ({"cfi_fall": float("nan")}, "cfi_fall=nan must be a finite number"),
        ({"rmsea_rise": "0.015"}, "rmsea_rise='0.015' must be a finite number"),
    ],
)
def test_wrong_questions_are_refused(hs, settings, message):
    with pytest.raises(SpecError, match=message):
        invariance(hs, MODEL, **{"groups": "school", **settings})


def test_settings_that_cbsem_does_not_know_are_refused_by_name(hs):
    with pytest.raises(SpecError, match=r"unknown settings: \['estimator'\]; there are \['engine', 'weights', .*'se'"):
        invariance(hs, MODEL, "school", estimator="MLR")


def test_fits_that_cannot_be_compared_are_refused(hs):
    fit = cbsem(hs, MODEL)
    with pytest.raises(SpecError, match="different rows"):
        chi2_difference(cbsem(hs[:200], MODEL, fixed={"visual ~~ speed": 0}), fit)
    with pytest.raises(SpecError, match="more degrees of freedom; they differ by 0"):
        chi2_difference(fit, fit)
    with pytest.raises(SpecError, match=r"different items: \['x9'\]"):
        chi2_difference(cbsem(hs, MODEL.with_items({"speed": ["x7", "x8"]})), fit)
    with pytest.raises(SpecError, match="means=False and True"):
        chi2_difference(cbsem(hs, MODEL, fixed={"visual ~~ speed": 0}), cbsem(hs, MODEL, means=True))
    with pytest.raises(SpecError, match=r"two fits of cbsem\(\), not int"):
        chi2_difference(5, fit)


def test_a_test_between_doubtful_fits_says_so_first(hs):
    """A search cut short, and a model that is not nested: with more degrees of freedom it fits better."""
    apart = cbsem(
        hs, PathModel({"visual": ITEMS[:3], "textual": ITEMS[3:6], "speed": ITEMS[6:]}), fixed={"x1 ~~ x1": 0.5}
    )
    mixed = PathModel({"visual": ["x4", "x2", "x3"], "textual": ["x1", "x5", "x6"], "speed": ITEMS[6:]})
    d = chi2_difference(apart, cbsem(hs, mixed))
    assert str(d).startswith("NOT NESTED")
    assert d.p == 1
    with pytest.warns(CsiLabWarning, match="NOT CONVERGED"):
        short = cbsem(hs, MODEL, fixed={"visual ~~ speed": 0}, max_iterations=1)
    d = chi2_difference(short, cbsem(hs, MODEL))
    assert str(d).startswith("narrow model: NOT CONVERGED")
    assert "problems" not in d.to_frame()
