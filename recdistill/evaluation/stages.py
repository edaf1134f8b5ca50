"""What each stage of a two-stage model reaches and costs: what is retrieved, and what ranking it again adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recdistill.errors import ConfigError
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.evaluation.footprint import footprint
from recdistill.serving.reranked import RerankedScorer

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut
    from recdistill.data.splits import Split
    from recdistill.serving.scorers import Scorer


@dataclass(frozen=True, slots=True)
class Stage:
    metrics: dict[str, float]
    """Means over users: NDCG and recall at k, of the base also recall at the depth that it retrieves to."""
    latency_ms: dict[str, float]
    """p50 and p99 of one user at a time."""
    bytes: int


@dataclass(frozen=True, slots=True)
class Stages:
    base: Stage
    reranked: Stage

    def __str__(self) -> str:
        columns = list(self.base.metrics)
        head = "".join(f"  {column:>10}" for column in (*columns, "p50 ms", "p99 ms", "kB"))
        lines = ["stage   " + head]
        for name, stage in (("base", self.base), ("reranked", self.reranked)):
            cells = [f"{stage.metrics[column]:.4f}" if column in stage.metrics else "" for column in columns]
            cells += [f"{stage.latency_ms[quantile]:.2f}" for quantile in ("p50", "p99")]
            lines.append(name.ljust(8) + "".join(f"  {cell:>10}" for cell in (*cells, f"{stage.bytes / 1000:,.0f}")))
        return "\n".join(lines)


def stages(scorer: Scorer, split: Split, held: HeldOut | None = None, *, k: int = 20, seconds: float = 1.0) -> Stages:
    """Both stages on the users of `held` (default: the test part); latency is measured for about `seconds` each.

    Refuses scorers of one stage, and a k above the depth (ConfigError).
    """
    if not isinstance(scorer, RerankedScorer):
        raise ConfigError(f"stages: a scorer of the form {scorer.form!r} has one stage. Give a reranked model.")
    if not 1 <= k <= scorer.depth:
        raise ConfigError(f"stages: k = {k}: give a number from 1 to {scorer.depth}, the depth.")
    at_k = [f"ndcg@{k}", f"recall@{k}"]
    deep = [] if k == scorer.depth else [f"recall@{scorer.depth}"]
    held = split.test if held is None else held
    return Stages(
        base=_stage(scorer.base, split, held, [*at_k, *deep], seconds),
        reranked=_stage(scorer, split, held, at_k, seconds),
    )


def _stage(scorer: Scorer, split: Split, held: HeldOut, metrics: list[str], seconds: float) -> Stage:
    cost = footprint(scorer, split, held, seconds=seconds)
    return Stage(evaluate_scorer(scorer, split, held, metrics=metrics).metrics, cost.latency_ms, cost.bytes)
