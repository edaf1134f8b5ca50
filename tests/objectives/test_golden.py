"""Values and gradients of the objectives against the shared golden file, where it lies beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from recdistill.objectives.knowledge.hard_labels import (
    HardLabelsBPR,
    HardLabelsConfig,
    HardLabelsSoftmax,
    HardLabelsSoftplus,
)
from recdistill.objectives.knowledge.soft_kl import SoftKL, SoftKLConfig
from recdistill.objectives.knowledge.soft_kl_topk import SoftKLTopK, SoftKLTopKConfig
from recdistill.objectives.labels.softmax import Softmax, SoftmaxConfig

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "objectives.json"
NAMES = {"softmax", "hard_labels", "soft_kl", "soft_kl_topk"}
CASES = [c for c in json.loads(GOLDEN.read_text())["cases"] if c["objective"] in NAMES] if GOLDEN.exists() else []


def objective(name: str, config: dict[str, Any]) -> tuple[torch.nn.Module, set[str]]:
    """The class that a golden case means, and the inputs of the case that it does not read."""
    tau = config.get("tau") or 1.0
    if name == "softmax":
        return Softmax(SoftmaxConfig(tau=tau, decoupled=config["decoupled"])), set()
    if name == "soft_kl":
        return SoftKL(SoftKLConfig(tau=tau)), set()
    if name == "soft_kl_topk":
        return SoftKLTopK(SoftKLTopKConfig(tau=tau)), set()
    forms: dict[str, tuple[torch.nn.Module, set[str]]] = {
        "softplus": (HardLabelsSoftplus(), {"mask"}),
        "softmax": (HardLabelsSoftmax(HardLabelsConfig(tau=tau)), set()),
        "bpr": (HardLabelsBPR(), {"mask"}),
    }
    return forms[config["form"]]


def tensor(value: Any) -> torch.Tensor:
    found = torch.tensor(value)
    return found.double() if found.is_floating_point() else found


@pytest.mark.skipif(not CASES, reason="the golden values are not beside the checkout")
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['objective']}-{c['case']}")
def test_loss_and_gradient_are_the_golden_ones(case: dict[str, Any]) -> None:
    loss_of, unused = objective(case["objective"], case["config"])
    inputs = {name: tensor(value) for name, value in case["inputs"].items() if name not in unused and value is not None}
    for name in case["grad"]:
        inputs[name].requires_grad_()
    loss = loss_of(**inputs)
    loss.backward()
    assert abs(loss.item() - case["loss"]) <= 1e-6 * max(1.0, abs(case["loss"]))
    for name, want in case["grad"].items():
        want = torch.tensor(want, dtype=torch.float64)
        gap = (inputs[name].grad - want).abs() / want.abs().clamp(min=1.0)
        assert gap.max() <= 1e-6
