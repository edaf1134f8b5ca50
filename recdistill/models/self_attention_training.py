"""The torch half of the self-attentive model: its blocks, one training, and what it leaves to the serving half."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, relu

from recdistill.candidates.mixed import MixedNegatives, Shown
from recdistill.models.base import valid_ndcg
from recdistill.models.popularity import log_counts
from recdistill.models.self_attention_rules import SelfAttentionPlan
from recdistill.objectives.catalogue import CatalogueConfig, CatalogueLoss
from recdistill.objectives.positives import Positives
from recdistill.serving.self_attention import EPSILON, INPUT_SCALE, SelfAttentionScorer, padded_length
from recdistill.tables.codecs import CodedTable, half
from recdistill.tables.full import FullTables
from recdistill.tables.tied import TiedTable
from recdistill.training.batches import Batch
from recdistill.training.checkpoint import Kept
from recdistill.training.device import product_precision, resolve_device
from recdistill.training.loop import Schedule, train
from recdistill.training.progress import NullProgress
from recdistill.training.sequences import SequenceBatches
from recdistill.training.start import from_log

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.training.progress import Progress

NEVER = -1e9
"""Added to what may not be attended to; finite, so that a row of nothing else has no NaN."""


class Dropout:
    """Hides a share of numbers and raises the others; draws from a generator of its own."""

    def __init__(self, share: float, generator: torch.Generator) -> None:
        self.share, self.generator = share, generator

    def __call__(self, values: Tensor) -> Tensor:
        if self.share <= 0:
            return values
        kept = torch.empty_like(values).bernoulli_(1 - self.share, generator=self.generator)
        return values * kept.mul_(1 / (1 - self.share))


class Block(nn.Module):
    """x + attention to what came before, then + a rectified layer, each of x at a root mean square of 1.

    What a past item counts also depends on its distance, by one number for each head and distance. At the start every
    item before counts the same, so that the first block adds the mean of the history, and the second part nothing.
    """

    def __init__(self, dim: int, heads: int, length: int, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self.heads = heads
        # queries, keys, values, and the way out
        small = torch.randn(2, dim, dim, generator=generator) * (0.5 / math.sqrt(dim))
        through = torch.eye(dim).repeat(2, 1, 1)
        through[1] *= share
        self.attention = nn.Parameter(torch.cat([small, through]))
        self.distance = nn.Parameter(torch.zeros(heads, length))
        self.norms = nn.Parameter(torch.ones(2, dim))
        self.widen = nn.Parameter(torch.randn(WIDER * dim, dim, generator=generator) / math.sqrt(dim))
        self.widen_bias = nn.Parameter(torch.zeros(WIDER * dim))
        self.narrow = nn.Parameter(torch.zeros(dim, WIDER * dim))
        self.narrow_bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, dropout: Dropout) -> Tensor:
        """x: (batch, length, d), the oldest first."""
        x = x + dropout(self._attended(root_mean_square(x) * self.norms[0], dropout))
        hidden = relu(linear(root_mean_square(x) * self.norms[1], self.widen, self.widen_bias))
        return x + dropout(linear(dropout(hidden), self.narrow, self.narrow_bias))

    def _attended(self, x: Tensor, dropout: Dropout) -> Tensor:
        batch, length, dim = x.shape
        mixed = linear(x, self.attention[:3].reshape(3 * dim, dim))
        queries, keys, values = mixed.view(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        scores = queries @ keys.transpose(2, 3) / math.sqrt(dim // self.heads)  # (batch, heads, length, length)
        places = torch.arange(length, device=x.device)
        back = places[:, None] - places
        scores = scores + self.distance[:, back.clamp(0, self.distance.shape[1] - 1)]
        scores = scores.masked_fill(back < 0, NEVER)
        found = dropout(scores.softmax(-1)) @ values
        return linear(found.transpose(1, 2).reshape(batch, length, dim), self.attention[3])


WIDER = 4


def root_mean_square(x: Tensor) -> Tensor:
    """x / its root mean square over the last dimension (Zhang and Sennrich, 2019)."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON)


