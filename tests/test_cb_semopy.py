"""semopy under guard: lavaan's numbers, our own engine, any units, any names, and every refusal."""

from __future__ import annotations

import logging
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, ecsi_mobile, read_reference

from csi_lab import DataError, EstimationError, PathModel, SpecError
from csi_lab.moments import Moments
from csi_lab.sem import cb_semopy, cb_semopy_search
from csi_lab.sem.cb_engine import fisher_scoring
from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_specification import Row, Specification, specification
from csi_lab.sem.cbsem import cbsem
from csi_lab.sem.time_limit import within

HS = PathModel({"visual": ["x1", "x2", "x3"], "textual": ["x4", "x5", "x6"], "speed": ["x7", "x8", "x9"]})
MOBI_CFA = PathModel({c: items for c, items in ecsi_mobile().constructs.items() if c != "Complaints"})
ONE = PathModel({"f": ["a", "b", "c"]})
CASES = {"hs_cfa_ml": HS, "mobi_cfa": MOBI_CFA, "mobi_ecsi_sem": ecsi_mobile()}


@pytest.fixture(scope="module")
def holzinger() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "HolzingerSwineford1939.csv")


@pytest.fixture(scope="module")
def answers(holzinger, mobi) -> dict[str, pd.DataFrame]:
    frames = {"hs_cfa_ml": holzinger, "mobi_cfa": mobi, "mobi_ecsi_sem": mobi}
    return {case: frames[case][list(model.items)] for case, model in CASES.items()}


def theta_of(*asked, **settings) -> np.ndarray:
    return cb_semopy.solve(*asked, **settings).theta


@pytest.fixture(scope="module")
def solved(answers) -> dict[str, cb_semopy.SemopySolution]:
    return {
        case: cb_semopy.solve(specification(model), covariance(answers[case]), len(answers[case]))
        for case, model in CASES.items()
    }


def covariance(frame: pd.DataFrame) -> np.ndarray:
    """With denominator n."""
    return np.cov(frame.to_numpy(float), rowvar=False, ddof=0)


def fisher(spec: Specification, frame: pd.DataFrame) -> np.ndarray:
    """The estimates of our own engine."""
    found = fisher_scoring(spec, Sample.complete([Moments.from_frame(frame)], means=False))
    assert found.converged.all()
    return found.theta[0]


def implied(loadings: dict[str, list[float]], latent: np.ndarray, residual: float = 1.0) -> np.ndarray:
    """Covariances of a factor model with these loadings, block after block."""
    sizes = [len(block) for block in loadings.values()]
    lam = np.zeros((sum(sizes), len(sizes)))
    lam[np.arange(sum(sizes)), np.repeat(np.arange(len(sizes)), sizes)] = np.concatenate(list(loadings.values()))
    return lam @ latent @ lam.T + residual * np.eye(sum(sizes))


# Agreement.


@pytest.mark.parametrize("case", list(CASES))
def test_agrees_with_lavaan(solved, case):
    """tests/reference/cbsem, lavaan 0.6-14: chi2 1e-5; estimates 1e-3 of their standard error, CFA also 1e-4."""
    ref = read_reference(f"cbsem/{case}.json")
    # lavaan takes CUSCO as an observed variable; here it is the construct Complaints, its only item.
    table = pd.DataFrame(**ref["estimates"]).replace({"lhs": {"CUSCO": "Complaints"}, "rhs": {"CUSCO": "Complaints"}})
    theirs = {(*sorted((r.lhs, r.rhs)), r.op): (r.est, r.se) for r in table.itertuples() if r.se > 0}
    spec = specification(CASES[case])
    assert spec.df == ref["fit"]["df"]
    assert spec.n_free == len(theirs) == ref["fit"]["npar"]
    ours = solved[case]
    assert ref["fit"]["ntotal"] * ours.value == pytest.approx(ref["fit"]["chisq"], abs=1e-5)
    assert ours.gradient < 1e-10
    expected, se = np.array([theirs[(*sorted((row.lhs, row.rhs)), row.op)] for row in spec.first]).T
    assert (np.abs(ours.theta - expected) / se).max() < 1e-3
    if case != "mobi_ecsi_sem":
        assert np.abs(ours.theta - expected).max() < 1e-4


