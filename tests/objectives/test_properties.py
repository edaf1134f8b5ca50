"""What every objective promises; a new one inherits these tests by its line in the registry and its example."""

from __future__ import annotations

import inspect
import re

import pytest
import torch
from torch import Tensor

from recdistill.objectives.base import NEEDS
from recdistill.objectives.registry import OBJECTIVES
from recdistill.objectives.vectors.owned import OwningObjective
from tests.objectives.axes import OF_CANDIDATES, PER_ITEM, assert_same, candidate_wide, indices, of_users
from tests.objectives.examples import NAMES, OF_SCORES, USERS, Example, Inputs, example, mask_of, run

WEIGHED = [name for name in NAMES if "weight" in inspect.signature(OBJECTIVES[name].forward).parameters]
OWNING = [name for name in NAMES if issubclass(OBJECTIVES[name], OwningObjective)]
NEGATIVES = ("student_negative", "log_q_negative", "negative_mask")

every = pytest.mark.parametrize("name", NAMES)
every_of_scores = pytest.mark.parametrize("name", OF_SCORES)


def test_every_registered_objective_has_an_example() -> None:
    assert {OBJECTIVES[name] for name in NAMES} == {OBJECTIVES[name] for name in OBJECTIVES}


@every
def test_it_says_what_it_is_and_what_it_needs(name: str) -> None:
    kind, module = OBJECTIVES[name], inspect.getmodule(OBJECTIVES[name])
    assert kind.needs <= set(NEEDS)
    assert bool(kind.needs) == (".labels." not in kind.__module__)
    assert kind.__doc__ and kind.forward.__doc__ and module is not None and module.__doc__
    assert (kind.config_type is not None) == ("config" in inspect.signature(kind).parameters)


@every
def test_gradients_are_the_central_differences(name: str) -> None:
    given = example(name)
    loss_of = given.objective(**given.differentiable)
    moved = [own for own in given.trained if own not in given.learns]

    def loss(*values: Tensor) -> Tensor:
        return loss_of(**given.inputs | dict(zip(moved, values, strict=True)))

    assert torch.autograd.gradcheck(loss, [given.inputs[own].clone().requires_grad_() for own in moved])


@pytest.mark.parametrize("name", OWNING)
def test_gradients_of_its_own_parameters_are_the_central_differences(name: str) -> None:
    given = example(name)
    loss_of = given.objective()
    own = dict(loss_of.named_parameters())

    def loss(*values: Tensor) -> Tensor:
        return torch.func.functional_call(loss_of, dict(zip(own, values, strict=True)), kwargs=given.inputs)

    assert own and torch.autograd.gradcheck(loss, [value.detach().clone().requires_grad_() for value in own.values()])


