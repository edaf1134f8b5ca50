"""The order in time of each user's rows: by time, and where times are equal by a fixed order of the items."""

from __future__ import annotations

import hashlib

import numpy as np

from recdistill.data.vocab import Vocab
from recdistill.mixing import splitmix64


def by_user_and_time(
    users: np.ndarray, times: np.ndarray, items: np.ndarray, vocab: Vocab, parts: np.ndarray | None = None
) -> np.ndarray:
    """The order (n_rows,) by (user, time, part, mixed id); the dear sort by the last two is done for equal times only.

    `parts` (n_rows,): which of two parts of a split comes first where they hold rows of the same time.
    """
    keys = _user_and_time(users, times)
    order = np.argsort(keys)
    same = keys[order[1:]] == keys[order[:-1]]
    if same.any():
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        rows = order[tied]
        last = () if parts is None else (parts[rows],)
        order[tied] = rows[np.lexsort((items[rows], mixed_ids(vocab)[items[rows]], *last, keys[rows]))]
    return order


def are_places(users: np.ndarray, times: np.ndarray) -> bool:
    """Whether times are places in each user's own order, no common clock: every user begins with 0, or every one with
    1, and no two rows of a user share one. `users`: int rows from 0."""
    if not len(times) or times.dtype.kind != "i" or times.min() not in (0, 1) or times.min() == times.max():
        return False
    earliest = np.full(int(users.max()) + 1, times.max())
    np.minimum.at(earliest, users, times)
    if (earliest[users] != times.min()).any():
        return False
    keys = np.sort(_user_and_time(users, times))
    return bool((keys[1:] != keys[:-1]).all())


def mixed_ids(vocab: Vocab) -> np.ndarray:
    """uint64 (n,): a number that depends on the id alone and on neither the file nor the other ids."""
    ids = vocab.ids()
    if vocab.kind == "utf8":
        digests = b"".join(hashlib.blake2b(one.encode(errors="replace"), digest_size=8).digest() for one in ids)
        return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
    return splitmix64(ids)


def _user_and_time(users: np.ndarray, times: np.ndarray) -> np.ndarray:
    """int64 keys in the order of (user, time)."""
    if not len(times):
        return np.zeros(0, np.int64)
    past = times - times.min() if times.dtype.kind == "i" else None
    if past is None or (past < 0).any() or (int(past.max()) + 1) * (int(users.max()) + 1) >= 2**62:
        past = np.unique(times, return_inverse=True)[1]  # fractions, or a wide range: their places stand for them
    return users.astype(np.int64) * (int(past.max()) + 1) + past
