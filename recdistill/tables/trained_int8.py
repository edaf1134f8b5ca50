"""The codec int8 in training: whole numbers -127..127 with one half-float scale for each row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recdistill.tables.codecs import CodedTable
from recdistill.tables.straight_through import straight_through

TOP = 127


class RowCodes(nn.Module):
    """v̂ = ⌊v/s⌉ · s, s = the row's largest |v| / 127, rounded up to fp16."""

    def __init__(self, codec: str) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, rows: Tensor, whole: Tensor, items: Tensor | None = None) -> Tensor:
        """What `rows` are served as; the gradient goes straight through."""
        codes, scales = _coded(rows.detach())
        return straight_through(rows, codes * scales.float()[:, None])

    @torch.no_grad()
    def export(self, whole: Tensor, columns: Tensor | None = None) -> CodedTable:
        """The codes that `forward` decodes, as the serving half stores them; without dimensions of zeros the same."""
        whole = whole if columns is None else whole[:, columns]
        codes, scales = _coded(whole.detach())
        return CodedTable(self.codec, {"codes": codes.to(torch.int8).cpu().numpy(), "scales": scales.cpu().numpy()})


def _coded(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers (m, d), as float32, and scales (m,), fp16."""
    exact = rows.abs().amax(1) / TOP
    scales = exact.half()
    above = (scales.view(torch.int16) + 1).view(torch.float16)  # a scale rounded down would clip the largest value
    scales = torch.where(scales.float() < exact, above, scales)
    steps = torch.where(scales == 0, 1.0, scales.float())
    return (rows / steps[:, None]).round().clamp(-TOP, TOP), scales
