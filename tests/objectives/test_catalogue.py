"""The fused loss over the catalogue against the plain objectives, by value and by gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recdistill.objectives import catalogue
from recdistill.objectives.catalogue import CatalogueConfig, CatalogueLoss
from recdistill.objectives.knowledge.soft_kl import SoftKL, SoftKLConfig
from recdistill.objectives.knowledge.soft_kl_topk import SoftKLTopK, SoftKLTopKConfig
from recdistill.objectives.labels.softmax import Softmax
from recdistill.objectives.positives import Positives
from recdistill.objectives.teacher_tile import FullTile, ListTile, TeacherSource
from recdistill.training.teacher_sample import SampleOfLists, SampleOfTiles

BATCH, ITEMS, DIM, LISTED = 7, 23, 5, 6


class Stored(TeacherSource):
    """A teacher's scores in memory, given whole or as lists."""

    def __init__(self, scores: Tensor, tau: float, listed: int | None) -> None:
        self.probabilities = (scores / tau).softmax(1)
        self.listed = listed

    def known(self, user_rows: Tensor) -> Tensor:
        return torch.ones(len(user_rows), dtype=torch.bool)

    def among(self, items: Tensor, offset: Tensor) -> TeacherSource:
        return SampleOfTiles(self, items, offset) if self.listed is None else SampleOfLists(self, items)

    def tile(self, user_rows: Tensor, at: Tensor | None = None) -> FullTile | ListTile:
        p = self.probabilities[user_rows]
        if self.listed is None:
            return FullTile(p, (p * p.log()).sum(1))
        top = p.topk(self.listed)
        rows = torch.arange(len(p)).repeat_interleave(self.listed)
        return ListTile(rows, top.indices.flatten(), top.values.flatten(), 1.0 - top.values.sum(1))


def positives_of(dense: Tensor) -> Positives:
    rows, items = dense.nonzero(as_tuple=True)
    return Positives(torch.cat([torch.zeros(1, dtype=torch.long), dense.sum(1).cumsum(0)]), items, rows)


@pytest.fixture
def inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    dense = torch.rand(BATCH, ITEMS, generator=generator) < 0.2
    dense[2] = False  # a user without positives
    dense[3] = True  # a user who has everything
    double = {"generator": generator, "dtype": torch.float64}
    return {
        "users": torch.randn(BATCH, DIM, **double),
        "items": torch.randn(ITEMS, DIM, **double),
        "bias": torch.randn(ITEMS, **double),
        "weight": torch.rand(BATCH, **double),
        "teacher": 3 * torch.randn(BATCH, ITEMS, **double),
        "dense": dense,
    }


def leaves(inputs: dict[str, Tensor]) -> list[Tensor]:
    return [inputs[name].clone().requires_grad_() for name in ("users", "items", "bias")]


def plain(
    inputs: dict[str, Tensor], share: float, tau: float, listed: int | None, unseen: bool = False
) -> tuple[Tensor, list[Tensor]]:
    users, items, bias = leaves(inputs)
    scores = users @ items.T + bias
    weight, teacher = inputs["weight"], inputs["teacher"]
    labels = Softmax()(scores, inputs["dense"], weight=weight)
    mask = ~inputs["dense"] if unseen else torch.ones_like(inputs["dense"])
    if listed is None:
        soft = SoftKL(SoftKLConfig(tau=tau))(scores, teacher, mask=mask, weight=weight)
    else:
        top = teacher.topk(listed)
        kept = mask.gather(1, top.indices)
        p = (teacher / tau).softmax(1).gather(1, top.indices)
        tail = 1.0 - p.sum(1)
        tail = tail / (tail + (p * kept).sum(1)).clamp(min=1e-9)
        soft_of = SoftKLTopK(SoftKLTopKConfig(tau=tau))
        soft = soft_of(scores, top.indices, top.values, tail, top_mask=kept, mask=mask, weight=weight)
    loss = share * labels + (1 - share) * soft
    return loss.detach(), list(torch.autograd.grad(loss, [users, items, bias]))


