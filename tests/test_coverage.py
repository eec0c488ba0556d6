"""The experiments behind docs/sampling.md: coverage of intervals, ways of drawing, weights; and the page itself."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import REFERENCE

from experiments import __main__ as command
from experiments import coverage, page, ways, weighting
from experiments.population import PATHS, QUANTITIES, TARGET, Population, population

ROOT = REFERENCE.parents[1]
TEXT = page.PAGE.read_text(encoding="utf-8")
INDEX, *_ = QUANTITIES
# Of a test that is run often: a band that truth leaves once in 100 times per comparison.
Z = 2.6


@pytest.fixture(scope="module")
def people() -> Population:
    return population()


@pytest.fixture(scope="module")
def few() -> Population:
    return population(customers=20_000)


def numbers(text: str) -> list[float]:
    return [float(x.replace(",", "")) for x in re.findall(r"[-+]?\d[\d,]*\.?\d*", text)]


def same_cells(shown: str, computed: str) -> bool:
    """Equal words, and numbers equal up to one unit of the last digit shown: another machine may round otherwise."""
    pattern = r"[-+]?\d+\.\d+"
    digits = [len(x.split(".")[1]) for x in re.findall(pattern, shown)]
    a, b = ([float(x) for x in re.findall(pattern, text)] for text in (shown, computed))
    words = [re.sub(pattern, "#", text) for text in (shown, computed)]
    return words[0] == words[1] and all(abs(x - y) <= 1.01 * 10.0**-d for x, y, d in zip(a, b, digits, strict=True))


def rows_of(name: str) -> dict[str, str]:
    """Lines of a table of the page by the name in their first cell."""
    lines = page.block(TEXT, name).splitlines()
    return {
        line.split("|")[1].strip(): line for line in lines if line.startswith("| ") and not line.startswith("| ---")
    }


def test_the_truth_is_the_census_value_of_the_same_estimator(people):
    """Stored beside the study, computed there by another way: operators added up."""
    stored = yaml.safe_load((ROOT / "data" / "broadband" / "truth.yaml").read_text(encoding="utf-8"))["census"]
    paths = [stored["paths_pls"][target][source] for source, target in PATHS]
    assert people.truth == pytest.approx([stored["index_pls"]["all"][TARGET], *paths], abs=6e-5)
    assert people.mean_index == pytest.approx(stored["index"][3]["all"]["SAT"], abs=6e-5)


def test_coverage_of_exact_intervals_is_the_level():
    rng = np.random.default_rng(3)
    samples = 4000
    index = pd.MultiIndex.from_product([range(samples), ["t"], QUANTITIES], names=["sample", "interval", "quantity"])
    truth = np.array([60.0, 0.3, 0.4])
    estimate = (truth + rng.normal(size=(samples, 3))).ravel()
    made = pd.DataFrame({"estimate": estimate, "se": 1.0, "low": estimate - 1.96, "high": estimate + 1.96}, index=index)
    found = coverage.coverage(made, truth)
    assert found["error"].to_numpy() == pytest.approx(np.sqrt(0.95 * 0.05 / samples), rel=0.2)
    assert np.abs(found["coverage"] - 0.95).max() < 4 * np.sqrt(0.95 * 0.05 / samples)
    assert found["se_ratio"].to_numpy() == pytest.approx(1, abs=4 / np.sqrt(2 * samples))
    assert np.abs(found["bias"]).max() < 4 / np.sqrt(samples)


@pytest.mark.parametrize("setting", coverage.SETTINGS[:3], ids=lambda s: s.name)
def test_a_sample_is_the_same_whatever_their_number(few, setting):
    one = coverage.intervals(few, setting, samples=1, draws=50, linearised=False)
    two = coverage.intervals(few, setting, samples=2, draws=50, linearised=False)
    pd.testing.assert_frame_equal(one.xs(0), two.xs(0))
    assert not np.allclose(two.xs(0)["estimate"], two.xs(1)["estimate"])


@pytest.mark.parametrize("setting", coverage.SETTINGS, ids=lambda s: s.name)
def test_samples_have_the_design_that_is_stated(people, setting):
    frame, design = setting.draw(people, setting.per_town, np.random.default_rng(1))
    units = frame.groupby([design.strata, *design.stages]).ngroups
    assert 8 * 2 <= units <= 72
    assert units >= 60
    assert len(frame) == 72 * setting.per_town
    weights = frame[design.weights]
    assert weights.sum() == pytest.approx(200_000, rel=1e-9)
    assert weights.max() > 2 * weights.min()


def test_linearised_and_replicate_errors_agree(people):
    """500 draws know a standard error to 1/sqrt(1000); 64 df leave second-order terms of about 1/64."""
    found = coverage.intervals(people, coverage.SETTINGS[0], samples=1)["se"].xs(0)
    assert found["design, linearised"].to_numpy() == pytest.approx(
        found[coverage.DESIGN_BASED].to_numpy(), rel=4 / np.sqrt(1000) + 2 / 64
    )


CHANCE = tuple(way for way in ways.WAYS if way.name not in ("quota", "convenience", "snowball", "judgement"))


@pytest.mark.parametrize("way", CHANCE, ids=lambda w: w.name)
def test_random_ways_have_weights_that_count_the_customers(people, way):
    """Exactly, but for towns drawn without regard to their size: there on average over the draws."""
    totals = [way.draw(people, ways.N, np.random.default_rng(i)).frame["weight"].sum() for i in range(4)]
    if way.name == "two-stage clusters":
        assert abs(np.mean(totals) - 200_000) < 4 * np.std(totals, ddof=1) / np.sqrt(4)
    else:
        assert totals == pytest.approx([200_000] * 4, rel=1e-9)


def test_one_draw_of_the_page_is_what_the_command_gives(people):
    """All ways but the snowball, whose network takes seconds: below, among the slow ones."""
    quick = tuple(way for way in ways.WAYS if way.name != "snowball")
    made = page.markdown(ways.one_as_text(ways.one_draw(people, quick))).splitlines()
    shown = rows_of("one draw")
    assert len(shown) == len(ways.WAYS) + 1
    for line in made[2:]:
        assert same_cells(shown[line.split("|")[1].strip()], line)
    assert numbers(page.block(TEXT, "truth"))[0] == pytest.approx(people.mean_index, abs=0.006)


def test_expected_biases_are_their_closed_forms(people):
    """Weighting by selection alone leaves cov(p, y) / mean(p); the true probabilities leave nothing."""
    p, y = weighting._true_response(people), people.frame["index"].to_numpy()
    found = weighting.expected(people) - people.mean_index
    assert found["base weights"] == pytest.approx(((p - p.mean()) * (y - y.mean())).mean() / p.mean(), rel=1e-9)
    assert found["true probabilities"] == pytest.approx(0, abs=1e-9)
    cells = people.frame.groupby(list(weighting.CELLS), observed=True).indices.values()
    within = sum(((p[c] - p[c].mean()) * (y[c] - y[c].mean())).sum() / p[c].mean() for c in cells) / len(y)
    assert found["non-response cells"] == pytest.approx(within, rel=1e-9)


def cells_of(name: str) -> dict[str, list[float]]:
    """Numbers of a table of the page, by the name in their first cell; words between them left out."""
    found = {}
    for key, line in rows_of(name).items():
        cells = [cell.strip() for cell in line.split("|")[2:-1]]
        found[key] = [x for cell in cells if re.match(r"[-+]?\d", cell) for x in numbers(cell.replace("±", " "))]
    return found


def test_words_about_ways_of_drawing_hold():
    """Chapter 1: who is biased, that clusters scatter more, that few unequal towns give too narrow an interval."""
    bias = {name: row[:2] for name, row in cells_of("many draws").items() if name != "way"}
    chance = {way.name for way in CHANCE}
    assert all((abs(b) < 3.5 * e) == (name in chance) for name, (b, e) in bias.items())
    sd = {name: row[2] for name, row in cells_of("many draws").items() if name != "way"}
    assert sd["judgement"] == 0
    assert sd["two-stage clusters"] > sd["clusters by size"] > 1.1 * sd["simple random"]
    # The standard deviation of 400 samples is known to 3.5 %.
    assert all(
        abs(sd[name] / sd["simple random"] - 1) < 0.1 for name in ("stratified, proportional", "stratified, Neyman")
    )
    held = {name: row[4] for name, row in cells_of("many draws").items() if name in chance}
    assert held.pop("two-stage clusters") < 90
    assert all(share > 92 for share in held.values())


def test_strata_explain_less_than_a_twentieth(people):
    groups = people.frame.groupby(list(ways.STRATA), observed=True)["index"]
    between = ((groups.mean() - people.mean_index) ** 2 * groups.size()).sum() / len(people.frame)
    assert 0 < between / people.frame["index"].var(ddof=0) < 1 / 20
    assert groups.std().max() < 1.2 * groups.std().min()


def test_words_about_weights_hold():
    """Chapter 2: base weights raise the bias, the register mends little of it, the true probabilities all of it."""
    expected = {name: row[0] for name, row in cells_of("weights").items() if name in weighting.STEPS}
    assert expected["base weights"] > expected["no weights"] > 1
    steps = [expected[name] for name in ("base weights", "non-response cells", "raked", "raked, with faults")]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] > 0.8 * steps[0]
    assert expected["true probabilities"] == 0
    held = {name: row[5] for name, row in cells_of("weights").items() if name in weighting.STEPS}
    assert all(share < 20 for name, share in held.items() if name != "true probabilities")
    assert held["true probabilities"] > 90


def test_words_about_refusals_hold():
    """All ways are biased upwards, the random sample most; ten times the sample leaves the bias."""
    rows = {name: row for name, row in cells_of("refusals").items() if name != "way"}
    for small, small_error, _, large, large_error, rmse in rows.values():
        assert large > 10 * large_error
        assert abs(small - large) < 3.5 * np.hypot(small_error, large_error)
        assert rmse < 1.1 * large
    assert rows["simple random"][3] == max(row[3] for row in rows.values())


def test_words_about_intervals_hold():
    """Chapter 3: intervals by the design cover; those that ignore it miss the index, and in D the path of the towns."""
    tables = dict(re.findall(r"\| (\w): interval \|.*\n((?:\|.*\n?)+)", page.block(TEXT, "coverage")))
    assert set(tables) == {setting.name for setting in coverage.SETTINGS}
    for name, text in tables.items():
        lines = {
            line.split("|")[1].strip(): numbers(line.replace("±", " ").split("|", 2)[2]) for line in text.splitlines()
        }
        ours, weights, nothing = (
            lines[key] for key in (coverage.DESIGN_BASED, coverage.WEIGHTS_ONLY, coverage.IGNORED)
        )
        for share, error in zip(ours[::2], ours[1::2], strict=True):
            assert 93 - 2 * error < share < 97 + 2 * error
        assert nothing[0] + 3 * nothing[1] < 93
        if name in "BD":
            assert weights[0] + 3 * weights[1] < 93
        if name == "D":
            assert weights[2] + 3 * weights[3] < 93
            assert nothing[2] + 3 * nothing[3] < 93
            assert weights[4] + 2 * weights[5] < 93


def test_settings_and_intervals_are_explained_on_the_page_as_in_the_code():
    shown = [line.removeprefix("* ").split(": ", 1) for line in page.block(TEXT, "settings").splitlines()]
    assert shown == [[s.name, f"{s.words}; {s.samples:,} samples."] for s in coverage.SETTINGS]
    shown = [line.removeprefix("* ").split(": ", 1) for line in page.block(TEXT, "intervals").splitlines()]
    assert shown == [[f"**{name}**", f"{words}."] for name, words in coverage.INTERVALS.items()]


def test_places_of_the_page_are_all_filled():
    names = re.findall(r"<!-- begin (.+?) -->", TEXT)
    assert len(names) == len(set(names))
    assert all(page.block(TEXT, name) for name in names)


def test_pictures_of_the_page_are_there():
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", TEXT)
    assert len(pictures) == 4
    assert all((page.PAGE.parent / name).read_bytes()[:4] == b"\x89PNG" for name in pictures)


@pytest.mark.parametrize("place", [0, 1])
def test_python_of_the_page_runs(place, capsys):
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(blocks) == 2
    exec(compile(blocks[place], f"docs/sampling.md, block {place}", "exec"), {})
    shown = capsys.readouterr().out
    assert ("two-stage sample" in shown and "95% CI" in shown, "PSUs in 'town'" in shown)[place]


def test_links_of_the_page_lead_to_its_headings():
    heads = re.findall(r"^#+ (.+)$", TEXT, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
    links = re.findall(r"\]\(#(.+?)\)", TEXT)
    assert len(links) == 3
    assert set(links) <= anchors


def test_a_place_that_the_page_lacks_is_named():
    with pytest.raises(ValueError, match="no place <!-- begin tables -->"):
        page.filled("<!-- begin table --> <!-- end table -->", "tables", "x")


def test_an_unknown_part_is_named_with_those_there_are():
    with pytest.raises(SystemExit, match=r"no parts are called wieghts; there are coverage, ways, weights"):
        command.main(["wieghts"])


def band(level: float, samples: int) -> float:
    return Z * np.sqrt(level * (1 - level) / samples)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "samples"), [("A", 200), ("B", 100)])
def test_design_based_intervals_cover_and_others_do_not(people, name, samples):
    """The target is 93-97 %; so few samples know a coverage to a few points, which the band allows for."""
    (setting,) = (s for s in coverage.SETTINGS if s.name == name)
    every = coverage.intervals(people, setting, samples=samples, draws=300, linearised=False)
    found = coverage.coverage(every, people.truth)
    ours = found.loc[coverage.DESIGN_BASED]
    assert (ours["coverage"] > 0.93 - band(0.93, samples)).all()
    assert (ours["coverage"] < 0.97 + band(0.97, samples)).all()
    assert ours["se_ratio"].to_numpy() == pytest.approx(1, abs=4 / np.sqrt(2 * samples) + 1 / 64)
    assert (ours["bias"].abs() < 4 / np.sqrt(samples)).all()
    nothing = found.loc[(coverage.IGNORED, INDEX)]
    assert nothing["coverage"] + Z * nothing["error"] < 0.93
    weights = found.loc[(coverage.WEIGHTS_ONLY, INDEX)]
    assert weights["se_ratio"] < ours.loc[INDEX, "se_ratio"]
    if name == "B":
        assert weights["coverage"] + Z * weights["error"] < 0.93


@pytest.mark.slow
def test_a_path_whose_ends_share_the_town_needs_the_design_too():
    """In a market whose towns differ much."""
    (setting,) = (s for s in coverage.SETTINGS if s.name == "D")
    there = setting.population()
    every = coverage.intervals(there, setting, samples=100, draws=300, linearised=False)
    found = coverage.coverage(every, there.truth).xs("path Image -> Quality", level="quantity")
    assert found.loc[coverage.DESIGN_BASED, "coverage"] > 0.93 - band(0.93, 100)
    for naive in (coverage.WEIGHTS_ONLY, coverage.IGNORED):
        assert found.loc[naive, "coverage"] + Z * found.loc[naive, "error"] < 0.93


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simple random", "clusters by size", "quota"])
def test_many_draws_of_the_page_are_what_the_command_gives(people, name):
    """Three of the rows; each depends on its own samples only."""
    only = tuple(way for way in ways.WAYS if way.name == name)
    table = ways.summary(ways.repeated(people, only), people.mean_index)
    (line,) = page.markdown(ways.summary_as_text(table)).splitlines()[2:]
    assert same_cells(rows_of("many draws")[name], line)


@pytest.mark.slow
def test_the_snowball_of_the_page_is_what_the_command_gives(people):
    only = tuple(way for way in ways.WAYS if way.name == "snowball")
    (line,) = page.markdown(ways.one_as_text(ways.one_draw(people, only))).splitlines()[2:]
    assert same_cells(rows_of("one draw")["snowball"], line)


@pytest.mark.slow
def test_estimates_tend_to_their_expected_values(people):
    table = weighting.summary(weighting.repeated(people, repeats=80), people.mean_index, weighting.expected(people))
    # Raking and cells estimate their factors, which adds a term of the order of 1/n to the bias.
    slack = 100 / (0.45 * weighting.ISSUED)
    assert ((table["bias"] - table["expected"]).abs() < 4 * table["bias_error"] + slack).all()
    assert (table.loc["base weights":"raked, with faults", "coverage"] < 0.5).all()


def test_visitors_of_outlets_are_met_at_their_rate(few):
    """Nobody who never visits, and among many draws the mean of the register weighted by visits to first order."""
    visits = few.frame["outlet_visits"]
    drawn = [ways.convenience(few, 200, np.random.default_rng(i)).frame for i in range(60)]
    assert all((sample["outlet_visits"] > 0).all() for sample in drawn)
    means = np.array([sample["index"].mean() for sample in drawn])
    expected = np.average(few.frame["index"], weights=visits)
    assert abs(means.mean() - expected) < 4 * means.std(ddof=1) / np.sqrt(60) + 0.2