@every
def test_single_precision_agrees_with_double(name: str) -> None:
    given = example(name)
    want, want_gradients = run(given.objective(), given.inputs, *given.trained)
    single = {n: value.float() if value.is_floating_point() else value for n, value in given.inputs.items()}
    loss, gradients = run(given.objective().float(), single, *given.trained)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), want, rtol=1e-4, atol=1e-5)
    for at, gradient in gradients.items():
        torch.testing.assert_close(gradient.double(), want_gradients[at], rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every
def test_a_graphics_processor_agrees_with_the_main_one(name: str) -> None:
    given = example(name)
    want, want_gradients = run(given.objective(), given.inputs, *given.trained)
    there = {n: value.cuda() for n, value in given.inputs.items()}
    loss, gradients = run(given.objective().cuda(), there, *given.trained)
    torch.testing.assert_close(loss.cpu(), want, rtol=1e-9, atol=1e-11)
    assert_same({n: value.cpu() for n, value in gradients.items()}, want_gradients)


@every
def test_only_the_student_and_its_own_parameters_get_a_gradient(name: str) -> None:
    given = example(name)
    fixed = [n for n, v in given.inputs.items() if v.is_floating_point() and n not in given.trained and not v.is_sparse]
    _, gradients = run(given.objective(), given.inputs, *given.trained, *fixed)
    assert all(not gradients[n].any() for n in fixed)
    assert all(gradients[n].any() for n in given.trained)


@every_of_scores
def test_what_is_masked_or_padded_has_no_effect_and_gets_no_gradient(name: str) -> None:
    given = example(name)
    want, want_gradients = run(given.objective(), given.inputs, *given.trained)
    loss, gradients = run(given.objective(), with_hidden_candidate(given), *given.trained)
    torch.testing.assert_close(loss, want, rtol=1e-9, atol=1e-11)
    hidden = [n for n in gradients if n in candidate_wide(given) or n == "student_negative"]
    assert hidden
    assert all((gradients[n][:, -1] == 0.0).all() for n in hidden)
    assert_same({n: g[:, :-1] if n in hidden else g for n, g in gradients.items()}, want_gradients)


def with_hidden_candidate(given: Example) -> Inputs:
    """One candidate more, with a huge score, to which only positions that do not count point; first in every list."""

    def widened(name: str, value: Tensor) -> Tensor:
        of_negatives = given.name == "sampled_softmax" and name in NEGATIVES
        if name in candidate_wide(given) or of_negatives:
            fill = value.new_full((len(value), 1), 0 if value.dtype == torch.bool or name == "labels" else 1e4)
            return torch.cat([value, fill], dim=1)
        if name in indices(given):
            return torch.cat([torch.full_like(value[..., :1], given.inputs["student"].shape[1]), value], dim=-1)
        if name == "teacher_top" or name in {mask_of(n) for n in indices(given)}:
            return torch.cat([torch.zeros_like(value[:, :1]) + 1e4 * value.is_floating_point(), value], dim=1).to(value)
        return value

    return {name: widened(name, value) for name, value in given.inputs.items()}


@pytest.mark.parametrize("name", ["fitnet", "de"])
def test_a_masked_entity_has_no_effect_and_gets_no_gradient(name: str) -> None:
    given = example(name)
    out = ~given.inputs["entity_mask"]
    changed = {n: given.inputs[n].masked_fill(out[:, None], torch.nan) for n in ("student", "teacher")}
    want, want_gradients = run(given.objective(), given.inputs, "student")
    loss, gradients = run(given.objective(), given.inputs | changed, "student")
    assert loss == want
    assert out.any() and (gradients["student"][out] == 0.0).all()
    assert_same(gradients, want_gradients)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_of_800_are_finite_and_so_are_their_gradients(name: str, dtype: torch.dtype) -> None:
    given = example(name)
    read = {n: 800 * v.sign() for n, v in given.inputs.items() if n in given.trained or n.startswith("teacher")}
    inputs = {n: v.to(dtype) if v.is_floating_point() else v for n, v in (given.inputs | read).items()}
    loss, gradients = run(given.objective().to(dtype), inputs, *given.trained)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@every
def test_without_a_term_loss_and_gradients_are_zero(name: str) -> None:
    given = example(name)
    if name == "sampled_softmax":
        nothing = given.inputs | {"weight": torch.zeros(USERS, dtype=torch.float64)}
    elif any(value.dtype == torch.bool for value in given.inputs.values()):
        nothing = {n: v & False if v.dtype == torch.bool else v for n, v in given.inputs.items()}
    else:
        nothing = {n: v if v.is_sparse else v[:0] for n, v in given.inputs.items()}
    if name.startswith("pckd") or name == "freqd":
        shared = ("student", "teacher") if name == "freqd" else ()
        nothing = {n: given.inputs[n] if n in shared else v if v.is_sparse else v[:0] for n, v in nothing.items()}
    loss, gradients = run(given.objective(), nothing, *given.trained)
    assert loss == 0.0
    assert all(not gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("name", OF_CANDIDATES)
def test_a_user_without_a_term_is_in_no_sum(name: str) -> None:
    given = example(name)
    loss_of, rows = given.objective(), of_users(given)
    last = {n: v[-1:] if n in rows else v for n, v in given.inputs.items() if not n.startswith(PER_ITEM)}
    if name != "ir_rrd":
        assert loss_of(**last) == 0.0
    without = given.inputs | {n: given.inputs[n][:-1] for n in rows}
    torch.testing.assert_close(loss_of(**without), loss_of(**given.inputs))


@pytest.mark.parametrize("name", WEIGHED)
def test_weights_are_shares_and_a_weight_of_zero_leaves_out(name: str) -> None:
    given = example(name)
    inputs = {n: v for n, v in given.inputs.items() if not n.startswith(PER_ITEM)} if name == "dcd" else given.inputs
    settings = {"item_weight": 0.0} if name == "ir_rrd" else {}
    loss_of, weight = given.objective(**settings), given.inputs["weight"]
    torch.testing.assert_close(loss_of(**inputs | {"weight": 3.0 * weight}), loss_of(**inputs))
    weight = torch.cat([torch.zeros(1, dtype=torch.float64), weight[1:]])
    without = {n: v[1:] if n in of_users(given) else v for n, v in inputs.items()}
    loss, gradients = run(loss_of, inputs | {"weight": weight}, given.trained[0])
    torch.testing.assert_close(loss, loss_of(**without).detach())
    assert not gradients[given.trained[0]][0].any()
    assert not torch.isclose(loss, loss_of(**inputs).detach())


@every
def test_a_paper_and_its_year_stand_in_the_file(name: str) -> None:
    module = inspect.getmodule(OBJECTIVES[name])
    assert module is not None
    assert re.search(r"\(.*(19|20)\d\d", f"{OBJECTIVES[name].__doc__} {inspect.getsource(module)}")


def test_a_pair_of_which_one_sample_is_missing_is_no_pair() -> None:
    given, found = example("pckd_pair"), []
    for first in ([True, False], [False, False], [True, True]):
        mask = torch.tensor([first, [False, False], [True, True], first, first])
        found.append(given.objective()(**given.inputs | {"sample_mask": mask}))
    assert found[0] == found[1] != found[2]
