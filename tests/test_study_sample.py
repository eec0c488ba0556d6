"""What must be known before anything is estimated: population sizes, usable rows, constructs without a path."""

from pathlib import Path

import numpy as np
import pytest
from test_study_survey import GOOD, HEAD, STUDY, WEIGHTED, refused, said, survey, weighted

from csi_lab.errors import CsiLabError
from csi_lab.sem import pls
from csi_lab.study.survey import load_survey

ISOLATED = STUDY.replace("Satisfaction: [c]", "Satisfaction: [c], Trust: [t]")


def test_a_population_must_be_one_number_per_stratum(tmp_path: Path):
    # Rows alternate between the strata s and n.
    message = refused(tmp_path, weighted([(1, i, 9 + (i == 3)) for i in range(12)]), study=WEIGHTED)
    assert (
        "the population column 'N' does not fit the sample: "
        "stratum 'n': population sizes 9, 10; one number per stratum is needed. "
        "Give each stratum one number: how many PSUs its population has"
    ) in message
    assert "'s'" not in message


def test_a_population_cannot_be_smaller_than_the_sample(tmp_path: Path):
    cells = [(1, i, 6 if i % 2 else 5) for i in range(12)]
    assert "stratum 's': 6 units sampled from a population of 5" in refused(tmp_path, weighted(cells), study=WEIGHTED)
    # Two rows in each PSU: three units of six.
    assert len(survey(tmp_path, weighted([(w, i // 4, n) for i, (w, _, n) in enumerate(cells)]), study=WEIGHTED).frame)
    rows = WEIGHTED.replace("psu: p, ", "")
    message = refused(tmp_path, weighted(cells), study=rows)
    assert "stratum 's': 6 units sampled from a population of 5" in message
    assert "how many respondents its population has" in message
    alone = WEIGHTED.replace("strata: r, psu: p, ", "")
    message = refused(tmp_path, weighted([(1, i, 11) for i in range(12)]), study=alone)
    assert "stratum 'all': 12 units sampled from a population of 11" in message
    assert len(survey(tmp_path, weighted([(1, i, 12) for i in range(12)]), study=alone).frame) == 12


def test_a_study_may_have_several_stages(tmp_path: Path):
    stages = WEIGHTED.replace("psu: p", "psu: [p, w2]").replace("population: N", "population: [N, M]")
    cells = "\n".join(
        line + (",w2,M" if i == 0 else f",u{i},40")
        for i, line in enumerate(weighted([(1, j // 4, 9) for j in range(12)]).splitlines())
    )
    found = survey(tmp_path, cells, study=stages)
    assert found.design.stages == ("p", "w2")
    assert found.design.populations == ("N", "M")
    assert found.frame["M"].dtype == float
    with pytest.raises(CsiLabError, match="'p' stands for two stages"):
        survey(tmp_path, cells, study=stages.replace("[p, w2]", "[p, p]"))


def test_population_sizes_without_weights_are_remarked(tmp_path: Path):
    study = WEIGHTED.replace("weights: w, ", "")
    found = survey(tmp_path, weighted([(1, i // 4, 9) for i in range(12)]), study=study)
    assert any("population sizes but no weights" in note for note in found.notes)


def test_a_population_that_is_no_number_is_named_once(tmp_path: Path):
    message = refused(tmp_path, weighted([(1, i, "x" if i == 3 else 9) for i in range(12)]), study=WEIGHTED)
    assert "1 problem" in message
    assert "values in 'N' that are not positive numbers: 'x' in row 5" in message


def with_trust(answer: str = "{}") -> str:
    head, *lines = GOOD.splitlines()
    return "\n".join([head + ",t", *(f"{line},{answer.format(i % 7 + 1)}" for i, line in enumerate(lines))])


def test_a_construct_without_any_path_is_noted_and_the_rest_is_estimated(tmp_path: Path):
    loaded = survey(tmp_path, with_trust(), study=ISOLATED)
    assert loaded.model is not None
    assert list(loaded.model.constructs) == ["Image", "Satisfaction"]
    assert list(loaded.constructs) == ["Image", "Satisfaction", "Trust"]
    assert said(loaded, "Constructs without any path").endswith(" index with equal weights): Trust.")
    assert list(pls(loaded).r2.index) == ["Satisfaction"]
    assert not any("target" in note for note in loaded.notes)
    targeted = survey(tmp_path, with_trust(), study=ISOLATED + "target: Trust\n")
    assert "Warning, the target 'Trust' is not part of the model." in targeted.notes
    assert not any(note.startswith("Constructs without") for note in survey(tmp_path).notes)


def test_rows_that_the_model_can_use_are_counted(tmp_path: Path):
    loaded = survey(tmp_path, GOOD + "20,n,,1,2\n21,n,,4,\n")
    assert "12 of 14 rows answer every item of the model; most often empty: a (2 of 14), c (1 of 14)." in loaded.notes
    assert not any("answer every item" in note for note in survey(tmp_path).notes)


def test_items_outside_the_model_do_not_count_against_it(tmp_path: Path):
    content = with_trust().replace("t\n", "t\n77,n,3,4,5,\n", 1)
    loaded = survey(tmp_path, content, study=ISOLATED)
    assert "Empty cells: t (1)." in loaded.notes
    assert not any("answer every item" in note for note in loaded.notes)
    measured = ISOLATED.replace("paths: {Satisfaction: [Image]}\n", "")
    assert "12 of 13 rows answer every item." in survey(tmp_path, content, study=measured).notes


def test_a_model_without_a_complete_row_is_announced(tmp_path: Path):
    halves = HEAD + "".join(
        f"{i},{'ns'[i % 2]},{i % 10 + 1},{i * 3 % 10 + 1 if i % 2 else ''},{'' if i % 2 else i * 7 % 9 + 1}\n"
        for i in range(1, 25)
    )
    loaded = survey(tmp_path, halves)
    expected = "0 of 24 rows answer every item of the model; it cannot be estimated; most often empty: "
    assert said(loaded, "Warning, 0 of 24") == f"Warning, {expected}b (12 of 24), c (12 of 24)."
    with pytest.raises(CsiLabError, match="no row of 24"):
        pls(loaded)
    few = survey(tmp_path, halves + "90,n,1,2,3\n91,s,2,3,4\n")
    assert said(few, "Warning, 2 of 26").startswith(
        "Warning, 2 of 26 rows answer every item of the model, which has 3 items; most often empty:"
    )


def test_rows_with_weight_zero_count_for_nothing(tmp_path: Path):
    """A row with weight zero changes no number of the item table but the counts of answers."""
    cells = [(i + 1, i, 9) for i in range(12)]
    content = weighted(cells)
    more = content + "90,s,1,,1,0,1,9\n91,n,10,10,9,0,1,9\n"
    plain, zero = survey(tmp_path, content, study=WEIGHTED), survey(tmp_path, more, study=WEIGHTED)
    shown = ["mean", "sd", "floor", "ceiling"]
    np.testing.assert_allclose(zero.to_frame()[shown].astype(float), plain.to_frame()[shown].astype(float))
    assert zero.to_frame()["answered"].tolist() == [14, 13, 14]
    assert "Rows with weight zero, left out of every estimate: 2." in zero.notes
    assert not any("answer every item" in note for note in zero.notes)
    half = survey(tmp_path, more.replace(",1,12,", ",1,,", 1) + "92,n,,1,2,1,1,9\n", study=WEIGHTED)
    assert said(half, "12 of 13 rows with a weight above zero answer every item of the model")


def test_one_is_not_said_in_the_plural(tmp_path: Path):
    study = STUDY.replace("constructs: {Image: [a, b], Satisfaction: [c]}", "constructs: {Image: [a]}")
    loaded = survey(tmp_path, study=study.replace("paths: {Satisfaction: [Image]}\n", ""))
    assert "1 item of 1 construct, scale" in str(loaded)
    assert "24 items of 7 constructs" in str(load_survey("mobile"))
    assert "Only 2 rows:" in said(survey(tmp_path, HEAD + "1,n,1,2,3\n2,s,2,3,4\n"), "Only")


def test_a_language_that_a_study_lacks_falls_back_to_the_first(tmp_path: Path):
    loaded = survey(tmp_path)
    assert loaded.languages == loaded.study.languages == ("en", "zh")
    assert loaded.labels("fr") == loaded.labels("en")
    assert "languages" in (loaded.labels.__doc__ or "")
