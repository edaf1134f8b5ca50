"""Singular vectors of the normalised log: a ranker of its own, and the start of two-tower tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from recdistill.errors import ConfigError
from recdistill.models.base import Ranker
from recdistill.models.popularity import log_counts
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.training.progress import Progress

OVERSAMPLED = 16
POWER_ITERATIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SVDConfig:
    dim: int = 64
    """Singular vectors kept, cut to what the log has."""

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ConfigError(f"svd: dim = {self.dim}: give at least 1")


class SVD(Ranker):
    """PureSVD (Cremonesi et al., 2010) of the log normalised by both degrees, served from the history alone.

    score_j = Σ_{i in history} d_i^-½ V_i · V_j d_j^½: the user's normalised row, projected on the leading singular
    vectors and brought back to the scale of interactions. One table T_j = V_j d_j^½ serves both sides, weighing 1/d_i.
    """

    kind: ClassVar[str] = "svd"
    label: ClassVar[str] = "SVD"
    about: ClassVar[str] = "the log's singular vectors"
    meaning: ClassVar[str] = "The main directions of the log, in closed form: a user is projected on them."
    Config: ClassVar[type] = SVDConfig
    config: SVDConfig

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> BagScorer:
        vectors = singular_vectors(train.csr(), self.config.dim, seed)
        degree = np.maximum(np.bincount(train.item_rows, minlength=train.n_items), 1).astype(np.float32)
        table = vectors.items * np.sqrt(degree)[:, None]
        return BagScorer(item_table=CodedTable.of(table), history_weight=1.0 / degree, popularity=log_counts(train))


class SingularVectors(NamedTuple):
    """R ≈ users · diag(values) · itemsᵀ, largest value first."""

    users: np.ndarray
    """float32 (n_users, k), orthonormal columns"""
    values: np.ndarray
    """float32 (k,)"""
    items: np.ndarray
    """float32 (n_items, k), orthonormal columns"""


def singular_vectors(users_items: csr_matrix, k: int, seed: int | np.random.Generator) -> SingularVectors:
    """Randomised SVD (Halko et al., 2011) of R = D_u^-½ X D_i^-½; k is cut to the smaller side of X."""
    generator = np.random.default_rng(seed)
    normalised, k = normalise(users_items), min(k, *users_items.shape)
    transposed = normalised.T.tocsr()
    width = min(k + OVERSAMPLED, *users_items.shape)
    start = generator.standard_normal((users_items.shape[1], width), dtype=np.float32)
    basis = _orthonormal(normalised @ start)
    for _ in range(POWER_ITERATIONS):
        basis = _orthonormal(normalised @ _orthonormal(transposed @ basis))
    items, values, users = np.linalg.svd(transposed @ basis, full_matrices=False)
    return SingularVectors(
        np.ascontiguousarray(basis @ users[:k].T), values[:k].copy(), np.ascontiguousarray(items[:, :k])
    )


def normalise(users_items: csr_matrix) -> csr_matrix:
    """D_u^-½ X D_i^-½ with the degrees of users and items, float32."""
    matrix = users_items.tocsr().astype(np.float32)
    user_degree = np.maximum(matrix.sum(axis=1), 1.0).A1
    item_degree = np.maximum(matrix.sum(axis=0), 1.0).A1
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    data = matrix.data / np.sqrt(user_degree[rows] * item_degree[matrix.indices])
    return type(matrix)((data.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


def _orthonormal(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.qr(matrix)[0]
