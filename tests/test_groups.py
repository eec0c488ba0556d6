"""Groups of PLS models: separate fits, formulas by hand, simulations with known truth, refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import csi_lab as csi
from csi_lab import CsiLabWarning, DataError, Design, EstimationError, PathModel, SpecError
from csi_lab.incomplete import completed_moments
from csi_lab.moments import Moments
from csi_lab.sem import pls
from csi_lab.sem.group_tests import pairwise_share
from csi_lab.sem.grouped import grouped_sample
from csi_lab.sem.groups import compare_groups
from csi_lab.sem.micom import micom

MODEL = PathModel(
    {"X": ["x1", "x2", "x3"], "Z": ["z1", "z2"], "Y": ["y1", "y2", "y3"]},
    {"Y": ["X", "Z"]},
)


def market(n: int, slope: float, rng: np.random.Generator, *, shift: float = 0.0, turn: bool = False) -> pd.DataFrame:
    """Paths X -> Y (``slope``) and Z -> Y (.3); ``shift`` of all means of Y; ``turn``: other items measure X."""
    x, z, e = rng.normal(size=(3, n))
    y = slope * x + 0.3 * z + np.sqrt(1 - slope**2 - 0.09) * e + shift
    weights = {"x": [0.3, 0.7, 0.9] if turn else [0.9, 0.7, 0.3], "z": [0.8, 0.8], "y": [0.8, 0.8, 0.8]}
    columns = {}
    for name, latent in (("x", x), ("z", z), ("y", y)):
        for i, l in enumerate(weights[name], 1):  # noqa: E741
            columns[f"{name}{i}"] = l * latent + np.sqrt(1 - l**2) * rng.normal(size=n)
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def two() -> tuple[pd.DataFrame, list[str]]:
    """X -> Y .1 in A, .7 in B; Z -> Y the same."""
    rng = np.random.default_rng(11)
    return pd.concat([market(250, 0.1, rng), market(200, 0.7, rng)]), ["A"] * 250 + ["B"] * 200


@pytest.fixture(scope="module")
def compared(two):
    return compare_groups(*two, MODEL, draws=500, rng=1)


def test_estimates_are_those_of_separate_fits(two, compared):
    frame, labels = two
    for group in ("A", "B"):
        alone = pls(frame[np.array(labels) == group], MODEL)
        assert compared.estimates.loc[group, "estimate"].to_numpy() == pytest.approx(
            alone.paths["estimate"].to_numpy(), abs=1e-12
        )
    assert compared.sizes == {"A": 250, "B": 200}
    gap = compared.estimates.loc["A", "estimate"] - compared.estimates.loc["B", "estimate"]
    assert compared.differences.loc[("A", "B"), "estimate"].to_numpy() == pytest.approx(gap.to_numpy())


def test_a_known_difference_is_found_by_every_test_and_an_equal_path_by_none(compared):
    """The difference .6 is many standard errors; the equal path keeps its p above .001 (fixed seed)."""
    different, equal = compared.differences.loc[("A", "B", "X", "Y")], compared.differences.loc[("A", "B", "Z", "Y")]
    tests = ["p_permutation", "p_welch", "p_pooled", "p_bootstrap"]
    assert (different[tests].astype(float) < 0.01).all()
    assert (equal[tests].astype(float) > 0.001).all()
    assert different["verdict"] == "different"
    assert different["low"] < different["estimate"] < different["high"] < 0
    assert different["p_permutation"] == pytest.approx(1 / 501)
    assert "X -> Y: A against B" in str(compared)


def test_parametric_tests_follow_their_formulas(compared):
    """Keil's pooled and the Welch-Satterthwaite t from the bootstrap errors of the table."""
    n1, n2 = 250, 200
    for path in (("X", "Y"), ("Z", "Y")):
        row = compared.differences.loc[("A", "B", *path)]
        s1, s2 = (compared.estimates.loc[(g, *path), "se"] for g in ("A", "B"))
        t = row["estimate"] / np.sqrt(s1**2 + s2**2)
        df = (s1**2 + s2**2) ** 2 / (s1**4 / (n1 - 1) + s2**4 / (n2 - 1))
        assert [row["t"], row["df"]] == pytest.approx([t, df])
        assert row["p_welch"] == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-9)
        spread = np.sqrt(((n1 - 1) ** 2 * s1**2 + (n2 - 1) ** 2 * s2**2) / (n1 + n2 - 2))
        pooled = row["estimate"] / (spread * np.sqrt(1 / n1 + 1 / n2))
        assert row["p_pooled"] == pytest.approx(2 * stats.t.sf(abs(pooled), n1 + n2 - 2), rel=1e-9)


