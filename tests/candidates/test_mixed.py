"""Mixed negatives: every positive is shown, and the correction is the true probability of being shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from recdistill.candidates.mixed import MixedNegatives
from recdistill.errors import ConfigError
from recdistill.objectives.positives import Positives

USERS, ITEMS, BATCH, SAMPLE = 60, 40, 6, 5


@pytest.fixture
def log() -> csr_matrix:
    draw = np.random.default_rng(0)
    wanted = draw.random((USERS, ITEMS)) < np.linspace(0.01, 0.2, ITEMS)
    return csr_matrix(wanted.astype(np.float32))


def of_users(log: csr_matrix, users: np.ndarray) -> Positives:
    rows = log[users]
    entries = np.repeat(np.arange(len(users)), np.diff(rows.indptr))
    return Positives(*(torch.from_numpy(part.astype(np.int64)) for part in (rows.indptr, rows.indices, entries)))


def negatives(log: csr_matrix, sample: int = SAMPLE) -> MixedNegatives:
    return MixedNegatives(log, batch_users=BATCH, sample=sample, generator=np.random.default_rng(1))


def test_positives_are_found_at_their_places(log: csr_matrix) -> None:
    given = of_users(log, np.arange(BATCH))
    shown = negatives(log).of(given)
    torch.testing.assert_close(shown.items[shown.positives.items], given.items)
    assert (shown.items.diff() > 0).all()
    assert len(shown.items) <= len(given.items) + SAMPLE


def test_offsets_are_what_the_shares_of_batches_say(log: csr_matrix) -> None:
    draw, source = np.random.default_rng(2), negatives(log)
    seen, turns = np.zeros(ITEMS), 6000
    offset = np.zeros(ITEMS)
    for _ in range(turns):
        shown = source.of(of_users(log, draw.choice(USERS, BATCH, replace=False)))
        seen[shown.items.numpy()] += 1
        offset[shown.items.numpy()] = shown.offset.numpy()
    # users are drawn without repetition, which the correction takes for independent: at most BATCH/USERS off
    np.testing.assert_allclose(seen / turns, np.exp(-offset), rtol=0.08)


def test_a_sample_of_all_items_needs_no_correction(log: csr_matrix) -> None:
    shown = negatives(log, ITEMS).of(of_users(log, np.arange(3)))
    assert len(shown.items) == ITEMS
    torch.testing.assert_close(shown.offset, torch.zeros(ITEMS), atol=1e-6, rtol=0)


@pytest.mark.parametrize("sample", [0, ITEMS + 1])
def test_a_sample_that_cannot_be_drawn_is_refused(log: csr_matrix, sample: int) -> None:
    with pytest.raises(ConfigError, match=f"negatives = {sample}: give a number from 1 to {ITEMS}"):
        negatives(log, sample)
