"""What a search sees: valid rows and whole users, never test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recdistill.data import readers, splits
from recdistill.data.splits import Split
from recdistill.errors import ConfigError
from recdistill.search.part import search_part
from tests.conftest import tiny_frame


def test_a_small_log_is_searched_as_it_is(tiny_split: Split) -> None:
    part = search_part(tiny_split, max_users=120, seed=0)
    assert part.train is tiny_split.train
    assert part.valid is tiny_split.valid
    assert part.notes == ()
    assert part.judges == 120


def test_some_users_keep_all_their_rows(tiny_split: Split) -> None:
    part = search_part(tiny_split, max_users=50, seed=0)
    whole, some = tiny_split.train, part.train
    assert (some.n_users, some.n_items) == (50, whole.n_items)
    assert part.whole is whole
    assert "50 of 120 users" in part.notes[0]
    places = whole.users.rows(some.users.ids())
    np.testing.assert_array_equal(some.csr().toarray(), whole.csr()[places].toarray())
    assert tiny_split.valid is not None
    assert list(part.valid.user_ids) == list(some.users.ids(part.valid.user_rows))
    held = dict(zip(tiny_split.valid.user_ids, tiny_split.valid.relevant, strict=True))
    for user, row in zip(part.valid.user_ids, part.valid.relevant, strict=True):
        np.testing.assert_array_equal(row.indices, held[user].indices)


def test_the_choice_of_users_is_seeded(tiny_split: Split) -> None:
    hashes = [search_part(tiny_split, max_users=50, seed=seed).sha256() for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_without_valid_rows_some_of_train_are_held_out(no_valid: Split) -> None:
    part = search_part(no_valid, max_users=1000, seed=0)
    assert part.train.n_rows + part.valid.relevant.nnz == no_valid.train.n_rows
    assert "seeded 10%" in part.notes[0]


@pytest.mark.parametrize("valid", [True, False])
def test_the_test_part_is_not_looked_at(valid: bool, tiny_split: Split, no_valid: Split) -> None:
    split = tiny_split if valid else no_valid
    blind = replace(split, test=None)  # type: ignore[arg-type]
    assert search_part(blind, max_users=50, seed=0).sha256() == search_part(split, max_users=50, seed=0).sha256()


def test_people_whom_training_never_saw_are_drawn_with_their_histories() -> None:
    split = splits.user_folds(readers.read_interactions(tiny_frame()), folds=4)
    assert split.valid is not None and split.valid.history is not None
    part = search_part(split, max_users=30, seed=0)
    assert 0 < len(part.valid) < len(split.valid)
    assert part.valid.history is not None
    assert part.valid.history.shape == part.valid.relevant.shape
    assert (part.valid.user_rows == -1).all()


def test_a_part_that_judges_nothing_is_refused(tiny_split: Split) -> None:
    assert tiny_split.valid is not None
    nothing = csr_matrix(tiny_split.valid.relevant.shape, dtype=np.float32)
    no_rows = {"relevant": nothing, "relevant_count": np.zeros(120, dtype=np.int64), "relevant_times": None}
    empty = replace(tiny_split.valid, **no_rows)
    with pytest.raises(ConfigError, match="no user has a valid row"):
        search_part(replace(tiny_split, valid=empty), max_users=120, seed=0)
    with pytest.raises(ConfigError, match="max_users = 1: give at least 2"):
        search_part(tiny_split, max_users=1, seed=0)
