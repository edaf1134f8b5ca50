"""matplotlib's SVG made fit for standing inside the page: its colours, its type, ids of its own."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Charts are drawn in these stand-ins; in the page each becomes a CSS variable, so that light and dark are one drawing.
COLOURS = {
    "teacher": "#a00001",
    "student": "#a00002",
    "student_alone": "#a00003",
    "teacher_svd": "#a00004",
    "compressed": "#a00005",
    "baseline": "#a00006",
    "ink": "#a00007",
    "muted": "#a00008",
    "grid": "#a00009",
    "paper": "#a0000a",
}


def variable(colour: str) -> str:
    """The CSS variable of a colour: `--student-alone`."""
    return "--" + colour.replace("_", "-")


def inline(figure: Figure, name: str, description: str) -> str:
    """The figure as one `<svg>` element: scales with the page, reads nothing from outside, is described in words."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}):
        FigureCanvasSVG(figure)
        figure.savefig(
            buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    return _fit(buffer.getvalue(), name, description)


def _fit(text: str, name: str, description: str) -> str:
    head, text = text[text.index("<svg") :].split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', head)
    assert box is not None, "matplotlib always writes a viewBox"
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = text.replace("xlink:href=", "href=")
    text = re.sub(r'\b(id="|href="#)', rf"\g<1>{name}-", text)
    text = text.replace("url(#", f"url(#{name}-")
    text = re.sub(r"font: ([^;\"]*?[\d.]+px) [^;\"]*", r"font: \1 var(--sans)", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", text)
    for colour, stand_in in COLOURS.items():
        text = text.replace(stand_in, f"var({variable(colour)})")
    label = html.escape(description, quote=True)
    return f'<svg viewBox="{box.group(1)}" role="img" aria-label="{label}">{text.strip()}'