class SelfAttentive(nn.Module):
    """A user at a moment = what the last block leaves at the last item; item = row; both of length 1."""

    def __init__(self, items: Tensor, plan: SelfAttentionPlan, generator: torch.Generator) -> None:
        super().__init__()
        self.tables = TiedTable(items) if plan.tied else FullTables(items, items)
        self.bias = nn.Parameter(torch.zeros(len(items)))
        self.blocks = nn.ModuleList(
            Block(plan.dim, plan.heads, plan.length, 1.0 / plan.layers, generator) for _ in range(plan.layers)
        )
        self.tau = plan.tau
        self.dropout = Dropout(plan.dropout, generator)

    def forward(self, sequences: Positives) -> tuple[Tensor, Tensor]:
        """Users at every moment, (moments, d), and where among `sequences.items` the item stands that followed."""
        rows = self.tables.history_rows()
        users, following = [], []
        for places in groups(sequences):
            x = self.dropout(rows[sequences.items[places[:, :-1].clamp(min=0)]] * INPUT_SCALE)
            for block in self.blocks:
                x = block(x, self.dropout)
            there = places[:, 1:] >= 0
            users.append(x[there])
            following.append(places[:, 1:][there])
        return normalize(torch.cat(users), dim=1) / self.tau, torch.cat(following)

    def items(self, shown: Shown | None) -> tuple[Tensor, Tensor]:
        """Items (n, d) and biases such that logit = user · item + bias: all, or those that are shown."""
        rows = self.tables.item_rows()
        return (rows, self.bias) if shown is None else (rows[shown.items], self.bias[shown.items])

    @torch.no_grad()
    def scorer(self) -> SelfAttentionScorer:
        exported = {**self.tables.export(), "item_bias": self.bias}
        for name in ("attention", "distance", "norms", "widen", "widen_bias", "narrow", "narrow_bias"):
            exported[name] = torch.stack([getattr(block, name) for block in self.blocks])
        arrays = {name: value.detach().float().cpu().numpy().copy() for name, value in exported.items()}
        fields = {name: CodedTable.of(array) if name.endswith("table") else array for name, array in arrays.items()}
        return SelfAttentionScorer(**fields, scale=1.0 / self.tau)  # type: ignore[arg-type]


def groups(sequences: Positives) -> list[Tensor]:
    """Where the items of sequences of about the same length stand, (users, length + 1), the oldest first; -1 after the
    end. Lengths are those that an answer is computed with."""
    counts = sequences.counts
    widths = torch.tensor([padded_length(int(count) - 1) for count in counts.tolist()], device=counts.device)
    found = []
    for width in torch.unique(widths).tolist():
        members = torch.nonzero(widths == width)[:, 0]
        steps = torch.arange(width + 1, device=counts.device)
        places = sequences.offsets[members, None] + steps
        found.append(places.masked_fill(steps >= counts[members, None], -1))
    return found


def train_self_attention(
    plan: SelfAttentionPlan,
    log: Interactions,
    valid: HeldOut | None,
    *,
    seed: int,
    device: str,
    progress: Progress | None,
    name: str,
) -> SelfAttentionScorer:
    """One training from the log's singular vectors to the last epoch."""
    where = resolve_device(device)
    generator = torch.Generator().manual_seed(seed)
    start = from_log(log.csr(), plan.dim, np.random.default_rng(seed))
    model = SelfAttentive(torch.from_numpy(start.items), plan, generator).to(where)
    if where.type != "cpu":
        model.dropout.generator = torch.Generator(where).manual_seed(seed)
    places = log.places()
    assert places is not None
    batches = SequenceBatches(
        log.csr(), places, length=plan.length, batch_users=plan.batch_users,
        generator=np.random.default_rng([seed, 1]), device=where,
    )  # fmt: skip
    loss = CatalogueLoss(CatalogueConfig(precision=product_precision(where, plan.dim), value=False))

    negatives = None
    if plan.negatives is not None:
        draw = np.random.default_rng([seed, 3])
        negatives = MixedNegatives(log.csr(), batch_users=plan.batch_users, sample=plan.negatives, generator=draw)

    def loss_of(batch: Batch) -> Tensor:
        shown = None if negatives is None else negatives.of(batch.positives)
        users, following = model(batch.positives)
        wanted = (batch.positives if shown is None else shown.positives).items[following]
        each = torch.arange(len(users) + 1, device=where)
        labels = Positives(offsets=each, items=wanted, rows=each[:-1])
        return loss(users, *model.items(shown), labels, offset=None if shown is None else shown.offset)

    popularity = half(log_counts(log), "popularity")

    def scorer() -> SelfAttentionScorer:
        return dataclasses.replace(model.scorer(), popularity=popularity)

    check = None if valid is None else lambda: valid_ndcg(scorer(), log, valid)
    to_keep = Kept(
        lambda: ["self_attention", dataclasses.asdict(plan), log.sha256(), seed],
        {"dropout": model.dropout.generator, "negatives": negatives},
    )
    schedule = Schedule(epochs=plan.epochs, learning_rate=plan.learning_rate)
    with (progress or NullProgress()).task(name, total=plan.epochs) as bar:
        train(model, batches, loss_of, schedule, bar=bar, check=check, kept=to_keep)
    return scorer()