def fused(
    inputs: dict[str, Tensor],
    share: float,
    tau: float,
    listed: int | None,
    precision: torch.dtype = torch.float64,
    unseen: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    users, items, bias = leaves(inputs)
    config = CatalogueConfig(label_share=share, temperature=tau, precision=precision, unseen_only=unseen)
    loss_of = CatalogueLoss(config)
    teacher = Stored(inputs["teacher"], tau, listed)
    positives = positives_of(inputs["dense"])
    rows = torch.arange(BATCH)
    loss = loss_of(users, items, bias, positives, weight=inputs["weight"], teacher=teacher, teacher_users=rows)
    return loss.detach(), list(torch.autograd.grad(loss, [users, items, bias]))


@pytest.mark.parametrize("listed", [None, LISTED, ITEMS])
@pytest.mark.parametrize("tau", [1.0, 2.5])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("tile", [16_000_000, 2 * ITEMS])
def test_fused_and_plain_agree(
    inputs: dict[str, Tensor], share: float, tau: float, listed: int | None, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "TILE_ELEMENTS", tile)
    want, want_gradients = plain(inputs, share, tau, listed)
    loss, gradients = fused(inputs, share, tau, listed)
    torch.testing.assert_close(loss, want, rtol=1e-9, atol=1e-9)
    for gradient, expected in zip(gradients, want_gradients, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("listed", [None, LISTED])
@pytest.mark.parametrize("tau", [1.0, 2.5])
def test_soft_labels_of_unseen_items_are_those_of_the_masked_objective(
    inputs: dict[str, Tensor], listed: int | None, tau: float
) -> None:
    if listed is not None:
        inputs["teacher"][:, 0] = 9.0
        inputs["dense"][[0, 1, 2, 4, 5, 6], 0] = False  # no list is empty but that of the user who has everything
    want, want_gradients = plain(inputs, 0.3, tau, listed, unseen=True)
    loss, gradients = fused(inputs, 0.3, tau, listed, unseen=True)
    torch.testing.assert_close(loss, want, rtol=1e-6, atol=1e-6)
    for gradient, expected in zip(gradients, want_gradients, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)


def test_gradients_survive_central_differences(inputs: dict[str, Tensor]) -> None:
    loss_of = CatalogueLoss(CatalogueConfig(label_share=0.4, precision=torch.float64))
    teacher, positives, rows = Stored(inputs["teacher"], 1.0, None), positives_of(inputs["dense"]), torch.arange(BATCH)

    def loss(users: Tensor, items: Tensor, bias: Tensor) -> Tensor:
        return loss_of(users, items, bias, positives, teacher=teacher, teacher_users=rows)

    assert torch.autograd.gradcheck(loss, tuple(leaves(inputs)))


def test_bf16_products_stay_near_full_precision(inputs: dict[str, Tensor]) -> None:
    single = {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}
    want, want_gradients = fused(single, 0.3, 1.0, None, torch.float32)
    loss, gradients = fused(single, 0.3, 1.0, None, torch.bfloat16)
    torch.testing.assert_close(loss, want, rtol=2e-2, atol=2e-2)
    for gradient, expected in zip(gradients, want_gradients, strict=True):
        assert (gradient - expected).norm() < 0.05 * expected.norm()


def test_a_student_at_its_teacher_gets_no_gradient_from_soft_labels(inputs: dict[str, Tensor]) -> None:
    inputs["teacher"] = inputs["users"] @ inputs["items"].T + inputs["bias"]
    loss, gradients = fused(inputs, 0.0, 1.0, None)
    assert loss.abs() < 1e-12
    assert all(gradient.abs().max() < 1e-12 for gradient in gradients)


def test_users_without_positives_give_no_label_term(inputs: dict[str, Tensor]) -> None:
    inputs["dense"] = torch.zeros_like(inputs["dense"])
    loss, gradients = fused(inputs, 1.0, 1.0, None)
    assert loss == 0.0
    assert all(not gradient.any() for gradient in gradients)


@pytest.mark.parametrize("unseen", [False, True])
@pytest.mark.parametrize("listed", [None, LISTED])
@pytest.mark.parametrize("tau", [1.0, 2.5])
def test_a_sample_of_everything_is_the_whole_catalogue(
    inputs: dict[str, Tensor], listed: int | None, tau: float, unseen: bool
) -> None:
    want, want_gradients = fused(inputs, 0.3, tau, listed, unseen=unseen)
    users, items, bias = leaves(inputs)
    offset = torch.zeros(ITEMS, dtype=torch.float64)
    teacher = Stored(inputs["teacher"], tau, listed).among(torch.arange(ITEMS), offset)
    config = CatalogueConfig(label_share=0.3, temperature=tau, precision=torch.float64, unseen_only=unseen)
    loss = CatalogueLoss(config)(
        users, items, bias, positives_of(inputs["dense"]), weight=inputs["weight"], teacher=teacher,
        teacher_users=torch.arange(BATCH), offset=offset,
    )  # fmt: skip
    torch.testing.assert_close(loss.detach(), want, rtol=1e-5, atol=1e-6)
    for found, expected in zip(torch.autograd.grad(loss, [users, items, bias]), want_gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("tau", [1.0, 2.5])
def test_items_that_are_shown_for_several_alike_weigh_as_these(inputs: dict[str, Tensor], tau: float) -> None:
    """Two equal items that nobody used are one with the offset log 2: the sums of a sample stand for all items."""
    dense = inputs["dense"].clone()
    dense[:, :2] = False
    for name in ("items", "bias"):
        inputs[name][1] = inputs[name][0]
    inputs["teacher"][:, 1] = inputs["teacher"][:, 0]
    inputs["dense"] = dense
    want, gradients = fused(inputs, 0.3, tau, None)
    users, items, bias = leaves(inputs)
    offset = torch.zeros(ITEMS - 1, dtype=torch.float64)
    offset[0] = math.log(2.0)
    kept = torch.cat([torch.tensor([0]), torch.arange(2, ITEMS)])
    teacher = Stored(inputs["teacher"], tau, None).among(kept, offset)
    config = CatalogueConfig(label_share=0.3, temperature=tau, precision=torch.float64)
    loss = CatalogueLoss(config)(
        users, items[kept], bias[kept], positives_of(dense[:, kept]), weight=inputs["weight"], teacher=teacher,
        teacher_users=torch.arange(BATCH), offset=offset,
    )  # fmt: skip
    torch.testing.assert_close(loss.detach(), want, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.autograd.grad(loss, [users])[0], gradients[0], rtol=1e-4, atol=1e-6)