def test_henselers_share_counts_all_pairs():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (30, 2)).astype(float), rng.integers(0, 5, (20, 2)).astype(float)
    a[3, 0] = np.nan
    found = pairwise_share(a, b)
    for k in range(2):
        x, y = a[:, k][~np.isnan(a[:, k])], b[:, k]
        pairs = [np.sign(2 * x.mean() - i - 2 * y.mean() + j) / 2 + 0.5 for i, j in itertools.product(x, y)]
        assert found[k] == pytest.approx(np.mean(pairs))
    # Two normal distributions half a standard error apart each way: P = Phi(delta / sqrt(2)).
    many = pairwise_share(rng.normal(0.5, 1, (20_000, 1)), rng.normal(0, 1, (20_000, 1)))
    assert many[0] == pytest.approx(special.ndtr(0.5 / np.sqrt(2)), abs=4 * 0.5 / np.sqrt(20_000))


def test_the_same_people_twice_do_not_differ(two):
    frame, _ = two
    twice = pd.concat([frame, frame])
    labels = ["A"] * len(frame) + ["B"] * len(frame)
    rows = compare_groups(twice, labels, MODEL, draws=99, rng=1).differences
    assert rows["estimate"].abs().max() < 1e-12
    assert rows["p_permutation"].tolist() == [1.0, 1.0]
    assert rows["p_welch"].to_numpy() == pytest.approx([1.0, 1.0])
    found = micom(twice, labels, MODEL, draws=99, rng=1)
    assert found.table["c"].to_numpy() == pytest.approx(1.0, abs=1e-12)
    assert found.table[["mean", "log_var"]].abs().max().max() < 1e-12
    assert found.verdict == "full"


def test_shuffles_keep_the_whole_and_the_sizes(two):
    frame, labels = two
    sample = grouped_sample(frame, labels, list(MODEL.items), groups=None, design=None, weights=None, missing="raise")
    for g, group in enumerate(("A", "B")):
        moments = sample.moments_of(g)
        alone = Moments.from_frame(frame[np.array(labels) == group])[list(MODEL.items)]
        assert moments.cov == pytest.approx(alone.cov, abs=1e-12)
        assert moments.n == alone.n
    a, b = sample.shuffled(150, np.random.default_rng(3))
    assert (a.n == 250).all()
    assert a.shape == b.shape == (150,)
    whole = Moments.from_frame(frame)[list(MODEL.items)]
    assert (a + b).mean[7] == pytest.approx(whole.mean, abs=1e-12)
    assert len({tuple(row) for row in a.sums.round(9)}) == 150
    # Mean of shuffled means: the population is the sample, drawn without replacement.
    error = whole.sd * np.sqrt(200 / 450 / 250 / 150)
    assert (np.abs(a.mean.mean(axis=0) - whole.mean) < 4 * error).all()
    again = sample.shuffled(70, np.random.default_rng(3))[0]
    # Draw r is the same whatever follows, but for the order in which a shorter block is summed.
    assert again.sums == pytest.approx(a.sums[:70], abs=1e-10)


@pytest.mark.parametrize("missing", ["em", "mean"])
def test_groups_with_missing_answers_are_completed_each_from_its_own_rows(two, missing):
    """Estimates are those of separate fits, every shuffle is what completing its rows alone gives."""
    frame, labels = two
    holes = frame.mask(np.random.default_rng(4).random(frame.shape) < 0.04).reset_index(drop=True)
    holes.iloc[3] = np.nan
    found = compare_groups(holes, labels, MODEL, draws=40, rng=1, missing=missing)
    for group in ("A", "B"):
        alone = pls(holes[np.array(labels) == group], MODEL, missing=missing)
        assert found.estimates.loc[group, "estimate"].to_numpy() == pytest.approx(
            alone.paths["estimate"].to_numpy(), abs=1e-12
        )
    assert found.sizes == {"A": 249, "B": 200}
    assert found.notes[0] == "1 rows left out (no answer at all)"
    assert [note[:2] for note in found.notes[1:]] == ["A:", "B:"]
    assert "missing answers in" in found.notes[1]
    assert found.differences[["se", "p_permutation", "p_welch", "p_pooled", "p_bootstrap"]].notna().all(axis=None)
    sample = grouped_sample(
        holes, labels, list(MODEL.items), groups=None, design=None, weights=None, missing=missing
    ).pair(0, 1)
    first = sample.shuffled(3, np.random.default_rng(5))[0]
    child = np.random.default_rng(5).spawn(1)[0]
    place = child.permuted(np.tile(sample.label, (64, 1)), axis=1)[2]
    alone = completed_moments(holes.drop(index=3)[place == 0], list(MODEL.items), missing=missing)
    assert first.cov[2] == pytest.approx(alone.cov, abs=1e-5)
    assert first.mean[2] == pytest.approx(alone.mean, abs=1e-5)


