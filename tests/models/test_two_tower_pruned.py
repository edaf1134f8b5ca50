"""Two-tower students that are pruned while they are trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recdistill as rd
from recdistill.compression.sizes import student_bytes
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.errors import ConfigError
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import valid_ndcg
from recdistill.models.two_tower import TwoTower
from recdistill.serving.bag import BagScorer
from recdistill.training import loop
from tests.models.test_two_tower import arrays_equal, blocks

QUICK: dict[str, Any] = {
    "dim": 12, "epochs": 60, "learning_rate": 0.02, "user_id": False, "history_dropout": 0.0, "pruned": 0.5,
    "codec": "int4",
}  # fmt: skip
WAYS = ("values", "dimensions")


@pytest.fixture(scope="module")
def log() -> tuple[Interactions, HeldOut]:
    return blocks()


@pytest.fixture(scope="module")
def knowledge(log: tuple[Interactions, HeldOut]) -> Knowledge:
    return Knowledge.extract(TwoTower(dim=8, epochs=60, learning_rate=0.02).fit(log[0]), log[0], top_k=12)


@pytest.mark.parametrize("codec", ["fp16", "int4", "binary"])
@pytest.mark.parametrize("by", WAYS)
def test_tastes_are_learned_with_half_of_the_table(log: tuple[Interactions, HeldOut], by: str, codec: str) -> None:
    train, held = log
    student = TwoTower(**{**QUICK, "codec": codec}, pruned_by=by).fit(train)
    assert valid_ndcg(student.scorer, train, held, 4) > 0.65  # chance is .17


def test_items_without_rows_are_ranked_by_their_bias_and_the_others_by_taste(log: tuple[Interactions, HeldOut]) -> None:
    train, held = log
    scorer = TwoTower(**{**QUICK, "pruned": 0.2}, pruned_by="rows").fit(train).scorer
    assert isinstance(scorer, BagScorer) and scorer.item_table is not None
    gone = ~scorer.item_table.matrix().any(axis=1)
    assert gone.sum() == int(0.2 * train.n_items)
    scores = scorer.score(train.histories())
    bias = np.asarray(scorer.item_bias)[gone]
    np.testing.assert_allclose(scores[:, gone], np.broadcast_to(bias, (len(scores), len(bias))))
    assert valid_ndcg(scorer, train, held, 4) > 0.4  # chance is .17


@pytest.mark.parametrize("by", WAYS)
def test_a_student_learns_from_a_teacher_while_it_is_pruned(
    log: tuple[Interactions, HeldOut], knowledge: Knowledge, by: str
) -> None:
    train, held = log
    student = TwoTower(**{**QUICK, "pruned": 0.3}, pruned_by=by, label_share=0.0).distil(train, knowledge)
    assert valid_ndcg(student.scorer, train, held, 4) > 0.65  # chance is .17


def test_pruning_while_training_ranks_better_than_pruning_what_is_trained(log: tuple[Interactions, HeldOut]) -> None:
    train, held = log
    settings = {**QUICK, "dim": 6, "pruned": 0.8}
    during = TwoTower(**settings).fit(train).scorer
    whole = TwoTower(**{**settings, "pruned": None, "codec": None, "table": "tied"}).fit(train)
    after = rd.compress(whole, codec="int4_sparse1").scorer
    assert during.config()["codecs"] == after.config()["codecs"]
    assert valid_ndcg(during, train, held, 4) > valid_ndcg(after, train, held, 4)


@pytest.mark.parametrize(
    ("by", "codec", "dim"), [("values", "int4_sparse6", 12), ("rows", "int4_dims50_0", 12), ("dimensions", "int4", 6)]
)
def test_its_bytes_are_known_before_and_served_as_they_were_trained(
    log: tuple[Interactions, HeldOut], tmp_path: Path, by: str, codec: str, dim: int
) -> None:
    train = log[0]
    student = TwoTower(**{**QUICK, "epochs": 2}, pruned_by=by).fit(train)
    assert student.scorer.nbytes == student_bytes(train.n_items, codec, dim)
    student.save(tmp_path / "student")
    found = rd.Recommender.load(tmp_path / "student")
    assert arrays_equal(student.scorer, found.scorer)  # type: ignore[arg-type]
    assert found.scorer.nbytes == student.scorer.nbytes


@pytest.mark.parametrize("more", [{"negatives": 4}, {"order": True}])
def test_it_is_pruned_against_samples_and_in_order_too(log: tuple[Interactions, HeldOut], more: Any) -> None:
    from dataclasses import replace

    train, held = log
    timed = replace(train, times=np.arange(train.n_rows))
    student = TwoTower(**{**QUICK, "batch_users": 16}, **more).fit(timed)
    assert valid_ndcg(student.scorer, train, held, 4) > 0.6  # chance is .17


class StoppedError(Exception):
    pass


def test_a_training_that_was_stopped_ends_with_the_same_bits(
    log: tuple[Interactions, HeldOut], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, left = loop.one_cycle, [17]

    def counted(step: int, total: int, warm_up: float) -> float:
        left[0] -= 1
        if not left[0]:
            raise StoppedError
        return plain(step, total, warm_up)

    whole = TwoTower(**QUICK).fit(log[0]).scorer
    monkeypatch.setattr(loop, "one_cycle", counted)
    with pytest.raises(StoppedError), rd.Checkpoints(tmp_path / "kept", every=0):
        TwoTower(**QUICK).fit(log[0])
    with rd.Checkpoints(tmp_path / "kept", every=0):
        again = TwoTower(**QUICK).fit(log[0]).scorer
    assert left[0] < 0 and arrays_equal(whole, again)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pruned": 1.0}, "pruned = 1.0: give a number between 0 and 1"),
        ({"codec": None}, "pruned = 0.5 without a codec: set codec = 'fp16'"),
        ({"codec": "int8"}, "with codec = 'int8', which has no pruned form"),
        ({"table": "full"}, "pruned = 0.5 with table = 'full'"),
        ({"pruned": None, "pruned_by": "rows"}, "pruned_by = 'rows' without a share: set pruned = 0.5"),
    ],
)
def test_what_cannot_be_pruned_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TwoTower(**{**QUICK, **settings})


def test_a_deep_tower_keeps_its_dimensions() -> None:
    with pytest.raises(ConfigError, match="deep_tower: pruned_by = 'dimensions': its network"):
        rd.DeepTower(**QUICK, pruned_by="dimensions")
