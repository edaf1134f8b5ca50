"""Items that only the table knows go the whole way: ranked by features, measured apart, served from the artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import recdistill as rd
from recdistill.cli.main import main
from tests.conftest import GROUPS, ITEMS_EACH, TINY_SETTINGS, tiny_frame, with_split

HELD = 2
"""Of each taste the items that train never sees."""
SETTINGS = [*TINY_SETTINGS, "teacher.item_features=true", "student.item_features=true", "search.trials=1"]
WITH_MAP = ("teacher", "student", "student_alone", "student_fp16", "student_int8")


def table() -> pd.DataFrame:
    """All items of the log and one more of each taste; the genre is the taste."""
    ids = [f"item {n}" for n in range(GROUPS * ITEMS_EACH)]
    tastes = [n // ITEMS_EACH for n in range(GROUPS * ITEMS_EACH)]
    more = [f"later {taste}" for taste in range(GROUPS)]
    genres = [f"genre {taste}" for taste in [*tastes, *range(GROUPS)]]
    size = [np.nan if place % 3 else float(place) for place in range(len(genres))]
    return pd.DataFrame({"item_id": ids + more, "genre": genres, "empty": "", "same": 1.0, "size": size})


def log(seed: int | None = None) -> pd.DataFrame:
    """Rows of the held items are test rows, wherever they stand; `seed` puts random items into the test rows."""
    frame = with_split(tiny_frame())
    number = frame["item_id"].str.removeprefix("item ").astype(int)
    frame.loc[number % ITEMS_EACH < HELD, "split"] = "test"
    if seed is not None:
        test = frame["split"] == "test"
        drawn = np.random.default_rng(seed).permutation(GROUPS * ITEMS_EACH)
        frame.loc[test, "item_id"] = [f"item {drawn[place % len(drawn)]}" for place in range(test.sum())]
    return frame


def run(folder: Path, frame: pd.DataFrame, items: pd.DataFrame, *words: str) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / "log.csv", index=False)
    items.to_csv(folder / "items.csv", index=False)
    given = ["--log", str(folder / "log.csv"), "--items", str(folder / "items.csv"), "--split-column", "split"]
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    assert main(["run", *given, *settings, *words, "--out", str(folder / "out"), "--quiet"]) == 0
    report: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text())
    return report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cold")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return run(folder, log(), table())


def test_new_items_stand_apart_in_the_report_of_the_models_that_learned_from_features(report: dict[str, Any]) -> None:
    groups = {name: model["groups"].get("cold_items") for name, model in report["models"].items()}
    assert {name for name, group in groups.items() if group} == set(WITH_MAP)
    frame = log()
    number = frame["item_id"].str.removeprefix("item ").astype(int)
    wanted = frame[number % ITEMS_EACH < HELD]
    for group in filter(None, groups.values()):
        assert group["items"] == GROUPS * (HELD + 1)
        assert (group["relevant"], group["users"]) == (len(wanted), wanted["user_id"].nunique())
        assert group["not_described"] == 0


def test_the_genre_brings_new_items_far_above_chance(report: dict[str, Any]) -> None:
    for name in ("teacher", "student"):
        group = report["models"][name]["groups"]["cold_items"]
        # about twenty of some forty items are shown, so that chance is near a half
        assert group["recall@20"] > 0.8 and group["times_chance"] == pytest.approx(group["recall@20"] / group["chance"])
        assert group["with_new"]["recall@20"] > report["models"][name]["metrics"]["recall@20"]
        assert group["share_of_relevant"] > 0.2


def test_what_features_became_and_what_is_left_out_is_said(report: dict[str, Any], folder: Path) -> None:
    notes = "\n".join(report["data"]["notes"])
    assert "items.csv: column 'genre' (category) as" in notes
    assert "column 'size' (number) as" in notes and "not known in" in notes
    assert "column 'empty' is empty: left out" in notes
    assert "items.csv: column 'same' is left out: the same in every row that is fitted on" in notes
    assert str(folder) not in notes


def test_the_page_shows_them(report: dict[str, Any], folder: Path) -> None:
    page = (folder / "out" / "report.html").read_text()
    assert "New items, by their features" in page
    assert "Against chance" in page
    assert f"The table of items has {GROUPS * (HELD + 1)} that the train part has not." in page


def test_every_artifact_of_theirs_takes_new_items_by_features(report: dict[str, Any], folder: Path) -> None:
    for name in WITH_MAP:
        served = rd.Recommender.load(folder / "out" / "artifacts" / name)
        assert served.unknown(["later 1"]) == ["later 1"]
        wide = served.with_features(folder / "items.csv")
        liked = [f"item {n}" for n in range(ITEMS_EACH + HELD, ITEMS_EACH + 6)]
        places = {one: place for place, one in enumerate(wide.recommend(liked, k=40))}
        assert places["later 1"] < min(places["later 0"], places["later 2"], places["later 3"])
        assert served.unknown(["later 1"]) == ["later 1"]


def test_which_items_are_added_is_the_tables_and_nothing_else_depends_on_the_test_part(
    report: dict[str, Any], tmp_path: Path
) -> None:
    blind = run(tmp_path, log(seed=1), table())
    for name in WITH_MAP:
        mine, theirs = (one["models"][name] for one in (report, blind))
        assert mine["groups"]["cold_items"]["items"] == theirs["groups"]["cold_items"]["items"]
        assert (mine["chosen"], mine["valid_metrics"]) == (theirs["chosen"], theirs["valid_metrics"])


def test_a_table_without_new_items_has_no_such_group(tmp_path: Path) -> None:
    items = table()
    frame = log()
    known = set(frame[frame["split"] == "train"]["item_id"])
    found = run(tmp_path, frame, items[items["item_id"].isin(known)], "--set", "compress=")
    assert all("cold_items" not in model["groups"] for model in found["models"].values())


def test_items_that_a_filter_took_are_no_new_items(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").write_text("item 14\nitem 15\n")
    found = run(
        tmp_path, log(), table(), "--set", f"filter.without_items={tmp_path / 'gone.txt'}", "--set", "compress="
    )
    assert found["models"]["teacher"]["groups"]["cold_items"]["items"] == GROUPS * (HELD + 1)
