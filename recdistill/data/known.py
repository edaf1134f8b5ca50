"""What the users of a held-out part are made of, with the places of the items in each user's own order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.order import by_user_and_time
from recdistill.data.vocab import Vocab
from recdistill.serving.histories import Histories, places_from_end


def known_histories(held: HeldOut, train: Interactions, *, ordered: bool = False) -> Histories:
    """The users' train rows or, where train does not hold them, a history of their own; `ordered`: with places."""
    if held.history is None:
        return train.histories(held.user_rows, ordered=ordered)
    found = Histories.from_csr(held.history)
    if not ordered or held.history_times is None:
        return found
    order = by_user_and_time(found.users, held.history_times, found.items, train.items)
    when = np.empty(len(order), np.int64)
    when[order] = np.arange(len(order))
    return replace(found, places=places_from_end(found.indptr, when))


def known_with_valid(held: HeldOut, train: Interactions, valid: HeldOut) -> Histories | None:
    """The same with the users' valid rows, in one order by time, of equal times the valid ones last.

    A pair that is in both stands where it came last. None where times are not known.
    """
    own_times = train.times if held.history is None else held.history_times
    if own_times is None or valid.relevant_times is None:
        return None
    own = train.csr() if held.history is None else held.history
    own_rows = held.user_rows if held.history is None else np.arange(len(held))
    first = _entries(own, own_rows)
    second = _entries(valid.relevant, Vocab(valid.user_ids).rows(held.user_ids))
    users = np.concatenate([first.users, second.users])
    items = np.concatenate([own.indices[first.items], valid.relevant.indices[second.items]])
    times = np.concatenate([own_times[first.items], valid.relevant_times[second.items]])
    parts = np.repeat([0, 1], [len(first.items), len(second.items)])
    order = by_user_and_time(users, times, items, train.items, parts)
    return Histories.from_pairs(users[order], items[order], len(held), ordered=True)


def _entries(matrix: csr_matrix, rows: np.ndarray) -> Histories:
    """Where the entries of some rows of a matrix stand among all of them; of a row of -1 there are none."""
    indptr = np.append(matrix.indptr, matrix.indptr[-1]).astype(np.int64)
    return Histories(indptr, np.arange(matrix.nnz)).take(rows)
