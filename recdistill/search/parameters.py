"""One setting that is searched: where its values lie, and the rule's value among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from optuna.trial import Trial

DIGITS = 3
"""Significant digits of a drawn value: what was tried is what a person reads and writes."""


class Parameter(Protocol):
    """A setting's values; `default` is the rule's and lies among them."""

    @property
    def default(self) -> Any: ...

    def suggest(self, trial: Trial, name: str) -> Any:
        """A value drawn by the search."""

    def carried(self, value: Any, whole: Any) -> Any:
        """What a value found on a part of the log is on the whole log, where `whole` is the rule's value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    default: float
    low: float
    high: float
    log: bool = False
    relative: bool = False
    """Whether the rule's value moves with the number of rows; then what is carried over is the factor to it."""

    def suggest(self, trial: Trial, name: str) -> float:
        drawn = trial.suggest_float(name, self.low, self.high, log=self.log)
        return min(max(_rounded(drawn), self.low), self.high)

    def carried(self, value: float, whole: float) -> float:
        if not self.relative or whole == self.default:
            return value
        return whole if value == self.default else _rounded(whole * value / self.default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number, searched in the logarithm."""

    default: int
    low: int
    high: int
    relative: bool = False
    """As in `Real`."""

    def suggest(self, trial: Trial, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, log=True)

    def carried(self, value: int, whole: int) -> int:
        return max(1, round(whole * value / self.default)) if self.relative else value


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    default: str | bool
    values: tuple[str | bool, ...]

    def suggest(self, trial: Trial, name: str) -> str | bool:
        value = trial.suggest_categorical(name, self.values)
        assert isinstance(value, str | bool)
        return value

    def carried(self, value: str | bool, whole: str | bool) -> str | bool:
        return value


def around(default: float, times: float, *, relative: bool = False) -> Real:
    """From `default` / `times` to `default` · `times`, searched in the logarithm."""
    return Real(default=default, low=default / times, high=default * times, log=True, relative=relative)


def around_whole(default: int, times: float, *, relative: bool = False) -> Whole:
    """The same for a whole number, at least 1."""
    low, high = max(1, round(default / times)), max(2, round(default * times))
    return Whole(default=default, low=low, high=high, relative=relative)


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """All that is searched of one kind of model on one log."""

    parameters: Mapping[str, Parameter]
    starts: tuple[Mapping[str, Any], ...]
    """Settings tried before any is drawn: the rule's, then those that the model itself would choose between."""
    fixed: Mapping[str, Any]
    """Settings that no trial changes: those given, and what keeps a fit from choosing by itself."""

    def suggest(self, trial: Trial) -> dict[str, Any]:
        return {name: parameter.suggest(trial, name) for name, parameter in self.parameters.items()}

    def carried(self, settings: Mapping[str, Any], whole: Space) -> dict[str, Any]:
        """Searched settings as they are on the whole log, whose space is `whole`."""
        return {
            name: parameter.carried(settings[name], whole.parameters[name].default)
            for name, parameter in self.parameters.items()
        }


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
