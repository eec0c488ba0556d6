"""Stored PLS fits: the way to JSON and back changes no bit, and foreign or damaged files are refused by name."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from conftest import ecsi_mobile

import csi_lab as csi
from csi_lab import CsiLabWarning, DataError, EstimationError, PathModel, SpecError
from csi_lab.moments import Moments
from csi_lab.resampling import replicates
from csi_lab.sem import load_fit, pls

SETTINGS = [
    {},
    {"scheme": "centroid", "scaled": False},
    {"consistent": True},
    {"weights": np.linspace(0.5, 2, 250)},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_way_there_and_back_changes_nothing(mobi, settings, tmp_path):
    model = ecsi_mobile({"Image": "B"})
    fit = pls(mobi, model, **settings)
    fit.to_json(tmp_path / "model.json")
    again = load_fit(tmp_path / "model.json")
    assert again.model == model
    assert str(again) == str(fit)
    new = mobi.sample(20, random_state=1).reset_index(drop=True) + 0.5
    assert again.scores(new).equals(fit.scores(new))
    for name in ("paths", "weights", "loadings", "r2", "total_effects", "reliability", "model_fit", "f2_reestimated"):
        assert getattr(again, name).equals(getattr(fit, name)), name
    assert again.to_json() == fit.to_json()


def test_covariances_designs_and_chinese_names_survive():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(80, 4)).cumsum(axis=1), columns=["质量1", "质量2", "满意1", "满意2"])
    frame["权重"] = rng.uniform(1, 2, 80)
    model = PathModel(
        {"质量": ["质量1", "质量2"], "满意": ["满意1", "满意2"]}, {"满意": "质量"}, covariances=[("质量1", "满意1")]
    )
    fit = pls(frame, model, weights="权重")
    text = fit.to_json()
    assert "质量1" in text
    again = load_fit(text)
    assert again.model == model
    assert again.model.covariances == (("质量1", "满意1"),)
    assert again.scores(frame).equals(fit.scores(frame))


def test_a_survey_fit_keeps_its_design_and_no_answers(mobi):
    survey = csi.load_survey("mobile")
    fit = pls(survey)
    stored = json.loads(fit.to_json())
    assert load_fit(fit.to_json()).design == survey.design
    assert stored["sample"]["n"] == 250
    # Means, sds and other numbers of the whole sample only: nothing has one entry per respondent.
    assert all(len(value) < 250 for value in stored["sample"].values() if isinstance(value, list | dict))


def test_means_sds_weights_and_paths_can_be_read_in_the_file(mobi, ecsi):
    fit = pls(mobi, ecsi)
    stored = json.loads(fit.to_json())
    assert stored["sample"]["mean"] == pytest.approx(mobi[list(ecsi.items)].mean().to_dict(), abs=1e-12)
    assert stored["sample"]["sd"] == pytest.approx(mobi[list(ecsi.items)].std().to_dict(), abs=1e-12)
    assert stored["solution"]["weights"] == fit.weights["estimate"].tolist()
    assert stored["solution"]["paths"][0][1] == fit.paths.loc[("Image", "Expectation"), "estimate"]


def test_a_loaded_fit_takes_replicates(mobi, ecsi):
    fit = pls(mobi, ecsi)
    made = replicates(mobi[list(ecsi.items)], draws=64, rng=1)
    again = load_fit(fit.to_json())
    assert again.bootstrap(replicates=made).paths.equals(fit.bootstrap(replicates=made).paths)
    with pytest.raises(EstimationError, match="no rows to draw"):
        again.bootstrap()


def test_how_missing_answers_were_treated_survives(mobi, ecsi):
    holes = mobi.astype(float)
    holes.loc[[3, 8], "CUSA1"] = np.nan
    for missing in ("mean", "em"):
        fit = pls(holes, ecsi, missing=missing)
        assert "2 missing answers in 2 rows" in str(load_fit(fit.to_json()))
        assert str(load_fit(fit.to_json())) == str(fit)


def test_a_fit_that_did_not_converge_still_says_so(mobi, ecsi):
    with pytest.warns(CsiLabWarning, match="NOT CONVERGED"):
        fit = pls(mobi, ecsi, max_iterations=2)
    assert str(load_fit(fit.to_json())).startswith("NOT CONVERGED after 2")


@pytest.fixture(scope="module")
def text(mobi, ecsi) -> str:
    return pls(mobi, ecsi).to_json()


def test_damaged_and_foreign_files_are_refused_by_name(text, tmp_path):
    cases = {
        "changed.json": (text.replace('"n": 250', '"n": 251'), "changed or damaged"),
        "cut.json": (text[:2000], "not JSON, or was cut off"),
        "foreign.json": ('{"weights": [1, 2]}', "not a stored PLS fit"),
        "list.json": ("[1, 2]", "not a stored PLS fit"),
        "later.json": (
            text.replace('"version": 1', '"version": 2'),
            "version 2 of the format; this csi_lab reads version 1",
        ),
        "deep.json": ('{"a":' + "[" * 100_000, "not JSON"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=rf"^{name} .*{message}"):
            load_fit(path)
    (tmp_path / "picture.json").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DataError, match=r"^picture.json is not a text file"):
        load_fit(tmp_path / "picture.json")
    with pytest.raises(DataError, match=r"^absent.json cannot be read"):
        load_fit(tmp_path / "absent.json")
    with pytest.raises(DataError, match="cannot be read"):
        load_fit(tmp_path)


def resealed(text: str, change) -> str:
    """The text with its content changed and a checksum that fits."""
    from csi_lab.sem.stored import _checksum

    stored = json.loads(text)
    change(stored)
    content = {k: v for k, v in stored.items() if k not in ("format", "version", "checksum")}
    return json.dumps({**stored, "checksum": _checksum(content)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["solution"]["weights"].pop(), r"weights has shape \(23,\), the model needs \(24,\)"),
        (lambda s: s["model"]["paths"].update(Image=["Loyalty"]), "circle"),
        (lambda s: s["settings"].update(scheme="mine"), "scheme 'mine' is unknown"),
        (lambda s: s["settings"].update(surprise=1), "surprise"),
        (lambda s: s.pop("sample"), "sample"),
        (lambda s: s.update(model=[1]), "does not hold a usable fit"),
    ],
)
def test_contents_that_contradict_themselves_are_refused(text, change, message):
    with pytest.raises(DataError, match=message):
        load_fit(resealed(text, change))


@pytest.mark.parametrize("source", [None, 3, b"{"])
def test_what_is_no_path_is_refused(source):
    with pytest.raises(DataError, match=f"need the path of a stored fit or its text, got {type(source).__name__}"):
        load_fit(source)


def test_a_file_that_cannot_be_written_is_named(mobi, ecsi, tmp_path):
    fit = pls(mobi, ecsi)
    with pytest.raises(DataError, match=r"fit.json cannot be written: .*; does its folder exist\?"):
        fit.to_json(tmp_path / "absent" / "fit.json")
    with pytest.raises(SpecError, match="path=3 must be the name of a file"):
        fit.to_json(3)


def test_a_stack_of_fits_is_not_stored(mobi, ecsi):
    part = Moments.from_frame(mobi[list(ecsi.items)])
    with pytest.raises(EstimationError, match="one fit is stored at a time"):
        pls(Moments.stack([part, part]), ecsi).to_json()
