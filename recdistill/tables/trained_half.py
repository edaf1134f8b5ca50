"""The codec fp16 in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recdistill.tables.codecs import CodedTable
from recdistill.tables.straight_through import straight_through


class HalfFloats(nn.Module):
    """Values as half floats hold them."""

    def __init__(self, codec: str, rows: Tensor) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, rows: Tensor, whole: Tensor) -> Tensor:
        """What `rows` are served as; the gradient goes straight through."""
        return straight_through(rows, rows.detach().half().float())

    @torch.no_grad()
    def export(self, whole: Tensor, columns: Tensor | None = None) -> CodedTable:
        """The halves that `forward` decodes, as the serving half stores them."""
        whole = whole if columns is None else whole[:, columns]
        return CodedTable(self.codec, {"values": whole.detach().half().cpu().numpy()})
