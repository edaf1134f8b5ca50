"""A smaller model out of a larger one: the first numbers of every vector."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from recdistill.errors import ConfigError
from recdistill.serving.bag import BagScorer
from recdistill.tables.codecs import CodedTable, CodedVector, Vector

if TYPE_CHECKING:
    from recdistill.artifact import Artifact

CUT_CODECS = ("fp32", "fp16", "bf16", "int8")
"""Whose numbers stand in the order of the vectors; codes of fewer bits are of rotated vectors, or of parts of them."""


def first_numbers(scorer: BagScorer, dimension: int) -> BagScorer:
    """Where users have length 1 so have the items, as in training; a tied row's length moves to its weight."""
    if scorer.item_table is None or not 1 <= dimension <= scorer.dimension:
        raise ConfigError(f"prefix: dimension = {dimension}: give a whole number from 1 to {scorer.dimension}.")
    if dimension == scorer.dimension:
        return scorer
    items = _cut(scorer.item_table, dimension)
    weight = scorer.history_weight
    if scorer.normalize:
        length = np.linalg.norm(items, axis=1)
        items /= np.where(length == 0, 1, length)[:, None]
        if scorer.history_table is None:
            weight = _times(weight, length)
    history, users = scorer.history_table, scorer.user_table
    return replace(
        scorer,
        item_table=CodedTable.of(items, scorer.item_table.codec),
        history_table=None if history is None else CodedTable.of(_cut(history, dimension), history.codec),
        user_table=None if users is None else CodedTable.of(_cut(users, dimension), users.codec),
        history_weight=weight,
    )


def at_dim(found: Artifact, dim: int) -> Artifact:
    """The artifact at one of the sizes that its model was trained at; raises ConfigError for another."""
    if dim == found.scorer.dimension:
        return found
    settings = found.config.get("settings")
    nested = settings.get("nested") if isinstance(settings, dict) else None
    sizes = nested if isinstance(nested, list) else []
    if dim not in sizes or not isinstance(found.scorer, BagScorer):
        there = ", ".join(str(size) for size in [*sizes, found.scorer.dimension])
        raise ConfigError(f"{found.folder}: dim = {dim} is not there; found {there}. Give one, or train with nested.")
    return replace(found, scorer=found.scorer.prefix(dim), retriever=None, config={**found.config, "dimension": dim})


def _cut(table: CodedTable, dimension: int) -> np.ndarray:
    """(rows, dimension) float32, to be written to."""
    if table.codec not in CUT_CODECS:
        raise ConfigError(
            f"prefix: a table in {table.codec} cannot be cut, those in {', '.join(CUT_CODECS)} can. Cut before "
            "converting it."
        )
    return np.array(table.matrix()[:, :dimension], np.float32)


def _times(weight: Vector | None, length: np.ndarray) -> Vector:
    if weight is None:
        return length
    product = np.asarray(weight, np.float32) * length
    return (
        CodedVector.of(product, "history_weight") if isinstance(weight, CodedVector) else product.astype(weight.dtype)
    )
