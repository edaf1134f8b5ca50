"""Objectives of scores: their lists become columns of one matrix of candidates, which the student scores once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from recdistill.candidates.base import Candidates, Listed, Step, in_order
from recdistill.candidates.catalogue import Catalogue
from recdistill.candidates.joined import places_of
from recdistill.candidates.source import Source
from recdistill.candidates.trajectory import TrajectoryTop
from recdistill.distillation.feeds import Feed, Taken, asked_of, called
from recdistill.errors import ConfigError
from recdistill.objectives.base import Objective

CANDIDATES = "candidates"
"""In `Objective.shown`: what the objective is asked about, without a list of its own."""


class ListFeed(Feed):
    def __init__(
        self, objective: Objective, shown: Mapping[str | tuple[str, ...], Candidates], source: Source, name: str
    ) -> None:
        """Raises ConfigError where the candidates that are named cannot be put together."""
        self.objective, self.source = objective, source
        self.asked = asked_of(objective)
        self.shown = {key: shown[key].checked(source) for key in in_order(shown)}
        self.whole = any(one.whole for one in self.shown.values())
        self.distinct = type(objective).distinct or (CANDIDATES in self.shown and len(self.shown) > 1)
        if self.whole and not (CANDIDATES in self.shown and self.shown[CANDIDATES].whole):
            raise ConfigError(f"{name}.shown: the whole catalogue can only stand for 'candidates'.")
        told = all(one.told for one in self.shown.values())
        self.told = told and not self.whole
        if "teacher" in self.asked and not self.told:
            source.knowledge.require({"all_scores"}, f"{name} with these candidates")

    def student_list(self) -> tuple[int, int]:
        needing = [one for one in self.shown.values() if one.student_list]
        if not needing:
            return 0, 1
        return max(one.student_list for one in needing), min(one.refresh for one in needing)

    def scores_students_list(self) -> bool:
        return "teacher" in self.asked and not self.whole and self.student_list()[0] > 0

    def curriculum(self) -> TrajectoryTop | None:
        return next((one for one in self.shown.values() if isinstance(one, TrajectoryTop)), None)

    def loss(self, taken: Taken) -> Tensor:
        for key, one in self.shown.items():
            taken.step.drawn[key if isinstance(key, str) else key[0]] = one.draw(taken.step)
        return called(self.objective, self._whole(taken) if self.whole else self._columns(taken))

    def _whole(self, taken: Taken) -> dict[str, Any]:
        """An item's place is its row."""
        step, arguments = taken.step, self._common(taken)
        arguments["student"] = taken.scores.whole()
        if "teacher" in self.asked:
            arguments["teacher"] = self.source.all_scores(step.users)
        for name in ("positives", "labels"):
            if name in self.asked and name not in self.shown:
                own = torch.zeros(len(step.users), step.n_items, dtype=torch.bool, device=step.users.device)
                own[step.positives.rows, step.positives.items] = True
                arguments[name] = own
        for key, listed in self._drawn(step):
            if key != CANDIDATES:
                self._list(arguments, key, listed, listed.items)
            elif cast(Catalogue, self.shown[key]).unseen:
                self._put(arguments, "mask", listed.mask)
        return arguments

    def _columns(self, taken: Taken) -> dict[str, Any]:
        """The lists one after the other; a list is handed over as the places where its items stand."""
        step, arguments = taken.step, self._common(taken)
        drawn = self._drawn(step)
        items = torch.cat([listed.items.flatten(1) for _, listed in drawn], 1)
        counted = torch.cat([_flat_mask(listed) for _, listed in drawn], 1)
        places = torch.arange(items.shape[1], device=items.device).expand_as(items)
        fresh = counted
        if self.distinct:
            first = places_of(items, counted)
            fresh = counted & (first == places)
            places = first.clamp_min(0)
        arguments["student"] = taken.scores.at(items)
        if "teacher" in self.asked:
            arguments["teacher"] = self._teacher(step, [listed for _, listed in drawn], items)
        for name in ("positives", "labels"):
            if name in self.asked and name not in self.shown:
                arguments[name] = step.own(items)
        start = 0
        for key, listed in drawn:
            width = listed.items[0].numel()
            if key == CANDIDATES:
                self._put(arguments, "mask", fresh)
            else:
                self._list(arguments, key, listed, places[:, start : start + width].view_as(listed.items))
            start += width
        return arguments

    def _teacher(self, step: Step, drawn: list[Listed], items: Tensor) -> Tensor:
        """(batch, n) the teacher's scores of all columns; those that the lists hold are not worked out again where
        that takes a product of vectors."""
        if not (self.told or self.source.multiplies):
            return self.source.scores(step.users, items)
        scores = [
            (self.source.scores(step.users, one.items.flatten(1)) if one.scores is None else one.scores.flatten(1))
            for one in drawn
        ]
        return torch.cat(scores, 1)

    def _list(self, arguments: dict[str, Any], key: str | tuple[str, ...], listed: Listed, places: Tensor) -> None:
        if isinstance(key, tuple):
            arguments.update(zip(key, places.unbind(1), strict=True))
            self._put(arguments, "pair_mask", listed.mask)
            return
        if listed.places is not None:
            wide = places[:, None].expand(-1, listed.places.shape[1], -1)
            places = wide.gather(2, listed.places)
        arguments[key] = places
        for name in (f"{key}_mask", f"{key.removesuffix('s')}_mask"):
            self._put(arguments, name, listed.mask)
        if f"teacher_{key}" in self.asked:
            arguments[f"teacher_{key}"] = listed.scores

    def _common(self, taken: Taken) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        self._put(arguments, "weight", taken.weight)
        if "tail_mass" in self.asked:
            step, settings = taken.step, cast(Any, self.objective.config)
            stored = _stored_tail(self.source, step.users)
            arguments["tail_mass"] = tail_mass(step.drawn["top"], stored, step.n_items, settings.tau)
        return arguments

    def _put(self, arguments: dict[str, Any], name: str, value: Tensor | None) -> None:
        if name in self.asked:
            arguments[name] = value

    def _drawn(self, step: Step) -> list[tuple[str | tuple[str, ...], Listed]]:
        return [(key, step.drawn[key if isinstance(key, str) else key[0]]) for key in self.shown]


def _flat_mask(listed: Listed) -> Tensor:
    if listed.items.dim() == 2:
        return listed.mask
    return listed.mask[:, None].expand_as(listed.items).flatten(1)


def _stored_tail(source: Source, users: Tensor) -> Tensor:
    stored = source.kept("tail mass", lambda: torch.from_numpy(source.knowledge.tail_mass).to(source.device))
    return stored[users]


def tail_mass(top: Listed, mass: Tensor, n_items: int, tau: float) -> Tensor:
    """(batch,) the teacher's probability outside of its list at temperature tau, from that at 1.

    At others than 1 it is estimated as if it were spread evenly over the items outside.
    """
    if tau == 1.0:
        return mass
    assert top.scores is not None
    scores = top.scores.masked_fill(~top.mask, -torch.inf)
    best = scores.amax(1, keepdim=True).nan_to_num(neginf=0.0)
    shares = (scores - best).exp()
    rest = (n_items - top.mask.sum(1)).clamp(min=0)
    each = shares.sum(1) * mass / (1.0 - mass).clamp_min(1e-12) / rest.clamp(min=1)
    tail = rest * each ** (1.0 / tau)
    return tail / ((shares ** (1.0 / tau)).sum(1) + tail).clamp_min(1e-30)
