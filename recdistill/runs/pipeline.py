"""The main job: log → split → teacher → knowledge → student → compressed → measured → report and artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from recdistill import files
from recdistill.compression.sizes import shapes, size_in_bytes
from recdistill.data.splits import Split
from recdistill.errors import ConfigError
from recdistill.evaluation.metrics import DEFAULT_METRICS
from recdistill.models.popularity import Popularity
from recdistill.models.registry import MODELS
from recdistill.report import figures
from recdistill.runs.assemble import assemble, publish
from recdistill.runs.config import RunConfig
from recdistill.runs.limited import searched, shapes_in_time, within
from recdistill.runs.plan import Plan, make_plan
from recdistill.runs.run import Done, Run
from recdistill.runs.steps import Part, Workshop
from recdistill.settings import to_mapping

if TYPE_CHECKING:
    from recdistill.training.progress import Progress

DEFAULT_K = (10, 20)
PLAN_VERSION = 4
METRIC_NAMES = ("recall", "ndcg", "precision", "hit", "mrr", "map")
SHAPE = frozenset({"dim", "table", "codec"})
"""Settings of the student that a budget decides."""
SEEDLESS = frozenset({"ease", "popularity"})
"""Models that a seed does not change: fitted once, reported for every seed."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen for one model on valid with seed 0; every seed is trained with it."""

    kind: str
    settings: dict[str, Any]
    step: Done
    """The fit that chose; where the log has valid rows it is also the model of seed 0."""
    tried: list[dict[str, Any]] = field(default_factory=list)
    """What it was chosen from, where that is to be shown."""
    promised: dict[str, Any] | None = None
    """The time that it was made for, and what its shape took before it was trained."""
    search: dict[str, Any] | None = None
    """Of one that was searched: how much was tried, and on valid what it and the default reach."""


@dataclass(slots=True)
class Trained:
    """The steps of one model by seed."""

    kind: str
    settings: dict[str, Any]
    phase: str = "fit"
    """Which of report.json's `seconds` a step's time is: fit, distill or compress."""
    steps: dict[int, Done] = field(default_factory=dict)
    extracts: dict[int, Done] = field(default_factory=dict)
    """What a teacher was asked, by seed."""
    tried: list[dict[str, Any]] = field(default_factory=list)
    promised: dict[str, Any] | None = None
    search: dict[str, Any] | None = None


