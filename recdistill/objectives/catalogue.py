"""The loss of a two-tower model over the whole catalogue, labels and knowledge at once, with gradients in closed form.

Equal to `label_share · Softmax(decoupled) + (1 - label_share) · SoftKL` (or `SoftKLTopK`) of the plain objectives, but
one pass over tiles of users × items instead of several, with bf16 products where the processor has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recdistill.objectives.base import Objective
from recdistill.objectives.positives import Positives
from recdistill.objectives.teacher_tile import TeacherSource, TeacherTile

TILE_ROWS = 128
TILE_ELEMENTS = 16_000_000
"""Users × items in memory at once: whole rows, so that every sum is complete; few, so that the tile stays in caches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueConfig:
    label_share: float = 1.0
    """Weight of the labels; the rest is the weight of the knowledge."""
    temperature: float = 1.0
    """Softens student and teacher in the knowledge part, which then carries its square."""
    unseen_only: bool = False
    """Whether the knowledge is about the items that are no positives, the others taken out on both sides."""
    precision: torch.dtype = torch.float32
    """Type of the large products and of the exponentials."""
    value: bool = True
    """Whether the number returned is the loss; training asks for its gradients alone, which saves two passes."""


class CatalogueLoss(Objective):
    """label_share · decoupled softmax of the labels + (1 - label_share) · τ²·KL(teacher‖student), over all items."""

    def __init__(self, config: CatalogueConfig | None = None) -> None:
        super().__init__()
        self.config = config or CatalogueConfig()

    def forward(
        self,
        users: Tensor,
        items: Tensor,
        bias: Tensor,
        positives: Positives,
        *,
        weight: Tensor | None = None,
        teacher: TeacherSource | None = None,
        teacher_users: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> Tensor:
        """Logits are users (batch, d) @ items.T (d, n) + bias (n,); `teacher_users` are the rows given to `teacher`.

        Where the items are a sample of the catalogue, `offset` (n,) is added to the logits of all but a user's own
        positives (-log of the probability to be shown), and the teacher must speak of the same sample.
        """
        weight = users.new_ones(len(users)) if weight is None else weight
        return _Catalogue.apply(users, items, bias, positives, weight, teacher, teacher_users, offset, self.config)


class _Catalogue(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        bias: Tensor,
        positives: Positives,
        weight: Tensor,
        teacher: TeacherSource | None,
        teacher_users: Tensor | None,
        offset: Tensor | None,
        config: CatalogueConfig,
    ) -> Tensor:
        has_label = positives.counts > 0
        share = config.label_share if teacher is not None else 1.0
        label_weight = share * _normalised(weight * has_label)
        known = weight if teacher is None or teacher_users is None else weight * teacher.known(teacher_users)
        if config.unseen_only:
            known = known * (positives.counts < len(items))
        soft_weight = (1.0 - share) * _normalised(known)
        work = config.precision
        narrow_items = items.to(work)
        corrected = bias if offset is None else bias + offset
        shift = users.norm(dim=1).max() * items.norm(dim=1).max() + corrected.max()  # no logit is above it
        shifted = (corrected - shift).to(work)
        d_users, d_items, d_bias = torch.empty_like(users), torch.zeros_like(items), torch.zeros_like(bias)
        loss = users.new_zeros(())
        # one tile's memory for all: a new one would be paged in each time
        held = torch.empty(min(_tile_rows(len(items)), len(users)), len(items), dtype=work, device=users.device)
        for tile in _tiles(len(users), len(items)):
            narrow_users = users[tile].to(work)
            logits = torch.addmm(shifted, narrow_users, narrow_items.T, out=held[: tile.stop - tile.start])
            own = _tile_positives(positives, tile)
            at = own.rows * len(items) + own.items
            if offset is not None:
                logits.view(-1)[at] -= offset[own.items].to(work)
            given = None
            if teacher is not None and teacher_users is not None and share < 1.0:
                given = teacher.tile(teacher_users[tile], at)
            value, gradient = _tile_loss(logits, own, label_weight[tile], soft_weight[tile], given, offset, config)
            loss += value
            d_users[tile] = gradient @ narrow_items
            _add_product(d_items, gradient.T, narrow_users)
            d_bias += gradient.sum(0, dtype=bias.dtype)
        ctx.save_for_backward(d_users, d_items, d_bias)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        d_users, d_items, d_bias = ctx.saved_tensors
        return grad * d_users, grad * d_items, grad * d_bias, None, None, None, None, None, None


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right, without a copy of it where the types allow that."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


def _normalised(weight: Tensor) -> Tensor:
    total = weight.sum()
    return weight / torch.where(total > 0, total, 1.0)


def _tile_rows(items: int) -> int:
    return max(1, min(TILE_ROWS, TILE_ELEMENTS // items))


def _tiles(users: int, items: int) -> Iterator[slice]:
    rows = _tile_rows(items)
    for start in range(0, users, rows):
        yield slice(start, min(start + rows, users))


def _tile_positives(positives: Positives, tile: slice) -> Positives:
    if tile.stop - tile.start == len(positives.offsets) - 1:
        return positives
    offsets = positives.offsets[tile.start : tile.stop + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    rows = positives.rows[first:last] - tile.start
    return Positives(offsets=offsets - first, items=positives.items[first:last], rows=rows)


def _tile_loss(
    logits: Tensor,
    positives: Positives,
    label_weight: Tensor,
    soft_weight: Tensor,
    teacher: TeacherTile | None,
    offset: Tensor | None,
    config: CatalogueConfig,
) -> tuple[Tensor, Tensor]:
    """The tile's part of the loss and its gradient by the logits, which are overwritten."""
    tau = config.temperature
    at = positives.rows * logits.shape[1] + positives.items
    logit_pos = logits.view(-1)[at].to(label_weight.dtype)
    if teacher is None:
        exp = logits.exp_()
        value, on_rest, on_positive = _labels(exp, at, logit_pos, positives, label_weight)
        gradient = exp.mul_(on_rest[:, None])
        gradient.view(-1)[at] = on_positive.to(gradient.dtype)
        return value, gradient
    if config.unseen_only:
        teacher = teacher.without(at, logits.shape[1])
    if tau == 1.0:
        expected = teacher.expected(logits) if config.value else None
        exp = logits.exp_()
        value, on_rest, on_positive = _labels(exp, at, logit_pos, positives, label_weight)
        _take_out(exp, at, config)
        soft_value, gradient = teacher.divergence(exp, expected, soft_weight, also=on_rest)
    else:
        tempered = logits / tau
        if offset is not None:  # it belongs to the sample, not to the scores: no temperature softens it
            softened = (offset * (1.0 - 1.0 / tau)).to(logits.dtype)
            tempered += softened
            tempered.view(-1)[at] -= softened[positives.items]
        expected = teacher.expected(tempered) if config.value else None
        _take_out(tempered.exp_(), at, config)
        soft_value, soft_gradient = teacher.divergence(tempered, expected, soft_weight * tau * tau)
        exp = logits.exp_()
        value, on_rest, on_positive = _labels(exp, at, logit_pos, positives, label_weight)
        _take_out(exp, at, config)
        gradient = exp.mul_(on_rest[:, None]).add_(soft_gradient, alpha=1.0 / tau)
    if not config.unseen_only:
        on_positive = on_positive - on_rest[positives.rows] * logit_pos.exp()
    gradient.view(-1)[at] += on_positive.to(gradient.dtype)
    return value + soft_value, gradient


def _take_out(exp: Tensor, at: Tensor, config: CatalogueConfig) -> None:
    if config.unseen_only:
        exp.view(-1)[at] = 0.0


def _labels(
    exp: Tensor, at: Tensor, logit_pos: Tensor, positives: Positives, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Decoupled softmax: its value, the factor of `exp` in its gradient on negatives, the gradient on positives."""
    exp_pos = exp.view(-1)[at]
    exp.view(-1)[at] = 0.0
    rest = exp.sum(1, dtype=weight.dtype)
    exp.view(-1)[at] = exp_pos
    exp_pos = exp_pos.to(weight.dtype)
    both = (exp_pos + rest[positives.rows]).clamp_min(torch.finfo(weight.dtype).tiny)
    scale = (weight / positives.counts.clamp(min=1))[positives.rows]
    on_rest = torch.zeros_like(rest).index_add_(0, positives.rows, scale / both).masked_fill_(rest == 0, 0.0)
    on_positive = -scale * rest[positives.rows] / both
    value = (scale * (both.log() - logit_pos)).sum()
    return value, on_rest, on_positive
