from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recdistill.data import interactions
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError


def test_the_matrix_holds_each_pair_once_in_sorted_order() -> None:
    log = Interactions.from_ids(["b", "a", "b", "b"], [30, 10, 20, 30], times=[5, 1, 2, 9])
    assert log.users.ids().tolist() == ["a", "b"]
    assert log.items.ids().tolist() == [10, 20, 30]
    assert log.csr().toarray().tolist() == [[1, 0, 0], [0, 1, 1]]
    assert log.csr().dtype == np.float32
    assert log.csr().has_sorted_indices
    assert log.times.tolist() == [1, 2, 9]
    assert log.notes == ("1 repeated (user, item) rows: the last of each is kept",)
    assert log.csr() is log.csr()


def test_without_times_the_later_place_counts() -> None:
    vocab = Vocab([0, 1])
    rows = np.array([0, 1, 0])
    log = Interactions.from_rows(
        vocab, vocab, rows, np.zeros(3, dtype=int), values=np.array([1, 2, 3], dtype=np.float32)
    )
    assert log.values.tolist() == [3, 2]


def test_the_hash_follows_the_content_and_not_the_order_or_the_notes() -> None:
    log = Interactions.from_ids([1, 2, 3], [7, 8, 7])
    assert log.sha256() == Interactions.from_ids([3, 1, 2], [7, 7, 8]).sha256()
    assert log.sha256() != Interactions.from_ids([1, 2, 3], [7, 8, 8]).sha256()
    assert log.sha256() != Interactions.from_ids([1, 2, 4], [7, 8, 7]).sha256()
    assert log.sha256() != Interactions.from_ids([1, 2, 3], [7, 8, 7], times=[1, 1, 1]).sha256()


@pytest.mark.parametrize(
    ("user_rows", "item_rows", "times", "fault"),
    [
        ([0, 0], [1, 0], None, "sorted by"),
        ([0, 0], [1, 1], None, "sorted by"),
        ([0, 2], [0, 0], None, "user rows go from 0 to 2; there are 2"),
        ([0, 1], [-1, 0], None, "item rows go from -1 to 0"),
        ([0, 1], [0], None, "item_rows has 1 rows"),
        ([0, 1], [0, 1], [5], "times has 1 rows"),
    ],
)
def test_rows_that_are_not_a_log_are_refused(user_rows: list, item_rows: list, times: list | None, fault: str) -> None:
    when = None if times is None else np.array(times)
    with pytest.raises(DataError, match=fault):
        Interactions(Vocab([5, 6]), Vocab(["x", "y"]), np.array(user_rows), np.array(item_rows), when)


def test_held_out_columns_must_fit_each_other() -> None:
    relevant = csr_matrix(np.eye(2, dtype=np.float32))
    with pytest.raises(DataError, match="different lengths"):
        HeldOut(np.array([1]), np.array([0, 1]), relevant, np.array([1, 1]))
    with pytest.raises(DataError, match="more known relevant items"):
        HeldOut(np.array([1, 2]), np.array([0, 1]), relevant, np.array([1, 0]))
    with pytest.raises(DataError, match=r"the histories have the shape \(1, 2\), the relevant items \(2, 2\)"):
        HeldOut(np.array([1, 2]), np.array([0, 1]), relevant, np.array([1, 1]), relevant[:1])


@pytest.mark.parametrize("n_parts", [1, 2, 5])
def test_pairs_sorted_on_several_cores_make_the_same_matrix(monkeypatch: pytest.MonkeyPatch, n_parts: int) -> None:
    monkeypatch.setattr(interactions, "LARGE", 8)
    monkeypatch.setattr(interactions, "cores", lambda: n_parts)
    draw = np.random.default_rng(n_parts)
    users, items = (draw.integers(0, size, 500).astype(np.int32) for size in (20, 30))
    made = interactions.pair_csr(users, items, (20, 30))
    want = csr_matrix((np.ones(500), (users, items)), shape=(20, 30)) > 0
    assert made.has_canonical_format
    assert (made != want).nnz == 0
    assert (np.diff(made.indices)[np.diff(np.repeat(np.arange(20), np.diff(made.indptr))) == 0] > 0).all()
