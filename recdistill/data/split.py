"""A log in three parts: fitted on, chosen by, measured on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix, vstack

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.parts import hold_out_part
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError

if TYPE_CHECKING:
    from recdistill.serving.histories import Histories

HISTORIES = ("train", "train+valid")
NO_HISTORY = "have no usable history: answered with popularity"


@dataclass(frozen=True, eq=False)
class Split:
    """Train, valid and test; vocabularies and all that training sees come from the train rows alone."""

    train: Interactions
    valid: HeldOut | None
    test: HeldOut
    name: str
    """Which split: one of `SPLITS`."""
    history: str = "train"
    """What a user is made of when test is scored: "train" or "train+valid"."""
    exclude: str = "train"
    """What may not be recommended at test: "train" or "train+valid"."""
    users_left_out: int = 0
    """Users of train without a test row: nothing to measure them by."""
    notes: tuple[str, ...] = ()
    seen: HeldOut | None = None
    """People of train to compare the test people with, where those are unknown to train: as many, their histories as
    long; what is asked of them is not in train."""

    def __post_init__(self) -> None:
        for setting in ("history", "exclude"):
            if getattr(self, setting) not in HISTORIES:
                raise ConfigError(f"split.{setting}: {getattr(self, setting)!r}; it is 'train' or 'train+valid'.")

    def __repr__(self) -> str:
        valid = "no valid" if self.valid is None else f"valid {len(self.valid):,} users"
        parts = f"train {self.train.n_rows:,} rows, {valid}, test {len(self.test):,} users"
        return f"Split({parts}; {self.train.n_users:,} users x {self.train.n_items:,} items; {self.name})"

    def histories(self, held: HeldOut) -> csr_matrix:
        """(m, n_items): the items that each user of `held` is made of; empty for one of whom nothing is known."""
        return self._rows_of(held, self.history)

    def bags(self, held: HeldOut, *, ordered: bool = False) -> Histories:
        """`histories` as a scorer takes them; `ordered`: with the items' places, by time over all rows that a user is
        made of, where times are known."""
        from recdistill.data.known import known_histories, known_with_valid
        from recdistill.serving.histories import Histories

        found = None
        if ordered and self._has_valid_rows(held, self.history):
            assert self.valid is not None
            found = known_with_valid(held, self.train, self.valid)
        elif ordered:
            found = known_histories(held, self.train, ordered=True)
        return Histories.from_csr(self.histories(held)) if found is None else found

    def excluded(self, held: HeldOut) -> csr_matrix:
        """(m, n_items): the items that may not be recommended to each user of `held`."""
        return self._rows_of(held, self.exclude)

    def hiding(self, *, history: str | None = None, exclude: str | None = None) -> Split:
        """This split with other settings of what users are made of and what is not recommended; None: as it is.

        The note on users without a history is counted again.
        """
        changed = replace(self, history=history or self.history, exclude=exclude or self.exclude)
        notes = tuple(note for note in self.notes if not note.endswith(NO_HISTORY))
        return replace(changed, notes=(*notes, *changed.no_history_note()))

    def widened(self, items: Vocab) -> Split:
        """This split with a catalogue of more items, those of train first: what people wanted of them can be hit."""
        from recdistill.data.widened import widened

        return widened(self, items)

    def no_history_note(self) -> tuple[str, ...]:
        """How many test users are answered with popularity, where there are such."""
        if self.test.history is None and (self.history == "train" or self.valid is None):
            nobody = int((self.test.user_rows < 0).sum())  # whoever is in train has a row there
        else:
            nobody = int((np.diff(self.histories(self.test).indptr) == 0).sum())
        return (f"{nobody:,} of {len(self.test):,} test users {NO_HISTORY}",) if nobody else ()

    def hold_out(self, share: float = 0.1, seed: int = 0) -> Split:
        """A split for choosing settings: a seeded share of each user's train rows is its valid and its test part.

        Users with fewer than 3 rows keep theirs; the vocabularies stay; the true test part is not in it.
        """
        if not 0 < share < 1:
            raise ConfigError(f"hold_out: share={share}; it must lie between 0 and 1.")
        train, valid = hold_out_part(self.train, share, seed)
        note = f"settings are chosen on a seeded {share:.0%} of each user's train rows ({valid.relevant.nnz:,} rows)"
        changed = {"users_left_out": train.n_users - len(valid), "notes": (*self.notes, note)}
        return replace(self, train=train, valid=valid, test=valid, seen=None, **changed)  # type: ignore[arg-type]

    def selection(self, seed: int = 0) -> Split:
        """Where settings are chosen: this split where it has valid rows, else `hold_out`."""
        return self if self.valid is not None else self.hold_out(seed=seed)

    def save(self, folder: str | Path) -> None:
        """Writes the folder that `load` reads."""
        from recdistill.data.stored_split import save_split

        save_split(self, Path(folder))

    @staticmethod
    def load(folder: str | Path) -> Split:
        from recdistill.data.stored_split import load_split

        return load_split(Path(folder))

    @cached_property
    def _train_and_nobody(self) -> csr_matrix:
        """Train rows and, last, an empty one for the users who are not there."""
        empty = csr_matrix((1, self.train.n_items), dtype=np.float32)
        return vstack([self.train.csr(), empty], format="csr", dtype=np.float32)

    def _rows_of(self, held: HeldOut, which: str) -> csr_matrix:
        # a row of -1 is the last one, the empty one
        own = self._train_and_nobody[held.user_rows] if held.history is None else held.history
        if not self._has_valid_rows(held, which):
            return own
        assert self.valid is not None
        places = Vocab(self.valid.user_ids).rows(held.user_ids)
        nobody = csr_matrix((1, self.train.n_items), dtype=np.float32)
        also = vstack([self.valid.relevant, nobody], format="csr", dtype=np.float32)[places]
        both = own.maximum(also).tocsr()
        both.sort_indices()
        return both

    def _has_valid_rows(self, held: HeldOut, which: str) -> bool:
        return which != "train" and self.valid is not None and held is self.test and held is not self.valid
