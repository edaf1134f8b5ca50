"""What all pages have in common: one head, filled by each."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from recdistill.report import page

FOLDER = Path(page.__file__).parent
PAGES = sorted(path.name for path in FOLDER.glob("*.html") if path.name != "page.html")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_writes_no_head_of_its_own_and_names_itself_in_the_shared_one(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    blocks = {block.name for block in jinja2.Environment().parse(text).find_all(jinja2.nodes.Block)}
    assert "<head>" not in text and {"heading", "kicker", "main", "footer"} <= blocks