def test_standardised_constructs_agree_with_lavaan(answers):
    """identification="variance" gives the column std.lv: loadings and latent correlations, 1e-5."""
    table = pd.DataFrame(**read_reference("cbsem/hs_cfa_ml.json")["estimates"])
    theirs = {(*sorted((r.lhs, r.rhs)), r.op): r.std for r in table.rename(columns={"std.lv": "std"}).itertuples()}
    spec = specification(HS, identification="variance")
    ours = theta_of(spec, covariance(answers["hs_cfa_ml"]), 301)
    expected = [theirs[(*sorted((row.lhs, row.rhs)), row.op)] for row in spec.first]
    assert np.abs(ours - expected).max() < 1e-5


@pytest.mark.parametrize("case", list(CASES))
def test_agrees_with_our_engine(answers, solved, case):
    """Two engines without common arithmetic: the same estimates to 1e-6, in the nearly collinear ECSI model 1e-4."""
    ours = fisher(specification(CASES[case]), answers[case])
    assert solved[case].theta == pytest.approx(ours, rel=1e-4 if case == "mobi_ecsi_sem" else 1e-6, abs=1e-8)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (PathModel(dict(HS.constructs), covariances=[("x1", "x4"), ("x8", "x7")]), {}),
        (PathModel(dict(HS.constructs), {"speed": ["visual", "textual"]}), {"identification": "variance"}),
        (HS, {"fixed": {"visual =~ x2": 0.6, "textual ~~ speed": 0.1, "x7 ~~ x7": 0.8}}),
        (HS, {"fixed": {"visual ~~ textual": 0.0}, "identification": "variance"}),
        (HS, {"fixed": {"visual =~ x1": 2.0}}),
    ],
    ids=["residual covariances", "paths, variance 1", "fixed values", "fixed zero, variance 1", "marker at 2"],
)
def test_agrees_with_our_engine_on_every_kind_of_row(answers, model, settings):
    frame = answers["hs_cfa_ml"] * np.array([1, 10, 0.1, 1, 1, 3, 1, 2, 0.5])
    spec = specification(model, **settings)
    assert theta_of(spec, covariance(frame), 301) == pytest.approx(fisher(spec, frame), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("case", list(CASES))
def test_the_public_fit_offers_it_as_an_engine(answers, case):
    """cbsem(engine="semopy") against lavaan: chi2 1e-5, standard errors as those of our engine."""
    fits = [cbsem(answers[case], CASES[case], engine=engine) for engine in ("semopy", "fisher")]
    expected = read_reference(f"cbsem/{case}.json")["fit"]["chisq"]
    for fit in fits:
        assert fit.converged
        assert fit.fit_measures["chi2"] == pytest.approx(expected, abs=1e-5)
    semopy_se, fisher_se = (fit.parameters["se"].to_numpy() for fit in fits)
    assert semopy_se == pytest.approx(fisher_se, rel=1e-4, nan_ok=True)


def test_a_row_added_to_the_specification_is_estimated(answers):
    spec = specification(HS).with_rows([Row("Lambda", "visual", "=~", "x9")])
    frame = answers["hs_cfa_ml"]
    assert theta_of(spec, covariance(frame), 301) == pytest.approx(fisher(spec, frame), rel=1e-6, abs=1e-8)


def test_three_items_are_fitted_exactly():
    """Closed form of the one-factor model, an improper one: psi = s_ab s_ac / s_bc, residual of a negative."""
    s = np.array([[1.0, 0.7, 0.7], [0.7, 1.0, 0.4], [0.7, 0.4, 1.0]])
    psi = 0.7 * 0.7 / 0.4
    loadings = [0.4 / 0.7, 0.4 / 0.7]
    residuals = [1 - psi, 1 - psi * loadings[0] ** 2, 1 - psi * loadings[1] ** 2]
    solution = cb_semopy.solve(specification(ONE), s, 100)
    assert solution.theta == pytest.approx([*loadings, *residuals, psi], abs=1e-7)
    assert solution.value == pytest.approx(0, abs=1e-12)
    assert solution.theta[2] == pytest.approx(-0.225, abs=1e-7)


def test_an_item_scored_the_other_way_has_a_negative_loading():
    s = implied({"f": [1.0, -1.5, 2.0, 0.7]}, np.array([[2.0]]))
    theta = theta_of(specification(PathModel({"f": ["a", "b", "c", "d"]})), s, 100)
    assert theta == pytest.approx([-1.5, 2.0, 0.7, 1, 1, 1, 1, 2], abs=1e-7)


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("factor", [0.001, 100.0, "mixed"])
def test_units_of_the_items_do_not_matter(answers, solved, case, factor):
    """The same F to 1e-12, at x0.001, x100 and with factors from 0.001 to 1000 in one model."""
    p = len(CASES[case].items)
    k = 10.0 ** (np.arange(p) % 7 - 3) if factor == "mixed" else np.full(p, factor)
    spec, raw = specification(CASES[case]), solved[case]
    scaled = cb_semopy.solve(spec, covariance(answers[case]) * np.outer(k, k), len(answers[case]))
    assert scaled.value == pytest.approx(raw.value, abs=1e-12)
    unit = dict(zip(CASES[case].items, k, strict=True))
    unit |= {("construct", c): unit[block[0]] for c, block in CASES[case].constructs.items()}
    for row, a, b in zip(spec.first, raw.theta, scaled.theta, strict=True):
        by = {
            "Lambda": lambda r: unit[r.rhs] / unit["construct", r.lhs],
            "Theta": lambda r: unit[r.lhs] * unit[r.rhs],
            "Beta": lambda r: unit["construct", r.lhs] / unit["construct", r.rhs],
            "Psi": lambda r: unit["construct", r.lhs] * unit["construct", r.rhs],
        }[row.matrix](row)
        assert b / by == pytest.approx(a, rel=1e-4 if case == "mobi_ecsi_sem" else 1e-6, abs=1e-9)


def test_order_of_the_items_does_not_matter(answers):
    frame = answers["hs_cfa_ml"]
    turned = PathModel({c: HS.constructs[c] for c in ("speed", "visual", "textual")})
    a, b = specification(HS), specification(turned)
    ours = dict(zip((row.key for row in a.first), theta_of(a, covariance(frame), 301), strict=True))
    other = theta_of(b, covariance(frame[list(turned.items)]), 301)
    assert other == pytest.approx([ours[row.key] for row in b.first], abs=1e-8)


# Names.


def test_any_name_will_do():
    """Names that semopy misreads: spaces, signs, Chinese, its own words, a construct named as its item."""
    names = ["x 1", "x-1", "满意度", "a+b", "1*v0", "START", "~~", "L0", "v3", "p2", "#", "Price"]
    odd = PathModel(
        {"v0": names[:4], "顾客 满意": names[4:8], "=~": names[8:11], "Price": "Price"},
        {"顾客 满意": ["v0"], "=~": ["顾客 满意"], "Price": ["v0", "=~"]},
    )
    plain = PathModel(
        {"f": ["a1", "a2", "a3", "a4"], "g": ["b1", "b2", "b3", "b4"], "h": ["c1", "c2", "c3"], "k": "d1"},
        {"g": ["f"], "h": ["g"], "k": ["f", "h"]},
    )
    latent = np.array([[1, 0.5, 0.3, 0.4], [0.5, 1, 0.4, 0.3], [0.3, 0.4, 1, 0.5], [0.4, 0.3, 0.5, 1.0]])
    s = implied({"f": [1, 0.8, 1.2, 1], "g": [1, 1, 0.7, 0.9], "h": [1, 1.3, 0.6], "k": [1.0]}, latent)
    a, b = (theta_of(specification(model), s, 300) for model in (odd, plain))
    assert a.tolist() == b.tolist()


def test_syntax_given_to_semopy_has_safe_names_and_markers_first():
    spec = specification(PathModel({"x 1": ["x-1", "满意度"], "Price": "Price"}, {"Price": "x 1"}))
    assert cb_semopy.syntax(spec).splitlines() == [
        "L0 =~ 1*v0",
        "L1 =~ 1*v2",
        "L0 =~ p1*v1",
        "L1 ~ p3*L0",
        "v0 ~~ p4*v0",
        "v1 ~~ p5*v1",
        "v2 ~~ p6*v2",
        "L0 ~~ p7*L0",
        "L1 ~~ p8*L1",
    ]


# Refusals before the fit.


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"groups": ("A", "B")}, "2 groups"),
        ({"means": True}, "means"),
        ({"equal": [("visual =~ x2", "visual =~ x3")]}, r"parameters held equal: \['visual =~ x2', 'visual =~ x3'\]"),
    ],
)
def test_what_semopy_cannot_express_is_refused_with_the_other_engine(settings, says):
    with pytest.raises(SpecError, match=rf"use engine='fisher'\n  {says}"):
        theta_of(specification(HS, **settings), np.eye(9), 301)


