"""The items that the users of a batch have used, ragged."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Positives:
    """Items per user of a batch, ragged: entry e belongs to user `rows[e]` (ascending) and is item `items[e]`."""

    offsets: Tensor  # (batch + 1,)
    items: Tensor
    rows: Tensor

    @property
    def counts(self) -> Tensor:
        return self.offsets.diff()