@pytest.mark.parametrize("missing", ["em", "mean"])
def test_micom_takes_incomplete_answers(two, missing):
    """c, and the differences of means and variances, by their definitions from the completed moments."""
    frame, labels = two
    holes = frame.mask(np.random.default_rng(4).random(frame.shape) < 0.04).reset_index(drop=True)
    found = micom(holes, labels, MODEL, draws=40, rng=1, missing=missing)
    here = np.array(labels) == "A"
    a, b, whole = (pls(part, MODEL, missing=missing) for part in (holes[here], holes[~here], holes))
    block = [c for c, items in MODEL.constructs.items() for _ in items]
    for construct in MODEL.constructs:
        own = np.array(block) == construct
        r = whole.moments.corr[np.ix_(own, own)]
        u, v = a.solution.weights[own], b.solution.weights[own]
        c = u @ r @ v / np.sqrt(u @ r @ u * (v @ r @ v))
        assert found.table.loc[("A", "B", construct), "c"] == pytest.approx(c, abs=1e-7)
        w = whole.solution.weights[own] / whole.moments.sd[own]
        gap = (a.moments.mean - b.moments.mean)[own] @ w
        assert found.table.loc[("A", "B", construct), "mean"] == pytest.approx(gap, abs=1e-7)
    assert any("missing answers in" in note for note in found.notes)


def test_complete_answers_give_the_same_comparison_whatever_the_treatment(two):
    plain, completed = (compare_groups(*two, MODEL, draws=30, rng=1, missing=m) for m in ("listwise", "em"))
    pd.testing.assert_frame_equal(plain.differences, completed.differences)


def test_labels_in_a_series_go_by_its_index(two):
    """As weights do: the same labels in another order are the same labels."""
    frame, labels = two
    frame = frame.reset_index(drop=True)
    series = pd.Series(labels, index=frame.index)
    plain = compare_groups(frame, labels, MODEL, draws=20, rng=1)
    mixed = compare_groups(frame, series.sample(frac=1, random_state=1), MODEL, draws=20, rng=1)
    pd.testing.assert_frame_equal(plain.differences, mixed.differences)
    with pytest.raises(DataError, match="the labels are a Series with another index than the data"):
        compare_groups(frame, series.set_axis(frame.index + 1), MODEL, draws=20)


def test_p_values_of_random_halves_are_spread_evenly(mobi, ecsi):
    """Under the null p is uniform: over 24 splits the mean lies within .5 +- 4 x .289 / sqrt(24)."""
    rng = np.random.default_rng(8)
    ps, cs = [], []
    for _ in range(24):
        half = rng.permutation(np.arange(250) % 2)
        ps.append(compare_groups(mobi, half, ecsi, draws=39, rng=rng).differences["p_permutation"].iloc[7])
        cs.append(micom(mobi, half, ecsi, draws=39, rng=rng).table["p_c"].iloc[2])
    for values in (ps, cs):
        assert abs(np.mean(values) - 0.5) < 4 * 0.289 / np.sqrt(24)


