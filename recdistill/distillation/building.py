"""From a method to its objectives and the feed that calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from recdistill.candidates.base import Candidates
from recdistill.candidates.catalogue import Catalogue
from recdistill.candidates.source import Source
from recdistill.distillation.consistent_feed import ConsistentFeed
from recdistill.distillation.feeds import Feed, asked_of
from recdistill.distillation.fused_feed import FusedFeed, StandardisedFeed
from recdistill.distillation.graph_feed import GraphFeed
from recdistill.distillation.item_feed import ItemFeed
from recdistill.distillation.list_feed import ListFeed
from recdistill.distillation.methods import FITTED, Method
from recdistill.distillation.sampled_feed import SampledFeed
from recdistill.distillation.vector_feed import VectorFeed
from recdistill.errors import ConfigError
from recdistill.objectives.base import Objective
from recdistill.objectives.knowledge.soft_kl import SoftKL
from recdistill.objectives.knowledge.standardised_kl import StandardisedKL
from recdistill.objectives.registry import build


def objectives_of(method: Method, source: Source, dim: int, generator: torch.Generator) -> list[Objective]:
    """One objective; two where each side, users and items, has its own."""
    kind = method.kind
    settings = {**method.settings, **{name: one.at(0.0) for name, one in method.scheduled.items()}}
    settings = {name: _fitted(source) if value == FITTED else value for name, value in settings.items()}
    if "item_count" in _settings_of(kind) and settings.get("item_count") is None:
        settings["item_count"] = source.n_items
    teacher = source.knowledge.item_vectors
    widths: Mapping[str, Any] = {
        "student_dim": dim, "teacher_dim": None if teacher is None else teacher.shape[1], "generator": generator,
    }  # fmt: skip
    return [build(method.name, settings, **widths) for _ in range(2 if kind.entities == "each side" else 1)]


def feed_of(method: Method, objectives: list[Objective], source: Source) -> Feed:
    """By the names of the arguments: see `distillation.feeds`."""
    asked, shown, first = asked_of(objectives[0]), method.sources(), objectives[0]
    if "adjacency" in asked:
        return GraphFeed(objectives, source)
    if "student_user" in asked:
        return ConsistentFeed(first, shown, source)
    if type(first).entities:
        return VectorFeed(objectives, source)
    if "student_positive" in asked:
        return SampledFeed(first, shown, source)
    if not shown:
        raise ConfigError(f"{method.name}: is not trained in this way: {type(first).untrained}.")
    if type(first).item_users:
        return ItemFeed(first, shown, source, method.name)
    fused = _fused(method, first, shown, source)
    return fused or ListFeed(first, shown, source, method.name)


def _fused(
    method: Method, objective: Objective, shown: Mapping[str | tuple[str, ...], Candidates], source: Source
) -> Feed | None:
    """Of soft labels over the catalogue; of plain ones at a temperature that stays."""
    if not isinstance(objective, SoftKL | StandardisedKL):
        return None
    candidates = shown["candidates"].checked(source)
    if not isinstance(candidates, Catalogue):
        return None
    if isinstance(objective, StandardisedKL):
        return StandardisedFeed(objective, candidates, source) if "all_scores" in source.gives else None
    return None if "tau" in method.scheduled else FusedFeed(objective, candidates, source)


def _settings_of(kind: type[Objective]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(kind.config_type, "__dataclass_fields__", {})
    return found


def _fitted(source: Source) -> float:
    """The median over users of the standard deviation of the teacher's scores of its list; 1 where there is none."""
    known = source.knowledge
    listed = known.top_items >= 0
    counts = listed.sum(1)
    some = counts > 1
    if not some.any():
        return 1.0
    scores = np.where(listed, known.top_scores, 0.0)[some].astype(np.float64)
    counts = counts[some]
    mean = scores.sum(1) / counts
    spread = np.sqrt(np.where(listed[some], (scores - mean[:, None]) ** 2, 0.0).sum(1) / counts)
    typical = float(np.median(spread))
    return typical if typical > 0 else 1.0
