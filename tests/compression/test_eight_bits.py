"""Networks in eight bits on both sides: as torch says they should answer, measured on a log, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recdistill.artifact.doctor import doctor
from recdistill.compression.convert import compress
from recdistill.data.interactions import Interactions
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError
from recdistill.models.deep_tower import DeepTower
from recdistill.models.fitted import FittedRanker
from recdistill.models.reranked import Reranked
from recdistill.models.two_tower import TwoTower
from recdistill.serving.perceptron import Layer
from recdistill.serving.scorers import DeepBagScorer, Histories, RerankedScorer, scorer_from_arrays
from tests.models.conftest import draw_log

TOWER: dict[str, Any] = {"dim": 4, "epochs": 4}
both = pytest.mark.parametrize("inputs", ["dynamic", "static"])


@pytest.fixture(scope="module")
def train() -> Interactions:
    return draw_log()


@pytest.fixture(scope="module")
def reranked(train: Interactions) -> Reranked:
    return Reranked(base="deep_tower", base_settings=TOWER, depth=8, hidden=(8, 5), epochs=3).fit(train)


def asked(train: Interactions) -> tuple[Histories, np.ndarray]:
    return Histories.from_csr(train.csr()), np.arange(train.n_users)


def as_torch_has_it(layer: Layer, rows: np.ndarray) -> np.ndarray:
    """By torch's own fake quantisation, of float weights that are those of the codes."""
    given, weight = torch.from_numpy(rows), torch.from_numpy(np.array(layer.weight.matrix()))
    if layer.levels is not None:
        step, zero = float(layer.levels[0]), int(layer.levels[1])
        given = torch.fake_quantize_per_tensor_affine(given, step, zero, 0, 255)
    else:
        low, high = given.amin(1).clamp(max=0), given.amax(1).clamp(min=0)
        steps = (high - low) / 255
        given = torch.fake_quantize_per_channel_affine(given, steps, (-low / steps).round().int(), 0, 0, 255)
    return (given @ weight.T).numpy() + layer.bias.astype(np.float32)


@both
def test_each_layer_answers_as_torchs_own_quantisation_of_its_inputs(
    inputs: str, train: Interactions, reranked: Reranked
) -> None:
    small = compress(reranked, codec="int8", inputs=inputs, on=train).scorer  # type: ignore[arg-type]
    assert isinstance(small, RerankedScorer)
    rows = np.random.default_rng(0).standard_normal((30, small.network.inputs)).astype(np.float32)
    want = rows
    for number, layer in enumerate(small.network.layers):
        want = as_torch_has_it(layer, np.maximum(want, 0) if number else want)
    np.testing.assert_allclose(small.network(rows), want, rtol=1e-3, atol=1e-4)


@both
def test_every_network_of_a_model_is_in_eight_bits_and_answers_nearly_as_before(
    inputs: str, train: Interactions, reranked: Reranked
) -> None:
    small = compress(reranked, codec="int8", inputs=inputs, on=train)  # type: ignore[arg-type]
    scorer, whole = small.scorer, reranked.scorer
    assert isinstance(scorer, RerankedScorer)
    assert isinstance(scorer.base, DeepBagScorer)
    assert {*scorer.network.codecs.values(), *scorer.base.network.codecs.values()} == {f"int8_{inputs}"}
    assert scorer.nbytes < whole.nbytes / 1.7
    np.testing.assert_allclose(small.score(*asked(train)), reranked.score(*asked(train)), atol=0.6)
    assert np.abs(small.score(*asked(train)) - reranked.score(*asked(train))).max() > 0


@both
def test_a_stored_model_answers_with_the_same_bits_alone_and_beside_others(
    inputs: str, train: Interactions, reranked: Reranked, tmp_path: Path
) -> None:
    small = compress(reranked, codec="int8", inputs=inputs, on=train)  # type: ignore[arg-type]
    together = small.score(*asked(train))
    folder = small.save(tmp_path / "small")
    again = FittedRanker.load(folder)
    np.testing.assert_array_equal(again.score(*asked(train)), together)
    config = json.loads(json.dumps(small.scorer.config()))
    np.testing.assert_array_equal(scorer_from_arrays(config, small.scorer.arrays()).score(*asked(train)), together)
    histories, rows = asked(train)
    alone = small.score(histories.take(slice(3, 4)), rows[3:4])
    np.testing.assert_array_equal(alone[0], together[3])
    assert doctor(folder)["bytes"] == small.scorer.nbytes


def test_what_was_measured_covers_what_the_network_is_given(train: Interactions, reranked: Reranked) -> None:
    small = compress(reranked, codec="int8", inputs="static", on=train).scorer
    assert isinstance(small, RerankedScorer)
    first, second = (layer.levels for layer in small.network.layers[:2])
    assert first is not None
    assert second is not None
    assert first[1] > 0  # features stand on both sides of 0
    assert second[1] == 0  # what comes from a rectifier does not


def test_what_cannot_be_in_eight_bits_is_refused(train: Interactions, reranked: Reranked) -> None:
    with pytest.raises(ConfigError, match="inputs = 'static' needs on="):
        compress(reranked, codec="int8", inputs="static")
    with pytest.raises(ConfigError, match="goes with codec='int8', found codec = 'fp16'"):
        compress(reranked, codec="fp16", inputs="dynamic")
    with pytest.raises(ConfigError, match="inputs = 'fixed': expected one of float, dynamic, static"):
        compress(reranked, codec="int8", inputs="fixed")  # type: ignore[arg-type]
    other = Interactions(Vocab(np.arange(2)), Vocab(np.arange(3)), np.array([0, 1]), np.array([0, 2]))
    with pytest.raises(ConfigError, match="on= has 3 items"):
        compress(reranked, codec="int8", inputs="static", on=other)
    deep = DeepTower(**TOWER).fit(train)
    assert compress(deep, codec="int8", inputs="dynamic").scorer.nbytes < deep.scorer.nbytes
    with pytest.raises(ConfigError, match="a scorer of the form 'bag' has no network"):
        compress(TwoTower(**TOWER).fit(train), codec="int8", inputs="dynamic")
