"""The grids of `codecs.grid_blocks` in training: one step for each row, each few dimensions of a row, or all."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from recdistill.tables.codecs import CodedTable, grid
from recdistill.tables.straight_through import straight_through
from recdistill.tables.trained_grid import decoded, packed, stored


class BlockGrid(nn.Module):
    """v̂ = (q + ½)·s, s = c_b · the root mean square of `group` dimensions of the row (none: of the row), as fp16."""

    def __init__(self, codec: str, bits: int, group: int | None) -> None:
        super().__init__()
        self.codec, self.bits, self.group = codec, bits, group

    def forward(self, rows: Tensor, whole: Tensor, items: Tensor | None = None) -> Tensor:
        """What `rows` are served as; the gradient goes straight through."""
        plain = rows.detach()
        return straight_through(rows, decoded(plain, self._spread(self._steps(plain), plain), self.bits))

    @torch.no_grad()
    def export(self, whole: Tensor) -> CodedTable:
        """The codes that `forward` decodes, as the serving half stores them."""
        steps = self._steps(whole)
        codes = packed(whole, self._spread(steps, whole), self.bits)
        arrays = {"codes": codes, "scales": stored(steps), "columns": np.array([whole.shape[1]], np.int32)}
        return CodedTable(self.codec, arrays)

    def _steps(self, rows: Tensor) -> Tensor:
        """(m, groups) float32 that half floats hold."""
        columns = rows.shape[1]
        group = self.group or columns
        sums = pad(rows.square(), (0, -columns % group)).view(len(rows), -1, group).sum(2)
        sizes = torch.full((sums.shape[1],), group, device=rows.device)
        sizes[-1] -= -columns % group
        return (grid.STEPS[self.bits] * (sums / sizes).sqrt()).half().float()

    def _spread(self, steps: Tensor, rows: Tensor) -> Tensor:
        """(m, d), or (m, 1) where a row has one."""
        return steps if self.group is None else steps.repeat_interleave(self.group, dim=1)[:, : rows.shape[1]]


class UniformGrid(nn.Module):
    """v̂ = (q + ½)·s, s = c_b · the root mean square of the whole table, as fp16."""

    def __init__(self, codec: str, bits: int) -> None:
        super().__init__()
        self.codec, self.bits = codec, bits

    def forward(self, rows: Tensor, whole: Tensor, items: Tensor | None = None) -> Tensor:
        """What `rows` (m, d), some of the `whole` table (n, d), are served as; the gradient goes straight through."""
        return straight_through(rows, decoded(rows.detach(), self._step(whole.detach()), self.bits))

    @torch.no_grad()
    def export(self, whole: Tensor) -> CodedTable:
        """The codes that `forward` decodes, as the serving half stores them."""
        step = self._step(whole)
        arrays = {"codes": packed(whole, step, self.bits), "scale": stored(step)}
        return CodedTable(self.codec, arrays | {"columns": np.array([whole.shape[1]], np.int32)})

    def _step(self, whole: Tensor) -> Tensor:
        """(1,) float32 that a half float holds."""
        return (grid.STEPS[self.bits] * whole.square().mean().sqrt()).half().float().reshape(1)
