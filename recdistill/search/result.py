"""What a search found: every trial, the best one, and what its settings are on the whole log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from recdistill.models.base import Ranker

State = Literal["finished", "stopped early", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    number: int
    """From 0, which is the rule's settings."""
    state: State
    valid_ndcg: float | None
    """NDCG@20 on the valid rows, of a trial that was stopped early the last one measured."""
    seconds: float
    settings: dict[str, Any]
    """Those that are searched."""
    checks: list[list[float]]
    """[share of the training done, valid NDCG@20] at each look during it."""
    message: str | None = None
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneResult:
    """`settings` are for the whole log; those of a trial are what it was trained with."""

    kind: str
    seed: int
    fixed: dict[str, Any]
    """Settings that every trial had."""
    trials: tuple[TrialRecord, ...]
    settings: dict[str, Any]
    importance: dict[str, float]
    """Share of each searched setting in what told good trials from others; empty where there are too few."""
    data: dict[str, Any]
    """Counts of what was searched on, and its hash."""
    notes: tuple[str, ...]

    @property
    def finished(self) -> list[TrialRecord]:
        """Trials that were trained to the end, best first; the earlier one on a tie."""
        whole = [trial for trial in self.trials if trial.state == "finished"]
        return sorted(whole, key=lambda trial: (-(trial.valid_ndcg or 0.0), trial.number))

    @property
    def best(self) -> TrialRecord:
        return self.finished[0]

    def model(self) -> Ranker:
        """The model with the best settings, not fitted yet."""
        from recdistill.models.registry import MODELS

        return MODELS[self.kind](**self.settings)

    def as_mapping(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "seed": self.seed,
            "data": self.data,
            "fixed": self.fixed,
            "best": {"trial": self.best.number, "valid_ndcg": self.best.valid_ndcg, "settings": self.settings},
            "importance": self.importance,
            "trials": [asdict(trial) for trial in self.trials],
            "notes": list(self.notes),
        }

    def teacher(self) -> Mapping[str, Any]:
        """The [teacher] section of a run's settings."""
        return {"kind": self.kind, **self.settings}

    def __str__(self) -> str:
        from recdistill.search.report import trial_table

        return trial_table(self)
