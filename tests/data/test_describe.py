"""What a description says of a log that one can count by eye, and of splits that can and cannot be made."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from recdistill.data.describe import describe, shape_of
from recdistill.data.log import Log
from recdistill.data.readers import read_interactions
from recdistill.data.splits import SPLITS
from recdistill.features import read_features
from recdistill.report.describe_text import describe_text
from tests.conftest import tiny_frame, with_split

ROWS = [("a", "x", 5), ("a", "y", 3), ("a", "x", 4), ("b", "x", 5), ("b", "x", 5), ("b", "x", 1), ("c", "z", 2)]


def small() -> Log:
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating"])
    return read_interactions(frame.assign(timestamp=np.arange(len(ROWS)) * 86_400 + 1_600_000_000))


def test_counts_are_those_of_the_log() -> None:
    told = describe(small(), splits=[])
    assert (told.users, told.items, told.rows, told.pairs) == (3, 3, 7, 4)
    assert told.density == pytest.approx(4 / 9)
    assert (told.duplicates.rows, told.duplicates.pairs, told.duplicates.most) == (3, 2, 3)
    assert (told.histories.min, told.histories.max) == (1, 2)
    assert told.popularity.most == [("x", 2), ("y", 1), ("z", 1)]
    assert told.mean_rating == pytest.approx(25 / 7)
    assert told.times is not None and told.times.first == "2020-09-13 12:26:40" and told.times.by == "day"
    assert told.splits == ()


def test_the_order_of_the_file_plays_no_part() -> None:
    frame = with_split(tiny_frame())
    shuffled = frame.sample(frac=1, random_state=1)
    one, other = (describe(read_interactions(log, split_column="split")).to_json() for log in (frame, shuffled))
    assert one == other


def test_every_split_is_described_or_skipped_with_a_reason() -> None:
    log = read_interactions(tiny_frame())
    shapes = {shape.name: shape for shape in describe(log).splits}
    assert set(shapes) == set(SPLITS) - {"per_user"}
    assert "split column" in shapes["given"].skipped
    assert all(not shape.skipped for name, shape in shapes.items() if name != "given")
    told = describe(read_interactions(tiny_frame().drop(columns="timestamp")))
    assert "timestamp" in {shape.name: shape for shape in told.splits}["global_time"].skipped


def test_what_is_cold_is_counted() -> None:
    rows = [(f"u{user}", f"i{item}", 1_000_000_000 + 10 * user + item) for user in range(8) for item in range(8)]
    rows += [("new", "i1", 2_000_000_000), ("new", "i2", 2_000_000_000), ("u1", "late", 2_000_000_001)]
    split = ["train"] * 64 + ["test"] * 3
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).assign(split=split)
    shape = shape_of(read_interactions(frame, split_column="split"), "given")
    assert (shape.train, shape.valid, shape.test) == (64, 0, 3)
    assert (shape.test_users, shape.cold_users, shape.cold_rows, shape.no_history) == (2, 1, 1, 1)


def test_people_kept_out_of_training_are_cold_but_have_a_history() -> None:
    shape = shape_of(read_interactions(tiny_frame()), "user_folds")
    assert shape.cold_users == shape.test_users > 0
    assert shape.no_history == 0


def test_features_are_described_for_the_items_of_the_log() -> None:
    table = pd.DataFrame({"item_id": ["x", "y", "q"], "title": ["X!", "Y!", "Q!"], "genre": ["drama", None, "war"]})
    log = small()
    with_features = Log(
        **{name: getattr(log, name) for name in ("users", "items", "user_rows", "item_rows", "times")},
        item_features=read_features(table, of="item"),
    )
    told = describe(with_features, splits=[])
    assert told.features["items"]["genre"]["missing"] == 2
    assert told.popularity.most[0] == ("X!", 2) and told.popularity.most[2] == ("z", 1)
    assert "items: genre" in describe_text(told)


def test_a_description_is_json() -> None:
    told = describe(read_interactions(tiny_frame())).to_json()
    again = json.loads(json.dumps(told, allow_nan=False))
    assert again["users"] == 120 and again["schema_version"] == 1
    assert {"label", "count"} == set(again["histories"]["bins"][0])


def test_the_text_tells_all_of_it() -> None:
    text = describe_text(describe(small(), splits=["global_time", "given", "random"]))
    for piece in (
        "7 rows",
        "3 users",
        "44.4 %",
        "3 rows repeat",
        "items of a user",
        "x (2)",
        "Ratings, 3.57",
        "random",
    ):
        assert piece in text
    assert "given cannot be made: no split column" in text


def test_a_log_without_times_and_ratings_is_told_so() -> None:
    log = read_interactions(pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating"])[["user_id", "item_id"]])
    told = describe(log, splits=[])
    assert told.times is None and told.ratings is None
    assert "No times" in describe_text(told) and "Ratings" not in describe_text(told)


def test_control_characters_of_a_file_do_not_reach_the_terminal() -> None:
    frame = pd.DataFrame({"user_id": ["a", "b", "c"], "item_id": ["\x1b[31mred", "\x1b[31mred", "blue"]})
    assert "\x1b" not in describe_text(describe(read_interactions(frame), splits=[]))