def test_any_number_of_groups_is_compared_in_pairs_and_at_once(mobi, ecsi):
    labels = np.random.default_rng(0).integers(0, 3, 250)
    found = compare_groups(mobi, labels, ecsi, draws=99, rng=1, what="loadings")
    assert len(found.differences) == 3 * 24
    assert list(found.omnibus.columns) == ["statistic", "p", "p_holm"]
    values = found.estimates["estimate"].unstack("group", sort=False)
    sizes = np.bincount(labels)
    centre = (values * sizes).sum(axis=1) / 250
    by_hand = ((values.sub(centre, axis=0) ** 2) * sizes).sum(axis=1) / 250
    assert found.omnibus["statistic"].to_numpy() == pytest.approx(
        by_hand.loc[found.omnibus.index].to_numpy(), abs=1e-12
    )
    # The loading of a single item is 1 in every group and every draw.
    single = found.differences.xs("CUSCO", level="item")
    assert single["p_permutation"].tolist() == [1.0] * 3
    assert single["p_welch"].isna().all()
    assert found.omnibus.loc[("Complaints", "CUSCO"), "p"] == 1.0


def test_too_few_draws_to_show_any_difference_are_said(mobi):
    """The smallest p of a permutation test is 1/(draws + 1); Holm multiplies it by the rows of the table."""
    model = PathModel({"Value": ["PERV1", "PERV2"], "Satisfaction": ["CUSA1", "CUSA2"]}, {"Satisfaction": "Value"})
    thirds = np.tile([0, 1, 2], 84)[:250]
    few = compare_groups(mobi, thirds, model, draws=50)
    assert "50 draws cannot show a difference: the smallest p, 1/51, times 3 rows (Holm) is not below 0.05" in str(few)
    assert "take draws=61 or more" in str(few)
    assert few.differences["p_permutation"].min() >= 1 / 51
    enough = compare_groups(mobi, thirds, model, draws=61)
    assert "cannot show" not in str(enough)


def test_the_omnibus_test_finds_one_group_that_differs():
    rng = np.random.default_rng(4)
    frame = pd.concat([market(150, slope, rng) for slope in (0.2, 0.2, 0.8)])
    found = compare_groups(frame, np.repeat(["A", "B", "C"], 150), MODEL, draws=199, rng=1)
    assert found.omnibus.loc[("X", "Y"), "p"] == pytest.approx(1 / 200)
    assert found.differences["verdict"].xs(("X", "Y"), level=("source", "target")).tolist() == [
        "no difference shown",
        "different",
        "different",
    ]


@pytest.mark.parametrize(
    ("what", "rows"), [("paths", 12), ("total effects", 21), ("loadings", 24), ("weights", 24), ("r2", 6)]
)
def test_every_quantity_can_be_compared(mobi, ecsi, what, rows):
    found = compare_groups(mobi, ["a", "b"] * 125, ecsi, draws=30, what=what)
    assert len(found.differences) == rows
    table = {
        "paths": "paths",
        "total effects": "total_effects",
        "loadings": "loadings",
        "weights": "weights",
        "r2": "r2",
    }
    alone = getattr(pls(mobi[::2], ecsi), table[what])["estimate"]
    ours = found.estimates["estimate"].xs("a", level="group")
    assert ours.to_numpy() == pytest.approx(alone.loc[ours.index].to_numpy(), abs=1e-12)


def test_the_reputation_survey_by_kind_of_service():
    """219 and 125 customers, eight with missing answers; each group is what its own rows give."""
    survey = csi.load_survey("reputation")
    found = compare_groups(survey, "servicetype", draws=200, rng=1)
    assert found.sizes == {"1": 124, "2": 212}
    assert "8 rows left out (missing answers)" in str(found)
    alone = pls(survey.frame[survey.frame["servicetype"] == "1"], survey.model)
    assert found.estimates["estimate"].xs("1", level="group").to_numpy() == pytest.approx(
        alone.paths["estimate"].to_numpy(), abs=1e-12
    )
    turned = compare_groups(survey, "servicetype", groups=["2", "1"], draws=20)
    assert turned.differences["estimate"].to_numpy() == pytest.approx(-found.differences["estimate"].to_numpy())
    steps = micom(survey, "servicetype", draws=200, rng=1)
    assert (steps.table["c"] <= 1 + 1e-12).all()
    assert steps.table.loc[("1", "2", "Satisfaction"), ["c", "p_c"]].tolist() == pytest.approx([1.0, 1.0])


