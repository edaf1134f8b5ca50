"""Sources of candidates by the name that stands in a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recdistill.candidates.base import Candidates
from recdistill.candidates.catalogue import Catalogue, Scored
from recdistill.candidates.groups import PopularityPairs
from recdistill.candidates.joined import Joined
from recdistill.candidates.orders import TeacherOrders
from recdistill.candidates.own import Own
from recdistill.candidates.pairs import LabelPairs, TeacherPairs
from recdistill.candidates.student_top import NearStudentTop, Overestimated, StudentTop, Underestimated
from recdistill.candidates.teacher_top import RankSampled, TeacherTop
from recdistill.candidates.trajectory import TrajectoryTop
from recdistill.candidates.unused import ByPopularity, Hard, InBatch, Uniform
from recdistill.errors import ConfigError
from recdistill.registry import Registry
from recdistill.settings import from_mapping

CANDIDATES: Registry[type[Candidates]] = Registry("source of candidates")
CANDIDATES.register("by_popularity", ByPopularity)
CANDIDATES.register("catalogue", Catalogue)
CANDIDATES.register("hard", Hard)
CANDIDATES.register("in_batch", InBatch)
CANDIDATES.register("label_pairs", LabelPairs)
CANDIDATES.register("near_student_top", NearStudentTop)
CANDIDATES.register("overestimated", Overestimated)
CANDIDATES.register("own", Own)
CANDIDATES.register("popularity_pairs", PopularityPairs)
CANDIDATES.register("rank_sampled", RankSampled)
CANDIDATES.register("scored", Scored)
CANDIDATES.register("student_top", StudentTop)
CANDIDATES.register("teacher_orders", TeacherOrders)
CANDIDATES.register("teacher_pairs", TeacherPairs)
CANDIDATES.register("teacher_top", TeacherTop)
CANDIDATES.register("trajectory_top", TrajectoryTop)
CANDIDATES.register("underestimated", Underestimated)
CANDIDATES.register("uniform", Uniform)

Given = str | Candidates | Mapping[str, Any] | Sequence[Any]


def candidates_of(given: Given, where: str) -> Candidates:
    """From a config: a name, `{name: {setting: value}}`, or several of these, whose lists are joined.

    Raises ConfigError for what is none of these; `where` says whose they are.
    """
    if isinstance(given, Candidates):
        return given
    if isinstance(given, str):
        return CANDIDATES[given]()
    if isinstance(given, Mapping):
        parts = [from_mapping(CANDIDATES[name], values or {}, f"{where}.{name}") for name, values in given.items()]
    elif isinstance(given, Sequence):
        parts = [candidates_of(part, where) for part in given]
    else:
        raise ConfigError(f"{where} = {given!r}: give a source of candidates by name, {{name: settings}}, or a list.")
    if not parts:
        raise ConfigError(f"{where}: names no source of candidates; give one of {', '.join(sorted(CANDIDATES))}.")
    return parts[0] if len(parts) == 1 else Joined(tuple(parts))
