"""Items like an item: by the cosine of their vectors, or by what an item-to-item model says of the one."""

from __future__ import annotations

import numpy as np

from recdistill.errors import ConfigError
from recdistill.retrieval.selection import best_of_pairs, fixed_order, floor_of_kth
from recdistill.serving.base import Scorer
from recdistill.serving.item_to_item import ItemScorer
from recdistill.tables.codecs import TILE_BYTES, CodedTable


def most_like(
    scorer: Scorer, item: int, k: int, exclude: np.ndarray, penalty: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Item rows and likenesses float32 of the k nearest to `item`, best first, itself and `exclude` not among them."""
    scores = likenesses(scorer, item)
    if penalty is not None:
        scores += penalty
    scores[item] = -np.inf
    scores[exclude] = -np.inf
    floor = floor_of_kth(scores[None], k)[0]
    rows = np.flatnonzero(scores >= floor) if np.isfinite(floor) else np.flatnonzero(np.isfinite(scores))
    order = fixed_order(scorer.n_items)
    found, values = best_of_pairs(np.zeros(len(rows), np.int64), rows, scores[rows], 1, k, order)
    kept = found[0] >= 0
    return found[0][kept], values[0][kept]


def likenesses(scorer: Scorer, item: int) -> np.ndarray:
    """(n_items,) float32: cosines where the model has item vectors; raises ConfigError where nothing says what is like
    an item."""
    if isinstance(scorer, ItemScorer):
        return scorer.item_to_item.rows(np.array([item]))[0].copy()
    table: CodedTable | None = getattr(scorer, "item_table", None)
    if table is None:
        raise ConfigError(f"a model of the form {scorer.form!r} without item vectors knows no similar items.")
    one = table.rows(np.array([item]))[0]
    scores = np.empty(len(table), np.float32)
    step = max(1, TILE_BYTES // (8 * max(1, table.shape[1])))
    for start in range(0, len(table), step):
        tile = table.tile(start, min(start + step, len(table)))
        # sums that are taken in one order, so that equal vectors are equally like
        lengths = np.sqrt(np.einsum("nd,nd->n", tile, tile))
        lengths[lengths == 0] = 1
        scores[start : start + len(tile)] = np.einsum("nd,d->n", tile, one) / lengths
    length = np.sqrt(np.einsum("d,d->", one, one))
    scores /= length if length else np.float32(1)
    return scores
