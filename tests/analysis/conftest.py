"""A finished run whose student is too narrow: four tastes in one dimension, taught by a teacher that knows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recdistill.cli.main import main
from tests.conftest import ITEMS_EACH, tiny_frame

SETTINGS = ["teacher.kind=ease", "student.dim=1", "student.epochs=20", "search.trials=1", "compress=int8"]


def split_frame(seed: int = 0) -> pd.DataFrame:
    """The tiny log with the last two rows of each user in test and the three before in valid."""
    frame = tiny_frame(seed)
    from_end = frame.groupby("user_id").cumcount(ascending=False)
    return frame.assign(split=np.where(from_end < 2, "test", np.where(from_end < 5, "valid", "train")))


def item_table() -> pd.DataFrame:
    """Every item's title, its taste as a genre, and a year."""
    rows = range(4 * ITEMS_EACH)
    return pd.DataFrame(
        {
            "item_id": [f"item {row}" for row in rows],
            "title": [f"Film {row}" for row in rows],
            "genre": [["drama", "war", "crime", "noir"][row // ITEMS_EACH] for row in rows],
            "year": [1950 + row for row in rows],
        }
    )


def make_run(folder: Path, frame: pd.DataFrame, *words: str) -> Path:
    """The folder of a whole run on `frame`."""
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "log.csv", index=False)
    item_table().to_csv(folder / "items.csv", index=False)
    out = folder / "run"
    given = ["--log", str(folder / "log.csv"), "--items", str(folder / "items.csv"), "--out", str(out), "--quiet"]
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    assert main(["run", *given, "--split-column", "split", *settings, *words]) == 0
    return out


@pytest.fixture(scope="session")
def narrow_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two seeds; tests that change it take a copy."""
    return make_run(tmp_path_factory.mktemp("narrow"), split_frame(), "--seeds", "2")