def test_micom_quantities_follow_their_definitions(two):
    """c from scores of the pooled, standardised answers; means and variances of the pooled scores."""
    frame, labels = two
    labels = np.array(labels)
    found = micom(frame, labels, MODEL, draws=40, rng=1).table.loc[("A", "B")]
    z = (frame - frame.mean()) / frame.std()
    weights = {g: pls(frame[labels == g], MODEL).weights["estimate"] for g in ("A", "B")}
    pooled = pls(frame, MODEL)
    scores = pooled.scores(frame)
    for construct, items in MODEL.constructs.items():
        first, second = (z[list(items)] @ weights[g].loc[construct] for g in ("A", "B"))
        assert found.loc[construct, "c"] == pytest.approx(first.corr(second), abs=1e-10)
        a, b = scores[construct][labels == "A"], scores[construct][labels == "B"]
        assert found.loc[construct, "mean"] == pytest.approx(a.mean() - b.mean(), abs=1e-10)
        assert found.loc[construct, "log_var"] == pytest.approx(np.log(a.var() / b.var()), abs=1e-10)


def test_micom_tells_full_partial_and_none_apart():
    """A shift of the mean of Y leaves partial invariance of Y; other items measuring X leaves none of X."""
    rng = np.random.default_rng(21)
    frame = pd.concat([market(300, 0.5, rng), market(300, 0.5, rng, shift=0.8)])
    labels = np.repeat(["A", "B"], 300)
    shifted = micom(frame, labels, MODEL, draws=199, rng=1)
    assert shifted.table.loc[("A", "B", "Y"), "verdict"] == "partial"
    assert shifted.table.loc[("A", "B", "Y"), "p_mean"] == pytest.approx(2 / 200)
    assert shifted.verdict in ("partial", "none")
    turned = pd.concat([market(300, 0.5, rng), market(300, 0.5, rng, turn=True)])
    found = micom(turned, labels, MODEL, draws=199, rng=1)
    assert found.table.loc[("A", "B", "X"), "verdict"] == "none"
    assert found.verdict == "none"
    assert str(found).startswith("MICOM: no measurement invariance")


def test_weights_are_used_and_go_with_their_rows(two):
    frame, labels = two
    w = np.random.default_rng(1).integers(1, 4, len(frame))
    found = compare_groups(frame.assign(w=w), labels, MODEL, weights="w", draws=40)
    alone = pls(frame[:250], MODEL, weights=w[:250])
    assert found.estimates.loc["A", "estimate"].to_numpy() == pytest.approx(
        alone.paths["estimate"].to_numpy(), abs=1e-10
    )
    assert np.isfinite(found.differences["p_permutation"]).all()
    assert len(micom(frame, labels, MODEL, weights=w, draws=40).table) == 3


def test_draws_without_a_solution_are_counted_with_the_item_that_did_not_vary(two):
    """One answer of x1 differs: half of the shuffles and a third of the replicates lose it in one of the groups."""
    frame, labels = two
    frame = frame.reset_index(drop=True)
    frame["x1"] = 5.0
    frame.loc[[0, 300], "x1"] = 6.0
    for found, what in (
        (compare_groups(frame, labels, MODEL, draws=60, rng=1), "replicates or shuffles"),
        (micom(frame, labels, MODEL, draws=60, rng=1), "shuffles"),
    ):
        assert 10 < found.failed < 180
        assert f"{found.failed} {what} without a solution left out; constant items: x1 in {found.failed}" in str(found)
    assert found.failed == pytest.approx(60 * (250 * 249 + 200 * 199) / (450 * 449), abs=4 * np.sqrt(60 / 4))


