"""What costs no distillation: the teacher's item-to-item map cut by SVD to the student's size, user table dropped."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse.linalg import svds

from recdistill.errors import ConfigError
from recdistill.models.base import Ranker
from recdistill.serving.scorers import BagScorer, ItemScorer, Scorer
from recdistill.tables.codecs import CodedTable


def teacher_svd(teacher: Scorer | Ranker, dim: int) -> BagScorer:
    """A history-only model of `dim` from the teacher's history × item tables, or from its item-to-item matrix."""
    scorer = teacher.scorer if isinstance(teacher, Ranker) else teacher
    if isinstance(scorer, ItemScorer):
        left, values, right = np.linalg.svd(scorer.item_to_item.matrix(), full_matrices=False)
        cut = BagScorer(item_table=CodedTable.of(right.T.copy()))
    elif isinstance(scorer, BagScorer) and scorer.item_table is not None:
        left, values, right = _product_svd(_history_rows(scorer), scorer.item_table.matrix())
        cut = dataclasses.replace(scorer, user_table=None, history_weight=None)
    elif scorer.vectors:
        left, values, right = _product_svd(scorer.item_vectors(), scorer.item_vectors())
        cut = BagScorer(item_table=CodedTable.of(right.T.copy()), item_bias=scorer.item_bias)
    else:
        raise ConfigError(
            "teacher_svd: the teacher has neither an item-to-item map nor item vectors; nothing can be cut."
        )
    root = np.sqrt(values[:dim])
    history, items = left[:, :dim] * root, right[:dim].T * root
    return dataclasses.replace(
        cut,
        item_table=CodedTable.of(np.ascontiguousarray(items, np.float32)),
        history_table=CodedTable.of(np.ascontiguousarray(history, np.float32)),
    )


def _leading(matrix: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `dim` largest singular values and their vectors, largest first; all of them for a small matrix."""
    if 4 * dim >= len(matrix):
        return np.linalg.svd(matrix, full_matrices=False)
    start = np.ones(len(matrix), matrix.dtype)
    left, values, right = svds(matrix, k=dim, v0=start)  # smallest first
    return left[:, ::-1], values[::-1], right[::-1]


def _history_rows(scorer: BagScorer) -> np.ndarray:
    table = scorer.item_table if scorer.history_table is None else scorer.history_table
    assert table is not None
    rows = table.matrix()
    return rows if scorer.history_weight is None else rows * scorer.history_weight.astype(np.float32)[:, None]


def _product_svd(history: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """SVD of history @ items.T without making it: through the QR of both."""
    left_q, left_r = np.linalg.qr(history)
    right_q, right_r = np.linalg.qr(items)
    left, values, right = np.linalg.svd(left_r @ right_r.T, full_matrices=False)
    return left_q @ left, values, right @ right_q.T
