"""Pictures: what is written on them, and what happens without a Chinese font."""

from __future__ import annotations

import itertools
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import csi_lab as csi
from csi_lab import CsiLabWarning, DataError, plots
from csi_lab.layout import label_spots, place
from csi_lab.moments import Moments
from csi_lab.plots_loadings import loading_map
from csi_lab.sem import pls

ZH = {"Image": "企业形象", "Satisfaction": "顾客满意度"}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fit(mobi, ecsi):
    return pls(mobi, ecsi)


def written(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_the_path_diagram_writes_every_coefficient_and_r2(fit):
    texts = written(plots.path_diagram(fit))
    for value in fit.paths["estimate"]:
        assert f"{value:.2f}" in texts
    for construct, value in fit.r2["estimate"].items():
        assert f"{construct}\nR² {value:.2f}" in texts


def test_arrows_are_as_wide_as_their_coefficients_are_large(fit):
    ax = plots.path_diagram(fit)
    widths = [patch.get_linewidth() for patch in ax.patches[: len(fit.paths)]]
    order = np.argsort(np.abs(fit.paths["estimate"]))
    assert (np.diff(np.array(widths)[order]) >= 0).all()


@pytest.mark.parametrize("name", list(csi.models))
def test_columns_follow_the_paths_and_no_arrow_runs_through_a_box(name):
    model = csi.models[name]
    centres = place(model)
    assert len(set(centres.values())) == len(centres)
    for source, target in model.edges:
        assert centres[source][0] < centres[target][0]
        (x0, y0), (x1, y1) = centres[source], centres[target]
        for other, (x, y) in centres.items():
            if other not in (source, target) and x0 < x < x1:
                assert abs(y0 + (x - x0) / (x1 - x0) * (y1 - y0) - y) > 0.36, (source, target, other)


def test_labels_on_arrows_keep_clear_of_boxes():
    names = [f"C{i}" for i in range(7)]
    model = csi.PathModel({n: f"x{n}" for n in names}, {t: names[:i] for i, t in enumerate(names) if i})
    centres = place(model)
    boxes = np.array([(*c, 1.5, 0.72) for c in centres.values()])
    segments = np.array([plots._between(centres[s], centres[t], 1.5, 0.72) for s, t in model.edges])
    for spot in label_spots(segments, 0.52, 0.26, boxes):
        inside = (np.abs(spot - boxes[:, :2]) < boxes[:, 2:] / 2).all(axis=1)
        assert not inside.any()


def test_labels_on_arrows_do_not_cover_each_other():
    model = csi.load_survey("reputation").model
    centres = place(model)
    segments = np.array([[centres[s], centres[t]] for s, t in model.edges])
    for a, b in itertools.combinations(label_spots(segments, 0.52, 0.26), 2):
        assert (np.abs(a - b) >= (0.5, 0.25)).any()


def test_without_a_chinese_font_names_are_shown_and_one_warning_says_so(fit, monkeypatch):
    from matplotlib import font_manager

    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    plots._cjk_font.cache_clear()
    try:
        with pytest.warns(CsiLabWarning, match="no font with Chinese glyphs") as caught:
            ax = plots.path_diagram(fit, labels=ZH)
        assert len(caught) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            plots.path_diagram(fit, labels=ZH)
        assert any(text.startswith("Satisfaction\n") for text in written(ax))
    finally:
        plots._cjk_font.cache_clear()


def test_with_a_chinese_font_the_labels_are_drawn_without_warning(fit):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CsiLabWarning)
        font = plots._cjk_font()
    if font is None:
        pytest.skip("no font with Chinese glyphs on this machine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = plots.path_diagram(fit, labels=ZH)
        ax.figure.canvas.draw()
    assert any(text.startswith("顾客满意度") for text in written(ax))


def test_long_wordings_and_chinese_axis_titles_fit_the_picture():
    """Whole questions as labels, and a title in Chinese: drawn without a warning of glyphs or of room."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CsiLabWarning)
        font = plots._cjk_font()
    if font is None:
        pytest.skip("no font with Chinese glyphs on this machine")
    zh = csi.load_survey("mobile").labels("zh")
    items = [f"{block}{i}" for block in ("IMAG", "PERQ") for i in range(1, 6)] + ["CUSCO", "CUSL2"]
    table = pd.DataFrame({"estimate": np.linspace(0.2, 0.8, 12)}, index=items)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ax in (
            plots.bars(table, xlabel="标记变量", labels=zh, cut=0.3),
            loading_map(pd.DataFrame({"F1": table["estimate"], "F2": -table["estimate"]}), labels=zh),
        ):
            ax.figure.canvas.draw()
            assert ax.get_window_extent().width > 50
            assert max(len(line) for t in ax.get_yticklabels() for line in t.get_text().split("\n")) <= 16


def test_index_bars_show_values_intervals_and_unit(mobi, ecsi, fit):
    result = csi.index.from_fit(fit, (1, 10))
    ax = result.plot()
    assert written(ax) == [f"{v:.1f}" for v in result.table["estimate"]]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(result.table["estimate"].tolist())
    assert "0 to 100" in ax.get_xlabel()
    assert [label.get_text() for label in ax.get_yticklabels()] == list(ecsi.constructs)


def test_bars_leave_out_the_value_of_a_missing_estimate():
    ax = plots.bars(pd.DataFrame({"estimate": [0.5, np.nan, -0.2]}, index=["a", "b", "c"]), xlabel="effect")
    assert written(ax) == ["0.5", "-0.2"]


def test_answer_bars_are_shares_of_those_who_answered():
    ax = plots.answer_bars([1, 2, 2, np.nan], (1, 3), cuts=(2,), weights=[2, 1, 1, 5])
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([50, 50, 0])
    assert written(ax) == ["2 or more: 50 %"]


def test_fractions_and_wide_scales_are_binned_and_said_so():
    ax = plots.answer_bars([2.5, 2, 3], (1, 3))
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0, 200 / 3, 100 / 3])
    assert "fractions in the answer below" in ax.get_xlabel()
    wide = plots.answer_bars([0, 4, 100], (0, 100))
    assert wide.patches[0].get_height() == pytest.approx(200 / 3)
    assert sum(bar.get_height() for bar in wide.patches) == pytest.approx(100)
    assert "bars of 5 points" in wide.get_xlabel()


@pytest.mark.parametrize("answers", [[], [0], [11], [np.nan]])
def test_answers_outside_the_scale_are_refused(answers):
    with pytest.raises(DataError, match="from 1 to 10"):
        plots.answer_bars(answers, (1, 10))


def test_a_stack_of_draws_has_no_diagram(mobi, ecsi):
    stack = Moments.stack([Moments.from_frame(mobi[list(ecsi.items)])] * 2)
    with pytest.raises(DataError, match="several draws"):
        plots.path_diagram(pls(stack, ecsi))
    with pytest.raises(DataError, match="estimate"):
        plots.bars(pd.DataFrame({"value": [1]}), xlabel="x")


def test_mathematics_in_a_label_is_shown_as_typed(mobi, ecsi, fit):
    """A lone or paired dollar sign must neither fail nor turn into a formula."""
    ax = plots.path_diagram(fit, labels={"Value": "Value ($\\frac{$)"})
    ax.figure.canvas.draw()
    assert any("$" in text for text in written(ax))