def test_strata_and_clusters_leave_welchs_test_alone(two):
    frame, _ = two
    clustered = frame.assign(town=np.arange(450) // 15).reset_index(drop=True)
    labels, design = ["A", "B"] * 225, Design(psu="town")
    found = compare_groups(clustered, labels, MODEL, design=design, draws=100, rng=1)
    assert found.test == "welch"
    assert found.differences[["p_permutation", "p_pooled", "p_bootstrap"]].isna().all(axis=None)
    row = found.differences.loc[("A", "B", "X", "Y")]
    assert row["df"] == 29
    assert row["p_welch"] == pytest.approx(2 * stats.t.sf(abs(row["estimate"] / row["se"]), 29))
    assert "does not let rows be shuffled" in str(found)
    with pytest.raises(SpecError, match="test='welch'"):
        compare_groups(clustered, labels, MODEL, design=design, test="permutation")


def test_groups_of_one_cluster_sample_share_its_replicates(two):
    """Twin rows in the same towns, one in each group: every replicate gives both the same estimates."""
    frame, _ = two
    twins = (
        frame.iloc[np.repeat(np.arange(450), 2)].assign(town=np.repeat(np.arange(450) // 15, 2)).reset_index(drop=True)
    )
    found = compare_groups(twins, ["A", "B"] * 450, MODEL, design=Design(psu="town"), draws=50, rng=1)
    assert found.differences["se"].max() < 1e-10
    assert found.estimates["se"].min() > 0.01


@pytest.mark.parametrize(
    ("change", "labels", "error", "message"),
    [
        ({}, ["a"] * 250, DataError, "two or more"),
        ({}, [1] * 250, DataError, r"two or more different groups, got \['1'\]"),
        ({}, ["a", "b"], DataError, "2 group labels for 250 rows"),
        ({}, "segment", DataError, "the column 'segment'"),
        ({}, range(250), DataError, "250 groups"),
        ({}, ["a"] * 247 + ["b"] * 3, EstimationError, "group 'b'.*3 complete rows"),
        (
            {"CUSCO": [5] * 125 + [1, 2, 3, 4, 5] * 25},
            [0] * 125 + [1] * 125,
            EstimationError,
            r"group '0'.*\['CUSCO'\]",
        ),
        ({"CUSCO": "x"}, ["a", "b"] * 125, DataError, "'CUSCO' holds text"),
        ({"CUSCO": np.nan}, ["a", "b"] * 125, DataError, r"without any answer: \['CUSCO'\]"),
        ({"CUSCO": [np.nan, 1] * 125}, ["a", "b"] * 125, DataError, r"without a complete row: \['a'\]"),
    ],
)
@pytest.mark.parametrize("function", [compare_groups, micom])
def test_groups_that_cannot_be_compared_are_refused(mobi, ecsi, function, change, labels, error, message):
    with pytest.raises(error, match=message):
        function(mobi.assign(**change), labels, ecsi)


def test_settings_that_make_no_sense_are_refused(mobi, ecsi):
    halves = ["a", "b"] * 125
    for settings, message in (
        ({"what": "path"}, "what='path'"),
        ({"test": "keil"}, "test='keil'"),
        ({"alpha": 5}, "alpha=5"),
        ({"draws": 2}, "draws=2"),
    ):
        with pytest.raises(SpecError, match=message):
            compare_groups(mobi, halves, ecsi, **settings)
    with pytest.raises(SpecError, match="no model"):
        compare_groups(mobi, halves)
    with pytest.raises(SpecError, match="no model"):
        micom(mobi, halves)
    with pytest.raises(DataError, match="no rows to divide"):
        compare_groups(Moments.from_frame(mobi), halves, ecsi)
    with pytest.raises(DataError, match=r"without a row: \['c'\]"):
        compare_groups(mobi, halves, ecsi, groups=["a", "c"])


def test_a_small_group_warns_with_its_name_and_rows_without_a_label_are_counted(mobi, ecsi):
    with pytest.warns(CsiLabWarning, match="group 'b': 30 rows for 4 arrows"):
        compare_groups(mobi, ["a"] * 220 + ["b"] * 30, ecsi, draws=20)
    found = compare_groups(mobi, ["a", "b", None, "a", "b"] * 50, ecsi, draws=20)
    assert "50 rows left out (in none of the groups)" in str(found)
    assert found.sizes == {"a": 100, "b": 100}


def test_micom_refuses_designs_whose_rows_cannot_be_shuffled(mobi, ecsi):
    class Clustered:
        frame = mobi.assign(town=np.arange(250) // 10)
        design = Design(psu="town")
        model = ecsi

    with pytest.raises(EstimationError, match="shuffles rows"):
        micom(Clustered(), ["a", "b"] * 125)


def test_a_seed_repeats_the_result(two):
    a, b = (compare_groups(*two, MODEL, draws=50, rng=3) for _ in range(2))
    assert a.differences.equals(b.differences)
    c, d = (micom(*two, MODEL, draws=50, rng=3) for _ in range(2))
    assert c.table.equals(d.table)


def test_results_have_their_faces(two, compared):
    frame, labels = two
    steps = micom(frame, ["<b>" + g for g in labels], MODEL, draws=20)
    assert "<b>" not in steps._repr_html_()
    for result in (compared, steps):
        assert len(result.to_frame())
        assert "<table" in result._repr_html_()
    assert "difference of paths" in compared.plot().get_xlabel()
