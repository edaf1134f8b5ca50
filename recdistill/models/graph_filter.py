"""GF-CF: collaborative filtering as a filter on the graph of items, in closed form."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator

from recdistill.errors import ConfigError
from recdistill.models.base import Ranker, choose
from recdistill.models.popularity import log_counts
from recdistill.models.svd import OVERSAMPLED, normalise, singular_vectors
from recdistill.serving.graph_filter import MOST_DIMENSIONS, GraphFilterScorer
from recdistill.serving.scorers import ItemScorer
from recdistill.tables.codecs import CodedTable

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.training.progress import Progress

ALPHAS = (0.3, 0.1, 0.6, 1.0, 2.0)
"""Tried on valid; the first, of the authors' program, where there is no valid part or all are equal."""
MOST_VECTORS, SIDE_PER_VECTOR = 256, 20
ENTRIES_PER_PAIR = 8.0
"""Entries of the Gram matrix are at most users · mean history² times this: 1.1 to 8.1 on five logs."""
ENTRY_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFilterConfig:
    alpha: float | None = None
    """Weight of the ideal low-pass filter beside the linear one; None: one of 5 chosen on valid, without valid .3."""
    dim: int | None = None
    """Singular vectors that the ideal filter passes; None: a twentieth of the smaller side, 256 at most."""

    def __post_init__(self) -> None:
        if self.alpha is not None and not 0 <= self.alpha < np.inf:
            raise ConfigError(f"gf_cf: alpha = {self.alpha}: give 0 or a number above it")
        if self.dim is not None and not 1 <= self.dim <= MOST_DIMENSIONS:
            raise ConfigError(f"gf_cf: dim = {self.dim}: give a whole number from 1 to {MOST_DIMENSIONS}")


class GraphFilter(Ranker):
    """GF-CF (Shen et al., 2021): a user's scores are x (R'R + alpha · D_i^-½ V V' D_i^½), x the history as 0 and 1.

    R = D_u^-½ X D_i^-½ and V its leading right singular vectors. The linear filter R'R is kept sparse, unless more than
    half of it is filled: then the sum of both filters is one item-to-item matrix, which takes less. Who has no history
    is answered with popularity.
    """

    kind: ClassVar[str] = "gf_cf"
    has_vectors: ClassVar[bool] = False
    label: ClassVar[str] = "GF-CF"
    about: ClassVar[str] = "a filter on the item graph"
    meaning: ClassVar[str] = (
        "Closed form, nothing trained: items taken together, smoothed along the main directions of the log."
    )
    Config: ClassVar[type] = GraphFilterConfig
    config: GraphFilterConfig

    def memory_bytes(self, *, n_items: int, n_users: int, n_rows: int) -> int:
        entries, side = min(float(n_items) ** 2, ENTRIES_PER_PAIR * n_rows * n_rows / n_users), n_items + n_users
        dense = 4 * n_items * n_items if _is_full(n_items, entries) else 0
        vectors = 3 * 4 * side * (min(MOST_VECTORS, n_items) + OVERSAMPLED)
        return int(ENTRY_BYTES * entries + dense + vectors)

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> GraphFilterScorer | ItemScorer:
        dim = self.config.dim or default_dim(train)
        filters = graph_filters(train, dim, seed)

        def fit(alpha: float) -> GraphFilterScorer:
            return dataclasses.replace(filters, alpha=alpha)

        alpha = self.config.alpha
        if alpha is None:
            alpha = ALPHAS[0]
            if valid is not None:
                alpha = choose(ALPHAS, fit, train, valid, task=self.kind, progress=progress).value
            self.chosen["alpha"] = alpha
        if self.config.dim is None:
            self.chosen["dim"] = dim
        scorer = fit(alpha)
        return as_matrix(scorer) if _is_full(train.n_items, len(scorer.gram_data)) else scorer


def default_dim(train: Interactions) -> int:
    """The authors' 256 vectors, of smaller logs fewer: a filter that passes everything filters nothing."""
    return max(1, min(MOST_VECTORS, min(train.n_users, train.n_items) // SIDE_PER_VECTOR))


def graph_filters(train: Interactions, dim: int, seed: int) -> GraphFilterScorer:
    """Both filters, at an alpha of 1; `dim` is cut to what the log has."""
    csr = train.csr()
    gram = sparse_gram(csr)
    degree = np.maximum(np.bincount(train.item_rows, minlength=train.n_items), 1).astype(np.float32)
    table = singular_vectors(csr, dim, seed).items * np.sqrt(degree)[:, None]
    return GraphFilterScorer(
        gram_indptr=gram.indptr.astype(np.int64), gram_indices=gram.indices.astype(np.int32, copy=False),
        gram_data=gram.data, item_table=CodedTable.of(table), history_weight=1.0 / degree,
        popularity=log_counts(train),
    )  # fmt: skip


def sparse_gram(users_items: csr_matrix) -> csr_matrix:
    """R'R, float32 (n_items, n_items), of the log normalised by both degrees."""
    normalised = normalise(users_items)
    gram = normalised.T.tocsr() @ normalised
    gram.sort_indices()
    return gram


def as_operator(scorer: GraphFilterScorer) -> LinearOperator:
    """The sum of both filters, history × items, applied without being made."""
    n_items = scorer.n_items
    rows = scorer.gram_data.astype(np.float32), scorer.gram_indices, scorer.gram_indptr
    gram = csr_matrix(rows, shape=(n_items, n_items))
    turned = gram.T.tocsr()
    table = np.zeros((n_items, 0), np.float32) if scorer.item_table is None else scorer.item_table.matrix()
    weight = np.ones(n_items) if scorer.history_weight is None else scorer.history_weight
    factor = (scorer.alpha * weight.astype(np.float32))[:, None]

    def forth(right: np.ndarray) -> np.ndarray:
        right = right.reshape(n_items, -1)
        return gram @ right + factor * (table @ (table.T @ right))

    def back(left: np.ndarray) -> np.ndarray:
        left = left.reshape(n_items, -1)
        return turned @ left + table @ (table.T @ (factor * left))

    return LinearOperator((n_items, n_items), matvec=forth, rmatvec=back, matmat=forth, rmatmat=back, dtype=np.float32)


def as_matrix(scorer: GraphFilterScorer) -> ItemScorer:
    """The same scores, but for rounding, from one item-to-item matrix."""
    assert scorer.item_table is not None
    assert scorer.history_weight is not None
    table = scorer.item_table.matrix()
    matrix = (table * (np.float32(scorer.alpha) * scorer.history_weight)[:, None]) @ table.T
    for item, (start, stop) in enumerate(zip(scorer.gram_indptr[:-1], scorer.gram_indptr[1:], strict=True)):
        matrix[item, scorer.gram_indices[start:stop]] += scorer.gram_data[start:stop]
    return ItemScorer(item_to_item=CodedTable.of(matrix), popularity=scorer.popularity)


def _is_full(n_items: int, entries: float) -> bool:
    """Whether one float for each pair of items takes fewer bytes than the entries with their places."""
    return ENTRY_BYTES * entries > 4 * n_items * n_items
