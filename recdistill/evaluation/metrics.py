"""Names of metrics: `recall@20` and its kind, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from recdistill.errors import ConfigError
from recdistill.evaluation.beyond import BEYOND
from recdistill.evaluation.ranking import RANKING
from recdistill.registry import nearest

AUC = "auc"
DEFAULT_METRICS: tuple[str, ...] = tuple(
    f"{name}@{k}" for k in (10, 20) for name in ("recall", "ndcg", "precision", "hit", "mrr", "map")
)
"""Reported unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name and its cut-off; `auc` has none (k = 0)."""

    name: str
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}" if self.k else self.name

    @property
    def over_lists(self) -> bool:
        """One number per model, not one per user."""
        return self.name in BEYOND


def parse_metric(text: str) -> Metric:
    """`ndcg@20` -> Metric("ndcg", 20); ConfigError names the nearest known metric."""
    name, at, cutoff = text.partition("@")
    if name == AUC:
        if at:
            raise ConfigError(f"metric {text!r}: auc has no cut-off. Write 'auc'.")
        return Metric(AUC, 0)
    if name not in RANKING and name not in BEYOND:
        suffix = cutoff if cutoff.isdecimal() and int(cutoff) else "20"
        known = [f"{other}@{suffix}" for other in (*RANKING, *BEYOND)] + [AUC]
        raise ConfigError(f"no metric {text!r}. {nearest(text, known)}")
    if not (cutoff.isascii() and cutoff.isdecimal() and int(cutoff) > 0):
        raise ConfigError(f"metric {text!r} needs a cut-off of at least 1. Write {name + '@20'!r}.")
    return Metric(name, int(cutoff))


def parse_metrics(names: Iterable[str], *, n_items: int) -> list[Metric]:
    """All names, once each, in their order; a cut-off above the catalogue of `n_items` is refused."""
    if isinstance(names, str):
        names = [names]
    metrics = list(dict.fromkeys(parse_metric(name) for name in names))
    if not metrics:
        raise ConfigError("no metric to measure. Name at least one, such as 'ndcg@20'.")
    for metric in metrics:
        if metric.k > n_items:
            raise ConfigError(f"'{metric}': k is above the catalogue of {n_items} items. Ask for k <= {n_items}.")
    return metrics