def test_fixed_values_that_depend_on_the_units_of_a_turned_construct_are_refused():
    spec = specification(HS, identification="variance", fixed={"visual ~~ textual": 0.4})
    with pytest.raises(SpecError, match="use identification='marker'"):
        theta_of(spec, np.eye(9), 301)


def test_a_construct_without_scale_is_refused():
    spec = specification(HS, fixed={"speed =~ x7": 0.0})
    with pytest.raises(SpecError, match="nothing sets the scale of 'speed'"):
        theta_of(spec, np.eye(9), 301)


def test_more_unknowns_than_knowns_are_refused():
    with pytest.raises(EstimationError, match="4 free parameters, but 2 items give only 3 variances and covariances"):
        theta_of(specification(PathModel({"f": ["a", "b"]})), np.array([[1, 0.5], [0.5, 1]]), 100)


def test_parameters_that_cannot_be_told_apart_are_named_before_the_fit():
    """Two constructs with two items each and no covariance: df = 2, but each pair has 4 unknowns and 3 moments."""
    spec = specification(PathModel({"f": ["a", "b"], "g": ["c", "d"]}), fixed={"f ~~ g": 0.0})
    assert spec.df == 2
    with pytest.raises(EstimationError, match="8 free parameters, but only 6 ways to move Sigma") as caught:
        theta_of(spec, implied({"f": [1, 1], "g": [1, 1]}, np.eye(2)), 100)
    assert all(name in str(caught.value) for name in spec.names)


