"""The steps of a student made for a limit: which shapes answer in a time, and the best within bytes or time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill import files
from recdistill.compression.sizes import Shape, narrowest, parsed_size, student_bytes, widest
from recdistill.compression.times import fast_shapes, time_in_seconds
from recdistill.compression.trials import DISTILLED_IN_LARGE, Effort, Trials, Tried, deciding_seeds
from recdistill.distillation.default import beyond_small
from recdistill.evaluation.footprint import latency
from recdistill.models.fitted import FittedRanker
from recdistill.models.two_tower import TwoTower
from recdistill.runs.steps import VERSIONS, Part, Workshop, load_knowledge
from recdistill.search.budget import Budget
from recdistill.settings import to_mapping
from recdistill.tables.codec_names import composed

if TYPE_CHECKING:
    from recdistill.compression.limits import Search
    from recdistill.runs.config import RunConfig
    from recdistill.runs.run import Done
    from recdistill.serving.bag import BagScorer

SHAPE_SECONDS = 0.3
"""Of measuring, for each shape of a student."""


def within(
    workshop: Workshop,
    knowledge: Done | None,
    settings: Mapping[str, Any],
    limit: str,
    part: Part,
    config: RunConfig,
) -> Done:
    """The student, trained through its codes, that ranks best on valid within a limit like 125kB or 50us; without
    knowledge it learns from labels alone."""
    size, effort, distil = parsed_size(limit), config.search.effort(), config.distil
    measured = shapes_in_time(workshop, limit, settings, part, effort) if size is None else None

    def build(folder: Path) -> dict[str, Any]:
        trials = trials_of(workshop, knowledge, settings, limit, part, config)
        if size is not None:
            found, promised = trials.best(size), {}
        else:
            fast = _shapes_of(measured)
            found = trials.among(list(fast))
            promised = {"promised": _promised(limit, fast, found.settings)}
        tried = [to_mapping(one) for one in found.tried]
        kept = workshop.keep(found.student, folder, "student", part)
        return kept | {"settings": found.settings, "tried": tried} | promised

    inputs: dict[str, Any] = {
        "knowledge": None if knowledge is None else knowledge.key,
        "settings": dict(settings),
        "limit": size if measured is None else {"latency": limit, "shapes": measured.key},
        "part": part.key,
        "device": workshop.device,
    }
    if distil.method is not None:
        inputs |= {"method": distil.method, "labels": distil.labels}
    elif knowledge is not None:
        large = beyond_small(part.split.train.n_items)
        inputs |= {**large, "candidates": DISTILLED_IN_LARGE} if large else {}
    if (seeds := deciding_seeds(part.valid)) > 1:
        inputs["seeds"] = seeds
    if effort == Effort():
        inputs["codecs"] = list(effort.codecs)
    else:
        inputs |= {"effort": to_mapping(effort), "served": part.final}
    return workshop.run.step("budget", VERSIONS["budget"], inputs, build)


def searched(
    workshop: Workshop,
    knowledge: Done,
    settings: Mapping[str, Any],
    search: Search,
    default: Done,
    part: Part,
    config: RunConfig,
) -> Done:
    """The student within a limit whose shape and settings were searched, from the one that `within` found on; trials
    are kept in the run's folder `search`, and a search with more minutes or trials goes on with them."""
    from recdistill.search.architecture import ArchitectureSearch

    base = {"default": default.key, "device": workshop.device}
    folder = workshop.run.folder / "search" / files.fingerprint(base)[:16]

    def build(target: Path) -> dict[str, Any]:
        trials = trials_of(workshop, knowledge, settings, search.limit, part, config)
        chosen = _longest(default.result)
        if chosen.epochs_share < 1:  # by short trainings: what is searched is trained to the end
            chosen = trials.trained(chosen.settings)[1]
        found = ArchitectureSearch(
            trials, _widest(workshop, search.limit, settings, part, config), chosen,
            Budget(minutes=search.minutes, trials=search.trials, began=time.perf_counter()), base, folder,
        ).best()  # fmt: skip
        kept: dict[str, Any] = {}
        if not found.won:
            kept = workshop.keep(FittedRanker.load(default.folder / "artifact"), target, "student", part)
        elif part.final:
            kept = workshop.keep(trials.trained(found.settings)[0], target, "student", part)
        told = {"settings": found.settings, "tried": [to_mapping(one) for one in found.tried], "search": found.told}
        if "promised" in default.result:
            fast = _shapes_of(shapes_in_time(workshop, search.limit, settings, part, config.search.effort()))
            told["promised"] = _promised(search.limit, fast, found.settings)
        return kept | told

    inputs = {**base, "search": str(search)}
    return workshop.run.step("searched", VERSIONS["searched"], inputs, build)


