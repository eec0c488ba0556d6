"""A study read in a stream gives the numbers of the study read into memory, and writes scores that are complete."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_studies import answers, write_study

import csi_lab as csi
from csi_lab import DataError, SpecError
from csi_lab.course.runner import requested_report
from csi_lab.scaleout import Recode, index_by_segment, open_survey, scan, write_scores
from csi_lab.scaleout.scores import DRAFT, SUCCESS
from csi_lab.scaleout.survey import recodes_of

ITEMS = [f"q{i}" for i in range(1, 11)]


def odd_answers(n: int = 3000) -> pd.DataFrame:
    """Empty cells, missing codes, answers outside the scale, a reversed item, weights, units and a segment."""
    rng = np.random.default_rng(7)
    frame = answers(n)
    frame["q2"] = 11 - frame["q2"]
    frame = frame.mask(rng.random(frame.shape) < 0.02).mask(rng.random(frame.shape) < 0.01, 99)
    frame = frame.mask(rng.random(frame.shape) < 0.002, 14)
    town = rng.integers(0, 20, n)
    weight = rng.gamma(2, size=n) * (rng.random(n) > 0.01)
    labels = {
        "id": np.arange(n),
        "w": weight,
        "town": town,
        "region": town % 2,
        "wave": rng.choice(["2023", "2024"], n),
    }
    return frame.astype("Int16").assign(**labels)


STATED = {
    "missing_codes": [99],
    "checks": {"outside_scale": "missing"},
    "design": {"weights": "w", "strata": "region", "psu": "town"},
    "segments": ["wave"],
    "constructs": {
        "Image": {"items": {"q1": "", "q2": {"reversed": True}}},
        "Quality": ["q3", "q4", "q5"],
        "Satisfaction": ["q6", "q7", "q8"],
        "Loyalty": ["q9", "q10"],
    },
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The same study, its answers in one file and in a folder of files."""
    place, frame = tmp_path_factory.mktemp("studies"), odd_answers()
    one, many = write_study(place / "one", frame, **STATED), place / "many"
    write_study(many, frame, **(STATED | {"data": {"file": "answers/"}}))
    for wave, part in frame.groupby("wave"):
        folder = many / "answers" / f"wave={wave}"
        folder.mkdir(parents=True)
        pq.write_table(
            pa.Table.from_pandas(part.drop(columns="wave"), preserve_index=False),
            folder / "part.parquet",
            row_group_size=400,
        )
    return csi.load_survey(one), open_survey(many)


def test_a_folder_of_parquet_gives_the_description_of_the_file(pair):
    loaded, streamed = (survey.to_frame() for survey in pair)
    assert list(loaded.columns) == list(streamed.columns)[: loaded.shape[1]]
    pd.testing.assert_frame_equal(loaded, streamed[list(loaded.columns)], rtol=1e-12)


def test_medians_and_boxes_are_those_of_the_answers(tmp_path):
    frame = answers(801)
    table = open_survey(write_study(tmp_path, frame)).to_frame()
    assert table["median"].tolist() == frame.median().tolist()
    assert table["top_box"].tolist() == pytest.approx((frame >= 9).mean().tolist(), rel=1e-12)
    assert table["bottom_box"].tolist() == pytest.approx((frame <= 2).mean().tolist(), rel=1e-12)


def test_moments_agree_for_all_items_for_constructs_and_for_any_others(pair):
    loaded, streamed = pair
    for items in (None, *loaded.constructs.values(), ["q1", "q10"]):
        a, b = loaded.moments(items), streamed.moments(items)
        assert (a.names, a.n, a.dropped) == (b.names, b.n, b.dropped)
        np.testing.assert_allclose(a.cov, b.cov, rtol=1e-12)
        np.testing.assert_allclose(a.mean, b.mean, rtol=1e-12)
    for missing in ("em", "mean"):
        np.testing.assert_allclose(
            loaded.moments(missing=missing).cov, streamed.moments(missing=missing).cov, rtol=1e-9
        )


