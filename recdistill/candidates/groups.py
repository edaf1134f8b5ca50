"""Pairs of items of about the same popularity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recdistill.candidates.base import Candidates, Listed, Step, check_counts
from recdistill.candidates.source import TILE_ROWS, Source, row_type
from recdistill.candidates.truncated import ranks_drawn
from recdistill.objectives.base import check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class PopularityPairs(Candidates):
    """n pairs, the teacher's higher item first, both of one popularity group (UnKD: Chen et al., 2023).

    Groups hold the same number of interactions each. In every group a user's first `of` unseen items in the teacher's
    order are looked at, and two ranks are drawn with p ∝ e^{-rank/temperature}. A teacher that tells all its scores
    is asked about every group; of one that is stored as lists, what of a group is listed.
    """

    needs = frozenset({"top_k"})

    groups: int = 4
    n: int = 32
    of: int = 50
    temperature: float = 20.0

    def __post_init__(self) -> None:
        check_counts("popularity_pairs", groups=self.groups, n=self.n)
        check_counts("popularity_pairs", least=2, of=self.of)
        check_positive("popularity_pairs", temperature=self.temperature)

    def draw(self, step: Step) -> Listed:
        key = "popularity groups", self.groups, self.of
        items, counts = step.source.kept(key, lambda: _grouped_lists(step.source, self.groups, self.of))
        rows, device = step.users.cpu().numpy(), step.users.device
        held = torch.from_numpy(items[rows].astype(np.int64)).to(device)  # (batch, groups, of)
        lengths = torch.from_numpy(counts[rows].astype(np.int64)).to(device)[:, :, None]
        each = -(-self.n // self.groups)
        shape = len(rows), self.groups, each
        one, two = (ranks_drawn(step.chance(*shape), lengths, self.temperature) for _ in range(2))
        pairs = torch.stack([torch.minimum(one, two), torch.maximum(one, two)], 1)  # (batch, 2, groups, each)
        found = held[:, None].expand(-1, 2, -1, -1).gather(3, pairs).flatten(2)
        return Listed(found[:, :, : self.n], ((one != two) & (lengths > 1)).flatten(1)[:, : self.n])


def popularity_groups(source: Source, groups: int) -> np.ndarray:
    """(n_items,) the group of each item, 0 the least popular; groups share the interactions evenly."""
    counts = np.bincount(source.csr.indices, minlength=source.n_items)
    order = np.argsort(counts, kind="stable")
    share = (np.cumsum(counts[order]) - counts[order] / 2) / max(1, counts.sum())
    group = np.empty(source.n_items, np.int64)
    group[order] = np.minimum((share * groups).astype(np.int64), groups - 1)
    return group


def _grouped_lists(source: Source, groups: int, of: int) -> tuple[np.ndarray, np.ndarray]:
    """Item rows (n_users, groups, of) in the teacher's order and how many there are (n_users, groups)."""
    group = popularity_groups(source, groups)
    items = np.zeros((source.n_users, groups, of), row_type(source.n_items))
    counts = np.zeros((source.n_users, groups), np.int32)
    rank = _ranked if "all_scores" in source.gives else _listed
    for start in range(0, source.n_users, TILE_ROWS):
        rows = np.arange(start, min(start + TILE_ROWS, source.n_users))
        for number in range(groups):
            found, mask = rank(source, rows, group == number, of)
            counts[rows, number] = mask.sum(1)
            items[rows, number, : found.shape[1]] = np.where(mask, found, 0)
    return items, counts


def _ranked(source: Source, rows: np.ndarray, within: np.ndarray, of: int) -> tuple[np.ndarray, np.ndarray]:
    members = np.flatnonzero(within)
    scores = source.all_scores(torch.from_numpy(rows).to(source.device))
    own = source.csr[rows].tocoo()
    scores[torch.from_numpy(own.row.astype(np.int64)), torch.from_numpy(own.col.astype(np.int64))] = -torch.inf
    best: Tensor = scores[:, torch.from_numpy(members).to(source.device)]
    values, places = best.topk(min(of, len(members)))
    return members[places.cpu().numpy()], (values > -torch.inf).cpu().numpy()


def _listed(source: Source, rows: np.ndarray, within: np.ndarray, of: int) -> tuple[np.ndarray, np.ndarray]:
    lists = source.lists(None, unseen=True)
    items = lists.items[rows].astype(np.int64)
    counted = within[items] & (np.arange(items.shape[1]) < lists.counts[rows, None])
    order = np.argsort(~counted, axis=1, kind="stable")[:, :of]
    return np.take_along_axis(items, order, 1), np.take_along_axis(counted, order, 1)
