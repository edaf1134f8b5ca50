"""Two-tower students that are trained through their codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recdistill as rd
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.errors import ConfigError
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import valid_ndcg
from recdistill.models.towers import HISTORY_POWER, Towers
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_features import Sides
from recdistill.models.two_tower_rules import LogFacts, plan
from recdistill.models.two_tower_start import start_towers
from recdistill.serving.bag import BagScorer
from recdistill.serving.histories import Histories
from recdistill.tables.codec_names import TRAINED_CODECS, WITH_STEPS
from recdistill.training.batches import whole_batches
from tests.models.test_two_tower import arrays_equal, blocks

QUICK: dict[str, Any] = {"dim": 8, "epochs": 60, "learning_rate": 0.02, "user_id": False, "history_dropout": 0.0}
SMALL_ARRAYS = ("history_weight", "item_bias")
SUMMED = ("qr30", "hash24")
FAMILIES = (
    "bf16", "int4_row", "int4_group4", "int4_uniform", "mixed20_4_2", "fp16_dims20_4", "int4_dims20_4", "pq4", "rq3",
    "svd6", *SUMMED,
)  # fmt: skip


@pytest.fixture(scope="module")
def log() -> tuple[Interactions, HeldOut]:
    return blocks()


@pytest.fixture(scope="module")
def knowledge(log: tuple[Interactions, HeldOut]) -> Knowledge:
    return Knowledge.extract(TwoTower(dim=8, epochs=60, learning_rate=0.02).fit(log[0]), log[0], top_k=12)


def towers(log: Interactions, **settings: Any) -> Towers:
    """As a training begins."""
    config = TwoTower(**{**QUICK, **settings}).config
    return start_towers(plan(config, LogFacts.of(log), distilled=False), log, None, 0, Sides(), Towers)


@pytest.mark.parametrize(
    ("codec", "table"), [(codec, table) for codec in (*TRAINED_CODECS, *FAMILIES) for table in ("tied", "full")
                         if table == "tied" or codec not in SUMMED],
)  # fmt: skip
def test_the_scorer_answers_what_training_ranks_by(log: tuple[Interactions, HeldOut], codec: str, table: str) -> None:
    train = log[0]
    model = towers(train, codec=codec, table=table)
    batch = whole_batches(train.csr(), HISTORY_POWER, torch.device("cpu"))(np.arange(train.n_users))
    with torch.no_grad():
        users, items, bias = model(batch)
        wanted = torch.addmm(bias, users, items.T).numpy()
    scorer = model.scorer()
    assert scorer.item_table is not None and scorer.item_table.codec == codec
    np.testing.assert_array_equal(scorer.item_table.matrix(), items.numpy())
    np.testing.assert_allclose(scorer.score(Histories.from_csr(train.csr())), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("codec", "step"),
    [*((name, None) for name in (*TRAINED_CODECS, *FAMILIES)), *((name, "learned") for name in WITH_STEPS)],
)
def test_tastes_are_learned_through_every_codec(
    log: tuple[Interactions, HeldOut], codec: str, step: str | None
) -> None:
    train, held = log
    student = TwoTower(**QUICK, codec=codec, codec_step=step).fit(train)
    assert valid_ndcg(student.scorer, train, held, 4) > 0.65  # chance is .17
    assert isinstance(student.scorer, BagScorer) and student.scorer.history_table is None
    assert student.scorer.config()["codecs"] == {"item_table": codec}


@pytest.mark.parametrize("codec", [*TRAINED_CODECS, *FAMILIES])
def test_a_student_learns_from_a_teacher_through_codes(
    log: tuple[Interactions, HeldOut], knowledge: Knowledge, codec: str
) -> None:
    train, held = log
    student = TwoTower(**QUICK, codec=codec, label_share=0.0).distil(train, knowledge)
    assert valid_ndcg(student.scorer, train, held, 4) > 0.65  # chance is .17


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("codec", ["int4", *FAMILIES])
def test_cuda_trains_through_codes_that_the_cpu_serves(log: tuple[Interactions, HeldOut], codec: str) -> None:
    train, held = log
    student = TwoTower(**QUICK, codec=codec).fit(train, device="cuda")
    assert valid_ndcg(student.scorer, train, held, 4) > 0.65  # chance is .17
    assert student.scorer.config()["codecs"] == {"item_table": codec}


def test_training_through_two_bits_ranks_better_than_casting_to_them(log: tuple[Interactions, HeldOut]) -> None:
    train, held = log
    settings = {**QUICK, "dim": 3, "table": "tied"}
    cast = rd.compress(TwoTower(**settings).fit(train), codec="binary").scorer
    through = TwoTower(**settings, codec="binary").fit(train).scorer
    assert through.nbytes == cast.nbytes
    assert valid_ndcg(through, train, held, 4) > valid_ndcg(cast, train, held, 4)


def test_the_same_seed_gives_the_same_codes_and_another_seed_others(log: tuple[Interactions, HeldOut]) -> None:
    one, same, other = (TwoTower(**QUICK, codec="int3").fit(log[0], seed=seed).scorer for seed in (0, 0, 1))
    assert arrays_equal(one, same)  # type: ignore[arg-type]
    assert not arrays_equal(one, other)  # type: ignore[arg-type]


@pytest.mark.parametrize("more", [{"negatives": 4}, {"order": True}])
@pytest.mark.parametrize("codec", ["int4", "mixed20_4_2", "pq4", "qr30"])
def test_codes_are_trained_against_samples_and_in_order_too(
    log: tuple[Interactions, HeldOut], codec: str, more: Any
) -> None:
    from dataclasses import replace

    train, held = log
    timed = replace(train, times=np.arange(train.n_rows))
    student = TwoTower(**{**QUICK, "batch_users": 16}, codec=codec, **more).fit(timed)
    assert valid_ndcg(student.scorer, train, held, 4) > 0.6  # chance is .17


def test_codes_are_saved_and_served_as_they_were_trained(log: tuple[Interactions, HeldOut], tmp_path: Path) -> None:
    student = TwoTower(**QUICK, codec="int3").fit(log[0])
    student.save(tmp_path / "student")
    served = rd.Recommender.load(tmp_path / "student")
    assert arrays_equal(student.scorer, served.scorer)  # type: ignore[arg-type]
    assert served.scorer.nbytes == student.scorer.nbytes


def test_learned_steps_differ_from_those_that_follow_the_spread(log: tuple[Interactions, HeldOut]) -> None:
    follow, learned = (
        TwoTower(**QUICK, codec="int2", codec_step=step).fit(log[0]).scorer for step in (None, "learned")
    )
    assert (follow.arrays()["item_table.scales"] != learned.arrays()["item_table.scales"]).any()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"codec": "int5"}, "codec = 'int5' cannot be trained through. Did you mean 'int"),
        ({"codec": "int8", "codec_step": "learned"}, "codec = 'int8' cannot be trained with a learned step"),
        ({"codec": "fp32"}, "codec = 'fp32' cannot be trained through"),
        ({"codec": "sparse16"}, "codec = 'sparse16' cannot be trained through"),
        ({"codec": "pq16", "dim": 12}, "codec = 'pq16' with dim = 12: give at least dim = 16"),
        ({"codec": "qr64", "table": "full"}, "codec = 'qr64' with table = 'full'"),
        ({"codec": "pq8", "pruned": 0.5}, "with codec = 'pq8', which has no pruned form"),
        ({"codec_step": "learned"}, "codec_step = 'learned' without a codec"),
        ({"codec": "int4", "user_id": True}, "codec = 'int4' with user_id = true"),
        ({"codec": "int4", "item_features": True}, "codec = 'int4' with item_features = true"),
    ],
)
def test_what_cannot_be_trained_through_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TwoTower(**{"user_id": False, **settings})