def test_data_that_do_not_identify_the_model_are_refused_after_the_fit():
    """The same two constructs with a free covariance: identified in general, but not when the covariance is 0."""
    spec = specification(PathModel({"f": ["a", "b"], "g": ["c", "d"]}))
    s = implied({"f": [1.0, 1.2], "g": [1.0, 0.8]}, np.array([[1.0, 0.4], [0.4, 1.0]]))
    theta = theta_of(spec, s, 100)
    assert theta[spec.names.index("f ~~ g")] == pytest.approx(0.4, abs=1e-6)
    with pytest.raises(EstimationError, match="these data do not identify the model"):
        theta_of(spec, implied({"f": [1.0, 1.2], "g": [1.0, 0.8]}, np.eye(2)), 100)


def with_cell(value: float) -> np.ndarray:
    s = implied({"f": [1.0, 1.2, 0.8]}, np.array([[1.0]]))
    s[1, 1] = value
    return s


def copied() -> np.ndarray:
    s = implied({"f": [1.0, 1.2, 0.8]}, np.array([[1.0]]))
    s[1], s[:, 1] = s[0], s[:, 0]
    s[1, 1] = s[0, 0]
    return s


@pytest.mark.parametrize(
    ("s", "n", "says"),
    [
        (with_cell(0.0), 50, r"items do not vary: \['b'\]"),
        (with_cell(np.nan), 50, r"missing or infinite for \['b'\]"),
        (with_cell(np.inf), 50, r"missing or infinite for \['b'\]"),
        (copied(), 50, r"copies or sums of each other: \['a', 'b'\]"),
        (with_cell(2.44), 3, "3 rows for 3 items"),
        (np.triu(with_cell(2.44)), 50, "not symmetric"),
        (np.array([[1, 0.9, 0.9], [0.9, 1, 0.5], [0.9, 0.5, 1]]), 50, "belong to no data"),
        (np.eye(4), 50, "covariances of 3 items, one sample at a time"),
        (np.stack([np.eye(3)] * 2), 50, "one sample at a time"),
    ],
    ids=["constant", "missing", "infinite", "duplicated", "3 rows", "asymmetric", "indefinite", "too many", "stack"],
)
def test_bad_covariances_are_refused(s, n, says):
    with pytest.raises(DataError, match=says):
        theta_of(specification(ONE), s, n)


