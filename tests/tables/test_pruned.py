"""Tables that are pruned while they are trained: what goes, when, and that what is stored is what training sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from recdistill.tables.codecs import CODECS, CodedTable
from recdistill.tables.pruned import PrunedTied
from recdistill.tables.pruning import PRUNINGS

N, D, STEPS = 50, 12, 20
CODECS_TRAINED = [*((by, codec) for by in PRUNINGS for codec in ("fp16", "int4", "int3", "int2", "binary")),
                  ("dimensions", "int8")]  # fmt: skip
LEARNED = [(by, "int4") for by in PRUNINGS]


def rows(seed: int = 0, n: int = N, d: int = D) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=draw) * torch.linspace(0.5, 2.0, n)[torch.randperm(n, generator=draw)][:, None]


def pruned(
    by: str, codec: str = "fp16", *, share: float = 0.5, steps: int = STEPS, learned: bool = False
) -> PrunedTied:
    table = PrunedTied(rows(), codec, by=by, share=share, learned=learned)
    table.pruning.last = STEPS
    for _ in range(steps):
        table.prune()
    return table


def served(table: PrunedTied) -> np.ndarray:
    """What is stored, with 0 for dimensions that are gone."""
    stored = table.export()["item_table"]
    assert isinstance(stored, CodedTable)
    if stored.shape[1] == D:
        return stored.matrix()
    whole = np.zeros((N, D), np.float32)
    whole[:, table.pruning.mask[0].numpy() > 0] = stored.matrix()
    return whole


@pytest.mark.parametrize("steps", [0, 1, 3, STEPS, STEPS + 5])
@pytest.mark.parametrize(
    ("by", "codec", "learned"), [*((*one, False) for one in CODECS_TRAINED), *((*one, True) for one in LEARNED)]
)
def test_what_is_stored_is_what_training_sees_whenever_it_ends(by: str, codec: str, steps: int, learned: bool) -> None:
    table = pruned(by, codec, steps=steps, learned=learned)
    np.testing.assert_array_equal(served(table), table.item_rows().detach().numpy())
    exported = table.export()
    weights, stored = exported["history_weight"], exported["item_table"]
    assert isinstance(weights, Tensor) and isinstance(stored, CodedTable)
    torch.testing.assert_close(table.item_rows() * weights[:, None], table.history_rows(), rtol=1e-6, atol=1e-7)
    assert stored.nbytes == CODECS[stored.codec].nbytes(*stored.shape)


@pytest.mark.parametrize(
    ("by", "named", "size"),
    [
        ("values", "int4_sparse6", N * (2 + 3) + 2 * D),  # marks, codes; scales
        ("rows", "int4_dims50_0", 7 + 25 * 6 + 2 * D),
        ("dimensions", "int4", N * 3 + 2 * 6),
    ],
)
def test_half_of_what_is_named_is_gone_and_takes_no_bytes(by: str, named: str, size: int) -> None:
    stored = pruned(by, "int4").export()["item_table"]
    assert isinstance(stored, CodedTable) and stored.codec == named
    assert stored.shape == (N, 6 if by == "dimensions" else D)
    assert stored.nbytes == size


def test_the_smallest_values_of_each_row_go() -> None:
    kept = pruned("values").pruning.mask > 0
    sizes = rows().abs()
    assert (kept.sum(1) == 6).all()
    assert (sizes.masked_fill(~kept, torch.inf).amin(1) >= sizes.masked_fill(kept, 0).amax(1)).all()


def test_the_shortest_rows_go() -> None:
    kept, lengths = pruned("rows", share=0.3).pruning.mask[:, 0] > 0, rows().norm(dim=1)
    assert kept.sum() == 35 and lengths[kept].min() > lengths[~kept].max()


def test_the_dimensions_that_carry_least_go() -> None:
    matrix = rows() * torch.tensor([1.0, 0.1, 1.0, 1.0])[torch.arange(D) % 4]
    table = PrunedTied(matrix, "int4", by="dimensions", share=0.25)
    table.pruning.last = 1
    table.prune()
    assert table.pruning.mask[0].tolist() == [1.0, 0.0, 1.0, 1.0] * 3


def test_the_share_that_is_gone_rises_by_the_cubic_schedule_and_then_stays() -> None:
    table = PrunedTied(rows(d=1000), "fp16", by="dimensions", share=0.8)
    table.pruning.last, gone = 10, []
    for _ in range(12):
        table.prune()
        gone.append(1 - float(table.pruning.mask.mean()))
    want = [0.8 * (1 - (1 - min(1.0, t / 10)) ** 3) for t in range(1, 13)]
    np.testing.assert_allclose(gone, want, atol=1e-3)


def test_what_is_gone_comes_back_only_while_the_share_rises() -> None:
    table = pruned("values", steps=5)
    place = (0, int((table.pruning.mask[0] == 0).nonzero()[0]))
    with torch.no_grad():
        table.rows[place] = 100.0
    for _ in range(3):
        table.prune()
    assert table.pruning.mask[place] == 1
    for _ in range(STEPS):
        table.prune()
    with torch.no_grad():
        table.rows[0] *= torch.where(table.pruning.mask[0] > 0, 0.0, 50.0)
    before = table.pruning.mask.clone()
    table.prune()
    assert torch.equal(table.pruning.mask, before)


@pytest.mark.parametrize("by", list(PRUNINGS))
def test_what_is_gone_gets_no_gradient_and_the_rest_does(by: str) -> None:
    table = pruned(by, "int4")
    (table.history_rows() * rows(3)).sum().backward()
    assert table.rows.grad is not None
    gone = (table.pruning.mask == 0).expand(N, D)
    assert gone.any() and not table.rows.grad[gone].any() and (table.rows.grad[~gone] != 0).float().mean() > 0.95


@pytest.mark.parametrize("by", list(PRUNINGS))
def test_a_sample_of_the_items_has_the_rows_of_the_whole_table(by: str) -> None:
    table, shown = pruned(by, "int3"), torch.tensor([0, 4, 49])
    history, items = table.among(shown)
    torch.testing.assert_close(items, table.item_rows()[shown], rtol=0, atol=0)
    torch.testing.assert_close(history, table.history_rows()[shown], rtol=0, atol=0)


@pytest.mark.parametrize("by", list(PRUNINGS))
def test_a_table_that_is_read_back_goes_on_where_it_was(by: str) -> None:
    one, other = pruned(by, "int4", steps=7), pruned(by, "int4", steps=0)
    other.load_state_dict(one.state_dict())
    for table in (one, other):
        for _ in range(4):
            table.prune()
    assert torch.equal(one.pruning.mask, other.pruning.mask)


def test_steps_of_kept_values_follow_these_alone() -> None:
    table = pruned("values", "int4")
    unit = normalize(rows() * table.pruning.mask, dim=1)
    kept = unit.square().sum(0) / (unit != 0).sum(0)
    stored = table.export()["item_table"]
    assert isinstance(stored, CodedTable)
    np.testing.assert_allclose(stored.arrays["scales"], 0.26 * kept.sqrt().numpy(), rtol=1e-3)
