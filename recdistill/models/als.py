"""iALS: matrix factorisation of implicit feedback, trained by the `implicit` package."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recdistill.cores import cores
from recdistill.errors import ConfigError
from recdistill.models.base import Ranker, choose
from recdistill.models.popularity import log_counts
from recdistill.serving.scorers import FoldInScorer, Histories
from recdistill.tables.codecs import CodedTable

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.training.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ALSConfig:
    dim: int = 64
    """Factors."""
    regularization: float | None = None
    """λ of both sides, not scaled by counts; None: one of 4 chosen on valid, without valid the second of them."""
    alpha: float | None = None
    """Confidence of an interaction, where that of every other pair is 1; None: by rule from the log's density."""
    iterations: int = 15

    def __post_init__(self) -> None:
        for name in ("dim", "iterations"):
            if getattr(self, name) < 1:
                raise ConfigError(f"als: {name} = {getattr(self, name)}: give at least 1")
        for name in ("regularization", "alpha"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise ConfigError(f"als: {name} = {value}: give a number above 0")


class ALS(Ranker):
    """Implicit alternating least squares (Hu, Koren and Volinsky, 2008).

    The stored vector of a training user is the fold-in of the history, so that people with and without an id
    are ranked alike; who has neither is answered with popularity.
    """

    kind: ClassVar[str] = "als"
    label: ClassVar[str] = "iALS"
    about: ClassVar[str] = "matrix factorisation"
    meaning: ClassVar[str] = "Matrix factorisation for implicit feedback by alternating least squares."
    Config: ClassVar[type] = ALSConfig
    config: ALSConfig

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> FoldInScorer:
        scorer = self._factorise(train, valid, seed=seed, progress=progress)
        return dataclasses.replace(with_folded_users(scorer, train.csr()), popularity=log_counts(train))

    def _factorise(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, progress: Progress | None
    ) -> FoldInScorer:
        alpha = self.config.alpha
        if alpha is None:
            alpha = self.chosen["alpha"] = default_alpha(train)

        def fit(regularization: float) -> FoldInScorer:
            return fit_als(
                train.csr(), dim=self.config.dim, regularization=regularization, alpha=alpha,
                iterations=self.config.iterations, seed=seed,
            )  # fmt: skip

        if self.config.regularization is not None:
            return fit(self.config.regularization)
        grid = regularizations(train, alpha)
        if valid is None:
            self.chosen["regularization"] = grid[1]
            return fit(grid[1])
        best = choose(grid, fit, train, valid, task=self.kind, progress=progress)
        self.chosen["regularization"] = best.value
        return best.scorer


def default_alpha(train: Interactions) -> float:
    """0.7 / √density: what was not used says less in a larger catalogue.

    Drawn through the best values on three logs, NDCG@20 on valid: a density of 4.3 % wants 3, .45 % wants 10 to 20,
    .033 % wants 30 or more.
    """
    density = train.n_rows / (train.n_users * train.n_items)
    return float(f"{max(1.0, 0.7 * density**-0.5):.3g}")


def regularizations(train: Interactions, alpha: float) -> list[float]:
    """Four values, alpha · s times ¼ to 2, with s = √(rows / smaller side) the root mean square singular value."""
    scale = alpha * (train.n_rows / min(train.n_users, train.n_items)) ** 0.5
    return [float(f"{scale * factor:.3g}") for factor in (0.25, 0.5, 1.0, 2.0)]


def int32_layout(matrix: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """The only index type that `implicit` takes."""
    return matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)


def fit_als(
    users_items: csr_matrix, *, dim: int, regularization: float, alpha: float, iterations: int, seed: int
) -> FoldInScorer:
    """What `implicit` learns from a binary matrix; its bar, its threads and its warning about BLAS stay in here."""
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.recommender_base import ModelFitError

    ones, (indices, indptr) = np.ones(users_items.nnz, np.float32), int32_layout(users_items)
    matrix = csr_matrix((ones, indices, indptr), shape=users_items.shape)
    # one BLAS thread: implicit has its own, and many small solves are ten times slower with two
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=dim, regularization=regularization, alpha=alpha, iterations=iterations,
            num_threads=cores(), random_state=seed,
        )  # fmt: skip
        try:
            model.fit(matrix, show_progress=False)
        except ModelFitError:
            found = f"regularization = {regularization:g} and alpha = {alpha:g}"
            raise ConfigError(f"als: found no finite factors with {found}; raise regularization") from None
        items = np.ascontiguousarray(model.item_factors, np.float32)
        # the last iteration moved the items, so the users are solved again
        users = model.recalculate_user(np.arange(matrix.shape[0]), matrix)
    return FoldInScorer(
        item_table=CodedTable.of(items), user_table=CodedTable.of(users),
        gram=items.T @ items, regularization=regularization, alpha=alpha,
    )  # fmt: skip


def with_folded_users(scorer: FoldInScorer, users_items: csr_matrix) -> FoldInScorer:
    """`implicit` solves in float32; here users get the very bits that the scorer's own fold-in gives their history."""
    folds = dataclasses.replace(scorer, user_table=None)
    with threadpool_limits(limits=1, user_api="blas"):
        users = folds.user_vectors(Histories.from_csr(users_items))
    return dataclasses.replace(scorer, user_table=CodedTable.of(users))
