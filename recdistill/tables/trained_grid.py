"""The even grids of `codecs.grid` in training: one step for each dimension, made anew from its spread at each step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from recdistill.tables.codecs import CodedTable, grid
from recdistill.tables.straight_through import straight_through


class GridCodes(nn.Module):
    """v̂ = (q + ½)·s, q = ⌊v/s⌋ clamped to b bits, s = c_b · the root mean square of the dimension, as fp16."""

    def __init__(self, codec: str, bits: int) -> None:
        super().__init__()
        self.codec, self.bits = codec, bits

    def forward(self, rows: Tensor, whole: Tensor, items: Tensor | None = None) -> Tensor:
        """What `rows` (m, d), some of the `whole` table (n, d), are served as; the gradient goes straight through."""
        return straight_through(rows, decoded(rows.detach(), self.steps(whole), self.bits))

    @torch.no_grad()
    def steps(self, whole: Tensor) -> Tensor:
        """(d,) float32 that half floats hold."""
        return (grid.STEPS[self.bits] * whole.square().mean(0).sqrt()).half().float()

    @torch.no_grad()
    def export(self, whole: Tensor, columns: Tensor | None = None) -> CodedTable:
        """The codes that `forward` decodes, as the serving half stores them."""
        steps = self.steps(whole)
        if columns is not None:
            whole, steps = whole[:, columns], steps[columns]
        return CodedTable(self.codec, {"codes": packed(whole, steps, self.bits), "scales": stored(steps)})


def decoded(rows: Tensor, steps: Tensor, bits: int | Tensor) -> Tensor:
    """(m, d): the grid's points below which `rows` lie; `steps` and `bits` broadcast to them, and a step of 0 stands
    for values that are lost."""
    half_range = 2 ** (bits - 1)
    whole = (rows / torch.where(steps > 0, steps, 1.0)).floor_().clamp_(-half_range, half_range - 1)
    return whole.add_(0.5).mul_(steps)


def packed(rows: Tensor, steps: Tensor, bits: int) -> np.ndarray:
    """The codes that `decoded` decodes, as the serving half packs them."""
    return grid.codes(rows.detach().cpu().numpy(), steps.cpu().numpy(), bits)


def stored(steps: Tensor) -> np.ndarray:
    """float16, which holds them."""
    return steps.cpu().numpy().astype(np.float16)
