"""The codecs fp16 and bf16 in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recdistill.tables.codecs import CodedTable
from recdistill.tables.straight_through import straight_through

KINDS = {"fp16": torch.float16, "bf16": torch.bfloat16}


class HalfFloats(nn.Module):
    """Values as two bytes hold them, rounded to even."""

    def __init__(self, codec: str) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, rows: Tensor, whole: Tensor, items: Tensor | None = None) -> Tensor:
        """What `rows` are served as; the gradient goes straight through."""
        return straight_through(rows, rows.detach().to(KINDS[self.codec]).float())

    @torch.no_grad()
    def export(self, whole: Tensor, columns: Tensor | None = None) -> CodedTable:
        """The halves that `forward` decodes, as the serving half stores them."""
        whole = whole if columns is None else whole[:, columns]
        return CodedTable.of(whole.detach().cpu().numpy(), self.codec)
