"""Logs made in memory, and what a split of them holds, for eyes."""

from __future__ import annotations

from typing import Any

import numpy as np

from recdistill.data.interactions import HeldOut
from recdistill.data.log import SPLIT_NAMES, Log
from recdistill.data.split import Split
from recdistill.data.vocab import Vocab


def log_of(rows: list[tuple[Any, ...]], *names: str, **settings: Any) -> Log:
    """Rows of user, item and then `names` (times, values, split) in any order."""
    columns = list(zip(*rows, strict=True))
    users, user_rows = np.unique(np.array(columns[0], dtype=object), return_inverse=True)
    items, item_rows = np.unique(np.array(columns[1], dtype=object), return_inverse=True)
    more: dict[str, Any] = {name: np.array(column) for name, column in zip(names, columns[2:], strict=True)}
    if "values" in more:
        more["values"] = more["values"].astype(np.float32)
    if "split" in more:
        more["split"] = np.array([SPLIT_NAMES[part] for part in more["split"]], dtype=np.int8)
    encoded = user_rows.astype(np.int32), item_rows.astype(np.int32)
    return Log(Vocab(users.tolist()), Vocab(items.tolist()), *encoded, **more, source="log", **settings)


def train_pairs(split: Split) -> list[tuple[Any, Any]]:
    train = split.train
    return list(zip(train.users.ids(train.user_rows).tolist(), train.items.ids(train.item_rows).tolist(), strict=True))


def wanted(split: Split, held: HeldOut | None) -> dict[Any, list[Any]]:
    """User to the relevant items that train knows."""
    return {} if held is None else items_of(split, held, held.relevant)


def items_of(split: Split, held: HeldOut, matrix: Any) -> dict[Any, list[Any]]:
    """User to the items of a row of `matrix`."""
    items = split.train.items.ids()
    return {user: items[matrix[at].indices].tolist() for at, user in enumerate(held.user_ids.tolist())}


def same_part(a: HeldOut | None, b: HeldOut | None) -> bool:
    if a is None or b is None:
        return a is b
    same_history = (a.history is None) == (b.history is None)
    if same_history and a.history is not None:
        same_history = a.history.shape == b.history.shape and (a.history != b.history).nnz == 0
    return (
        a.user_ids.tolist() == b.user_ids.tolist()
        and a.user_rows.tolist() == b.user_rows.tolist()
        and a.relevant_count.tolist() == b.relevant_count.tolist()
        and (a.relevant != b.relevant).nnz == 0
        and same_history
    )
