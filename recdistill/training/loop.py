"""The training loop: a function of a model, its batches and a loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.training.batches import Batch, UserBatches
from recdistill.training.checkpoint import Kept, Place, training_of
from recdistill.training.progress import Bar
from recdistill.training.row_adam import RowAdam

EPSILON = 1e-10
"""Of Adam: the gradients of a mean over users are small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """AdamW without weight decay under one cycle of the learning rate."""

    epochs: int
    learning_rate: float
    warm_up: float = 0.1
    """Share of all steps in which the rate rises."""
    checks: int = 4
    """How often the valid part is looked at, evenly spread, the end included; it changes nothing."""


def one_cycle(step: int, total: int, warm_up: float) -> float:
    """Factor of the learning rate: half a cosine up from 1/25, half a cosine down to nearly nothing (Smith, 2018)."""
    rise = max(1.0, warm_up * total - 1.0)
    if step < rise:
        return _cosine(1 / 25, 1.0, step / rise)
    return _cosine(1.0, 1 / 250_000, min(1.0, (step - rise) / max(1.0, total - 1.0 - rise)))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0


def train(
    model: nn.Module,
    batches: UserBatches,
    loss_of: Callable[[Batch], Tensor],
    schedule: Schedule,
    *,
    bar: Bar,
    check: Callable[[], float] | None = None,
    by_rows: Sequence[nn.Parameter] = (),
    seldom: Sequence[nn.Parameter] = (),
    kept: Kept | None = None,
) -> None:
    """Train in place to the last epoch; `check` measures the model as it stands.

    Of the parameters `by_rows`, whose gradients are sparse, a step changes only the rows that it has seen; so it does
    of those `seldom` seen, a row of which has about one gradient in an epoch. Inside a
    block of `Checkpoints` a training that says what is to be `kept` goes on where it was stopped.
    """
    total = schedule.epochs * len(batches)
    optimizers = _optimizers(model, schedule, by_rows, seldom)
    changing = {"model": model, "batches": batches, "optimizers": dict(enumerate(optimizers))}
    changing["parts"] = {} if kept is None else kept.parts
    training = training_of(kept)
    place = Place() if training is None else training.resume(changing)
    if place.finished:
        bar.advance(schedule.epochs)
        return
    if place.epoch > 1:
        bar.advance(place.epoch - 1)
    looked = (
        {math.ceil(schedule.epochs * (i + 1) / schedule.checks) for i in range(schedule.checks)} if check else set()
    )
    step = place.step
    for epoch in range(place.epoch, schedule.epochs + 1):
        for batch in batches:
            rate = schedule.learning_rate * one_cycle(step, total, schedule.warm_up)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.zero_grad(set_to_none=True)
            loss_of(batch).backward()
            for optimizer in optimizers:
                optimizer.step()
            step += 1
            if training is not None:
                training.step(changing, Place(epoch, step))
        bar.advance(1, valid_ndcg=check() if check is not None and epoch in looked else None)
    if training is not None:
        training.finish(changing, Place(schedule.epochs, step))


def _optimizers(
    model: nn.Module, schedule: Schedule, by_rows: Sequence[nn.Parameter], seldom: Sequence[nn.Parameter]
) -> list[torch.optim.Optimizer]:
    """AdamW; and Adam on the rows that a step touches (the moments of others stay as they are)."""
    apart = {id(parameter) for parameter in (*by_rows, *seldom)}
    whole = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    options: dict[str, Any] = {"lr": schedule.learning_rate, "eps": EPSILON}
    found: list[torch.optim.Optimizer] = []
    if whole:
        found.append(torch.optim.AdamW(whole, weight_decay=0.0, fused=True, **options))
    if by_rows:
        found.append(torch.optim.SparseAdam(list(by_rows), **options))
    if seldom:
        found.append(RowAdam(seldom, **options))
    return found
