"""Users at a moment of their history: what is in the bag came before the label, and counts by its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from recdistill.candidates.mixed import MixedNegatives
from recdistill.models.two_tower_order import ALONE, FARTHEST, PlaceWeights
from recdistill.training.bags import Bags, weighed_bag_sum
from recdistill.training.batches import Batch
from recdistill.training.ordered_batches import OrderedBatches

CPU = torch.device("cpu")
LENGTHS = (5, 1, 3, 0, 7, 2)
N_ITEMS = 12


def log() -> tuple[csr_matrix, np.ndarray]:
    """Items of a user were used from the one with the highest number to the one with the lowest."""
    indptr = np.cumsum([0, *LENGTHS])
    items = np.concatenate([np.arange(length) + user % 4 for user, length in enumerate(LENGTHS)])
    places = np.concatenate([np.arange(length) for length in LENGTHS]).astype(np.int32)
    return csr_matrix((np.ones(len(items), np.float32), items, indptr), shape=(len(LENGTHS), N_ITEMS)), places


def ordered(*, whole: bool = False, seed: int = 0, dropout: float = 0.0, **more: Any) -> OrderedBatches:
    return OrderedBatches(
        *log(), whole=whole, batch_users=6, history_power=0.5, history_dropout=dropout,
        generator=np.random.default_rng(seed), device=CPU, **more,
    )  # fmt: skip


def bag_of(batch: Batch, row: int) -> tuple[list[int], list[int]]:
    offsets = batch.bags.by_user.offsets
    assert batch.places is not None
    entries = slice(offsets[row], offsets[row + 1])
    return batch.bags.by_user.columns[entries].tolist(), batch.places[entries].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_bag_is_what_came_before_the_one_positive(seed: int) -> None:
    (batch,) = ordered(seed=seed)
    assert sorted(batch.users.tolist()) == [0, 2, 4, 5]  # the others have no two items
    for row, user in enumerate(batch.users.tolist()):
        items, places = bag_of(batch, row)
        (label,) = batch.positives.items[batch.positives.offsets[row] : batch.positives.offsets[row + 1]].tolist()
        last = user % 4 + LENGTHS[user] - 1
        assert items == list(range(label + 1, last + 1))  # all that was used before the label, and no more
        assert places == [item - label - 1 for item in items]  # counted from the moment
        torch.testing.assert_close(
            batch.bags.by_user.values[batch.bags.by_user.rows() == row], torch.full((len(items),), len(items) ** -0.5)
        )


def test_every_moment_is_drawn_in_the_end() -> None:
    batches = ordered()
    labels: dict[int, set[int]] = {}
    for _ in range(60):
        for batch in batches:
            for user, label in zip(batch.users.tolist(), batch.positives.items.tolist(), strict=True):
                labels.setdefault(user, set()).add(label - user % 4)
    assert labels == {user: set(range(LENGTHS[user] - 1)) for user in (0, 2, 4, 5)}


def test_whole_histories_come_with_their_moment_and_places_from_the_end() -> None:
    (batch,) = ordered(whole=True)
    assert sorted(batch.users.tolist()) == list(range(len(LENGTHS)))
    for row, user in enumerate(batch.users.tolist()):
        items, places = bag_of(batch, row)
        assert items == [user % 4 + place for place in range(LENGTHS[user])]
        assert places == list(range(LENGTHS[user]))
    assert batch.moment is not None
    assert sorted(batch.moment.users.tolist()) == [0, 2, 4, 5]


def test_hidden_items_keep_the_places_of_the_others() -> None:
    (batch,) = ordered(whole=True, dropout=0.5)
    kept = 0
    for row, user in enumerate(batch.users.tolist()):
        items, places = bag_of(batch, row)
        assert [item - user % 4 for item in items] == places
        kept += len(items)
    assert 0 < kept < sum(LENGTHS)


def test_bags_and_labels_are_places_among_the_shown_items() -> None:
    sample = MixedNegatives(log()[0], batch_users=6, sample=2, generator=np.random.default_rng(3))
    (shown,), (plain,) = ordered(negatives=sample), ordered()
    assert shown.shown is not None
    items = shown.shown.items
    assert torch.equal(items[shown.positives.items], plain.positives.items)
    assert torch.equal(items[shown.bags.by_user.columns], plain.bags.by_user.columns)


def test_an_epoch_goes_on_where_it_was_left() -> None:
    one, other = ordered(dropout=0.3), ordered(dropout=0.3, seed=9)
    list(one)
    state = one.state()
    want = [batch.bags.by_user.columns for batch in one]
    other.restore({**state, "given": 1})
    assert list(other) == []
    found = [batch.bags.by_user.columns for batch in other]
    assert all(torch.equal(a, b) for a, b in zip(want, found, strict=True))


def test_a_weighed_bag_and_its_gradients_are_those_of_a_dense_product() -> None:
    matrix, _ = log()
    matrix.data = np.random.default_rng(1).random(matrix.nnz).astype(np.float32)
    table = torch.randn(N_ITEMS, 3, dtype=torch.float64).float().requires_grad_()
    weights = torch.rand(matrix.nnz).requires_grad_()
    sums = weighed_bag_sum(table, weights, Bags.weighable(matrix, CPU))
    again_table, again_weights = table.detach().clone().requires_grad_(), weights.detach().clone().requires_grad_()
    rows, columns = (torch.from_numpy(index.astype(np.int64)) for index in matrix.nonzero())
    values = again_weights * torch.from_numpy(matrix.data)
    dense = torch.zeros(matrix.shape).index_put((rows, columns), values) @ again_table
    torch.testing.assert_close(sums, dense)
    upstream = torch.randn(sums.shape)
    sums.backward(upstream)
    dense.backward(upstream)
    torch.testing.assert_close(table.grad, again_table.grad)
    torch.testing.assert_close(weights.grad, again_weights.grad)


def test_the_last_places_weigh_by_themselves_and_far_ones_together() -> None:
    weights = PlaceWeights()
    assert torch.equal(weights.export(), torch.ones(FARTHEST))
    with torch.no_grad():
        weights.logs.copy_(torch.arange(len(weights.logs)).float() / -10)
    found = weights.export()
    assert len(torch.unique(found)) == len(weights.logs)  # each is used
    assert len(torch.unique(found[:ALONE])) == ALONE
    assert (found.diff() <= 0).all()
    assert weights(torch.tensor([FARTHEST + 5])) == found[-1]
