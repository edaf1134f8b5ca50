"""Multiply-adds and bytes of one answer, form by form: n items in the history, N in the catalogue, d dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recdistill.serving.perceptron import Perceptron
from recdistill.serving.scorers import (
    BagScorer,
    DeepBagScorer,
    EnsembleScorer,
    FoldInScorer,
    GraphFilterScorer,
    Histories,
    ItemScorer,
    LinearFoldInScorer,
    LowRankScorer,
    RerankedScorer,
    Scorer,
    SelfAttentionScorer,
)
from recdistill.serving.self_attention import padded_lengths
from recdistill.tables.codecs import CODECS, CodedTable, CodedVector, Vector

LOOKED_UP = ("rows", "quotients", "buckets")
"""First axes of a codec's arrays of which a row of the table needs one entry."""
SPREAD_OUT = ("marks", "head", "tail")
"""Those of which it needs a share."""


@dataclass(frozen=True, slots=True)
class Work:
    """Means over users."""

    multiply_adds: float
    bytes: float

    def __add__(self, other: Work) -> Work:
        return Work(self.multiply_adds + other.multiply_adds, self.bytes + other.bytes)

    def times(self, share: float) -> Work:
        """Where it is done for a share of the users."""
        return Work(self.multiply_adds * share, self.bytes * share)