def _longest(result: Mapping[str, Any]) -> Tried:
    """The training of the settings that were chosen, the longest of them."""
    own = [one for one in result["tried"] if one["settings"] == result["settings"]]
    return Tried(**max(own, key=lambda one: one["epochs_share"]))


def _widest(
    workshop: Workshop, limit: str, settings: Mapping[str, Any], part: Part, config: RunConfig
) -> dict[tuple[str, bool], int]:
    """The most dimensions that fit, by codec and whether there is one table; for a time, of one table alone."""
    effort, size = config.search.effort(), parsed_size(limit)
    if size is None:
        shapes = _shapes_of(shapes_in_time(workshop, limit, settings, part, effort))
        return {(shape.codec, True): shape.dim for shape in shapes}
    n_items, ordered = part.split.train.n_items, bool(settings.get("order"))
    found = {}
    for codec in effort.codecs:
        for tied in (True,) if composed(codec) else (True, False):
            dim = widest(partial(student_bytes, n_items, codec, ordered=ordered, tied=tied), size)
            if dim >= narrowest(codec):
                found[codec, tied] = dim
    return found


def trials_of(
    workshop: Workshop,
    knowledge: Done | None,
    settings: Mapping[str, Any],
    limit: str,
    part: Part,
    config: RunConfig,
) -> Trials:
    """What every training for a limit has in common."""
    distil = config.distil
    train, known, methods, name = part.split.train, None, None, f"alone {limit}"
    if knowledge is not None:
        known = load_knowledge(knowledge, distil.methods(), train, distil.top_k)
        methods, name = distil.methods_for(TwoTower(**{**settings, "user_id": False}), known), f"student {limit}"
    return Trials(
        train, part.valid, known, settings, methods, effort=config.search.effort(), served=part.final,
        device=workshop.device, progress=workshop.progress.named(name), name=name,
    )  # fmt: skip


def shapes_in_time(workshop: Workshop, limit: str, settings: Mapping[str, Any], part: Part, effort: Effort) -> Done:
    """The widest student of each codec that answers one user in a time like 50us, measured once on this machine.

    Raises ConfigError, with the fastest there is, where none does.
    """
    codecs, ordered = effort.codecs, bool(settings.get("order"))

    def stopwatch(student: BagScorer) -> float:
        return latency(student, part.split, part.valid, seconds=SHAPE_SECONDS)["p50"] / 1000

    def build(_folder: Path) -> dict[str, Any]:
        n_items = part.split.train.n_items
        found = fast_shapes(n_items, time_in_seconds(limit), stopwatch, codecs=codecs, ordered=ordered)
        return {"shapes": [{**to_mapping(shape), "seconds": taken} for shape, taken in found.items()]}

    inputs = {"limit": limit, "codecs": list(codecs), "ordered": ordered, "part": part.key}
    return workshop.run.step("shapes", VERSIONS["shapes"], inputs, build)


def _shapes_of(measured: Done | None) -> dict[Shape, float]:
    """Shapes and the seconds of an answer, as `shapes_in_time` found them."""
    assert measured is not None
    return {Shape(one["codec"], one["dim"], one["bytes"]): one["seconds"] for one in measured.result["shapes"]}


def _promised(limit: str, fast: Mapping[Shape, float], settings: Mapping[str, Any]) -> dict[str, float]:
    """The time that was asked for, and what the widest shape of the codec took before anything was trained."""
    taken = next(seconds for shape, seconds in fast.items() if shape.codec == settings["codec"])
    return {"latency_ms": 1000 * time_in_seconds(limit), "shape_latency_ms": 1000 * taken}
