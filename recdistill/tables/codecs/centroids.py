"""Centroids of vectors by k-means: learned by FAISS, looked up without it."""

from __future__ import annotations

import numpy as np

CENTROIDS = 256
"""Of a codebook, so that a code is one byte."""
ROUNDS = 25
POINTS = 256
"""For each centroid, of those that k-means looks at; of more rows a sample is taken."""
BLOCK = 16_384
"""Rows whose distances to all centroids are held at once."""


def learned(rows: np.ndarray, seed: int) -> np.ndarray:
    """float32 (min(256, rows), columns): centroids of rows (rows, columns); the rows themselves where they are few."""
    rows = np.ascontiguousarray(rows, np.float32)
    if not len(rows):
        return np.zeros((1, rows.shape[1]), np.float32)
    if len(rows) <= CENTROIDS:
        return rows.copy()
    import faiss

    kmeans = faiss.Kmeans(
        rows.shape[1], CENTROIDS, niter=ROUNDS, seed=seed + 1, min_points_per_centroid=1,
        max_points_per_centroid=POINTS,
    )  # fmt: skip
    kmeans.train(rows)
    return np.asarray(kmeans.centroids, np.float32)


def nearest(rows: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """uint8 (rows,): the place of the centroid nearest to each row, the first of equals."""
    found = np.empty(len(rows), np.uint8)
    lengths = np.square(centroids).sum(axis=1) / 2
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK] @ centroids.T
        found[start : start + BLOCK] = np.argmin(lengths - part, axis=1)
    return found


def codes_fault(codes: np.ndarray, centroids: int) -> str | None:
    """What is wrong with codes of so many centroids."""
    if not 0 < centroids <= CENTROIDS:
        return f"'codebooks' must hold 1 to {CENTROIDS} centroids, found {centroids}"
    if codes.size and codes.max() >= centroids:
        return f"'codes' name centroid {codes.max()} of {centroids}"
    return None
