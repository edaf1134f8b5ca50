"""A page out of a template of this folder: everything escaped, nothing missing, replaced when it is whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recdistill.files import whole_file
from recdistill.report import figures


def render(template: str, values: Mapping[str, Any]) -> str:
    """The page as text; a value that the template names and `values` lacks is an error."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "quality": figures.quality, "difference": figures.difference, "size": figures.size, "percent": figures.percent,
        "rate": figures.rate, "ms": figures.milliseconds, "duration": figures.duration, "count": figures.count,
        "metric": figures.metric_name, "amount": figures.amount, "factor": figures.factor, "svg": Markup,
    }  # fmt: skip
    return environment.get_template(template).render(values)


def write(text: str, path: str | Path) -> None:
    """The page under its name; an older one stays until the new one is whole."""
    with whole_file(Path(path)) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
