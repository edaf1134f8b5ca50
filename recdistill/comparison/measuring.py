"""A model measured on valid and test: means for the cell's file, values of every user for the work folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from recdistill import files
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.evaluation.groups import groups

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut
    from recdistill.data.splits import Split
    from recdistill.serving.scorers import Scorer

METRICS = ("ndcg@20", "recall@20", "ndcg@10", "recall@10", "hit@10", "hit@5", "ndcg@5", "mrr@5")
KEPT = ("ndcg@20", "recall@20", "hit@5")
"""Of every user, for the significance of differences."""
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Measured:
    metrics: dict[str, float]
    standard_error: dict[str, float]
    """Over users."""
    recall_by_popularity: dict[str, float | None]
    """Of wanted items that are head, mid and tail: each a third of the train rows."""
    users: int
    per_user: dict[str, np.ndarray] = field(default_factory=dict)
    """float32 (users,) of the kept metrics."""

    def as_mapping(self) -> dict[str, Any]:
        return {
            "metrics": _rounded(self.metrics),
            "standard_error": _rounded(self.standard_error),
            "recall_by_popularity": _rounded(self.recall_by_popularity),
            "users": self.users,
        }


def metrics_of(n_items: int) -> tuple[str, ...]:
    """Those of the comparison that the catalogue is large enough for."""
    return tuple(name for name in METRICS if int(name.partition("@")[2]) <= n_items)


def measured(scorer: Scorer, split: Split, held: HeldOut) -> Measured:
    """All items ranked for the users of `held`."""
    names = metrics_of(split.train.n_items)
    found = evaluate_scorer(scorer, split, held, metrics=names)
    by_popularity = groups(found, split, held)["popularity"]
    recall = {row["group"]: next((row[key] for key in row if key.startswith("recall@")), None) for row in by_popularity}
    return Measured(
        metrics={name: found.metrics[name] for name in names},
        standard_error={name: found.standard_errors[name] for name in names} if found.standard_errors else {},
        recall_by_popularity=recall,
        users=len(found.users),
        per_user={name: found.per_user[name].astype(np.float32) for name in KEPT if name in names},
    )


def save_per_user(folder: Path, key: str, found: Measured) -> None:
    """Under the key of the cell; what another key has left stays."""
    folder.mkdir(parents=True, exist_ok=True)
    with files.whole_file(folder / f"{key}.safetensors") as path:
        files.write_arrays(path, found.per_user)


def load_per_user(folder: Path, key: str, metric: str) -> np.ndarray | None:
    """float32 (users,); None where they were measured elsewhere."""
    try:
        return load_file(folder / f"{key}.safetensors").get(metric)
    except (OSError, SafetensorError):
        return None


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value is None else round(float(value), DIGITS) for name, value in values.items()}