def test_reliability_validity_model_and_index_agree_with_their_intervals(pair):
    """The same units are drawn by the same seed, so that the intervals agree and not only the estimates."""
    tables = []
    for survey in pair:
        fit = csi.sem.pls(survey, tolerance=1e-12).bootstrap(draws=60, rng=4)
        index = csi.index.from_fit(fit, survey.bounds, target="Satisfaction")
        tables.append(
            [
                csi.reliability.alpha_table(survey, survey.constructs, draws=60, rng=4),
                fit.paths,
                fit.loadings,
                fit.htmt,
                csi.validity.convergent_validity(fit).to_frame().select_dtypes(float),
                index.table,
                csi.index.from_items(survey, survey.constructs, survey.bounds, draws=60, rng=4).table,
                csi.index.compare(survey, survey.bounds, tolerance=1e-12),
            ]
        )
    for loaded, streamed in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(loaded, streamed, rtol=1e-8, check_dtype=False)


def test_the_index_by_wave_agrees_with_the_index_of_its_respondents(pair):
    loaded, streamed = pair
    fit = csi.sem.pls(streamed)
    weights = csi.index.from_fit(fit, streamed.bounds, target="Satisfaction").weights.loc["Satisfaction", "estimate"]
    wanted = csi.index.by_group(loaded, loaded.frame["wave"], weights, loaded.bounds)
    found = index_by_segment(streamed, "wave", weights, streamed.bounds, draws=200, rng=1)
    assert found["estimate"].to_numpy() == pytest.approx(wanted["estimate"].to_numpy(), rel=1e-12)
    assert found["n"].tolist() == wanted["n"].tolist()
    assert ((found["low"] < found["estimate"]) & (found["estimate"] < found["high"]) & (found["se"] > 0)).all()
    with pytest.raises(SpecError, match="kept no sums by 'region'"):
        index_by_segment(streamed, "region", weights, streamed.bounds)
    with pytest.raises(SpecError, match=r"got DataFrame; for rows in memory use csi_lab\.index\.by_group"):
        index_by_segment(loaded.frame, "wave", weights, streamed.bounds)
    for wrong, words in (({"q6": "much"}, r"no finite numbers: \['q6'\]"), (5, "must map items to numbers")):
        with pytest.raises(SpecError, match=words):
            index_by_segment(streamed, "wave", wrong, streamed.bounds)


@pytest.mark.parametrize(
    "design", [csi.Design(), csi.Design(weights="w"), csi.Design(weights="w", psu="town")], ids=str
)
@pytest.mark.parametrize(("answer", "index"), [(10, 100), (1, 0)])
def test_a_segment_in_which_all_answers_are_the_best_or_the_worst_has_an_end_of_the_scale_as_index(
    design, answer, index
):
    """Rounding takes means of weighted sums a last bit beyond the scale, which is no wrong scale."""
    rng = np.random.default_rng(1)
    frame = answers(600).assign(shop=np.arange(600) % 20, town=np.arange(600) % 7, w=rng.gamma(2, size=600))
    frame.loc[frame["shop"] == 3, ITEMS] = answer
    found = scan(frame, ITEMS, design=design, by=["shop"])
    table = index_by_segment(found, "shop", dict.fromkeys(ITEMS, 1.0), (1, 10), draws=100)
    assert table.loc["3", ["estimate", "low", "high"]].to_numpy(float) == pytest.approx(index, abs=1e-9)
    assert table.loc["3", "se"] == pytest.approx(0, abs=1e-9)
    assert (table["se"].drop("3") > 0.1).all()


def test_every_treatment_is_counted_in_the_notes_as_in_memory(pair):
    loaded, streamed = (" ".join(survey.notes) for survey in pair)
    for said in ("Empty cells: ", "Missing codes became missing: ", "Reversed items were recoded", "weight zero"):
        [sentence] = [note for note in pair[0].notes if said in note]
        assert sentence in streamed
    total = "Values outside the scale became missing (checks: outside_scale: missing), "
    assert loaded.split(total)[1].split(" ")[0] == streamed.split(total)[1].split(" ")[0]
    assert "Ids in 'id'" not in streamed
    assert "PLSpredict" in streamed


