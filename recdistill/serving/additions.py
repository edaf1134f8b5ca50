"""New items by their vectors alone, before the model has been trained on them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from recdistill.errors import ConfigError, DataError
from recdistill.serving.bag import BagScorer
from recdistill.serving.base import Scorer, check_shape
from recdistill.serving.fold_in import FoldInScorer
from recdistill.tables.codecs import CodedVector, Vector

MOST = 100_000
"""Items from which the step from an item's vector to its part of a person is learned."""


def with_vectors(scorer: Scorer, vectors: np.ndarray, bias: np.ndarray | None) -> Scorer:
    """The scorer with more items, after those that it has; `vectors` (new, dimension) as `item_vectors` gives them, so
    that score = user · vector + bias; `bias` (new,).

    Without a bias they get the median one, and never lead what is popular. What a new item adds to people who used it
    follows from its vector as it does, by least squares, for the others. Raises ConfigError for forms without vectors.
    """
    if not scorer.vectors or not isinstance(scorer, (BagScorer, FoldInScorer)) or scorer.item_table is None:
        raise ConfigError(
            f"a model of the form {scorer.form!r} without item vectors takes no new items; train it again."
        )
    vectors = np.asarray(vectors, np.float32)
    check_shape("vectors", vectors.shape, (len(vectors), scorer.dimension))
    if bias is not None:
        bias = np.asarray(bias, np.float32)
        check_shape("bias", bias.shape, (len(vectors),))
        if not np.isfinite(bias).all():
            raise DataError("bias: must be finite numbers.")
        if scorer.item_bias is None:
            raise ConfigError("bias: this model's scores have none; leave it out.")
    if isinstance(scorer, BagScorer) and scorer.scale:
        vectors = vectors / np.float32(scorer.scale)  # the stored rows are those without the scale
    changed: dict[str, Any] = {"item_table": scorer.item_table.with_more(vectors)}
    if scorer.popularity is not None:
        changed["popularity"] = _more(scorer.popularity, np.full(len(vectors), scorer.popularity.min(initial=0)))
    if isinstance(scorer, BagScorer):
        if scorer.history_table is not None:
            changed["history_table"] = scorer.history_table.with_more(_histories(scorer, vectors))
        if scorer.item_bias is not None:
            changed["item_bias"] = _more(scorer.item_bias, _median(scorer.item_bias, vectors) if bias is None else bias)
        if scorer.history_weight is not None:
            changed["history_weight"] = _more(scorer.history_weight, _median(scorer.history_weight, vectors))
    longer: Scorer = dataclasses.replace(scorer, **changed)
    return longer


def _more(values: Vector, new: np.ndarray) -> Vector:
    if isinstance(values, CodedVector):
        return values.with_more(new)
    return np.concatenate([values, new.astype(values.dtype)])


def _median(values: Vector, vectors: np.ndarray) -> np.ndarray:
    return np.full(len(vectors), np.median(values.astype(np.float32)) if len(values) else 0.0)


def _histories(scorer: BagScorer, vectors: np.ndarray) -> np.ndarray:
    """H of new items: the linear map that takes V nearest to H, of the items that there are, applied to theirs."""
    assert scorer.item_table is not None and scorer.history_table is not None
    some = np.arange(0, scorer.n_items, -(-scorer.n_items // MOST) or 1)
    known = scorer.item_table.rows(some).astype(np.float64)
    step, *_ = np.linalg.lstsq(known, scorer.history_table.rows(some).astype(np.float64), rcond=1e-6)
    return (vectors.astype(np.float64) @ step).astype(np.float32)
