"""Some users as a log of their own, with what the teacher says of them and nobody else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recdistill.analysis.sample import Sample
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.knowledge.store import Knowledge

TRAIN = Interactions.from_ids(["a", "a", "b", "c", "d", "d"], [0, 1, 2, 0, 1, 3], times=[1, 2, 3, 4, 5, 6])


def held_out(rows: list[int]) -> HeldOut:
    relevant = csr_matrix(np.ones((len(rows), 4), np.float32))
    return HeldOut(np.array([f"v{row}" for row in rows]), np.array(rows), relevant, np.full(len(rows), 4))


def test_chosen_users_keep_their_rows_and_the_catalogue() -> None:
    some = TRAIN.of_users(np.array([0, 3]))
    assert some.users.ids().tolist() == ["a", "d"]
    assert some.n_items == 4
    assert list(zip(some.user_rows.tolist(), some.item_rows.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 1), (1, 3)]
    assert some.times is not None and some.times.tolist() == [1, 2, 5, 6]


def test_knowledge_of_a_sample_is_of_its_users_and_of_no_other_log() -> None:
    lists = np.array([[0, 1], [2, 3], [1, 0], [3, 2]])
    known = Knowledge(
        top_items=lists, top_scores=np.arange(8, dtype=np.float32).reshape(4, 2), top_own=np.zeros((4, 2), bool),
        tail_mass=np.arange(4, dtype=np.float32), n_items=4, log_sha256=TRAIN.sha256(),
        user_vectors=np.eye(4, dtype=np.float32), item_vectors=np.eye(4, dtype=np.float32),
        item_lists=np.zeros((4, 1), np.int32), trajectory=lists[None].astype(np.int32),
    )  # fmt: skip
    sample = Sample(TRAIN, held_out([0, 1, 2, 3]), np.array([1, 3]))
    told = sample.knowledge(known)
    told.check(sample.train)
    assert told.top_items.tolist() == [[2, 3], [3, 2]]
    assert told.tail_mass.tolist() == [1.0, 3.0]
    assert told.user_vectors is not None and told.user_vectors.argmax(1).tolist() == [1, 3]
    assert told.trajectory is not None and told.trajectory.tolist() == [[[2, 3], [3, 2]]]
    assert told.item_lists is None, "the best users of an item are others among fewer"


def test_a_sample_is_judged_by_its_own_users_and_by_those_whom_nobody_knows() -> None:
    sample = Sample(TRAIN, held_out([0, 1, 3, -1]), np.array([1, 3]))
    assert sample.held.user_rows.tolist() == [1, 3, -1]


def test_all_users_are_the_log_itself() -> None:
    held = held_out([0, 1])
    sample = Sample.drawn(TRAIN, held, 99, np.random.default_rng(0))
    assert sample.complete and sample.train is TRAIN and sample.held is held


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_a_part_of_a_sample_is_some_of_its_users(share: float) -> None:
    sample = Sample(TRAIN, held_out([0]), np.array([0, 2, 3]))
    part = sample.part(share, np.random.default_rng(0))
    assert len(part.rows) == max(1, round(share * 3)) and set(part.rows.tolist()) <= {0, 2, 3}
