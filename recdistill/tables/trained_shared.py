"""What some codecs learn of the whole table and share among its rows, while the rows are trained."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from recdistill.tables.codecs import CodedTable
from recdistill.tables.straight_through import straight_through

EVERY = 8
"""Calls of a training, two of them a step, between which what is shared stays as it is."""


class SharedCodec(nn.Module, ABC):
    """Renews what is shared from time to time by the rows as they stand, and codes them by it in between."""

    calls: Tensor

    def __init__(self, codec: str) -> None:
        super().__init__()
        self.codec = codec
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, rows: Tensor, whole: Tensor, items: Tensor | None = None) -> Tensor:
        """What `rows` (m, d), those of `items` (m,) or all of the `whole` table (n, d), are served as; the gradient
        goes straight through."""
        if torch.is_grad_enabled():
            with torch.no_grad():
                if self.calls % EVERY == EVERY - 1:
                    self.renew(whole.detach())
                self.calls += 1
        with torch.no_grad():
            served = self.decoded(rows.detach(), whole.detach(), items)
        return straight_through(rows, served)

    @abstractmethod
    def begin(self, rows: Tensor) -> None:
        """Of the rows (n, d) that a training starts from."""

    @abstractmethod
    def renew(self, whole: Tensor) -> None:
        """Of the rows (n, d) as they stand."""

    @abstractmethod
    def decoded(self, rows: Tensor, whole: Tensor, items: Tensor | None) -> Tensor:
        """(m, d): rows as they are served with what is shared now."""

    @abstractmethod
    def export(self, whole: Tensor) -> CodedTable:
        """The codes that `decoded` decodes, as the serving half stores them."""
