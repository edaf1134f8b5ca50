"""The codecs pq and rq in training: rows are what their centroids are, which follow the rows.

Centroids are learned of the rows that a training starts from, as they are for a finished table, and then move to the
means of their rows from time to time; one that has lost all of them takes the row that is farthest from its own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from recdistill.tables.codecs import CODECS, CodedTable
from recdistill.tables.codecs.centroids import BLOCK
from recdistill.tables.codecs.product import parts_of
from recdistill.tables.trained_grid import stored
from recdistill.tables.trained_shared import SharedCodec


class Centroids(SharedCodec):
    """Codebooks as half floats hold them."""

    books: Tensor

    def __init__(self, codec: str, rows: Tensor) -> None:
        """`rows` (n, d) are what the table starts as."""
        super().__init__(codec)
        self.register_buffer("books", self._learned(rows))

    @torch.no_grad()
    def begin(self, rows: Tensor) -> None:
        self.books.copy_(self._learned(rows))

    @torch.no_grad()
    def export(self, whole: Tensor) -> CodedTable:
        codes = torch.stack([codes for codes, _ in self._coded(whole)], dim=1).to(torch.uint8).cpu().numpy()
        return CodedTable(self.codec, {"codes": codes, "codebooks": stored(self.books)})

    def _learned(self, rows: Tensor) -> Tensor:
        books = CODECS[self.codec].encode(rows.detach().cpu().numpy())["codebooks"].astype(np.float32)
        return torch.from_numpy(books).to(rows.device)

    @abstractmethod
    def _coded(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Of every codebook the centroids (m,) of `rows`, and what these stand for."""


class ProductCentroids(Centroids):
    """Product quantisation: each part of a row by a codebook of its own."""

    def __init__(self, codec: str, parts: int, rows: Tensor) -> None:
        self.parts = parts_of(rows.shape[1], parts)
        super().__init__(codec, rows)

    def renew(self, whole: Tensor) -> None:
        for part in self.parts:
            self.books[:, part] = _moved(self.books[:, part], whole[:, part])

    def decoded(self, rows: Tensor, whole: Tensor, items: Tensor | None) -> Tensor:
        return torch.cat([told for _, told in self._coded(rows)], dim=1)

    def _coded(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for part in self.parts:
            book = self.books[:, part]
            codes = _nearest(rows[:, part], book)
            yield codes, book[codes]


class ResidualCentroids(Centroids):
    """Residual quantisation: each codebook of what those before it have left over."""

    def renew(self, whole: Tensor) -> None:
        left = whole.clone()
        for book in self.books:
            book.copy_(_moved(book, left))
            left -= book[_nearest(left, book)]

    def decoded(self, rows: Tensor, whole: Tensor, items: Tensor | None) -> Tensor:
        served = torch.zeros_like(rows)
        for _, told in self._coded(rows):
            served += told
        return served

    def _coded(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        left = rows.clone()
        for book in self.books:
            codes = _nearest(left, book)
            yield codes, book[codes]
            left -= book[codes]


def _nearest(rows: Tensor, book: Tensor) -> Tensor:
    """int64 (m,): the centroid nearest to each row."""
    lengths = book.square().sum(1) / 2
    return torch.cat([(lengths - part @ book.T).argmin(1) for part in rows.split(BLOCK)])


def _moved(book: Tensor, rows: Tensor) -> Tensor:
    """One step of k-means (Lloyd, 1982), as half floats hold it."""
    codes = _nearest(rows, book)
    counts = torch.bincount(codes, minlength=len(book))
    sums = torch.zeros_like(book).index_add_(0, codes, rows)
    moved = sums / counts.clamp(min=1)[:, None]
    lost = counts == 0
    if count := int(lost.sum()):
        errors = (rows - book[codes]).square().sum(1)
        moved[lost] = rows[torch.sort(errors, descending=True, stable=True).indices[:count]]
    return moved.half().float()
