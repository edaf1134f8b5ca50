"""docs/models.md is held to the registry."""

from __future__ import annotations

from pathlib import Path

import recdistill as rd
from recdistill.models.registry import MODELS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"


def test_every_model_has_its_row_and_its_door() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    told = {row.split("`")[1]: row.split("`rd.")[1].split("`")[0] for row in rows}
    assert told == {kind: MODELS[kind].__name__ for kind in MODELS}
    for name in told.values():
        assert getattr(rd, name).__name__ == name


def test_every_model_says_what_it_is() -> None:
    for kind in MODELS:
        model = MODELS[kind]
        assert model.label
        assert model.about
        assert model.meaning.endswith(".")
