"""A log of the comparison: its split, where settings are chosen on it, and the hashes that stand for both."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from recdistill.models.two_tower_rules import LogFacts
from recdistill.runs.steps import Part

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut
    from recdistill.data.splits import Split


@dataclass(frozen=True, eq=False)
class ComparedLog:
    name: str
    split: Split

    @cached_property
    def final(self) -> Part:
        """What the measured models are fitted on: all train rows."""
        return Part(self.split, part_sha256(self.split, test=False), choose=self.split.valid is not None)

    @cached_property
    def selection(self) -> Part:
        """Where everything is chosen: the same where the log has valid rows, else without a tenth of the train rows."""
        if self.split.valid is not None:
            return self.final
        held_out = self.split.selection()
        return Part(held_out, part_sha256(held_out, test=False), choose=True)

    @property
    def has_valid(self) -> bool:
        return self.split.valid is not None

    @cached_property
    def sha256(self) -> str:
        """Of all three parts."""
        return part_sha256(self.split, test=True)

    @cached_property
    def facts(self) -> LogFacts:
        return LogFacts.of(self.split.train, self.split.valid)


def part_sha256(split: Split, *, test: bool) -> str:
    """Of the train and valid rows, what users are made of, and, with `test`, the test rows: 16 digits."""
    held = [split.valid, *([split.test] if test else [])]
    told = [split.train.sha256(), split.history, split.exclude, *("" if one is None else _held(one) for one in held)]
    return hashlib.sha256(" ".join(told).encode()).hexdigest()[:16]


def _held(held: HeldOut) -> str:
    digest = hashlib.sha256("\n".join(map(str, held.user_ids)).encode())
    columns = [held.user_rows, held.relevant_count, held.relevant.indptr, held.relevant.indices]
    columns += [] if held.history is None else [held.history.indptr, held.history.indices]
    for column in columns:
        digest.update(np.ascontiguousarray(column, np.int64).tobytes())
    return digest.hexdigest()
