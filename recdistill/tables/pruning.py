"""What a table keeps while it is pruned: gradually, by magnitude, under the schedule of Zhu and Gupta (2017).

The share that is gone rises as s · (1 - (1 - t/T)³): fast at first, where much is spare, slowly at the end. What is
gone gets no gradient, and may come back as long as the share rises; after T what is left is trained alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from recdistill.registry import Registry
from recdistill.tables.codecs import CODECS, CodedTable
from recdistill.tables.codecs.mixed_dimension import MixedDimensionCodec
from recdistill.tables.codecs.sparse_marked import STEPS, MarkedGridCodec
from recdistill.tables.trained import NarrowedCodec, TrainedCodec
from recdistill.tables.trained_grid import GridCodes

PERCENT = 100


class Pruning(nn.Module, ABC):
    """A mask, 1 for what is kept, and how far the schedule is."""

    mask: Tensor
    taken: Tensor

    def __init__(self, rows: Tensor, share: float) -> None:
        """`rows` (n, d) are what the table starts as; `share` of it will be gone."""
        super().__init__()
        self.share, self.last = share, 1
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mask", torch.ones(self._mask_shape(*rows.shape)))
        self._renew(rows, self._kept(rows, self._gone()))

    @torch.no_grad()
    def step(self, rows: Tensor) -> None:
        """One step of the training, whose `last` step of pruning is T; `rows` as they stand, gone ones too."""
        before = self._kept(rows, self._gone())
        self.taken += 1
        if (kept := self._kept(rows, self._gone())) != before:
            self._renew(rows, kept)

    def cut(self, rows: Tensor) -> Tensor:
        """(n, d) with 0 for what is gone."""
        return rows * self.mask

    def cut_among(self, rows: Tensor, items: Tensor) -> Tensor:
        """The same of the rows (m, d) of some items (m,)."""
        return rows * (self.mask if len(self.mask) == 1 else self.mask[items])

    def seen(self, rows: Tensor) -> Tensor:
        """What the codec's steps follow, of rows (n, d) that are cut."""
        return rows

    @abstractmethod
    def export(self, codec: TrainedCodec, name: str, rows: Tensor) -> CodedTable:
        """As the serving half stores rows (n, d) that are cut; `name` is the codec's."""

    @abstractmethod
    def _mask_shape(self, n: int, d: int) -> tuple[int, int]: ...

    @abstractmethod
    def _kept(self, rows: Tensor, gone: float) -> int:
        """How many are kept where a share is `gone`."""

    @abstractmethod
    def _renew(self, rows: Tensor, kept: int) -> None:
        """Sets the mask to the `kept` largest."""

    def _gone(self) -> float:
        return self.share * (1.0 - (1.0 - min(1.0, int(self.taken) / self.last)) ** 3)


class ValuePruning(Pruning):
    """The smallest values of each row, as many of every row."""

    def export(self, codec: TrainedCodec, name: str, rows: Tensor) -> CodedTable:
        marks = self.mask.cpu().numpy() > 0
        stored = f"{name}_sparse{int(marks[0].sum())}"
        coder, values = CODECS[stored], rows.detach().cpu().numpy()
        if isinstance(codec, GridCodes):
            steps = codec.steps(rows).cpu().numpy().astype(np.float16)
            return CodedTable(stored, cast(MarkedGridCodec, coder).packed(values, marks, steps))
        return CodedTable(stored, coder.encode(np.where(marks, values, 0)))

    def _mask_shape(self, n: int, d: int) -> tuple[int, int]:
        return n, d

    def _kept(self, rows: Tensor, gone: float) -> int:
        return max(1, round((1.0 - gone) * rows.shape[1]))

    def _renew(self, rows: Tensor, kept: int) -> None:
        self.mask.zero_().scatter_(1, rows.detach().abs().topk(kept, dim=1).indices, 1.0)


class RowPruning(Pruning):
    """The shortest rows: items that are ranked by their biases alone, and say nothing in a history."""

    def seen(self, rows: Tensor) -> Tensor:
        return rows[self.mask[:, 0] > 0]

    def export(self, codec: TrainedCodec, name: str, rows: Tensor) -> CodedTable:
        heads = self.mask[:, 0].cpu().numpy() > 0
        stored = f"{name}_dims{self._percent(self._gone())}_0"
        coder = cast(MixedDimensionCodec, CODECS[stored])
        none = coder.split(np.zeros((len(heads), rows.shape[1]), np.float32), heads, np.zeros((0, rows.shape[1]), "f2"))
        kept = codec.export(self.seen(rows))
        return CodedTable(stored, none | {f"head_{part}": array for part, array in kept.arrays.items()})

    def _mask_shape(self, n: int, d: int) -> tuple[int, int]:
        return n, 1

    def _kept(self, rows: Tensor, gone: float) -> int:
        return -(-len(rows) * self._percent(gone) // PERCENT)

    def _renew(self, rows: Tensor, kept: int) -> None:
        self.mask.zero_()[rows.detach().norm(dim=1).topk(kept).indices] = 1.0

    def _percent(self, gone: float) -> int:
        """Of the rows those that are kept, in whole percent, as the codec's name says."""
        return min(PERCENT - 1, max(1, round((1.0 - gone) * PERCENT)))


class DimensionPruning(Pruning):
    """The dimensions that add least to users times items: what is left is a narrower table."""

    def export(self, codec: TrainedCodec, name: str, rows: Tensor) -> CodedTable:
        return cast(NarrowedCodec, codec).export(rows, self.mask[0] > 0)

    def _mask_shape(self, n: int, d: int) -> tuple[int, int]:
        return 1, d

    def _kept(self, rows: Tensor, gone: float) -> int:
        return max(1, round((1.0 - gone) * rows.shape[1]))

    def _renew(self, rows: Tensor, kept: int) -> None:
        rows = rows.detach()
        energy = normalize(rows, dim=1).square().mean(0) * rows.square().mean(0)
        self.mask.zero_()[0, energy.topk(kept).indices] = 1.0


class KeptGrid(GridCodes):
    """The grid of `codecs.sparse_marked`: the step of a dimension follows the values that it keeps."""

    @torch.no_grad()
    def steps(self, whole: Tensor) -> Tensor:
        """(d,) float32 that half floats hold; `whole` (n, d) is 0 where a value is gone."""
        kept = (whole != 0).sum(0).clamp(min=1)
        return (STEPS[self.bits] * (whole.square().sum(0) / kept).sqrt()).half().float()


PRUNINGS: Registry[Callable[[Tensor, float], Pruning]] = Registry("way to prune")
PRUNINGS.register("values", ValuePruning)
PRUNINGS.register("rows", RowPruning)
PRUNINGS.register("dimensions", DimensionPruning)
