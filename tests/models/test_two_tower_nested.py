"""Two-tower students whose first numbers are students of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

import recdistill as rd
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.distillation.methods import read_methods
from recdistill.errors import ConfigError
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import valid_ndcg
from recdistill.models.towers import HISTORY_POWER, Towers
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_features import Sides
from recdistill.models.two_tower_nested import NestedLoss
from recdistill.models.two_tower_rules import LogFacts, plan
from recdistill.models.two_tower_start import start_towers
from recdistill.objectives.catalogue import CatalogueLoss
from recdistill.serving.bag import BagScorer
from recdistill.serving.histories import Histories
from recdistill.training.batches import whole_batches
from tests.models.test_two_tower import arrays_equal, blocks

QUICK: dict[str, Any] = {
    "dim": 8, "epochs": 60, "learning_rate": 0.02, "user_id": False, "history_dropout": 0.0, "start": "random",
}  # fmt: skip


@pytest.fixture(scope="module")
def log() -> tuple[Interactions, HeldOut]:
    return blocks()


@pytest.fixture(scope="module")
def knowledge(log: tuple[Interactions, HeldOut]) -> Knowledge:
    return Knowledge.extract(TwoTower(dim=8, epochs=60, learning_rate=0.02).fit(log[0]), log[0], top_k=12)


def served(model: Any, dim: int) -> BagScorer:
    assert isinstance(model.scorer, BagScorer)
    return model.scorer.prefix(dim)


def towers(log: Interactions, **settings: Any) -> Towers:
    """As a training begins."""
    config = TwoTower(**{**QUICK, **settings}).config
    return start_towers(plan(config, LogFacts.of(log), distilled=False), log, None, 0, Sides(), Towers)


@pytest.mark.parametrize("more", [{}, {"user_id": True}, {"negatives": 4}, {"order": True}, {"table": "full"}])
def test_the_first_numbers_of_a_nested_model_rank_better_than_those_of_a_plain_one(
    log: tuple[Interactions, HeldOut], more: dict[str, Any]
) -> None:
    train, held = log
    timed = replace(train, times=np.arange(train.n_rows))
    settings = {**QUICK, "batch_users": 16, **more}
    nested, plain = TwoTower(**settings, nested=(2,)).fit(timed), TwoTower(**settings).fit(timed)
    assert valid_ndcg(served(nested, 2), train, held, 4) > valid_ndcg(served(plain, 2), train, held, 4) + 0.05
    assert valid_ndcg(nested.scorer, train, held, 4) > 0.6  # chance is .17


@pytest.mark.parametrize("by", [None, ("rrd", "margin_mse"), ("rce_kd",)])
def test_every_size_learns_from_a_teacher(
    log: tuple[Interactions, HeldOut], knowledge: Knowledge, by: tuple[str, ...] | None
) -> None:
    train, held = log
    methods = None if by is None else read_methods(by)
    nested = TwoTower(**QUICK, nested=(4, 6), label_share=0.0).distil(train, knowledge, methods=methods)
    plain = TwoTower(**QUICK, label_share=0.0).distil(train, knowledge, methods=methods)
    for size in (6, 8):
        assert valid_ndcg(served(nested, size), train, held, 4) > 0.8  # chance is .17
    assert valid_ndcg(served(nested, 4), train, held, 4) > valid_ndcg(served(plain, 4), train, held, 4) + 0.15


@pytest.mark.parametrize("more", [{"table": "tied"}, {"table": "full"}, {"table": "tied", "user_id": True}])
def test_the_served_prefix_scores_as_it_was_trained(log: tuple[Interactions, HeldOut], more: dict[str, Any]) -> None:
    train = log[0]
    model = towers(train, nested=(3,), **more)
    batch = whole_batches(train.csr(), HISTORY_POWER, torch.device("cpu"))(np.arange(train.n_users))
    with torch.no_grad():
        users, items, bias = model(batch)
        wanted = normalize(users[:, :3], dim=1) / model.tau @ normalize(items[:, :3], dim=1).T + bias
    rows = np.arange(train.n_users) if model.users is not None else None
    found = model.scorer().prefix(3).score(Histories.from_csr(train.csr()), rows)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-5)


def test_the_loss_is_the_mean_over_sizes_and_its_gradients_are_those_of_each(
    log: tuple[Interactions, HeldOut],
) -> None:
    train = log[0]
    batch = whole_batches(train.csr(), HISTORY_POWER, torch.device("cpu"))(np.arange(train.n_users))
    model, by_hand = towers(train, table="tied"), towers(train, table="tied")
    loss = NestedLoss(CatalogueLoss(), (2, 5), tau=model.tau)(*model(batch), batch.positives)
    loss.backward()
    total = torch.zeros(())
    for size in (2, 5, 8):
        users, items, bias = by_hand(batch)
        narrow = normalize(users[:, :size], dim=1) / model.tau, normalize(items[:, :size], dim=1)
        total = total + CatalogueLoss()(*narrow, bias, batch.positives) / 3
    total.backward()
    torch.testing.assert_close(loss, total)
    for one, other in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert one.grad is not None and one.grad.abs().sum() > 0
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_a_size_is_chosen_at_load(log: tuple[Interactions, HeldOut], tmp_path: Path) -> None:
    student = TwoTower(**QUICK, nested=(2, 4)).fit(log[0])
    student.save(tmp_path / "student")
    small = rd.Recommender.load(tmp_path / "student", dim=4)
    assert small.scorer.dimension == 4
    assert arrays_equal(small.scorer, served(student, 4))  # type: ignore[arg-type]
    assert rd.Recommender.load(tmp_path / "student", dim=8).scorer.dimension == 8
    assert len(small.recommend(history=[0, 1], k=5)) == 5
    with pytest.raises(ConfigError, match=r"dim = 3 is not there; found 2, 4, 8\. Give one"):
        rd.Recommender.load(tmp_path / "student", dim=3)


def test_a_plain_artifact_has_one_size(log: tuple[Interactions, HeldOut], tmp_path: Path) -> None:
    TwoTower(**{**QUICK, "epochs": 1}).fit(log[0]).save(tmp_path / "student")
    with pytest.raises(ConfigError, match="dim = 4 is not there; found 8"):
        rd.Recommender.load(tmp_path / "student", dim=4)


def test_eight_bits_keep_the_sizes_and_a_rotation_takes_them(log: tuple[Interactions, HeldOut], tmp_path: Path) -> None:
    train, held = log
    student = TwoTower(**QUICK, nested=(2,)).fit(train)
    rd.compress(student, codec="int8").save(tmp_path / "int8")
    rd.compress(student, codec="int4").save(tmp_path / "int4")
    small = rd.Recommender.load(tmp_path / "int8", dim=2).scorer
    assert small.config()["codecs"]["item_table"] == "int8"
    assert valid_ndcg(small, train, held, 4) > valid_ndcg(served(student, 2), train, held, 4) - 0.05
    with pytest.raises(ConfigError, match="dim = 2 is not there; found 8"):
        rd.Recommender.load(tmp_path / "int4", dim=2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"nested": ()}, "give whole numbers from 1 to below dim = 8"),
        ({"nested": (0, 4)}, "give whole numbers from 1 to below dim = 8"),
        ({"nested": (4, 8)}, "give whole numbers from 1 to below dim = 8"),
        ({"nested": (4, 2)}, "ascending"),
        ({"nested": (4, 4)}, "ascending"),
        ({"nested": (4,), "codec": "int4"}, "with codec = 'int4': such rows cannot be cut"),
        ({"nested": (4,), "item_features": True}, "with item_features = true: such rows cannot be cut"),
    ],
)
def test_sizes_that_cannot_be_trained_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TwoTower(dim=8, user_id=False, **settings)


def test_a_deep_tower_has_one_size() -> None:
    with pytest.raises(ConfigError, match=r"deep_tower: nested = \[4\]"):
        rd.DeepTower(dim=8, nested=(4,))


def test_a_method_that_looks_at_vectors_is_refused(log: tuple[Interactions, HeldOut], knowledge: Knowledge) -> None:
    said = r"nested = \[2\] with a method that needs the teacher's vectors, and so vectors of one width"
    with pytest.raises(ConfigError, match=said):
        TwoTower(**QUICK, nested=(2,)).distil(log[0], knowledge, methods=read_methods(["rrd", "rkd_distance"]))
