"""Values and gradients of all objectives against the shared golden file, where it lies beside the checkout."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recdistill.objectives.base import Objective
from recdistill.objectives.registry import OBJECTIVES, build
from recdistill.objectives.vectors.de import Experts, de
from recdistill.objectives.vectors.fitnet import fitnet
from recdistill.objectives.vectors.freqd import freqd, sparse_graph
from recdistill.objectives.vectors.pckd import distances, list_consistency, pair_consistency

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "objectives.json"
CASES = json.loads(GOLDEN.read_text())["cases"] if GOLDEN.exists() else []
BY_HAND = {"fitnet", "de", "pckd", "freqd"}
"""Objectives whose function takes the parameters as tensors; the function of htd is that of de and a constant part."""


def named(case: dict[str, Any]) -> str:
    return f"{case['objective']}-{case['case']}"


needs_golden = pytest.mark.skipif(not CASES, reason=f"the golden values are not beside the checkout: no {GOLDEN}")
every_case = pytest.mark.parametrize("case", CASES, ids=named)


def tensors(case: dict[str, Any]) -> dict[str, Tensor]:
    found = {name: tensor(value) for name, value in case["inputs"].items() if value is not None}
    return {name: value.requires_grad_(name in case["grad"]) for name, value in found.items()}


def tensor(value: Any) -> Tensor:
    """Floats in full precision: made as single ones first they would be off by 1e-7."""
    return torch.from_numpy(np.asarray(value))


def objective(case: dict[str, Any], inputs: dict[str, Tensor]) -> Objective:
    """The objective that a case means, its settings from the case, its parameters still of its own drawing."""
    config = {name: value for name, value in case["config"].items() if value is not None}
    form = config.pop("form", config.pop("stage", None))
    name = f"{case['objective']}_{form}" if form else case["objective"]
    if name == "rd":
        config["decay"] = config.pop("lambda")
    if name in ("fitnet", "freqd"):
        config["bias"] = "bias" in inputs
    if name == "de":
        config |= {"experts": inputs["gumbel"].shape[1], "hidden": inputs["expert_w1"].shape[1]}
    if name == "htd" and "gumbel" in inputs:
        config["groups"] = inputs["gumbel"].shape[1]
    student, teacher = (inputs.get(side, inputs.get(f"{side}_user")) for side in ("student", "teacher"))
    dims = (
        {} if student is None or teacher is None else {"student_dim": student.shape[1], "teacher_dim": teacher.shape[1]}
    )
    return build(name, config, **dims, generator=torch.Generator()).double()


def with_graph(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The three arrays of a graph as the one sparse matrix that they stand for."""
    if "adj_row" not in inputs:
        return inputs
    graph = sparse_graph(inputs["adj_row"], inputs["adj_col"], inputs["adj_value"], len(inputs["student"]))
    return {"adjacency": graph} | {name: value for name, value in inputs.items() if not name.startswith("adj_")}


def by_function(case: dict[str, Any], inputs: dict[str, Tensor]) -> Tensor:
    """The loss of a plain function of tensors, parameters among them."""
    config, given = case["config"], dict(inputs)
    if case["objective"] == "fitnet":
        return fitnet(**given, how=config["distance"])
    if case["objective"] == "freqd":
        return freqd(bias=given.pop("bias", None), **given, alpha=config["alpha"], how=config["distance"])
    if case["objective"] == "de":
        experts = Experts(*(given.pop(name) for name in Experts._fields))
        return de(**given, experts=experts, temperature=config["temperature"])
    fixed = [given.pop(name) for name in ("teacher_user", "teacher_item")]
    projectors = given["projector_user"], given["projector_item"]
    near = distances(given["student_user"], given["student_item"], fixed[0], fixed[1], *projectors)
    kept = pair_consistency(**given) if config["form"] == "pair" else list_consistency(**given, tau=config["tau"])
    return near + config["alpha"] * kept


def assert_golden(case: dict[str, Any], loss: Tensor, gradients: dict[str, Tensor | None]) -> None:
    assert abs(loss.item() - case["loss"]) <= 1e-6 * max(1.0, abs(case["loss"]))
    assert set(gradients) == set(case["grad"])
    for name, value in case["grad"].items():
        want = torch.tensor(value, dtype=torch.float64)
        found = gradients[name]
        assert found is not None and found.shape == want.shape
        assert ((found - want).abs() <= 1e-6 * want.abs().clamp(min=1.0)).all(), name


@needs_golden
@every_case
def test_loss_and_gradient_are_the_golden_ones(case: dict[str, Any]) -> None:
    inputs = tensors(case)
    loss_of = objective(case, inputs)
    own = {name.split(".")[-1]: parameter for name, parameter in loss_of.named_parameters()}
    for name, parameter in own.items():
        parameter.data = inputs[name].detach().clone()
    given = with_graph({name: value for name, value in inputs.items() if name not in own})
    loss = loss_of(**given)  # refuses what it does not know: every input is read
    loss.backward()
    assert_golden(case, loss, {name: (own[name] if name in own else inputs[name]).grad for name in case["grad"]})


@needs_golden
@pytest.mark.parametrize("case", [c for c in CASES if c["objective"] in BY_HAND], ids=named)
def test_the_functions_with_parameters_given_are_the_golden_ones_too(case: dict[str, Any]) -> None:
    inputs = tensors(case)
    loss = by_function(case, with_graph(inputs))
    loss.backward()
    assert_golden(case, loss, {name: inputs[name].grad for name in case["grad"]})


@needs_golden
def test_no_golden_objective_is_without_an_implementation() -> None:
    assert len(CASES) >= 139
    names = {case["objective"] for case in CASES}
    assert len(names) >= 30
    assert names <= set(OBJECTIVES)


@needs_golden
def test_every_registered_objective_has_golden_cases_or_a_test_file_of_its_own() -> None:
    run = {type(objective(case, tensors(case))) for case in CASES}
    own = {name for name in OBJECTIVES if (Path(__file__).parent / f"test_{name}.py").is_file()}
    assert run == {OBJECTIVES[name] for name in OBJECTIVES if name not in own}


def test_every_forward_names_what_it_takes() -> None:
    for name in OBJECTIVES:
        kinds = {p.kind for p in inspect.signature(OBJECTIVES[name].forward).parameters.values()}
        assert kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