def test_what_needs_rows_says_so_in_one_sentence(pair):
    _, streamed = pair
    fit = csi.sem.pls(streamed)
    for asked in (
        lambda: streamed.frame,
        lambda: fit.scores(streamed),
        lambda: csi.index.respondent_index(streamed, {"q1": 1.0}, streamed.bounds),
        lambda: csi.index.by_group(streamed, "wave", {"q1": 1.0}, streamed.bounds),
        lambda: csi.sem.cbsem(streamed, streamed.model),
        lambda: csi.polychoric.polychoric(streamed),
        lambda: csi.reliability.item_analysis(streamed, streamed.constructs["Quality"]),
        lambda: csi.Moments.from_frame(streamed),
    ):
        with pytest.raises(DataError, match=r"has no frame of rows.*scaleout\.write_scores"):
            asked()
    assert not hasattr(streamed, "frame")
    with pytest.raises(SpecError, match="replicates with missing='em' are not offered in a stream"):
        csi.sem.pls(streamed, missing="em").bootstrap(draws=20)
    with pytest.raises(SpecError, match="brings its own design and has no rows"):
        csi.replicates(streamed, csi.Design())
    with pytest.raises(DataError, match=r"not items of the study 'made': \['q11'\]"):
        streamed.moments(["q11"])
    with pytest.raises(DataError, match="missing answers"):
        streamed.moments(missing="raise")


def test_notes_count_rows_without_a_label_and_leave_rows_of_weight_zero_out_of_both_counts(tmp_path):
    frame = answers(200).astype("Int16")
    frame.loc[:9, "q1"] = pd.NA
    group, weight = np.array(["a", "b"] * 100, dtype=object), np.ones(200)
    group[[20, 30, 40]], weight[195:] = ["", "  ", None], 0
    study = write_study(
        tmp_path / "s",
        frame.assign(g=group, w=weight),
        design={"weights": "w"},
        segments=["g"],
        constructs={"Image": ["q1", "q2"], "Satisfaction": ["q3", "q4"]},
        paths=None,
    )
    loaded, streamed = csi.load_survey(study), open_survey(study)
    assert "185 of 195 rows with a weight above zero answer every item." in loaded.notes
    assert "185 of 195 rows with a weight above zero answer every item." in streamed.notes
    assert "Rows without a label in segment 'g': 3." in loaded.notes
    assert "Rows without a label in segment 'g', the group '(no group)': 3 complete ones." in streamed.notes


def test_what_the_study_file_alone_tells_is_noted_as_in_memory(tmp_path):
    study = write_study(
        tmp_path / "s",
        answers(200),
        constructs={
            "Image": {"items": {"q1": {"missing_codes": [9]}, "q2": ""}},
            "Satisfaction": ["q3", "q4"],
            "Loyalty": ["q5", "q6"],
        },
        paths={"Loyalty": ["Image"]},
    )
    said = [n for n in csi.load_survey(study).notes if "inside the scale" in n or "left out of" in n or "target" in n]
    assert len(said) == 3
    assert [note for note in open_survey(study).notes if note in said] == said


def test_a_survey_in_which_nobody_is_asked_everything_is_completed_as_in_memory(tmp_path):
    """Planned missing answers: each third of the sample gets all questions but one."""
    frame = answers(400).astype("Int8")
    for third, item in enumerate(["q1", "q6", "q10"]):
        frame.loc[third::3, item] = pd.NA
    study = write_study(tmp_path / "s", frame)
    loaded, streamed = csi.load_survey(study), open_survey(study)
    for survey in (loaded, streamed):
        with pytest.raises(DataError, match="no row of 400 has answers to all 10 items"):
            survey.moments()
    for wanted, found in (
        (loaded.moments(missing="em"), streamed.moments(missing="em")),
        (loaded.moments(loaded.constructs["Quality"]), streamed.moments(loaded.constructs["Quality"])),
    ):
        np.testing.assert_allclose(found.cov, wanted.cov, rtol=1e-9)
    assert "0 of 400 rows answer every item." in streamed.notes
    assert "intervals from nothing" in str(streamed)


