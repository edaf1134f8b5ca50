"""The training loop: a function of a model, its batches and a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.training.batches import Batch, UserBatches
from recdistill.training.progress import Bar


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
) -> None:
    """Train in place to the last epoch; `check` measures the model as it stands."""
    total = schedule.epochs * len(batches)
    options: dict[str, Any] = {"lr": schedule.learning_rate, "weight_decay": 0.0, "eps": 1e-10, "fused": True}
    optimizer = torch.optim.AdamW(model.parameters(), **options)
    looked = (
        {math.ceil(schedule.epochs * (i + 1) / schedule.checks) for i in range(schedule.checks)} if check else set()
    )
    step = 0
    for epoch in range(1, schedule.epochs + 1):
        for batch in batches:
            for group in optimizer.param_groups:
                group["lr"] = schedule.learning_rate * one_cycle(step, total, schedule.warm_up)
            optimizer.zero_grad(set_to_none=True)
            loss_of(batch).backward()
            optimizer.step()
            step += 1
        bar.advance(1, valid_ndcg=check() if check is not None and epoch in looked else None)
