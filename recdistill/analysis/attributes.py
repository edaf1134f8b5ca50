"""Groups of items or users by what is known of them beside their use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

if TYPE_CHECKING:
    from recdistill.data.vocab import Vocab
    from recdistill.features import Features
    from recdistill.features.table import Feature

MOST_LEVELS = 200
"""A column of more levels names things rather than kinds of them."""
SHOWN_LEVELS = 12
Members = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column as groups over the rows of a vocabulary; of a list, a row may be in several."""

    name: str
    groups: list[tuple[str, Members]]
    overlapping: bool


def attributes(features: Features | None, vocab: Vocab, weight: np.ndarray) -> list[Attribute]:
    """Categories and lists by their levels, the heaviest first, numbers in three parts as large as can be.

    `weight` (n,) says what a row of the vocabulary counts; levels without any are left out, and all that would make
    fewer than two groups. Titles, texts and vectors are no kinds of things.
    """
    if features is None:
        return []
    found = []
    for name, column in features.of(vocab).columns.items():
        if name == features.title:
            continue
        groups = _levels(column, weight) if column.kind in ("category", "list") else _thirds(column, weight)
        if len(groups) > 1:
            found.append(Attribute(name, groups, column.kind == "list"))
    return found


def _levels(column: Feature, weight: np.ndarray) -> list[tuple[str, Members]]:
    if column.kind == "category":
        values, rows = column.values.drop_null(), np.flatnonzero(column.values.is_valid())
    else:
        values, rows = pc.list_flatten(column.values), pc.list_parent_indices(column.values).to_numpy()
    coded = values.dictionary_encode()
    if not 1 < len(coded.dictionary) <= MOST_LEVELS:
        return []
    found = []
    for code, level in enumerate(coded.dictionary.to_pylist()):
        members = np.zeros(len(column), bool)
        members[rows[coded.indices.to_numpy() == code]] = True
        found.append((str(level), members))
    found.sort(key=lambda one: (-float(weight[one[1]].sum()), one[0]))
    return [one for one in found[:SHOWN_LEVELS] if weight[one[1]].any()]


def _thirds(column: Feature, weight: np.ndarray) -> list[tuple[str, Members]]:
    if column.kind != "number":
        return []
    values = column.array()
    counted = np.isfinite(values) & (weight > 0)
    if not counted.any():
        return []
    order = np.argsort(values[counted], kind="stable")
    share = np.cumsum(weight[counted][order]) / weight[counted].sum()
    cuts = np.unique([values[counted][order][np.searchsorted(share, at)] for at in (1 / 3, 2 / 3, 1 - 1e-12)])
    lower, found = -np.inf, []
    for cut in cuts:
        members = (values > lower) & (values <= cut)
        inside = values[members & counted]
        found.append((f"{inside.min():g} to {inside.max():g}", members))
        lower = cut
    return found
