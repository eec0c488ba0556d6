"""Pages that stand alone: the HTML of an executed notebook and the index of a run; no script, nothing loaded."""

from __future__ import annotations

import copy
import html
import logging
import re
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csi_lab.course.notebook import heading

if TYPE_CHECKING:
    from nbformat import NotebookNode

TEMPLATES = Path(__file__).parent / "templates"
# TeX commands that matplotlib knows under another name only.
_SYNONYMS = {
    "ge": r"\geq",
    "le": r"\leq",
    "tfrac": r"\frac",
    "lvert": "|",
    "rvert": "|",
    "lVert": r"\|",
    "rVert": r"\|",
}
_TYPESETTING = threading.Lock()  # matplotlib's parser of formulas is not made for threads


def to_html(notebook: NotebookNode, title: str, *, language: str = "en", code: bool = True) -> str:
    """The page of an executed notebook.

    Styles, pictures and formulas (drawn as SVG) are inside; a content security policy forbids scripts and any loading.
    Raw HTML in text that a cell *produced* as Markdown is shown as text: it may come from the data.

    Parameters
    ----------
    notebook
        Executed.
    title
        Of the page.
    language
        Two-letter code of the text, for browsers and screen readers.
    code
        Whether the code cells and their prompts are shown.
    """
    exporter = _exporter_class()(
        template_name="lesson",
        extra_template_basedirs=[str(TEMPLATES)],
        language_code=language,
        exclude_input=not code,
        exclude_input_prompt=not code,
        exclude_output_prompt=not code,
        log=_quiet(),
    )
    shown = _with_alternative_texts(notebook)
    shown.metadata["title"] = title
    body, _ = exporter.from_notebook_node(shown)
    return body.rstrip("\n") + "\n"


def index_page(lessons: Mapping[str, Mapping[str, Any]], failed: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """The index of an output folder.

    Parameters
    ----------
    lessons
        Entries of the manifest by name; each is linked.
    failed
        Results of failed lessons by name, with ``title`` and ``error``.
    versions
        Package versions, for the foot of the page.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.get_template("index.html.j2")
    return template.render(lessons=sorted(lessons.items()), failed=sorted(failed.items()), versions=versions)


def _with_alternative_texts(notebook: NotebookNode) -> NotebookNode:
    """A copy in which each picture without a text for screen readers is called after the heading above it."""
    result = copy.deepcopy(notebook)
    above = "the notebook"
    for cell in result.cells:
        if cell.cell_type == "markdown":
            above = heading(cell.source) or above
        for output in cell.get("outputs", []):
            for kind in ("image/png", "image/svg+xml"):
                if kind in output.get("data", {}):
                    output.metadata.setdefault(kind, {}).setdefault("alt", f"Figure: {above}")
    return result


def _quiet() -> logging.Logger:
    logger = logging.getLogger("csi_lab.pages")
    logger.setLevel(logging.ERROR)
    return logger


@cache
def _exporter_class() -> type:
    """nbconvert's HTML exporter with our Markdown; made at first use because the import is heavy."""
    from jinja2 import pass_context
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def inline_math(self, body: str) -> str:
            return formula(body)

        def block_math(self, body: str) -> str:
            # matplotlib draws one line at a time; the marks of alignment go
            plain = re.sub(r"\\(?:begin|end)\{(?:aligned|align|split|gather|gathered|equation)\*?\}", "", body)
            lines = [formula(line.replace("&", "")) for line in plain.split(r"\\") if line.strip()]
            return f'<span class="formula-block" style="display:block">{"<br>".join(lines)}</span>'

        def image(self, text: str, url: str, title: str | None = None) -> str:
            if url.startswith(("data:", "attachment:")):
                return super().image(text, url, title)
            return self.link(text or html.escape(url), url, title)  # a page loads nothing

        def latex_environment(self, name: str, body: str) -> str:
            return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")

    class Exporter(HTMLExporter):
        @pass_context
        def markdown2html(self, context: Any, source: str) -> str:
            cell = context.get("cell", {})
            renderer = Renderer(
                escape=cell.get("cell_type") != "markdown",
                allow_harmful_protocols=False,
                attachments=cell.get("attachments", {}),
                anchor_link_text=self.anchor_link_text,
            )
            return MarkdownWithMath(renderer=renderer).render(source)

    return Exporter


def formula(tex: str) -> str:
    """A formula as inline SVG, drawn by matplotlib; what it cannot draw is shown as its TeX source.

    Examples
    --------
    >>> formula(r"\\alpha")[:40]
    '<svg class="formula" role="img" aria-lab'
    >>> formula(r"\\nonsense{x}")
    '<code>\\\\nonsense{x}</code>'
    """
    source = " ".join(tex.split())
    try:
        with _TYPESETTING:
            return _drawn(source)
    except (ValueError, RuntimeError, AttributeError):  # outside the TeX that matplotlib draws, or only space
        return f"<code>{html.escape(source)}</code>"


def _drawn(tex: str) -> str:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath, text_to_path

    if any(ord(sign) > 0x2E7F for sign in tex):
        raise ValueError("the mathematical fonts have no Chinese signs")
    for command, known in _SYNONYMS.items():
        tex = re.sub(rf"\\{command}(?![a-zA-Z])", known.replace("\\", r"\\"), tex)
    em = 10.0
    label = html.escape(tex)
    font = FontProperties(size=em, math_fontfamily="stix")
    width, height, descent = text_to_path.get_text_width_height_descent(f"${tex}$", font, ismath=True)
    letters = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}
    steps = [
        letters[int(kind)] + ("" if kind == 79 else " ".join(f"{number:.2f}" for number in points))
        for points, kind in TextPath((0, 0), f"${tex}$", prop=font).iter_segments(simplify=False, curves=True)
    ]
    box = f"0 {descent - height:.2f} {width:.2f} {height:.2f}"
    style = f"width:{width / em:.3f}em;height:{height / em:.3f}em;vertical-align:{-descent / em:.3f}em"
    return (
        f'<svg class="formula" role="img" aria-label="{label}" viewBox="{box}" style="{style}">'
        f'<path fill="currentColor" transform="scale(1,-1)" d="{"".join(steps)}"/></svg>'
    )
