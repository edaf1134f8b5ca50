"""Logs read one by one made into one with a split column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recdistill.data.log import SPLIT_NAMES, Log
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.registry import nearest


def concatenate(parts: Mapping[str, Log]) -> Log:
    """One log of the parts train, test and perhaps valid, under common vocabularies, with its split column.

    Ids that are integers in one part and text in another are text in all. Times and values that not every part has are
    left out; side features are those of the first part that has any.
    """
    for name in parts:
        if name not in SPLIT_NAMES:
            raise ConfigError(f"concatenate: no part {name!r}. {nearest(name, SPLIT_NAMES)}")
    for name in ("train", "test"):
        if name not in parts:
            raise ConfigError(f"concatenate: the part {name!r} is missing; give a log for train and one for test.")
    logs = list(parts.values())
    for log in logs:
        if log.split is not None:
            raise DataError(f"{log.source}: has a split column of its own; read it without, or give this log alone.")
    users, user_rows = _merged([(log.users, log.user_rows) for log in logs])
    items, item_rows = _merged([(log.items, log.item_rows) for log in logs])
    columns, notes = {}, []
    for name in ("times", "values"):
        columns[name], note = _column(name, parts)
        notes += note
    features: dict[str, Any] = {
        name: next((found for log in logs if (found := getattr(log, name)) is not None), None)
        for name in ("item_features", "user_features")
    }
    numbers = [np.full(log.n_rows, SPLIT_NAMES[name], dtype=np.int8) for name, log in parts.items()]
    sources = ", ".join(f"{name} {log.source} ({log.n_rows:,} rows)" for name, log in parts.items())
    told = tuple(dict.fromkeys(note for log in logs for note in log.notes))
    return Log(
        users, items, user_rows, item_rows, columns["times"], columns["values"], np.concatenate(numbers),
        (f"parts: {sources}", *told, *notes), parts["train"].source, **features,
    )  # fmt: skip


def _merged(encoded: list[tuple[Vocab, np.ndarray]]) -> tuple[Vocab, np.ndarray]:
    """One sorted vocabulary, and the rows of all parts in it, int32."""
    ids = [vocab.ids() for vocab, _ in encoded]
    if len({vocab.kind for vocab, _ in encoded}) > 1:
        ids = [np.array([str(one) for one in part.tolist()], dtype=object) for part in ids]
    distinct, places = np.unique(np.concatenate(ids), return_inverse=True)
    starts = np.cumsum([0, *(len(part) for part in ids)])
    rows = [places[start:][rows] for start, (_, rows) in zip(starts[:-1], encoded, strict=True)]
    return Vocab(distinct), np.concatenate(rows).astype(np.int32)


def _column(name: str, parts: Mapping[str, Log]) -> tuple[np.ndarray | None, list[str]]:
    """The column of all parts, where all have it; else what is said of it."""
    found = {part: getattr(log, name) for part, log in parts.items()}
    lacking = [part for part, column in found.items() if column is None]
    if not lacking:
        return np.concatenate(list(found.values())), []
    return None, [f"{name} are left out: {' and '.join(lacking)} has none"] if len(lacking) < len(found) else []