NOTHING = Work(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks: at least one user."""

    histories: Histories
    known: np.ndarray
    """(batch,) bool: who has a row in the scorer's user table."""

    @property
    def lengths(self) -> np.ndarray:
        return self.histories.lengths


def work_of(scorer: Scorer, histories: Histories, user_rows: np.ndarray | None) -> Work | None:
    """Of one answer to each of these users; None for forms that are not this package's own."""
    if not len(histories):
        return NOTHING
    if isinstance(scorer, EnsembleScorer):
        return _ensemble(scorer, histories, user_rows)
    if isinstance(scorer, RerankedScorer):
        return _reranked(scorer, histories, user_rows)
    count = _FORMS.get(type(scorer))
    if count is None:
        return None
    known = np.zeros(len(histories), bool)
    if user_rows is not None and scorer.table_rows("user_table"):
        known = np.asarray(user_rows) >= 0
    return count(scorer, Asked(histories, known)) + _popularity(scorer, histories, user_rows)


def _bag(scorer: BagScorer, asked: Asked) -> Work:
    """n·d + N·d and the few steps on u: see `_pooled`, `_finished` and `_scan`."""
    row = _rows(scorer.user_table, 1) + Work(scorer.dimension, 0)
    return _pooled(scorer, asked.lengths) + row.times(asked.known.mean()) + _finished(scorer) + _bag_scan(scorer)


def _linear_fold_in(scorer: LinearFoldInScorer, asked: Asked) -> Work:
    known = asked.known.mean()
    user = _pooled(scorer, asked.lengths[~asked.known]).times(1 - known) + _rows(scorer.user_table, 1).times(known)
    return user + _finished(scorer) + _bag_scan(scorer)


def _deep_bag(scorer: DeepBagScorer, asked: Asked) -> Work:
    """As a bag; u is brought to length 1 twice, multiplied by √d, and the network's answer added."""
    return _bag(scorer, asked) + Work(6 * scorer.dimension, 0) + _network(scorer.network)


def _fold_in(scorer: FoldInScorer, asked: Asked) -> Work:
    """Of who has no row: V'V of the history, two sums, and a solution in d³/3 + d² steps."""
    d, n_items = scorer.dimension, scorer.n_items
    strangers = asked.lengths[~asked.known & (asked.lengths > 0)]
    user = _rows(scorer.user_table, 1).times(asked.known.mean())
    if len(strangers):
        n = strangers.mean()
        solved = Work(n * d * (d + 1) + d**3 / 3 + 2 * d * d, scorer.gram.nbytes) + _rows(scorer.item_table, n)
        user += solved.times(len(strangers) / len(asked.lengths))
    return user + Work(n_items * d, scorer.item_table.nbytes)


def _item(scorer: ItemScorer, asked: Asked) -> Work:
    """n rows of N numbers, added."""
    n, some = asked.lengths.mean(), (asked.lengths > 0).mean()
    table = scorer.item_to_item
    return Work(n * scorer.n_items, 0) + _rows(table, n) + Work(0, _shared_bytes(table) * some)


def _low_rank(scorer: LowRankScorer, asked: Asked) -> Work:
    n, d, n_items = asked.lengths.mean(), scorer.dimension, scorer.n_items
    work = Work(n * d + n_items * d + n + n_items, scorer.item_table.nbytes + scorer.item_weight.nbytes)
    return work + _rows(scorer.item_table, n)


def _graph_filter(scorer: GraphFilterScorer, asked: Asked) -> Work:
    """The entries of G in the rows of the history, and the low-rank part beside them."""
    n, n_items = asked.lengths.mean(), scorer.n_items
    entries = np.diff(scorer.gram_indptr)[asked.histories.items].sum() / len(asked.lengths)
    each = scorer.gram_indices.itemsize + scorer.gram_data.itemsize
    work = Work(entries, entries * each + 2 * n * scorer.gram_indptr.itemsize)
    if scorer.item_table is None or not scorer.alpha:
        return work
    d = scorer.item_table.shape[1]
    low_rank = Work(n * d + n_items * d + n_items, scorer.item_table.nbytes + _looked_up(scorer.history_weight, n))
    return work + low_rank + _rows(scorer.item_table, n)


def _self_attention(scorer: SelfAttentionScorer, asked: Asked) -> Work:
    """Products of the blocks over padded histories, of the last block for the last place alone; N·d for the scores.

    Norms, softmax and rectifiers, a few steps for each of w·d numbers beside w·d² products, are not counted.
    """
    d, wide, blocks = scorer.dimension, scorer.widen.shape[1], len(scorer.attention)
    seen = np.minimum(asked.lengths, scorer.length)
    w = np.where(seen > 0, padded_lengths(seen), 0).astype(np.float64)
    asking = [np.minimum(w, 1) if block + 1 == blocks else w for block in range(blocks)]
    products = sum((2 * d * d * w + 2 * d * one * w + (2 * d * d + 2 * d * wide) * one).mean() for one in asking)
    inside = ("attention", "distance", "norms", "widen", "widen_bias", "narrow", "narrow_bias")
    table = scorer.item_table if scorer.history_table is None else scorer.history_table
    some, n = (seen > 0).mean(), seen.mean()
    shared = 0 if scorer.history_table is None else _shared_bytes(table)
    held = (shared + sum(getattr(scorer, name).nbytes for name in inside)) * some
    user = Work(products, held + _looked_up(scorer.history_weight, n)) + _rows(table, n)
    return user + _scan(scorer.item_table, scorer.item_bias)


def _ensemble(scorer: EnsembleScorer, histories: Histories, user_rows: np.ndarray | None) -> Work | None:
    """The members and one weighted sum of their scores; standardising and ordering them are not counted."""
    total = Work(len(scorer.members) * scorer.n_items, scorer.weights.nbytes / len(scorer.weights))
    for member in scorer.members:
        work = work_of(member, histories, user_rows)
        if work is None:
            return None
        total += work
    return total + _popularity(scorer, histories, user_rows)


def _reranked(scorer: RerankedScorer, histories: Histories, user_rows: np.ndarray | None) -> Work | None:
    """The base, and the network once for each retrieved item of who is known to it."""
    base = work_of(scorer.base, histories, user_rows)
    if base is None:
        return None
    table: CodedTable | None = scorer.base.item_table if scorer.base.vectors else None  # type: ignore[attr-defined]
    d = 0 if table is None else table.shape[1]
    facts = scorer.item_facts.nbytes / scorer.n_items
    network = _network(scorer.network)
    again = Work(scorer.depth * (network.multiply_adds + d), network.bytes + scorer.depth * facts)
    again += _rows(table, scorer.depth)
    return base + again.times(1 - scorer.unknown(histories, user_rows).mean())


def _pooled(scorer: BagScorer, lengths: np.ndarray) -> Work:
    """Σ_history weight_i · H_i / n^power: n·d, and d for the division."""
    bags = scorer.item_table if scorer.history_table is None else scorer.history_table
    if bags is None or not len(lengths):
        return NOTHING
    n, some = lengths.mean(), (lengths > 0).mean()
    shared = 0 if scorer.history_table is None else _shared_bytes(bags) * some
    by_place = 0 if scorer.place_weight is None else scorer.place_weight.nbytes * some
    beside = Work(scorer.dimension if scorer.history_power else 0, shared + by_place)
    return Work(n * scorer.dimension, _looked_up(scorer.history_weight, n)) + _rows(bags, n) + beside


def _finished(scorer: BagScorer) -> Work:
    """u brought to length 1 (2·d) and scaled (d)."""
    return Work(scorer.dimension * (2 * scorer.normalize + (scorer.scale != 1.0)), 0)


def _bag_scan(scorer: BagScorer) -> Work:
    return _scan(scorer.item_table, scorer.item_bias)


def _scan(items: CodedTable | None, bias: Vector | None) -> Work:
    """All scores: N·d, and N where there is a bias; the table and the bias are read whole."""
    products = Work(0, 0) if items is None else Work(items.shape[0] * items.shape[1], items.nbytes)
    return products if bias is None else products + Work(len(bias), _vector_bytes(bias))


def _network(network: Perceptron) -> Work:
    return Work(network.parameters, sum(array.nbytes for array in network.arrays().values()))


def _popularity(scorer: Scorer, histories: Histories, user_rows: np.ndarray | None) -> Work:
    """Read for those of whom nothing is known."""
    if scorer.popularity is None:
        return NOTHING
    return Work(0, _vector_bytes(scorer.popularity) * scorer.unknown(histories, user_rows).mean())


def _rows(table: CodedTable | None, rows: float) -> Work:
    """So many rows looked up; what all rows share is not among it."""
    if table is None:
        return NOTHING
    found = 0.0
    for part, (_, axes) in CODECS[table.codec].layout.items():
        array = table.arrays[part]
        if axes[0] in LOOKED_UP:
            found += array.nbytes / max(1, len(array))
        elif axes[0] in SPREAD_OUT:
            found += array.nbytes / max(1, len(table))
    return Work(0, rows * found)


def _shared_bytes(table: CodedTable) -> int:
    """Scales of a dimension, codebooks: what a row needs beside its own."""
    layout = CODECS[table.codec].layout
    own = (*LOOKED_UP, *SPREAD_OUT)
    return sum(array.nbytes for part, array in table.arrays.items() if layout[part][1][0] not in own)


def _looked_up(vector: Vector | None, entries: float) -> float:
    if vector is None:
        return 0.0
    return entries * (vector.codes.itemsize if isinstance(vector, CodedVector) else vector.itemsize)


def _vector_bytes(vector: Vector) -> int:
    return sum(one.nbytes for one in vector.arrays().values()) if isinstance(vector, CodedVector) else vector.nbytes


_FORMS: dict[type[Scorer], Callable[[Any, Asked], Work]] = {
    BagScorer: _bag,
    LinearFoldInScorer: _linear_fold_in,
    DeepBagScorer: _deep_bag,
    FoldInScorer: _fold_in,
    ItemScorer: _item,
    LowRankScorer: _low_rank,
    GraphFilterScorer: _graph_filter,
    SelfAttentionScorer: _self_attention,
}
