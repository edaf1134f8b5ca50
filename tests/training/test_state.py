"""States of what changes in training: taken, stored, put back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from recdistill.training.state import MismatchError, restore, state_of


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def state(self) -> dict[str, Any]:
        return {"count": self.count}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.count = state["count"]


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.ones(2, 3)).square().sum().backward()
    optimizer.step()


def test_every_kind_of_part_comes_back_as_it_was() -> None:
    model, draw, torch_draw, counter = nn.Linear(3, 2), np.random.default_rng(1), torch.Generator(), Counter()
    table = torch.zeros(2, 2, dtype=torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    step(model, optimizer)
    parts = {
        "model": model,
        "o": {"0": optimizer},
        "draw": draw,
        "torch": torch_draw,
        "c": counter,
        "t": table,
        "n": None,
    }
    state = state_of(parts)
    state.tensors = {name: one.clone() for name, one in state.tensors.items()}
    state.values = json.loads(json.dumps(state.values))
    for _ in range(2):  # twice from the same state: what follows is the same
        step(model, optimizer)
        follows = model.weight.detach().clone(), draw.random(4), torch.rand(3, generator=torch_draw)
        counter.count, table[0, 0] = 5, 7.0
        restore(parts, state)
        step(model, optimizer)
        assert torch.equal(model.weight, follows[0])
        np.testing.assert_array_equal(draw.random(4), follows[1])
        assert torch.equal(torch.rand(3, generator=torch_draw), follows[2])
        assert counter.count == 0
        assert not table.any()
        restore(parts, state)


def test_a_state_of_another_shape_is_refused() -> None:
    state = state_of({"model": nn.Linear(3, 2)})
    with pytest.raises(MismatchError, match=r"model/weight: \(2, 3\) torch.float32 for \(2, 4\)"):
        restore({"model": nn.Linear(4, 2)}, state)
    with pytest.raises(MismatchError, match="other/weight: NoneType"):
        restore({"other": nn.Linear(3, 2)}, state)


def test_something_without_a_state_is_refused() -> None:
    with pytest.raises(TypeError, match="nothing is known of the state of a int"):
        state_of({"model": 3})
