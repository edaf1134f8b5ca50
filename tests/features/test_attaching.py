"""A log takes its features with it: through attach, the split, its folder and the titles of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recdistill as rd
from recdistill import artifact
from recdistill.data.log import Log
from recdistill.data.readers import read_interactions
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.features import attach, read_features

USES = pd.DataFrame(
    {"user_id": np.repeat(np.arange(6), 5), "item_id": np.tile(np.arange(5), 6) + np.repeat(np.arange(6) % 3, 5)}
).assign(timestamp=np.arange(30))
ITEMS = pd.DataFrame({"item_id": range(2, 10), "title": [f"Film {i}" for i in range(2, 10)], "year": range(8)})
PEOPLE = pd.DataFrame({"user_id": range(6), "job": list("abcabc")})


REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(params=["ml-latest-small.zip", "ml-1m.zip"])
def real_films(request: pytest.FixtureRequest) -> Path:
    path = REAL / request.param
    if not path.exists():
        pytest.skip(f"no {request.param} beside the checkout")
    return path


@pytest.fixture
def log() -> Log:
    return attach(read_interactions(USES), items=ITEMS, users=PEOPLE)


def test_how_many_have_a_row_is_told(log: Log) -> None:
    assert (
        "the pandas frame: 5 of the log's 7 items have a row; 3 rows are of items that are not in the log" in log.notes
    )
    assert "the pandas frame: 6 of the log's 6 users have a row" in log.notes
    assert log.item_features is not None and len(log.item_features) == 8


def test_more_is_added_to_what_the_log_has(log: Log) -> None:
    more = attach(log, items=pd.DataFrame({"item_id": [3, 4], "year": [70.0, 80.0], "plot": ["Sea.", "Land."]}))
    assert more.item_features is not None and log.item_features is not None
    assert list(more.item_features.columns) == ["title", "year", "plot"]
    assert more.item_features.titles(Vocab([3])) == ["Film 3"]
    assert more.item_features.of(Vocab([2, 3])).columns["year"].values.to_pylist() == [None, 70.0]
    assert any("year replaces what" in note for note in more.notes)
    assert attach(log).notes == log.notes


def test_a_table_that_is_given_again_is_told_once(log: Log) -> None:
    again = attach(log, items=ITEMS)
    assert again.notes == log.notes and again.item_features is not None and log.item_features is not None
    assert list(again.item_features.columns) == list(log.item_features.columns)


def test_a_table_of_other_ids_is_refused(log: Log) -> None:
    with pytest.raises(DataError, match=r"no row is of any of the log's 7 items; the log has items such as 0, the tab"):
        attach(log, items=ITEMS.assign(item_id=[f"x{i}" for i in range(8)]))


def test_features_go_with_the_split_and_come_back_from_its_folder(log: Log, tmp_path: Path) -> None:
    split = rd.split.global_time(log)
    split.save(tmp_path / "split")
    read = rd.Split.load(tmp_path / "split").train
    assert log.item_features is not None and read.item_features is not None and read.user_features is not None
    assert read.item_features.describe() == log.item_features.describe()
    assert read.sha256() == split.train.sha256()
    assert sorted(path.suffix for path in (tmp_path / "split").iterdir()) == [
        ".arrow",
        ".arrow",
        ".json",
        ".safetensors",
    ]
    rd.split.global_time(read_interactions(USES)).save(tmp_path / "split")
    assert rd.Split.load(tmp_path / "split").train.item_features is None


def test_a_model_takes_the_titles_and_the_card_tells_of_the_rest(log: Log, tmp_path: Path) -> None:
    train = rd.split.global_time(log).train
    plain = rd.split.global_time(read_interactions(USES)).train
    rd.Popularity().fit(train).save(tmp_path / "model")
    found = artifact.load(tmp_path / "model")
    assert found.titles is not None
    assert list(found.titles) == [f"Film {i}" if i >= 2 else None for i in train.items.ids().tolist()]
    card = (tmp_path / "model" / "README.md").read_text()
    assert "| of items | kind | missing | |" in card and "| job | category | 0 | 3 levels |" in card
    rd.Popularity().fit(plain).save(tmp_path / "plain")
    assert artifact.load(tmp_path / "plain").titles is None
    assert artifact.load(tmp_path / "plain").config["bytes"] == found.config["bytes"]


def test_what_is_made_from_a_model_keeps_its_titles(log: Log, tmp_path: Path) -> None:
    model = rd.SVD(dim=2).fit(rd.split.global_time(log).train)
    rd.compress(model, codec="int8").save(tmp_path / "small")
    assert rd.Recommender.load(tmp_path / "small").titles([2, 0]) == ["Film 2", None]


def test_the_real_logs_bring_their_titles(real_films: Path) -> None:
    log = read_interactions(real_films)
    assert log.item_features is not None
    titles = log.item_features.titles(log.items)
    assert titles is not None and sum(title is not None for title in titles) == len(log.items)
    assert log.item_features.columns["genres"].kind == "list"
    assert log.item_features.columns["genres"].levels()["Drama"] > 100


def test_reading_is_done_at_a_table_that_a_log_brings(real_films: Path) -> None:
    assert "Toy Story (1995)" in (read_features(real_films).titles(Vocab([1])) or [])
