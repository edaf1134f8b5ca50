"""What costs no distillation: the teacher's item-to-item map cut by SVD to the student's size, user table dropped."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse.linalg import LinearOperator, svds

from recdistill.errors import ConfigError
from recdistill.models.base import Ranker
from recdistill.models.graph_filter import as_operator
from recdistill.serving.scorers import (
    BagScorer,
    DeepBagScorer,
    EnsembleScorer,
    GraphFilterScorer,
    ItemScorer,
    LowRankScorer,
    RerankedScorer,
    Scorer,
)
from recdistill.tables.codecs import CodedTable


def teacher_svd(teacher: Scorer | Ranker, dim: int) -> BagScorer:
    """A history-only model: the best map of rank `dim` to the teacher's own, with the teacher's normalisation and bias.

    The map is history table × item table, item vectors × item vectors where there is no such table, or EASE's matrix;
    of an ensemble that of its first member that has one. Who has no history is answered as by the teacher.
    """
    scorer = teacher.scorer if isinstance(teacher, Ranker) else teacher
    if isinstance(scorer, RerankedScorer):
        scorer = scorer.base
    if isinstance(scorer, EnsembleScorer):
        scorer = _first_that_can(scorer)
    if isinstance(scorer, DeepBagScorer):
        scorer = scorer.bag  # what lies between bag and items is no map of items
    if isinstance(scorer, ItemScorer):
        history, items = _cut_matrix(scorer.item_to_item.matrix(), dim)
        return BagScorer(item_table=_table(items), history_table=_table(history), popularity=scorer.popularity)
    if isinstance(scorer, LowRankScorer):
        history, items = _cut_matrix(_without_diagonal(scorer), dim)
        return BagScorer(item_table=_table(items), history_table=_table(history), popularity=scorer.popularity)
    if isinstance(scorer, GraphFilterScorer):
        history, items = _cut_matrix(as_operator(scorer), dim)
        return BagScorer(item_table=_table(items), history_table=_table(history), popularity=scorer.popularity)
    if isinstance(scorer, BagScorer) and scorer.item_table is not None:
        matrix = scorer.item_table.matrix()
        history, items = _cut_product(_history_rows(scorer), matrix, dim)
        return dataclasses.replace(
            scorer, item_table=_table(items), history_table=_table(history), user_table=None, history_weight=None,
        )  # fmt: skip
    if scorer.vectors:
        vectors = scorer.item_vectors()
        history, items = _cut_product(vectors, vectors, dim)
        return BagScorer(
            item_table=_table(items), history_table=_table(history), item_bias=scorer.item_bias,
            popularity=scorer.popularity,
        )  # fmt: skip
    raise ConfigError("teacher_svd: the teacher has neither an item-to-item map nor item vectors; nothing can be cut.")


def _first_that_can(ensemble: EnsembleScorer) -> Scorer:
    for member in ensemble.members:
        if isinstance(member, ItemScorer | LowRankScorer | GraphFilterScorer) or (member.vectors and member.dimension):
            return dataclasses.replace(member, popularity=ensemble.popularity)  # type: ignore[call-arg]
    return ensemble


def _without_diagonal(scorer: LowRankScorer) -> LinearOperator:
    """The map itself, history × items, applied without being made."""
    table, weight = scorer.item_table.matrix(), scorer.item_weight[:, None]
    own = np.einsum("nd,nd->n", table, table)[:, None]

    def times(right: np.ndarray) -> np.ndarray:
        right = weight * right.reshape(len(table), -1)
        return table @ (table.T @ right) - own * right

    def turned(left: np.ndarray) -> np.ndarray:
        left = left.reshape(len(table), -1)
        return weight * (table @ (table.T @ left) - own * left)

    shape = (len(table), len(table))
    return LinearOperator(shape, matvec=times, rmatvec=turned, matmat=times, rmatmat=turned, dtype=np.float32)


def _cut_matrix(matrix: np.ndarray | LinearOperator, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The `dim` leading singular vectors of both sides, each with the root of the singular values."""
    n_items = matrix.shape[0]
    if 4 * dim >= n_items:
        whole = matrix if isinstance(matrix, np.ndarray) else matrix @ np.eye(n_items, dtype=np.float32)
        left, values, right = np.linalg.svd(whole, full_matrices=False)
        left, values, right = left[:, :dim], values[:dim], right[:dim]
    else:
        left, values, right = svds(matrix, k=dim, v0=np.ones(n_items, np.float32))
    root = np.sqrt(values)
    return left * root, right.T * root


def _cut_product(history: np.ndarray, items: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The same for history @ items.T, which is not made.

    History rows are turned and cut, not stretched: a user's vector is the projection of the teacher's, so that bringing
    it to length 1 means what it meant there.
    """
    basis, triangle = np.linalg.qr(items)
    _, _, right = np.linalg.svd(np.linalg.qr(history, mode="r") @ triangle.T, full_matrices=False)
    directions = basis @ right[:dim].T  # (n_items, dim), leading right singular vectors of the map
    turned, mixed = np.linalg.qr(items.T @ directions)
    return history @ turned, directions @ mixed.T


def _history_rows(scorer: BagScorer) -> np.ndarray:
    table = scorer.item_table if scorer.history_table is None else scorer.history_table
    assert table is not None
    rows = table.matrix()
    return rows if scorer.history_weight is None else rows * scorer.history_weight.astype(np.float32)[:, None]


def _table(rows: np.ndarray) -> CodedTable:
    return CodedTable.of(np.ascontiguousarray(rows, np.float32))
