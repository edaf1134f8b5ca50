"""The map from features to vectors on disk: it comes back as it was, goes with an artifact, and a fault is one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from recdistill import artifact, files
from recdistill.artifact.layout import CHECKSUMS, ITEM_MAP
from recdistill.compression.convert import compress
from recdistill.compression.rotation import rotation
from recdistill.data.vocab import Vocab
from recdistill.errors import ArtifactError, ConfigError, DataError
from recdistill.features import Features, read_features
from recdistill.features.encode import FeatureEncoder
from recdistill.features.item_map import ItemMap
from recdistill.models.fitted import FittedRanker
from recdistill.serving.histories import Histories
from recdistill.serving.recommender import Recommender
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable

N, D = 8, 4


def features(ids: range = range(N)) -> Features:
    table = pd.DataFrame({"item_id": list(ids), "genre": [("crime", "drama")[one % 2] for one in ids]})
    words = [f"a long story of {('crime', 'love')[one % 2]} and of {one}" for one in ids]
    pictures = [[float(one % 2), 1.0, float(one)] for one in ids]
    return read_features(table.assign(size=[float(one) for one in ids], plot=words, picture=pictures))


@pytest.fixture
def item_map() -> ItemMap:
    encoder = FeatureEncoder.fit(features())
    draw = np.random.default_rng(0)
    weights = draw.standard_normal((encoder.width + 1, D)).astype(np.float32)
    return ItemMap(encoder, weights, draw.standard_normal(encoder.width + 1).astype(np.float32), 6.5)


@pytest.fixture
def folder(item_map: ItemMap, tmp_path: Path) -> Path:
    table = np.random.default_rng(1).standard_normal((N, D)).astype(np.float32)
    scorer = BagScorer(item_table=CodedTable.of(table), item_bias=np.zeros(N, np.float32))
    told: dict[str, Any] = {"kind": "two_tower", "name": "student", "trained_on": {}}
    return artifact.save(tmp_path / "model", scorer, Vocab(range(N)), **told, item_map=item_map)


def test_a_map_comes_back_from_its_arrays(item_map: ItemMap) -> None:
    back = ItemMap.from_arrays(item_map.arrays())
    for mine, theirs in zip(item_map.items(features(range(20))), back.items(features(range(20))), strict=True):
        assert np.array_equal(mine, theirs)


def test_a_map_goes_with_an_artifact_and_is_no_byte_of_the_model(folder: Path, item_map: ItemMap) -> None:
    found = artifact.load(folder).item_map
    assert found is not None and np.array_equal(found.weights, item_map.weights)
    told = artifact.doctor(folder)
    assert told["new_items_by"] == ["genre", "size", "plot", "picture"] and ITEM_MAP in told["files"]
    assert told["bytes"] == N * (D + 1) * 4


def test_a_map_is_turned_with_the_vectors_of_a_model_that_is_coded(folder: Path, item_map: ItemMap) -> None:
    compress(FittedRanker.load(folder), codec="int4").save(folder.parent / "small")
    found = artifact.load(folder.parent / "small").item_map
    assert found is not None
    before, after = (one.items(features(range(8, 10))) for one in (item_map, found))
    turn = rotation(D, np.random.default_rng(0))
    np.testing.assert_allclose(after[0], before[0] @ turn, rtol=1e-4, atol=1e-5)
    assert np.abs(turn - np.eye(D)).max() > 0.1
    np.testing.assert_array_equal(after[1], before[1])
    wide = Recommender.load(folder.parent / "small").with_features(features(range(6, 10)))
    assert wide.scorer.n_items == N + 2 and np.isfinite(wide.scorer.score(Histories.from_lists([[0, N + 1]]))).all()


def test_a_recommender_takes_new_items_by_their_features(folder: Path, item_map: ItemMap) -> None:
    served = Recommender.load(folder)
    wide = served.with_features(features(range(6, 10)))
    vectors, bias, _ = item_map.items(features(range(8, 10)))
    assert wide.items.ids().tolist() == list(range(10)) and len(served.items) == N
    np.testing.assert_allclose(wide.scorer.item_vectors()[N:], vectors, rtol=1e-6)
    back = served.with_features(features(range(8, 10)), margin=0.5).scorer.item_bias
    assert back is not None
    np.testing.assert_allclose(back[N:], bias - 0.5, rtol=1e-6)
    again = wide.with_features(features(range(11, 12)))
    assert again.items.ids().tolist()[-1] == 11


def test_what_cannot_be_taken_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    served = Recommender.load(folder)
    with pytest.raises(DataError, match=r"the model knows all its 3 items. Give features of new ones"):
        served.with_features(features(range(3)))
    other = pd.DataFrame({"item_id": [20, 21], "colour": ["red", "red"]})
    with pytest.raises(DataError, match=r"has none of the columns that the model learned from, \['genre', .*'colour'"):
        served.with_features(other)
    wrong = pd.DataFrame({"item_id": [20], "picture": [[1.0, 2.0]]})
    with pytest.raises(DataError, match=r"column 'picture': vectors of 2 numbers where the model was fitted on 3"):
        served.with_features(wrong)
    with pytest.raises(DataError, match="no such file"):
        served.with_features(tmp_path / "none.csv")
    plain = Recommender(served.scorer, served.items)
    with pytest.raises(ConfigError, match="this model has not learned from features"):
        plain.with_features(other)


def test_a_map_to_other_vectors_is_refused(item_map: ItemMap, tmp_path: Path) -> None:
    scorer = BagScorer(item_table=CodedTable.of(np.ones((N, D + 1), np.float32)))
    with pytest.raises(ConfigError, match="an item map to vectors of 4 numbers for a model of 5"):
        artifact.save(tmp_path, scorer, Vocab(range(N)), kind="x", name="x", trained_on={}, item_map=item_map)
    with pytest.raises(DataError, match=r"weights of the shapes .* for \d+ features"):
        replace(item_map, weights=item_map.weights[1:])


def sealed(folder: Path) -> None:
    sums = files.read_json(folder / CHECKSUMS, "an artifact")
    files.write_json(folder / CHECKSUMS, {name: files.sha256_of(folder / name) for name in sums})


@pytest.mark.parametrize("part", ["told", "weights", "scale", "encoder.0.idf"])
def test_a_map_that_lacks_a_part_is_refused(folder: Path, part: str) -> None:
    arrays = load_file(folder / ITEM_MAP)
    del arrays[part]
    save_file(arrays, folder / ITEM_MAP)
    with pytest.raises(ArtifactError, match="changed since it was saved"):
        artifact.load(folder)
    sealed(folder)
    with pytest.raises(ArtifactError, match=rf"{ITEM_MAP}: cannot be read: item map: not as it was written"):
        _ = artifact.load(folder).item_map


def test_a_map_that_is_gone_is_missed(folder: Path) -> None:
    (folder / ITEM_MAP).unlink()
    with pytest.raises(ArtifactError, match=f"{ITEM_MAP}: missing, so the artifact is not whole"):
        artifact.load(folder)


def test_a_model_is_served_without_reading_its_map(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ItemMap, "from_arrays", lambda arrays: pytest.fail("nobody asked for it"))
    assert len(Recommender.load(folder).recommend([1, 2], k=3)) == 3