def run(config: RunConfig, out: str | Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Do, or go on with, the whole job in the folder `out`; returns report.json as a mapping.

    Raises a RecdistillError of one line for whatever a person can mend: the log, a setting, the folder.
    """
    from recdistill.training.progress import NullProgress

    folder = Run(out)
    with folder.open():
        made = make(Workshop(folder, config.device, progress or NullProgress()), config)
        return made.published()


@dataclass(frozen=True, slots=True)
class Made:
    """All models of a run, and what they were made with."""

    workshop: Workshop
    config: RunConfig
    plan: Plan
    data: Done
    metrics: tuple[str, ...]
    selection: Part
    """What settings are chosen on."""
    final: Part
    """What the models of the report are fitted on."""
    chosen: Mapping[str, Chosen]
    temperature: float
    models: Mapping[str, Trained]

    def settings(self) -> dict[str, Any]:
        return {**to_mapping(self.config), "plan": self.plan.as_mapping()}

    def published(self) -> dict[str, Any]:
        """The report, written with all that belongs to it."""
        report = assemble(self.workshop, self.settings(), self.plan, self.models, self.final, self.data, self.metrics)
        publish(self.workshop, self.models, report, self.final)
        return report


def make(workshop: Workshop, config: RunConfig) -> Made:
    """Read, split, plan, choose and train, in an open folder."""
    config.check_methods()  # refused before anything is read
    split, data = workshop.encode(config)
    metrics, cut = _metrics(config, split)
    _check_features(config, split)
    _check_budgets(config, split)
    plan, begun = _plan(workshop.run, config, split, data, cut)
    final = Part(split, data.key, choose=split.valid is not None)
    selection = final if final.choose else Part(split.selection(), data.key + "+held out", choose=True, final=False)
    for latency in config.latencies:  # measured, and refused where nothing is so fast, before anything is trained
        shapes_in_time(workshop, latency, without_shape(config.model("student")[1]), selection, config.search.effort())
    for line in (*data.result["notes"], *split.notes, *(f"cut: {what}" for what in plan.cut)):
        workshop.progress.say(f"- {line}")
    if not begun:  # else much is done, and how much is not known
        workshop.progress.say(f"- planned: {planned(plan, config.seeds)}")
    with files.whole_file(workshop.run.folder / "config.toml") as path:
        path.write_text(tomli_w.dumps({**to_mapping(config), "plan": plan.as_mapping()}), encoding="utf-8")
    chosen, temperature = choose_settings(workshop, config, plan, selection)
    models = train_models(workshop, config, chosen, temperature, final)
    return Made(workshop, config, plan, data, metrics, selection, final, chosen, temperature, models)


def _plan(run: Run, config: RunConfig, split: Split, data: Done, cut: list[str]) -> tuple[Plan, bool]:
    """Made once: a run that goes on (True) uses the plan that it began with, also where the memory has changed."""
    done = run.step(
        "plan",
        PLAN_VERSION,
        {"data": data.key, "config": to_mapping(replace(config, compress=config.codecs))},
        lambda _: make_plan(config, split, cut).as_mapping(),
    )
    return Plan(**done.result), done.reused


def planned(plan: Plan, seeds: int) -> str:
    """What the plan expects of this command, before anything is trained."""
    each = figures.duration(plan.expected_seconds)
    return f"about {each} on two processor cores{f' for each of {seeds} seeds' if seeds > 1 else ''}"


def _check_features(config: RunConfig, split: Split) -> None:
    """Refuses, before anything is trained, features that a model is to learn from and cannot."""
    from recdistill.models.two_tower_features import Sides

    for role in ("teacher", "student"):
        _, settings = config.model(role)
        items, users = (bool(settings.get(f"{of}_features")) for of in ("item", "user"))
        Sides.of(split.train, items=items, users=users)


def _check_budgets(config: RunConfig, split: Split) -> None:
    """Refuses, before anything is trained, a budget that no student fits."""
    for budget in config.budgets:
        shapes(split.train.n_items, size_in_bytes(budget))


def _metrics(config: RunConfig, split: Split) -> tuple[tuple[str, ...], list[str]]:
    """The metrics of the report; a k that was asked for is refused above the catalogue, a default is cut to it."""
    n_items = split.train.n_items
    if config.k is not None:
        if max(config.k) > n_items:
            raise ConfigError(f"k = {max(config.k)}: the catalogue has {n_items} items; ask for at most that")
        return tuple(f"{name}@{k}" for k in config.k for name in METRIC_NAMES), []
    if n_items >= max(DEFAULT_K):
        return DEFAULT_METRICS, []
    kept = sorted({min(k, n_items) for k in DEFAULT_K})
    return tuple(f"{name}@{k}" for k in kept for name in METRIC_NAMES), [
        f"metrics at {max(DEFAULT_K)}: cut to {n_items}, the catalogue"
    ]


def choose_settings(workshop: Workshop, config: RunConfig, plan: Plan, part: Part) -> tuple[dict[str, Chosen], float]:
    """Everything that is chosen, by the valid rows and seed 0; and the temperature of the teacher's scores."""

    def chosen(role: str, kind: str, settings: dict[str, Any], step: Done) -> Chosen:
        return Chosen(kind, {**settings, **step.result["chosen"]}, step)

    kind, settings = config.model("teacher")
    settings = plan.teacher_settings(kind, settings)
    found = {"teacher": chosen("teacher", kind, settings, workshop.fit("teacher", kind, settings, part, 0))}
    knowledge = workshop.extract(found["teacher"].step, part, config.distil, None)
    _, student = config.model("student")
    student = plan.student_settings(student)
    if found["teacher"].step.result.get("ordered"):
        student.setdefault("order", True)  # of both students: what a teacher knows of order is nothing to a set
    found["student"] = chosen(
        "student", "two_tower", student, workshop.distil(knowledge, student, part, 0, config.distil)
    )
    found["student_alone"] = chosen("alone", "two_tower", student, workshop.fit("alone", "two_tower", student, part, 0))
    for name in plan.baselines(config):
        found[name] = chosen(name, name, {}, workshop.fit(name, name, {}, part, 0))
    for limit in config.limits:
        step = within(workshop, knowledge, without_shape(student), limit, part, config)
        told = step.result
        found[f"student_{limit}"] = Chosen("two_tower", told["settings"], step, told["tried"], told.get("promised"))
    for search in config.searches:
        default = found[f"student_{search.limit}"]
        step = searched(workshop, knowledge, without_shape(student), search, default.step, part, config)
        told = step.result
        found[search.model] = Chosen(
            "two_tower", told["settings"], step, told["tried"], told.get("promised"), told["search"]
        )
    return found, knowledge.result["temperature"]


def without_shape(student: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a student whose shape a budget decides."""
    return {name: value for name, value in student.items() if name not in SHAPE}


def train_models(
    workshop: Workshop, config: RunConfig, chosen: Mapping[str, Chosen], temperature: float, final: Part
) -> dict[str, Trained]:
    """Every model of the report, for every seed, with what was chosen."""

    def fit(name: str, role: str, seed: int) -> Done:
        choice = chosen[name]
        seed = 0 if choice.kind in SEEDLESS else seed
        if final.choose and seed == 0:
            return choice.step
        return workshop.fit(role, choice.kind, choice.settings, final, seed)

    dim = chosen["student"].settings["dim"]
    limited = (*(f"student_{limit}" for limit in config.limits), *(search.model for search in config.searches))
    roles = ("teacher", "student", "student_alone", *limited)
    models = {}
    for name in roles:
        one = chosen[name]
        models[name] = Trained(one.kind, one.settings, tried=one.tried, promised=one.promised, search=one.search)
    for name in ("student", *limited):
        models[name].phase = "distill"
    if MODELS[chosen["teacher"].kind] is not Popularity:  # it has no vectors that could be cut
        models["teacher_svd"] = Trained("teacher_svd", {"dim": dim}, "distill")
    models |= {f"student_{codec}": Trained("two_tower", {"codec": codec}, "compress") for codec in config.codecs}
    models |= {name: Trained(choice.kind, choice.settings) for name, choice in chosen.items() if name not in roles}
    distil = config.distil
    if not chosen["student"].step.result.get("fine_tuned", True):
        distil = replace(distil, fine_tune=None)  # the valid rows were against it
    for seed in range(config.seeds):
        teacher = fit("teacher", "teacher", seed)
        knowledge = workshop.extract(teacher, final, config.distil, temperature)
        for name in ("student", *limited):
            models[name].steps[seed] = chosen[name].step
            if not (final.choose and seed == 0):
                models[name].steps[seed] = workshop.distil(knowledge, chosen[name].settings, final, seed, distil)
        student = models["student"].steps[seed]
        models["teacher"].steps[seed], models["teacher"].extracts[seed] = teacher, knowledge
        models["student_alone"].steps[seed] = fit("student_alone", "alone", seed)
        if "teacher_svd" in models:
            models["teacher_svd"].steps[seed] = workshop.cut(teacher, dim, final)
        for codec in config.codecs:
            models[f"student_{codec}"].steps[seed] = workshop.compress(student, codec, final)
        for name in [name for name in chosen if name not in roles]:
            models[name].steps[seed] = fit(name, name, seed)
    return models