def test_collinear_items_are_named():
    """d = a + b: the three share the direction in which nothing varies, c does not."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 3)) + rng.normal(size=(60, 1))
    s = np.cov(np.column_stack([x, x[:, 0] + x[:, 1]]), rowvar=False)
    with pytest.raises(DataError, match=r"copies or sums of each other: \['a', 'b', 'd'\]"):
        theta_of(specification(PathModel({"f": ["a", "b", "c", "d"]})), s, 60)


# The guard.


def test_semopys_own_hang_is_ended():
    """Labelled loadings beside a fixed variance: start values of semopy 2.3.11 that are never found."""
    import semopy

    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=["a", "b", "c"])
    model = semopy.Model("f =~ p*a + q*b + r*c\nf ~~ 1*f")
    before = threading.active_count()
    with pytest.raises(EstimationError, match=r"semopy did not finish within 0\.3 seconds and was stopped"):
        within(0.3, lambda: model.fit(frame), "semopy")
    assert threading.active_count() == before


def test_a_fit_that_takes_too_long_is_ended_with_a_remedy(monkeypatch):
    import semopy

    def hang(*arguments: object, **options: object) -> None:
        while True:
            pass

    monkeypatch.setattr(semopy.Model, "fit", hang)
    with pytest.raises(EstimationError, match=r"within 0\.3 seconds.*stopped"):
        cb_semopy.solve(specification(ONE), with_cell(2.44), 50, time_limit=0.3)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "60", None])
def test_a_limit_that_is_none_is_refused(seconds):
    with pytest.raises(SpecError, match="positive number of seconds"):
        theta_of(specification(ONE), with_cell(2.44), 50, time_limit=seconds)


def test_errors_of_the_work_come_through_the_limit():
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 / 0, "division")


def test_what_semopy_calls_a_success_is_not_believed(monkeypatch, answers, solved):
    """A solver that stops at its start and claims success: the polish finds the optimum all the same."""
    import semopy
    from semopy.solver import Solver, SolverResult

    def lazy(self: Solver) -> SolverResult:
        return SolverResult(self.fun(self.start), True, 0, self.start, "done", "none")

    monkeypatch.setattr(semopy.solver.Solver, "solve", lazy)
    fooled = cb_semopy.solve(specification(HS), covariance(answers["hs_cfa_ml"]), 301)
    assert fooled.gradient_before > 0.01
    assert fooled.theta == pytest.approx(solved["hs_cfa_ml"].theta, abs=1e-8)


def test_an_end_with_a_slope_is_refused(monkeypatch, answers):
    monkeypatch.setattr(cb_semopy_search, "_polished", lambda objective, gradient, x: (x, np.eye(len(x))))
    with pytest.raises(EstimationError, match=r"semopy does not converge: the largest gradient is \d"):
        cb_semopy.solve(specification(HS), covariance(answers["hs_cfa_ml"]), 301)


def test_the_polished_estimates_are_written_back(solved):
    solution = solved["hs_cfa_ml"]
    model = solution.model
    assert model.last_result.x.tolist() == model.param_vals.tolist()
    assert model.last_result.fun == solution.value
    assert model.obj_mlw(model.param_vals) == pytest.approx(solution.value, abs=1e-14)


def test_the_solution_says_when_the_items_are_nearly_collinear(solved):
    texts = {case: str(solution) for case, solution in solved.items()}
    assert [case for case, text in texts.items() if "nearly collinear" in text] == ["mobi_ecsi_sem"]
    assert texts["hs_cfa_ml"].startswith("semopy: F = 0.283407, largest gradient ")


def test_of_two_minima_the_lower_is_the_answer(mobi):
    """A resample of the ECSI data in which the two starts end apart; the other end is told, not hidden."""
    model = ecsi_mobile()
    frame = mobi.sample(250, replace=True, random_state=2)[list(model.items)]
    solution = cb_semopy.solve(specification(model), covariance(frame), 250)
    assert solution.value == min(solution.others)
    assert max(solution.others) > solution.value + 1e-3
    assert f"another start ends at F = {max(solution.others):.6f}" in str(solution)
    assert solution.gradient < 1e-8
    fit = cbsem(frame, model, engine="semopy")
    assert fit.others == pytest.approx([250 * (max(solution.others) - solution.value)])
    assert any(text.startswith("SEVERAL OPTIMA: other starts end where chi2 is") for text in fit.problems)


def test_neither_warnings_nor_logging_of_the_program_are_touched(answers):
    handlers = list(logging.getLogger().handlers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cb_semopy.solve(specification(ecsi_mobile()), covariance(answers["mobi_ecsi_sem"]), 250)
    assert logging.getLogger().handlers == handlers


def test_several_fits_at_the_same_time_do_not_mix(answers, solved):
    """semopy keeps tables on its class; four threads must give what one after the other gives."""
    cases = ["hs_cfa_ml", "mobi_cfa"] * 2
    jobs = [(specification(CASES[case]), covariance(answers[case]), 250) for case in cases]
    together: list[list[float] | None] = [None] * len(jobs)

    def work(k: int) -> None:
        together[k] = theta_of(*jobs[k]).tolist()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [solved[case].theta.tolist() for case in cases]
