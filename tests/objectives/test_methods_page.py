"""docs/methods.md says what the code is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recdistill.objectives.registry import OBJECTIVES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
SECTIONS = {
    name: body
    for heading, body in re.findall(r"^### (.*?) · .*?\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    for name in re.findall(r"`(\w+)`", heading)
}
ROWS = {
    name: (needs, file)
    for names, needs, file in re.findall(r"^\| (`.*?) \| (.*?) \| `(.*?)` \|$", PAGE, flags=re.MULTILINE)
    for name in re.findall(r"`(\w+)`", names)
}


def test_the_page_holds_the_registered_objectives_and_no_others() -> None:
    assert set(SECTIONS) == set(ROWS) == set(OBJECTIVES)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_a_section_says_what_moves_and_what_it_takes(name: str) -> None:
    for word in ("Moves", "Loss", "Source", "Needs", "Cost of a step", "Settings", "Measured here"):
        assert f"- {word}: " in SECTIONS[name]
    settings = getattr(OBJECTIVES[name].config_type, "__dataclass_fields__", {})
    assert all(f"`{setting}`" in SECTIONS[name] for setting in settings)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_the_table_names_needs_and_file(name: str) -> None:
    needs, file = ROWS[name]
    assert needs == (", ".join(sorted(OBJECTIVES[name].needs)) or "nothing")
    assert ROOT / "recdistill" / file == ROOT / Path(*OBJECTIVES[name].__module__.split(".")).with_suffix(".py")
