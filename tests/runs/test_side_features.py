"""Titles go the whole way: from a table beside the log to the artifacts, the card, the report and an answer."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import recdistill as rd
from recdistill.cli.main import main
from tests.conftest import GROUPS, ITEMS_EACH, TINY_SETTINGS, tiny_frame, with_split

SETTINGS = [word for setting in TINY_SETTINGS for word in ("--set", setting)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("titled")
    with_split(tiny_frame()).to_csv(folder / "tiny.csv", index=False)
    ids = [f"item {n}" for n in range(1, GROUPS * ITEMS_EACH)]
    genre = ["comedy", "crime"] * (len(ids) // 2 + 1)
    items = pd.DataFrame({"item_id": ids, "title": [f"Film {one}" for one in ids], "genre": genre[: len(ids)]})
    items.to_csv(folder / "items.csv", index=False)
    words = ["--split-column", "split", "--set", f"data.items={folder / 'items.csv'}", *SETTINGS]
    assert main(["run", "--log", str(folder / "tiny.csv"), "--out", str(folder / "out"), "--quiet", *words]) == 0
    return folder / "out"


def test_every_artifact_has_the_titles(finished: Path) -> None:
    for name in ("teacher", "student", "student_alone", "student_int8", "popularity"):
        recommender = rd.Recommender.load(finished / "artifacts" / name)
        assert recommender.titles(["item 1", "item 0"]) == ["Film item 1", None]
    card = (finished / "artifacts" / "student" / "README.md").read_text()
    assert "| genre | category | 1 | 2 levels |" in card


def test_the_report_shows_people_by_title(finished: Path) -> None:
    shown = json.loads((finished / "report.json").read_text())["examples"]
    assert len(shown) == 3
    for one in shown:
        named = [*one["used"], *(row["item"] for rows in one["lists"].values() for row in rows)]
        assert all(name.startswith("Film item") or name == "item 0" for name in named)
    assert "u0" not in json.dumps(shown)
    assert "By example" in (finished / "report.html").read_text()
