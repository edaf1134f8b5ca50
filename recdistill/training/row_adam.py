"""Adam for tables of which a row is seen once in a long while."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import nn

BETAS = (0.9, 0.999)


class RowAdam(torch.optim.Optimizer):
    """What Adam (Kingma & Ba, 2015) does with a row that has one gradient in an epoch, at once and to that row alone.

    Adam goes on moving a row by its momentum after its gradient: in all by lr · g / √v · Σ_k (1 - β₁) (β₁ / √β₂)^k, as
    long as the rate hardly changes meanwhile. Here the row is moved by that sum when it is seen, its second moment
    decays by the steps since then, and a step costs what the rows in it cost, however long the table is. Gradients
    must be sparse; a row that is seen at every step wants Adam itself.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, eps: float) -> None:
        super().__init__(parameters, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        first, second = BETAS
        moved_in_all = (1 - first) / (1 - first / math.sqrt(second))
        for group in self.param_groups:
            for parameter in cast(list[nn.Parameter], group["params"]):
                if parameter.grad is None:
                    continue
                gradient = parameter.grad.coalesce()
                rows, values = gradient.indices()[0], gradient.values()
                state: dict[str, Any] = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.int64)
                    state["squares"] = torch.zeros_like(parameter)
                    state["seen"] = torch.zeros(len(parameter), dtype=torch.int64, device=parameter.device)
                state["step"] += 1
                step = int(state["step"])
                decay = second ** (step - state["seen"][rows]).to(values.dtype)
                squares = decay[:, None] * state["squares"][rows] + (1 - second) * values.square()
                state["squares"][rows], state["seen"][rows] = squares, step
                spread = (squares / (1 - second**step)).sqrt_().add_(group["eps"])
                parameter[rows] -= group["lr"] * moved_in_all * values / spread
