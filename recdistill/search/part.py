"""What a search is fitted on and judged by: train and valid rows, of a seeded part of the users where they are many."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.errors import ConfigError

if TYPE_CHECKING:
    from recdistill.data.splits import Split


@dataclass(frozen=True, slots=True)
class SearchPart:
    train: Interactions
    valid: HeldOut
    whole: Interactions
    """The train rows of all users: what the settings are found for."""
    notes: tuple[str, ...]

    @property
    def judges(self) -> int:
        """Users that a trial is judged by: those with a relevant item."""
        return int((self.valid.relevant_count > 0).sum())

    def sha256(self) -> str:
        """Of all that a trial sees, and of the train rows that its settings are carried to."""
        digest = hashlib.sha256((self.whole.sha256() + self.train.sha256()).encode())
        relevant = self.valid.relevant
        for rows in (self.valid.user_rows, self.valid.relevant_count, relevant.indptr, relevant.indices):
            digest.update(rows.astype(np.int64).tobytes())
        return digest.hexdigest()


def search_part(split: Split, *, max_users: int, seed: int) -> SearchPart:
    """The split's valid rows, or a seeded tenth of each user's train rows where it has none; test is not looked at.

    Of more than `max_users` users a seeded choice of so many stays, with all their rows. All items stay, so that
    density, histories and the catalogue that is ranked are those of the whole log.
    """
    if max_users < 2:
        raise ConfigError(f"tune: max_users = {max_users}: give at least 2")
    selection = split.selection(seed)
    assert selection.valid is not None
    notes = selection.notes if split.valid is None else ()
    part = SearchPart(selection.train, selection.valid, selection.train, notes[-1:])
    if part.train.n_users > max_users:
        part = _of_some_users(part, max_users, np.random.default_rng([seed, 2]))
    if not part.judges:
        raise ConfigError("tune: no user has a valid row to be judged by; give more --max-users, or another split")
    return part


def _of_some_users(part: SearchPart, users: int, generator: np.random.Generator) -> SearchPart:
    train, valid = part.train, part.valid
    chosen = np.sort(generator.choice(train.n_users, users, replace=False))
    places = np.full(train.n_users + 1, -1, dtype=np.int64)  # the last: whoever is not in train
    places[chosen] = np.arange(users)
    sampled = train.of_users(chosen)
    strangers = (valid.user_rows < 0) & (generator.random(len(valid)) < users / train.n_users)
    kept = np.flatnonzero((places[valid.user_rows] >= 0) | strangers)
    held = replace(valid.take(kept), user_rows=places[valid.user_rows[kept]])
    note = f"searched on a seeded {users:,} of {train.n_users:,} users ({sampled.n_rows:,} of {train.n_rows:,} rows)"
    return SearchPart(sampled, held, part.whole, (*part.notes, note))