def test_boxes_that_would_hold_every_answer_are_none(tmp_path):
    frame = answers(200)
    frame["q1"] = (frame["q1"] > 5).astype(int)
    study = write_study(
        tmp_path / "s",
        frame,
        constructs={"Image": {"items": {"q1": {"low": 0, "high": 1}, "q2": ""}}, "Satisfaction": ["q3", "q4"]},
        paths=None,
    )
    survey = open_survey(study)
    table = survey.to_frame()
    assert table.loc["q1", ["bottom_box", "top_box"]].isna().all()
    assert table.loc["q2", "top_box"] == pytest.approx((frame["q2"] > 8).mean())
    assert survey.to_frame(boxes=1).loc["q1", "top_box"] == pytest.approx(frame["q1"].mean())
    for boxes in (0, 1.5, "a", True):
        with pytest.raises(SpecError, match="a whole number of answers from 1"):
            survey.to_frame(boxes=boxes)


def test_population_sizes_without_weights_are_noted_as_in_memory(tmp_path):
    frame = answers(200).assign(town=np.arange(200) % 10, N=50)
    study = write_study(tmp_path / "s", frame, design={"psu": "town", "population": "N"})
    [note] = [n for n in csi.load_survey(study).notes if "no weights" in n]
    assert note in open_survey(study).notes


def test_a_study_that_asks_for_what_a_stream_cannot_do_is_refused_at_once(tmp_path):
    asked = {
        "scale": {"low": 1, "high": 10, "labels": {"best": 10}},
        "checks": {"duplicate_id": "first"},
        "design": {"id": "id"},
    }
    folder = write_study(tmp_path, answers(50).assign(id=range(50)), **asked)
    with pytest.raises(SpecError) as caught:
        open_survey(folder)
    assert len(caught.value.problems) == 2


def test_answers_that_do_not_fit_are_refused_as_in_memory(tmp_path):
    frame = answers(60)
    cases = {
        "answers outside 1 to 10": frame.assign(q3=12),
        "items that do not vary: q3": frame.assign(q3=7),
        r"columns not in answers.csv: \['q3'\]": frame.drop(columns="q3"),
        "items without any valid answer: q3": frame.assign(q3=np.nan),
    }
    for i, (words, bad) in enumerate(cases.items()):
        with pytest.raises(DataError, match=words):
            open_survey(write_study(tmp_path / str(i), bad))
    with pytest.raises(DataError, match=r"no such file or folder.*correct `data: file`"):
        open_survey(write_study(tmp_path / "x", frame, data={"file": "nowhere/"}))


def test_loading_a_folder_into_memory_names_the_stream(tmp_path):
    folder = write_study(tmp_path, answers(60), data={"file": "answers/"})
    (folder / "answers").mkdir()
    answers(60).to_parquet(folder / "answers" / "a.parquet")
    with pytest.raises(DataError, match=r"scaleout\.open_survey.*--engine local"):
        csi.load_survey(folder)
    assert open_survey(folder).scan.rows == 60


def test_scores_and_index_are_those_of_the_rows_in_their_order(pair, tmp_path):
    loaded, streamed = pair
    fit = csi.sem.pls(streamed)
    weights = csi.index.from_fit(fit, streamed.bounds, target="Satisfaction").weights.loc["Satisfaction", "estimate"]
    written = write_scores(streamed, fit, tmp_path / "scores", index=weights, keep=["id", "wave"])
    assert sorted(p.relative_to(tmp_path / "scores").as_posix() for p in (tmp_path / "scores").rglob("*.parquet")) == [
        "wave=2023/part.parquet",
        "wave=2024/part.parquet",
    ]
    # The wave stays in the names of the folders, or the folder could not be read back as one table.
    made = pd.read_parquet(tmp_path / "scores").astype({"wave": str})
    wanted = fit.scores(loaded.frame).assign(
        index=csi.index.respondent_index(loaded.frame, weights, loaded.bounds), wave=loaded.frame["wave"]
    )
    for wave, part in wanted.groupby("wave"):
        own = made[made["wave"] == wave]
        assert own["id"].is_monotonic_increasing  # the order of the rows in the file
        np.testing.assert_allclose(
            own[part.columns[:-1]].to_numpy(float), part.drop(columns="wave"), rtol=1e-9, atol=1e-12
        )
    assert written.rows == len(loaded.frame)
    assert written.without == int(wanted[list(loaded.constructs)].isna().any(axis=1).sum())


