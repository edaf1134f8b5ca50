"""Sequences as a sequence model is trained on them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from recdistill.data.interactions import Interactions
from recdistill.training.sequences import SequenceBatches

CPU = torch.device("cpu")


def sequences_of(log: Interactions, length: int, batch_users: int = 100) -> list[list[int]]:
    """Sorted, since users come in any order."""
    places = log.places()
    assert places is not None
    batches = SequenceBatches(
        log.csr(), places, length=length, batch_users=batch_users, generator=np.random.default_rng(0), device=CPU
    )
    found = []
    for batch in batches:
        offsets = batch.positives.offsets.tolist()
        found += [batch.positives.items[a:b].tolist() for a, b in pairwise(offsets)]
        assert torch.equal(batch.positives.rows, torch.repeat_interleave(batch.positives.counts))
    return sorted(found)


LOG = Interactions.from_ids([1, 1, 1, 1, 2, 2, 3], [0, 1, 2, 3, 3, 0, 2], times=[9, 2, 7, 5, 4, 8, 1])


def test_items_come_the_oldest_first_and_who_used_one_item_is_left_out() -> None:
    assert sequences_of(LOG, 50) == [[1, 3, 2, 0], [3, 0]]


def test_of_a_long_history_the_last_items_are_kept_and_the_one_that_followed_them() -> None:
    assert sequences_of(LOG, 2) == [[3, 0], [3, 2, 0]]


def test_the_size_of_the_batches_changes_no_sequence() -> None:
    draw = np.random.default_rng(1)
    users, items = np.nonzero(draw.random((30, 20)) < 0.4)
    log = Interactions.from_ids(users, items, times=draw.permutation(len(users)))
    assert sequences_of(log, 6, 7) == sequences_of(log, 6)
