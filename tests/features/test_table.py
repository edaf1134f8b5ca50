"""Features are aligned, joined, kept on disk, and counted only over the rows that were asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.features import Feature, Features, read_features, stored

FRAME = pd.DataFrame(
    {
        "item_id": [1, 2, 3, 4],
        "title": ["A", "B", None, "D"],
        "kind": ["x", "y", "x", "x"],
        "tags": [["p", "q"], ["q"], ["q", "q"], None],
        "size": [1.0, 3.0, None, 1000.0],
        "place": [[0.0, 2.0], [2.0, 4.0], None, [900.0, 900.0]],
    }
)
TRAIN = Vocab([2, 1, 3])


@pytest.fixture
def features() -> Features:
    return read_features(FRAME)


def test_statistics_are_of_the_rows_that_were_asked_for(features: Features) -> None:
    found = features.of(TRAIN).statistics()
    assert found["kind"].levels == {"x": 2, "y": 1}
    assert found["tags"].levels == {"q": 3, "p": 1}
    assert (found["size"].mean, found["size"].std, found["size"].known, found["size"].missing) == (2.0, 1.0, 2, 1)
    np.testing.assert_array_equal(found["place"].mean, [1.0, 3.0])
    np.testing.assert_array_equal(found["place"].std, [1.0, 1.0])
    assert found["title"].levels == {} and found["title"].mean is None


def test_rows_of_ids_that_train_lacks_change_no_statistic() -> None:
    other = FRAME.assign(title="Z", size=[1.0, 3.0, None, -7e9], kind=["x", "y", "x", "new"])
    other["tags"] = [["p", "q"], ["q"], ["q", "q"], ["leak"]]
    other["place"] = [[0.0, 2.0], [2.0, 4.0], None, [-1e6, 5.0]]
    more = pd.concat([other, other.assign(item_id=other.item_id + 100, kind="late")])
    few, many = (read_features(frame).of(TRAIN).statistics() for frame in (FRAME, more))
    for name, one in few.items():
        assert list(one.levels.items()) == list(many[name].levels.items())
        np.testing.assert_array_equal(np.asarray(one.mean, float), np.asarray(many[name].mean, float))
        np.testing.assert_array_equal(np.asarray(one.std, float), np.asarray(many[name].std, float))


def test_a_column_of_which_train_knows_nothing_has_no_mean(features: Features) -> None:
    assert features.of(Vocab([3])).statistics()["size"].mean is None


def test_what_is_saved_is_what_is_loaded(features: Features, tmp_path: Path) -> None:
    for number, one in enumerate((features, features.of(Vocab(["2", "b"])))):
        path = tmp_path / f"{number}.arrow"
        one.save(path)
        read = Features.load(path)
        assert read.ids == one.ids and read.describe() == one.describe() and read.notes == one.notes
        assert (read.title, read.source) == (one.title, one.source)
        for name, column in one.columns.items():
            assert read.columns[name].values.equals(column.values), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.arrow", "1.arrow"]


def test_a_column_may_be_called_as_the_ids_are(tmp_path: Path) -> None:
    read_features(pd.DataFrame({"item_id": [1, 2], "id": [5.0, 6.0]})).save(tmp_path / "x.arrow")
    assert Features.load(tmp_path / "x.arrow").columns["id"].values.to_pylist() == [5.0, 6.0]


def test_a_file_that_holds_no_features_is_refused(features: Features, tmp_path: Path) -> None:
    path = tmp_path / "items.arrow"
    with pytest.raises(DataError, match="no such file"):
        Features.load(path)
    features.save(path)
    whole = path.read_bytes()
    for garbage in (b"", b"hello", whole[:-40], whole[: len(whole) // 2]):
        path.write_bytes(garbage)
        with pytest.raises(DataError, match="saved features cannot be read"):
            Features.load(path)
    table = pa.table({"id": [1]})
    for metadata, message in (
        ({}, "features of schema None; 1 is read here"),
        ({stored.KEY: b'{"schema_version": 1, "kinds": {"a": "number"}}'}, "do not fit 0 columns"),
    ):
        schema = table.schema.with_metadata(metadata)
        with pa.ipc.new_file(str(path), schema) as file:
            file.write_table(table.cast(schema))
        with pytest.raises(DataError, match=message):
            Features.load(path)


def test_tables_are_joined_by_id(features: Features) -> None:
    more = read_features(pd.DataFrame({"item_id": ["2", "new"], "maker": [1.0, 2.0]}))
    both = features.joined(more)
    assert both.ids == Vocab(["1", "2", "3", "4", "new"])
    assert both.columns["maker"].values.to_pylist() == [None, 1.0, None, None, 2.0]
    assert both.titles(Vocab([2])) == ["B"] and list(both.columns) == [*features.columns, "maker"]
    with pytest.raises(DataError, match=r"the columns \['maker'\] are in the pandas frame too"):
        more.joined(more)
    assert both.without(["title", "size"]).title is None


def test_columns_that_do_not_fit_are_refused(features: Features) -> None:
    size = features.columns["size"]
    with pytest.raises(DataError, match=r"column 'n' has 4 rows for 2 ids"):
        Features(Vocab([1, 2]), {"n": size})
    with pytest.raises(DataError, match=r"no column 'name' for titles; found \['n'\]"):
        Features(features.ids, {"n": size}, title="name")
    with pytest.raises(DataError, match="a feature of the kind 'text' cannot be held as double"):
        Feature("text", size.values)