def test_scores_written_with_a_column_of_the_folders_are_a_source_again(pair, tmp_path):
    loaded, streamed = pair
    fit = csi.sem.pls(streamed)
    write_scores(streamed, fit, tmp_path / "scores", keep=["wave", "w"])
    again = scan(tmp_path / "scores", ["Image", "Loyalty"], by=["wave"], design=csi.Design(weights="w"))
    wanted = fit.scores(loaded.frame)[["Image", "Loyalty"]].assign(w=loaded.frame["w"])
    for wave, part in again.segments("wave").items():
        own = csi.Moments.from_frame(wanted[loaded.frame["wave"] == wave], weights="w")
        np.testing.assert_allclose(part.cov, own.cov, rtol=1e-9)
    # Files of a pattern leave their folders, and keep the column.
    files = sorted(str(file) for file in streamed.source)
    flat = write_scores(files, fit, tmp_path / "flat", keep=["wave"], items=recodes_of(streamed.study))
    assert pq.read_schema(tmp_path / "flat" / flat.files[0]).names[0] == "wave"


def test_an_index_of_answers_outside_the_bounds_is_refused_as_in_memory(tmp_path):
    frame = answers(300)
    fit = csi.sem.pls(frame, csi.PathModel({"A": ["q1", "q2"], "B": ["q3", "q4"]}, {"B": ["A"]}))
    odd = frame.copy()
    odd.loc[7, "q3"] = 99
    with pytest.raises(csi.EstimationError, match="q3: 1 answers outside 1 to 10"):
        csi.index.respondent_index(odd, {"q3": 1.0}, (1, 10))
    with pytest.raises(DataError, match="q3: answers from 3 to 99 outside the bounds of the index, 1 to 10"):
        write_scores(odd, fit, tmp_path / "s", index={"q3": 1.0}, bounds=(1, 10))
    assert not list(tmp_path.iterdir())
    write_scores(odd, fit, tmp_path / "s", index={"q1": 1.0}, bounds=(1, 10))
    declared = dict.fromkeys(frame.columns, Recode(1, 10)) | {"q3": Recode(1, 10, (99,))}
    written = write_scores(odd, fit, tmp_path / "t", index={"q3": 1.0}, bounds=(1, 10), items=declared)
    assert written.without == 1
    assert pd.read_parquet(tmp_path / "t")["index"].isna().sum() == 1
    empty = odd.assign(q3=pd.array([pd.NA] * 300, "Int8"))
    assert write_scores(empty, fit, tmp_path / "u", index={"q3": 1.0}, bounds=(1, 10)).without == 300


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"keep": 5}, "keep=5: names of columns"),
        ({"items": {"q1": 5}}, "items without a meaning"),
        ({"out": None}, "out=None: name a new folder"),
    ],
)
def test_settings_of_scores_of_the_wrong_kind_are_refused_by_name(given, words, tmp_path):
    frame = answers(100)
    fit = csi.sem.pls(frame, csi.PathModel({"A": ["q1", "q2"], "B": ["q3", "q4"]}, {"B": ["A"]}))
    with pytest.raises(SpecError, match=words):
        write_scores(frame, fit, **({"out": tmp_path / "s"} | given))


def test_scores_are_not_written_into_the_folder_of_the_answers(tmp_path):
    """The next pass over the folder would take them for answers."""
    frame = answers(100)
    (tmp_path / "a").mkdir()
    frame.to_parquet(tmp_path / "a" / "a.parquet")
    fit = csi.sem.pls(frame, csi.PathModel({"A": ["q1", "q2"], "B": ["q3", "q4"]}, {"B": ["A"]}))
    with pytest.raises(SpecError, match="lies in the folder of the answers"):
        write_scores(tmp_path / "a", fit, tmp_path / "a" / "scores", keep=list(frame.columns))


