"""Text in pictures as it stands in the data: dollar signs are no formula, and Chinese has glyphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from csi_lab.plots import _cjk_font, _is_cjk

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def as_written(ax: Axes) -> Axes:
    """Draw titles, axis labels, named ticks, legends and notes as they are written.

    Labels come from the data: a price of "$5 or $10" is not mathematics, and Chinese names get a second font. Ticks
    that matplotlib numbers itself are left alone.

    Parameters
    ----------
    ax
        A finished picture.

    Returns
    -------
    Axes
        The same.

    Warns
    -----
    CsiLabWarning
        Once per session, if there is Chinese text and no font for it.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> ax = plt.figure().add_subplot(xlabel="price, $ and $")
    >>> as_written(ax).xaxis.label.get_parse_math()
    False
    """
    from matplotlib.ticker import LogFormatter, ScalarFormatter

    texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
    for axis in (ax.xaxis, ax.yaxis):
        if not isinstance(axis.get_major_formatter(), (LogFormatter, ScalarFormatter)):
            texts += axis.get_ticklabels()
    legend = ax.get_legend()
    if legend is not None:
        texts += [legend.get_title(), *legend.get_texts()]
    for text in texts:
        text.set_parse_math(False)
        if any(map(_is_cjk, text.get_text())):
            font = _cjk_font()
            if font is not None:
                text.set_fontfamily(["DejaVu Sans", font])
    return ax
