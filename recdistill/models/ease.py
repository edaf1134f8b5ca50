"""EASE: a linear item-to-item model in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from recdistill.errors import ConfigError
from recdistill.models.base import Ranker, choose
from recdistill.models.popularity import log_counts
from recdistill.serving.scorers import ItemScorer
from recdistill.tables.codecs import CodedTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from scipy.sparse import csr_matrix

    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.serving.scorers import Scorer
    from recdistill.training.progress import Progress

TILE_ROWS = 1024
FULL_ITEMS = 20_000
"""Items up to which every weight is held: 4.8 GB while λ is chosen, and the inverse takes minutes."""
MATRICES_HELD = 3
"""While λ is chosen: the Gram matrix, the best weights so far, and the ones that are being tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EASEConfig:
    regularization: float | None = None
    """λ, added to the diagonal of the Gram matrix; None: one of 5 chosen on valid, without valid their middle."""
    form: Literal["auto", "full", "low_rank"] = "auto"
    """Full: items² weights. Low rank: items × dim. Auto: full up to 20,000 items."""
    dim: int = 512
    """Singular vectors of the low-rank form, cut to what the log has."""

    def __post_init__(self) -> None:
        if self.regularization is not None and not 0 < self.regularization < np.inf:
            raise ConfigError(f"ease: regularization = {self.regularization}: give a number above 0")
        if self.dim < 1:
            raise ConfigError(f"ease: dim = {self.dim}: give at least 1")

    def is_full(self, n_items: int) -> bool:
        return self.form == "full" or (self.form == "auto" and n_items <= FULL_ITEMS)


class EASE(Ranker):
    """Embarrassingly shallow autoencoder (Steck, 2019): min ‖X - XB‖² + λ‖B‖², diag B = 0; a user's scores are x B.

    Who has no history is answered with popularity. B_ij = -P_ij / P_jj with P = (XᵀX + λI)⁻¹: it holds items² floats;
    for large catalogues XᵀX is replaced by a matrix of low rank with the same diagonal (see `ease_low_rank`). Ask
    `memory_bytes` before fitting.
    """

    kind: ClassVar[str] = "ease"
    has_vectors: ClassVar[bool] = False
    label: ClassVar[str] = "EASE"
    about: ClassVar[str] = "linear, item to item"
    meaning: ClassVar[str] = (
        "A linear model with one weight for each pair of items: strong, simple, and large for large catalogues."
    )
    Config: ClassVar[type] = EASEConfig
    config: EASEConfig

    def memory_bytes(self, *, n_items: int, n_users: int, n_rows: int) -> int:
        """The fitted model holds a third of it or less."""
        from recdistill.models.ease_low_rank import low_rank_bytes

        full = self.config.is_full(n_items)
        return MATRICES_HELD * 4 * n_items * n_items if full else low_rank_bytes(n_items, self.config.dim)

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> Scorer:
        fit = self._solver(train)
        if self.config.regularization is not None:
            return fit(self.config.regularization)
        grid = regularizations(train)
        if valid is None:
            self.chosen = {"regularization": grid[len(grid) // 2]}
            return fit(grid[len(grid) // 2])
        best = choose(grid, fit, train, valid, task=self.kind, progress=progress)
        self.chosen = {"regularization": best.value}
        scorer: Scorer = best.scorer
        return scorer

    def _solver(self, train: Interactions) -> Callable[[float], Scorer]:
        """From λ to the model, with what does not depend on λ made once."""
        popularity = log_counts(train)
        if not self.config.is_full(train.n_items):
            from recdistill.models.ease_low_rank import low_rank_gram

            low_rank = low_rank_gram(train.csr(), self.config.dim)
            return lambda regularization: low_rank.scorer(regularization, popularity)
        gram = gram_matrix(train.csr())

        def fit(regularization: float) -> ItemScorer:
            weights = item_weights(gram, regularization)
            return ItemScorer(item_to_item=CodedTable.of(weights), popularity=popularity)

        return fit


def regularizations(train: Interactions) -> list[float]:
    """Five values, a factor 2 apart, around 11 · c^0.65 with c the mean interactions of an item.

    Drawn through the best values published for logs with 9 to 3,200 interactions an item: Last.fm 50, MovieLens-1M 800,
    MovieLens-20M 500, Million Song 200, Netflix 1,000 all lie within a factor 1.4 of one of the five.
    """
    middle = 11.0 * (train.n_rows / train.n_items) ** 0.65
    return [float(f"{middle * factor:.3g}") for factor in (0.25, 0.5, 1.0, 2.0, 4.0)]


def gram_matrix(users_items: csr_matrix) -> np.ndarray:
    """XᵀX, dense float32 (n_items, n_items); the sparse product exists for a tile of rows at a time."""
    items_users = users_items.T.tocsr()
    n_items = items_users.shape[0]
    gram = np.empty((n_items, n_items), np.float32)
    for start in range(0, n_items, TILE_ROWS):
        gram[start : start + TILE_ROWS] = (items_users[start : start + TILE_ROWS] @ users_items).toarray()
    return gram


def item_weights(gram: np.ndarray, regularization: float) -> np.ndarray:
    """B, float32 (n_items, n_items): the row of an item is what one use of it adds to every score."""
    from scipy.linalg import lapack

    inverse = np.array(gram, order="F")
    inverse.ravel(order="K")[:: len(gram) + 1] += np.float32(regularization)
    lost = (inverse.diagonal() == gram.diagonal()).any()  # float32 holds no sum of such different numbers
    factor, failed = lapack.spotrf(inverse, lower=1, overwrite_a=1, clean=0)
    failed = failed or lost
    if not failed:
        inverse, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise ConfigError(f"ease: regularization = {regularization} is too small for this log to be solved; raise it")
    weights = inverse.T  # C order; the upper triangle holds the result
    diagonal = weights.diagonal().copy()
    for start in range(0, len(weights), TILE_ROWS):
        tile = slice(start, start + TILE_ROWS)
        corner = np.triu(weights[tile, tile])
        weights[tile, tile] = corner + np.triu(corner, 1).T
        weights[start + TILE_ROWS :, tile] = weights[tile, start + TILE_ROWS :].T
    weights /= -diagonal
    np.fill_diagonal(weights, 0.0)
    return weights