def test_scores_go_into_a_new_folder_or_nowhere(tmp_path):
    frame = answers(300)
    frame[:150].to_parquet(tmp_path / "a.parquet")
    frame[150:].assign(q5=50.0).to_parquet(tmp_path / "b.parquet")
    model = csi.PathModel({"A": ITEMS[:3], "B": ITEMS[3:6]}, {"B": ["A"]})
    fit = csi.sem.pls(frame, model)
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    bounded = dict.fromkeys(ITEMS, Recode(1, 10))
    with pytest.raises(DataError, match=r"b\.parquet, row group 0: q5: 150 answers outside 1 to 10"):
        write_scores(files, fit, tmp_path / "out", items=bounded)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]
    with pytest.raises(SpecError, match="scores need a PLS fit"):
        write_scores(files, model, tmp_path / "out")
    (tmp_path / "out").mkdir()
    for words, settings in {
        "must map items to numbers": {"out": tmp_path / "new", "index": 5, "bounds": (1, 10)},
        "out exists": {},
        "needs bounds=": {"out": tmp_path / "new", "index": {"q1": 1.0}},
        r"two meanings: \['A'\]": {"out": tmp_path / "new", "keep": ["A"]},
        "no meaning is given for the item 'q6'": {"out": tmp_path / "new", "items": dict.fromkeys(ITEMS[:5], Recode())},
    }.items():
        with pytest.raises(SpecError, match=words):
            write_scores(files, fit, **({"out": tmp_path / "out"} | settings))
    assert not (tmp_path / "new").exists()


def test_a_run_killed_in_the_middle_leaves_nothing_that_looks_complete(tmp_path):
    answers(2000).to_parquet(tmp_path / "a.parquet", row_group_size=100)
    program = (
        "import sys, time\n"
        "import csi_lab as csi\n"
        "from csi_lab.scaleout import moments, scores, write_scores\n"
        "model = csi.PathModel({'A': ['q1', 'q2'], 'B': ['q3', 'q4']}, {'B': ['A']})\n"
        "whole = scores._Formula.of\n"
        "def slow(self, batch, place):\n"
        "    print('working', flush=True)\n"
        "    time.sleep(0.2)\n"
        "    return whole(self, batch, place)\n"
        "scores._Formula.of = slow\n"
        "write_scores('a.parquet', csi.sem.pls(moments('a.parquet', model.items), model), 'scores')\n"
    )
    run = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "working\n"
    time.sleep(0.3)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    left = [p for p in tmp_path.rglob("*") if p.name != "a.parquet"]
    assert not (tmp_path / "scores").exists()
    assert all(p.relative_to(tmp_path).parts[0].startswith(DRAFT) for p in left)
    assert not any(p.name == SUCCESS or (p.suffix == ".parquet" and not p.name.startswith(".")) for p in left)


def test_a_report_of_a_folder_is_prepared_without_a_look_into_it_and_again_when_a_file_changed(tmp_path):
    folder = write_study(tmp_path, answers(60), data={"file": "answers/"})
    (folder / "answers").mkdir()
    file = folder / "answers" / "a.parquet"
    file.write_bytes(b"no parquet: nobody has looked")
    [first] = requested_report(folder, engine="local")
    assert first.path.stem == "report_large"
    assert requested_report(folder, engine="local")[0].inputs == first.inputs
    file.write_bytes(b"another content")
    assert requested_report(folder, engine="local")[0].inputs != first.inputs
    with pytest.raises(SpecError, match="language: 'fr' is none of the study"):
        requested_report(folder, engine="local", parameters={"language": "fr"})


def test_a_report_with_a_wrong_engine_is_refused():
    with pytest.raises(SpecError, match="use local or dask"):
        requested_report("mobile", engine="spark")
    with pytest.raises(SpecError, match="a scheduler belongs to the engine dask"):
        requested_report("mobile", engine="local", scheduler="tcp://here:1")
    with pytest.raises(SpecError, match="given twice: engine"):
        requested_report("mobile", engine="local", parameters={"engine": "dask"})
