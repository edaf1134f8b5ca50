"""What a person asks for: objectives by name, their settings, weights and candidates, read and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_type_hints

from recdistill.candidates.base import Candidates
from recdistill.candidates.registry import candidates_of
from recdistill.distillation.adaptive import ADAPTIVE
from recdistill.distillation.schedules import Schedule, schedule_of
from recdistill.errors import ConfigError
from recdistill.objectives.registry import OBJECTIVES
from recdistill.registry import nearest
from recdistill.settings import from_mapping

if TYPE_CHECKING:
    from recdistill.knowledge.store import Knowledge
    from recdistill.objectives.base import Objective

GivenMethod = str | Iterable[str] | Mapping[str, Any]
ShownAs = Mapping[str | tuple[str, ...], Candidates]
FITTED = "fitted"
"""In the place of a temperature: the typical spread of the teacher's scores of a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One objective of a training."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the objective, those that a schedule gives left out."""
    scheduled: Mapping[str, Schedule] = field(default_factory=dict)
    """Settings of the objective that change while it trains."""
    weight: Schedule = field(default_factory=lambda: Schedule(schedule="constant"))
    adapt: str | None = None
    """What else the weight follows: a name of `adaptive.ADAPTIVE`."""
    shown: ShownAs = field(default_factory=dict)
    """Sources of candidates that stand for the objective's own."""

    @property
    def kind(self) -> type[Objective]:
        return OBJECTIVES[self.name]

    def sources(self) -> dict[str | tuple[str, ...], Candidates]:
        """Argument, or arguments that come together, to its source of candidates."""
        return {**self.kind.shown, **self.shown}

    def needs(self) -> frozenset[str]:
        """What the knowledge must give, in the words of `objectives.base.NEEDS`."""
        own = self.kind.needs
        for source in self.sources().values():
            own |= source.needs
        return own


@dataclass(frozen=True, slots=True, kw_only=True)
class Methods:
    """All that a student learns from beside, or instead of, its own labels."""

    taught: tuple[Method, ...]
    labels: Method | None = None
    """An objective of labels in the place of the model's own; none: the model's own."""
    label_share: float | None = None
    """Weight of the labels; the rest is the methods'. None: by the model's rule."""
    first: Mapping[str, float] | None = None
    """Settings of the student that are tried first; none: the model's own."""

    def require(self, knowledge: Knowledge) -> None:
        """Raises KnowledgeError where the knowledge lacks what a method needs."""
        for method in self.taught:
            knowledge.require(method.needs(), method.name)

    def names(self) -> str:
        return " + ".join(method.name for method in self.taught)


def read_methods(method: GivenMethod, labels: str | Mapping[str, Any] | None = None) -> Methods:
    """From `"rrd"`, `["rrd", "de"]` or `{"rrd": {"weight": 1.0, "adapt": …, "shown": …, setting: value}, "de": 0.5}`.

    A number in the place of settings is the weight.

    `labels` likewise names one objective of labels, or `{"weight": .3}` alone for how much the model's own count.
    Raises ConfigError, naming what is wrong.
    """
    taught = tuple(_method(name, settings) for name, settings in _pairs(method))
    if not taught:
        raise ConfigError("method: names no objective; give one, for instance method='rrd'.")
    given = dict(labels) if isinstance(labels, Mapping) else {} if labels is None else {labels: {}}
    share = given.pop("weight", None)
    if share is not None and (isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1):
        raise ConfigError(f"labels.weight = {share!r}: give a share from 0 to 1; the rest is the methods'.")
    if len(given) > 1:
        raise ConfigError(f"labels: names {', '.join(given)}; give one objective of labels.")
    own = next((_method(name, settings) for name, settings in given.items()), None)
    if own is not None and own.kind.needs:
        raise ConfigError(f"labels: {own.name} learns from a teacher; give one of softmax, bpr, bce, bsl.")
    return Methods(taught=taught, labels=own, label_share=None if share is None else float(share))


def _pairs(method: GivenMethod) -> list[tuple[str, Mapping[str, Any]]]:
    if isinstance(method, str):
        return [(method, {})]
    if isinstance(method, Mapping):
        return [(name, _settings(given)) for name, given in method.items()]
    names = list(method)
    if len({*names}) < len(names):
        raise ConfigError(f"method: {names} names one twice; give each once, with a weight if it should count more.")
    return [(name, {}) for name in names]


def _settings(given: Any) -> Any:
    """A number stands for the weight."""
    if given is None:
        return {}
    return {"weight": given} if isinstance(given, int | float) and not isinstance(given, bool) else given


def _method(name: str, given: Mapping[str, Any]) -> Method:
    kind = OBJECTIVES[name]
    if not isinstance(given, Mapping):
        raise ConfigError(f"{name} = {given!r}: expected settings, for instance {{'weight': 1.0}}.")
    settings = dict(given)
    weight = schedule_of(settings.pop("weight", 1.0), f"{name}.weight")
    if min(weight.start, weight.end) < 0:
        raise ConfigError(f"{name}.weight: goes below 0; a method that should not count is left out.")
    adapt = settings.pop("adapt", None)
    if adapt is not None and adapt not in ADAPTIVE:
        raise ConfigError(f"{name}.adapt = {adapt!r}. {nearest(str(adapt), ADAPTIVE)}")
    shown = _shown(kind, settings.pop("shown", {}), name)
    scheduled = {
        setting: schedule_of(value, f"{name}.{setting}")
        for setting, value in settings.items()
        if isinstance(value, Mapping) and "schedule" in value
    }
    plain = {setting: value for setting, value in settings.items() if setting not in scheduled}
    _check_settings(kind, name, {**plain, **{setting: one.start for setting, one in scheduled.items()}})
    _check_settings(kind, name, {**plain, **{setting: one.end for setting, one in scheduled.items()}})
    return Method(name=name, settings=plain, scheduled=scheduled, weight=weight, adapt=adapt, shown=shown)


def _check_settings(kind: type[Objective], name: str, settings: Mapping[str, Any]) -> None:
    for setting, value in settings.items():
        if isinstance(value, str) and value != FITTED and _is_number(kind, setting):
            fitted = f"{FITTED!r} (to the spread of the teacher's scores), " if setting == "tau" else ""
            raise ConfigError(
                f"{name}.{setting} = {value!r}: expected a number, {fitted}or a schedule, for instance "
                "{'schedule': 'linear', 'start': 1.0, 'end': 0.1}"
            )
    checked = {setting: 1.0 if value == FITTED else value for setting, value in settings.items()}
    if kind.config_type is not None:
        from_mapping(kind.config_type, checked, name)
    elif checked:
        raise ConfigError(f"{name}: has no settings but weight, adapt and shown; found {', '.join(checked)}.")


def _is_number(kind: type[Objective], setting: str) -> bool:
    return kind.config_type is not None and get_type_hints(kind.config_type).get(setting) is float


def _shown(kind: type[Objective], given: Any, name: str) -> ShownAs:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{name}.shown = {given!r}: give {{argument: source of candidates}}.")
    arguments = {key if isinstance(key, str) else "pairs": key for key in kind.shown}
    for argument in given:
        if argument not in arguments:
            known = f"It has {', '.join(sorted(arguments))}." if arguments else "It is shown no lists."
            raise ConfigError(f"{name}.shown.{argument}: {name} has no such list. {known}")
    return {arguments[key]: candidates_of(value, f"{name}.shown.{key}") for key, value in given.items()}
