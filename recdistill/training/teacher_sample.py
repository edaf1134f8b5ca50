"""What a teacher says about a sample of the catalogue, as the loss over that sample asks for it."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from recdistill.objectives.teacher_tile import FullTile, ListTile, TeacherSource


class SampleOfVectors(TeacherSource):
    """From vectors: only the sample's logits are made."""

    def __init__(self, users: Tensor, items: Tensor, bias: Tensor, offset: Tensor, known: Tensor) -> None:
        """users (n_users, d), items (sample, d), bias (sample,), offset (sample,), known (n_users,) bool."""
        self._users, self._items, self._bias, self._offset = users, items, bias + offset, offset
        self._known = known

    def known(self, user_rows: Tensor) -> Tensor:
        return self._known[user_rows]

    def among(self, items: Tensor, offset: Tensor) -> TeacherSource:
        return SampleOfVectors(self._users, self._items[items], (self._bias - self._offset)[items], offset, self._known)

    def tile(self, user_rows: Tensor, at: Tensor | None = None) -> FullTile:
        logits = torch.mm(self._users[user_rows], self._items.T).float().add_(self._bias)
        if at is not None:
            logits.view(-1)[at] -= self._offset[at % len(self._items)]
        return FullTile.of(logits)


class SampleOfTiles(TeacherSource):
    """From probabilities of all items: right for any such teacher, though the whole tile is made."""

    def __init__(self, source: TeacherSource, items: Tensor, offset: Tensor) -> None:
        self._source, self._items, self._offset = source, items, offset

    def known(self, user_rows: Tensor) -> Tensor:
        return self._source.known(user_rows)

    def among(self, items: Tensor, offset: Tensor) -> TeacherSource:
        return SampleOfTiles(self._source, self._items[items], offset)

    def tile(self, user_rows: Tensor, at: Tensor | None = None) -> FullTile:
        whole = self._source.tile(user_rows)
        assert isinstance(whole, FullTile)
        logits = whole.probabilities[:, self._items].float().clamp_min_(torch.finfo(torch.float32).tiny).log_()
        logits += self._offset
        if at is not None:
            logits.view(-1)[at] -= self._offset[at % len(self._items)]
        return dataclasses.replace(FullTile.of(logits), unseen=whole.unseen)


class SampleOfLists(TeacherSource):
    """From lists: what is listed and not shown counts as part of the tail, whose items stand for all that is hidden."""

    def __init__(self, source: TeacherSource, items: Tensor) -> None:
        self._source, self._items = source, items

    def known(self, user_rows: Tensor) -> Tensor:
        return self._source.known(user_rows)

    def among(self, items: Tensor, offset: Tensor) -> TeacherSource:
        return SampleOfLists(self._source, self._items[items])

    def tile(self, user_rows: Tensor, at: Tensor | None = None) -> ListTile:
        whole = self._source.tile(user_rows)
        assert isinstance(whole, ListTile)
        place = torch.searchsorted(self._items, whole.items).clamp_max_(len(self._items) - 1)
        shown = self._items[place] == whole.items
        hidden = torch.where(shown, 0.0, whole.probabilities)
        return ListTile(
            rows=whole.rows[shown],
            items=place[shown],
            probabilities=whole.probabilities[shown],
            tail=whole.tail.index_add(0, whole.rows, hidden.to(whole.tail.dtype)),
            unseen=whole.unseen,
        )
