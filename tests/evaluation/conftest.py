"""Small splits whose every number can be checked by eye, and scorers that say exactly what a table says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import scipy.sparse as sp

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.splits import Split
from recdistill.data.vocab import Vocab
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable, encode

MakeSplit = Callable[..., Split]


def _csr(lists: Sequence[Sequence[int]], n_items: int) -> sp.csr_matrix:
    rows = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    columns = np.array([item for one in lists for item in sorted(one)], dtype=np.int64)
    return sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(lists), n_items))


@pytest.fixture(scope="session")
def make_split() -> MakeSplit:
    def make(
        train: Sequence[Sequence[int]],
        relevant: Sequence[Sequence[int]],
        n_items: int,
        *,
        unknown: Sequence[int] | None = None,
        user_rows: Sequence[int] | None = None,
        exclude: str = "train",
        valid: HeldOut | None = None,
    ) -> Split:
        """Lists of item rows per train user and per test user; test user i is train user i unless told otherwise."""
        pairs = np.array([(u, i) for u, one in enumerate(train) for i in sorted(one)], np.int64).reshape(-1, 2)
        users, items = Vocab(np.arange(len(train)) + 100), Vocab(np.arange(n_items) + 1000)
        log = Interactions.from_rows(users, items, pairs[:, 0], pairs[:, 1])
        rows = np.arange(len(relevant)) if user_rows is None else np.array(user_rows)
        more = np.zeros(len(relevant), np.int64) if unknown is None else np.array(unknown)
        wanted = _csr(relevant, n_items)
        count = np.diff(wanted.indptr).astype(np.int64) + more
        test = HeldOut(np.arange(len(relevant)) + 100, rows.astype(np.int64), wanted, count)
        return Split(train=log, valid=valid, test=test, name="given", exclude=exclude)

    return make


def _table(matrix: np.ndarray) -> CodedTable:
    return CodedTable("fp32", encode("fp32", np.ascontiguousarray(matrix, dtype=np.float32)))


@pytest.fixture(scope="session")
def scorer_of() -> Callable[[np.ndarray], BagScorer]:
    """A scorer whose score of train user u for item i is exactly `scores[u, i]`; unknown users get 0 everywhere."""

    def make(scores: np.ndarray) -> BagScorer:
        n_users, n_items = scores.shape
        silent = _table(np.zeros((n_items, n_users)))
        return BagScorer(item_table=_table(scores.T), history_table=silent, user_table=_table(np.eye(n_users)))

    return make


@pytest.fixture(scope="session")
def constant_scorer() -> Callable[[int], BagScorer]:
    return lambda n_items: BagScorer(item_bias=np.zeros(n_items, np.float32))
