"""The block of numbers that a column becomes: of one scale, and cut to its leading directions where it is wide."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

SMALL = 4_000_000
"""Entries of a matrix up to which all its singular vectors are computed, the few that are wanted beyond."""


class Encoded(NamedTuple):
    matrix: np.ndarray
    """float32 (n, width), zero where the value is not known; a mean squared length of 1 over the rows fitted on."""
    known: np.ndarray
    """bool (n,)"""


def leading_directions(matrix: csr_matrix, width: int) -> np.ndarray:
    """float32 (columns, at most `width`): the leading right singular vectors, the largest entry of each positive.

    Directions in which the rows do not lie are left out.
    """
    width = min(width, *matrix.shape)
    if matrix.shape[0] * matrix.shape[1] <= SMALL or width == min(matrix.shape):
        _, values, found = np.linalg.svd(matrix.toarray().astype(np.float64), full_matrices=False)
    else:  # the start is fixed, so that the same rows always give the same directions
        start = np.random.default_rng(0).standard_normal(min(matrix.shape))
        _, values, found = svds(matrix.astype(np.float64), k=width, v0=start, solver="arpack")
    order = np.argsort(-values, kind="stable")[:width]
    order = order[values[order] > 1e-6 * values.max(initial=0.0)]
    directions = found[order].T
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
    return np.ascontiguousarray(directions * np.sign(largest), dtype=np.float32)


def unit_scale(matrix: csr_matrix, directions: np.ndarray | None) -> float:
    """What brings the mean squared length of the rows that are not empty to 1."""
    rows = matrix if directions is None else csr_matrix(matrix @ directions)
    total, known = float(rows.multiply(rows).sum()), int(np.count_nonzero(np.diff(matrix.indptr)))
    return float(np.sqrt(known / total)) if total > 0 else 1.0
