"""Where tables start from: singular vectors of the log, or of what a teacher knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recdistill.models.svd import OVERSAMPLED, POWER_ITERATIONS, singular_vectors

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recdistill.knowledge.store import Knowledge

NOISE = 0.01
"""Of the typical entry: tells apart rows and fills dimensions that the singular vectors leave empty."""


class Start(NamedTuple):
    """Rows of users and items, float32, of one scale."""

    users: np.ndarray
    items: np.ndarray


def from_log(csr: csr_matrix, dim: int, generator: np.random.Generator) -> Start:
    """Singular vectors of D_u^-½ X D_i^-½, each side with the square root of the singular values."""
    found = singular_vectors(csr, dim, generator)
    root = np.sqrt(found.values)
    return Start(_rows(found.users * root, dim, generator), _rows(found.items * root, dim, generator))


def at_random(n_users: int, n_items: int, dim: int, generator: np.random.Generator) -> Start:
    """Rows from a normal distribution, of the same scale."""
    users, items = (generator.standard_normal((rows, dim), np.float32) for rows in (n_users, n_items))
    return Start(_rows(users, dim, generator), _rows(items, dim, generator))


def from_teacher(knowledge: Knowledge, dim: int, generator: np.random.Generator) -> np.ndarray:
    """Items from the teacher's item vectors, turned to their own singular directions and cut to `dim`; from those in
    which its users' logits differ, where it told all its scores (needs vectors or all_scores)."""
    if knowledge.item_vectors is None:
        assert knowledge.logits is not None
        return _rows(_directions(knowledge.logits, dim, generator), dim, generator)
    items = knowledge.item_vectors.astype(np.float32)
    _, _, directions = np.linalg.svd(items.T @ items)
    return _rows(items @ directions[:dim].T, dim, generator)


def _directions(logits: np.ndarray, dim: int, generator: np.random.Generator) -> np.ndarray:
    """(n_items, ≤ dim): right singular vectors of the logits without what is the same for a user or for an item, each
    with the root of its value; randomised (Halko et al., 2011)."""
    scores = logits.astype(np.float32)
    scores -= scores.mean(1, keepdims=True)
    scores -= scores.mean(0)
    width = min(dim + OVERSAMPLED, *scores.shape)
    basis = np.linalg.qr(scores @ generator.standard_normal((scores.shape[1], width), dtype=np.float32))[0]
    for _ in range(POWER_ITERATIONS):
        basis = np.linalg.qr(scores @ np.linalg.qr(scores.T @ basis)[0])[0]
    items, values, _ = np.linalg.svd(scores.T @ basis, full_matrices=False)
    return items[:, :dim] * np.sqrt(values[:dim])


def _rows(matrix: np.ndarray, dim: int, generator: np.random.Generator) -> np.ndarray:
    """Widened to `dim` and scaled by one number to a root-mean-square row norm of .1·√dim."""
    wide = np.zeros((len(matrix), dim), np.float32)
    wide[:, : matrix.shape[1]] = matrix
    typical = float(np.sqrt(np.square(wide).mean())) or 1.0
    wide += generator.standard_normal(wide.shape, dtype=np.float32) * np.float32(NOISE * typical)
    return wide * np.float32(0.1 / np.sqrt(np.square(wide).mean()))
