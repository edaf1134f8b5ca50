"""The steps of a student made for a limit: which shapes answer in a time, and the best within bytes or time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill.compression.sizes import Shape, parsed_size
from recdistill.compression.times import fast_shapes, time_in_seconds
from recdistill.compression.trials import Effort, Found, Trials
from recdistill.evaluation.footprint import latency
from recdistill.knowledge.store import Knowledge
from recdistill.runs.steps import VERSIONS, Part, Workshop, told
from recdistill.settings import to_mapping

if TYPE_CHECKING:
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
            promised = {"promised": _promised(limit, fast, found)}
        tried = [to_mapping(one) for one in found.tried]
        kept = workshop.keep(found.student, folder, "student", part)
        return kept | {"settings": found.settings, "tried": tried} | promised

    inputs = {
        "knowledge": None if knowledge is None else knowledge.key,
        "settings": dict(settings),
        "limit": size if measured is None else {"latency": limit, "shapes": measured.key},
        "part": part.key,
        "device": workshop.device,
    }
    if distil.method is not None:
        inputs |= {"method": distil.method, "labels": distil.labels}
    if effort != Effort():
        inputs |= {"effort": to_mapping(effort), "served": part.final}
    return workshop.run.step("budget", VERSIONS["budget"], inputs, build)


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
    train, methods = part.split.train, None if knowledge is None else distil.methods()
    known = None if knowledge is None else Knowledge.load(knowledge.folder / "knowledge")
    if known is not None:
        known.check(train)
        known = known if methods is None else told(known, methods, train, distil.top_k)
    name = f"student {limit}" if known is not None else f"alone {limit}"
    return Trials(
        train, part.valid, known, settings, methods, effort=config.search.effort(), served=part.final,
        device=workshop.device, progress=workshop.progress.named(name),
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


def _promised(limit: str, fast: Mapping[Shape, float], found: Found) -> dict[str, float]:
    """The time that was asked for, and what the chosen shape took before it was trained."""
    chosen = (found.settings["codec"], found.settings["dim"])
    taken = next(seconds for shape, seconds in fast.items() if (shape.codec, shape.dim) == chosen)
    return {"latency_ms": 1000 * time_in_seconds(limit), "shape_latency_ms": 1000 * taken}
