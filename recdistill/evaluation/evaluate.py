"""The public door: models side by side on one split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recdistill.data.interactions import HeldOut
from recdistill.data.splits import Split
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.evaluation.agreement import agreement
from recdistill.evaluation.compare import Comparison, compare
from recdistill.evaluation.evaluator import Evaluation, evaluate_scorer
from recdistill.evaluation.metrics import parse_metrics
from recdistill.registry import nearest
from recdistill.serving.scorers import Scorer


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """What was measured, by the names that the models were given under; `print` shows a table."""

    evaluations: dict[str, Evaluation]
    users: int
    """Held-out users that the means are over."""
    users_left_out: int
    """Held-out users without relevant items."""
    n_items: int
    excluded: str
    """What was not recommended: train or train+valid."""

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """`metrics[model][metric]`."""
        return {name: evaluation.metrics for name, evaluation in self.evaluations.items()}

    def __getitem__(self, model: str) -> Evaluation:
        if model not in self.evaluations:
            raise DataError(f"no model {model!r} was evaluated. {nearest(model, self.evaluations)}")
        return self.evaluations[model]

    def compare(self, a: str, b: str, metric: str) -> Comparison:
        """a - b on the same users; `metric` is a mean over users."""
        values = []
        for model in (a, b):
            per_user = self[model].per_user
            if metric not in per_user:
                raise DataError(f"{metric!r} was not measured user by user. {nearest(metric, per_user)}")
            values.append(per_user[metric])
        return compare(*values)

    def agreement(self, a: str, b: str, k: int = 20) -> dict[str, float]:
        """Overlap@k and rank-biased overlap of two models' lists; k is cut to the length of the lists."""
        items_a, items_b = self[a].items, self[b].items
        return agreement(items_a, items_b, min(k, items_a.shape[1], items_b.shape[1]))

    def __str__(self) -> str:
        left_out = f" ({self.users_left_out:,} without a relevant item are left out)" if self.users_left_out else ""
        head = f"{self.users:,} users{left_out}, all {self.n_items:,} items ranked, {self.excluded} items excluded"
        columns = list(next(iter(self.metrics.values())))
        wide = max(5, *(len(name) for name in self.evaluations))
        lines = [head, "", "model".ljust(wide) + "".join(f"  {column:>9}" for column in columns)]
        for name, values in self.metrics.items():
            cells = (f"  {values[column]:>{max(9, len(column))}.4f}" for column in columns)
            lines.append(name.ljust(wide) + "".join(cells))
        return "\n".join(lines)


def evaluate(
    models: Mapping[str, Any],
    split: Split,
    metrics: Iterable[str] = ("recall@20", "ndcg@20"),
    held: HeldOut | None = None,
) -> EvaluationReport:
    """Rank all items for the users of `held` (default: the test part) with every model.

    A model is a fitted ranker, a Recommender or a scorer; the catalogue it ranks must be the split's.
    """
    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    parse_metrics(metrics, n_items=split.train.n_items)
    if not models:
        raise DataError("no model to evaluate. Pass models={'name': model}.")
    scorers = {name: _scorer_of(name, model, split) for name, model in models.items()}
    found = {name: evaluate_scorer(scorer, split, held, metrics=metrics) for name, scorer in scorers.items()}
    one = next(iter(found.values()))
    return EvaluationReport(found, len(one.users), one.users_left_out, split.train.n_items, split.exclude)


def _scorer_of(name: str, model: Any, split: Split) -> Scorer:
    scorer = getattr(model, "scorer", model)
    if not (hasattr(scorer, "score") and hasattr(scorer, "n_items")):
        what = type(model).__name__
        raise DataError(f"{name}: a {what} cannot be evaluated. Pass a fitted ranker, a Recommender or a scorer.")
    users, items = _vocabularies(model)
    train = split.train
    if scorer.n_items != train.n_items or (items is not None and items != train.items):
        raise DataError(
            f"{name}: ranks other items ({scorer.n_items:,}) than the split ({train.n_items:,}). "
            "Evaluate it on a split of the log that it was fitted on."
        )
    if getattr(scorer, "user_table", None) is not None and users is not None and users != train.users:
        raise DataError(
            f"{name}: knows other users ({len(users):,}) than the split ({train.n_users:,}). "
            "Evaluate it on a split of the log that it was fitted on."
        )
    return scorer


def _vocabularies(model: Any) -> tuple[Vocab | None, Vocab | None]:
    """Users and items that the rows of a model stand for, as far as it says."""
    source = getattr(model, "train_vocab", model)
    if isinstance(source, tuple):
        return source[0], source[1]
    users, items = getattr(source, "users", None), getattr(source, "items", None)
    return users if isinstance(users, Vocab) else None, items if isinstance(items, Vocab) else None
