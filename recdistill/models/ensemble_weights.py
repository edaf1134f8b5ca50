"""Weights of an ensemble's members by NDCG@20 on valid: coarse to fine over the simplex."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recdistill.data.known import known_histories
from recdistill.errors import ConfigError
from recdistill.models.base import CHOICE_K

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.serving.ensemble import EnsembleScorer
    from recdistill.serving.histories import Histories
    from recdistill.training.progress import Progress

PARTS = 20
"""Weights are multiples of a twentieth."""
STEPS = (4, 2, 1)
"""In twentieths: all of the simplex first, then the neighbours of the best so far."""
TILE_FLOATS = 4_000_000
"""Scores of users × items, held once for each member."""
GROUPS = 3
FEWEST_USERS = 100
"""Of a group that weights are chosen for."""

Parts = tuple[int, ...]


class Weights(NamedTuple):
    rows: np.ndarray
    """(groups, members)"""
    group_ends: tuple[int, ...]
    """Of every group but the last its longest history."""


def choose_weights(
    ensemble: EnsembleScorer,
    train: Interactions,
    valid: HeldOut,
    *,
    by_history: bool | None,
    progress: Progress | None,
) -> Weights:
    """The weights of the highest mean NDCG@20 on valid, the earlier ones (more on the first member) on a tie.

    A member without which the others lose no more than the standard error of the difference is left out: so little is
    chance as well as gain, and each member has to be fitted, stored and asked. Where `by_history` is not False, also
    the best weights of each third of the users by their history's length, of the same candidates.
    """
    from recdistill.training.progress import NullProgress

    tried = _Tried(_Asked(ensemble, train, valid), len(ensemble.members))
    kept = tuple(range(len(ensemble.members)))
    with (progress or NullProgress()).task("weights of the ensemble", total=len(kept)) as bar:
        best = tried.best(kept)
        bar.advance(1, valid_ndcg=tried.mean(best))
        while len(kept) > 1:
            kept = tuple(member for member in kept if tried.parts[best][member])
            fewer = [tuple(one for one in kept if one != member) for member in kept if len(kept) > 1]
            found = max(((tried.best(some), some) for some in fewer), key=lambda one: tried.mean(one[0]), default=None)
            if found is None or not tried.as_good(found[0], best):
                break
            best, kept = found
            bar.advance(1, valid_ndcg=tried.mean(best))
    alone = max(
        ((tried.best((member,)), (member,)) for member in range(len(ensemble.members))),
        key=lambda one: tried.mean(one[0]),
    )
    if tried.mean(alone[0]) >= tried.mean(best):
        best, kept = alone
    of_kept = tried.of(kept)
    candidates, reached = np.array(tried.parts)[of_kept] / PARTS, tried.reached[of_kept]
    one = Weights(candidates[[_best(reached)]], ())
    if by_history is False or len(kept) == 1:
        return one
    histories = tried.asked.histories
    ends = _thirds(histories.lengths)
    groups = np.searchsorted(ends, histories.lengths)
    if not ends or (by_history is None and not _gains(reached, groups)):
        return one
    rows = [_best(reached[:, groups == group]) for group in range(len(ends) + 1)]
    return Weights(candidates[rows], ends)


class _Tried:
    """Weights that were measured, and what every user has with each."""

    def __init__(self, asked: _Asked, n_members: int) -> None:
        self.asked, self.n_members = asked, n_members
        self.parts: list[Parts] = []
        self.reached = np.zeros((0, len(asked.rows)), np.float32)
        """NDCG@20 (weights, users)."""

    def best(self, members: tuple[int, ...]) -> int:
        """Of weights on these members alone: all of the simplex first, then the neighbours of the best so far."""
        for step in STEPS:
            if step == STEPS[0]:
                new = [self._spread(parts, members) for parts in _simplex(len(members), step)]
            else:
                at = self.parts[self._best_of(members)]
                near = _neighbours(tuple(at[member] for member in members), step)
                new = [self._spread(parts, members) for parts in near]
            new = [parts for parts in new if parts not in self.parts]
            if new:
                self.parts += new
                self.reached = np.vstack([self.reached, self.asked.ndcg(np.array(new) / PARTS)])
        return self._best_of(members)

    def of(self, members: tuple[int, ...]) -> np.ndarray:
        """Places of the weights that these members share alone."""
        others = [place for place in range(self.n_members) if place not in members]
        return np.flatnonzero(~np.array(self.parts)[:, others].any(axis=1))

    def mean(self, place: int) -> float:
        return float(self.reached[place].mean(dtype=np.float64))

    def as_good(self, place: int, other: int) -> bool:
        lost = self.reached[other].astype(np.float64) - self.reached[place]
        return bool(len(lost) > 1 and lost.mean() <= lost.std(ddof=1) / np.sqrt(len(lost)))

    def _best_of(self, members: tuple[int, ...]) -> int:
        places = self.of(members)
        return int(places[_best(self.reached[places])])

    def _spread(self, parts: Parts, members: tuple[int, ...]) -> Parts:
        whole = [0] * self.n_members
        for member, part in zip(members, parts, strict=True):
            whole[member] = part
        return tuple(whole)


def _best(reached: np.ndarray) -> int:
    """The row of the highest mean, the first of equals."""
    return int(reached.mean(axis=1, dtype=np.float64).argmax())


def _gains(reached: np.ndarray, groups: np.ndarray) -> bool:
    """Whether weights of their own gain more than the standard error: chosen on one half of the users and measured on
    the other, both ways, since on the users that they are chosen on they always gain."""
    halves = np.arange(len(groups)) % 2
    gain = np.zeros(len(groups))
    for half in (0, 1):
        single = _best(reached[:, halves != half])
        for group in np.unique(groups):
            there, here = (halves != half) & (groups == group), (halves == half) & (groups == group)
            if there.any():
                gain[here] = reached[_best(reached[:, there]), here] - reached[single, here]
    return bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)) > 0)


def _thirds(lengths: np.ndarray) -> tuple[int, ...]:
    """The longest histories of the first and the second third; none where the thirds would be small."""
    if len(lengths) < GROUPS * FEWEST_USERS:
        return ()
    ends = np.quantile(lengths, np.arange(1, GROUPS) / GROUPS, method="inverted_cdf")
    return tuple(int(end) for end in np.unique(ends) if end < lengths.max())


def _simplex(members: int, step: int, left: int = PARTS) -> list[Parts]:
    """All weights in steps that add up to the whole, those with more on the first member first."""
    if members == 1:
        return [(left,)]
    return [(first, *rest) for first in range(left, -1, -step) for rest in _simplex(members - 1, step, left - first)]


def _neighbours(best: Parts, step: int) -> Iterator[Parts]:
    """One step from one member to another, or as much as it has."""
    for giver, part in enumerate(best):
        moved = min(step, part)
        for taker in range(len(best)):
            if giver != taker and moved:
                changed = list(best)
                changed[giver] -= moved
                changed[taker] += moved
                yield tuple(changed)


class _Asked:
    """The members' standardised scores of the users of valid, a tile at a time."""

    def __init__(self, ensemble: EnsembleScorer, train: Interactions, valid: HeldOut) -> None:
        counted = np.flatnonzero(valid.relevant_count > 0)
        if not len(counted):
            raise ConfigError("valid part: no user has a relevant item, so nothing can be chosen on it. Leave it out.")
        self.ensemble, self.rows = ensemble, valid.user_rows[counted]
        self.histories = known_histories(valid, train, ordered=ensemble.ordered).take(counted)
        self.relevant, self.relevant_count = valid.relevant[counted], valid.relevant_count[counted]

    def ndcg(self, weights: np.ndarray) -> np.ndarray:
        """float32 (candidates, users) NDCG@20 of weights (candidates, members)."""
        from recdistill.evaluation.ranking import hits_of, ndcg

        n_items = self.ensemble.n_items
        k = min(CHOICE_K, n_items)
        found = np.empty((len(weights), len(self.rows)), np.float32)
        step = max(1, TILE_FLOATS // n_items)
        for start in range(0, len(self.rows), step):
            part = slice(start, start + step)
            histories = self.histories.take(part)
            scores = self._standardised(histories, self.rows[part])
            for candidate, weight in enumerate(weights):
                items = _top(np.einsum("m,mui->ui", weight.astype(np.float32), scores), histories, k)
                hits = hits_of(items, self.relevant[part])
                found[candidate, part] = ndcg(hits, self.relevant_count[part], k)
        return found

    def _standardised(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """(members, users, n_items); popularity for who is unknown to all, from each member."""
        members = range(len(self.ensemble.members))
        scores = np.stack([self.ensemble.standardised(member, histories, rows)[0] for member in members])
        unknown = self.ensemble.unknown(histories, rows)
        if self.ensemble.popularity is not None:
            scores[:, unknown] = self.ensemble.popularity
        return scores


def _top(scores: np.ndarray, hidden: Histories, k: int) -> np.ndarray:
    """Item rows (users, k) of the largest scores, as the search orders them; -1 where fewer are left."""
    from recdistill.retrieval.selection import best_of_pairs, fixed_order, floor_of_kth

    scores[hidden.users, hidden.items] = -np.inf
    floor = np.maximum(floor_of_kth(scores, k), np.finfo(np.float32).min)
    users, items = np.nonzero(scores >= floor[:, None])
    return best_of_pairs(users, items, scores[users, items], len(scores), k, fixed_order(scores.shape[1]))[0]
