from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from recdistill.training.row_adam import RowAdam

ROWS, SEEN, EPOCHS, RATE = 400, 2, 6, 1e-3


def trained(by: str) -> Tensor:
    """A table that is drawn towards targets, a few rows a step, each once in an epoch."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(ROWS, 3, generator=generator)
    table = nn.Parameter(torch.zeros(ROWS, 3))
    optimizers: dict[str, torch.optim.Optimizer] = {
        "whole": torch.optim.Adam([table], lr=RATE, eps=1e-10),
        "rows": RowAdam([table], lr=RATE, eps=1e-10),
        "sparse": torch.optim.SparseAdam([table], lr=RATE, eps=1e-10),
    }
    for _ in range(EPOCHS):
        for rows in torch.randperm(ROWS, generator=generator).split(SEEN):
            optimizers[by].zero_grad(set_to_none=True)
            seen = nn.functional.embedding(rows, table, sparse=by != "whole")
            (seen - targets[rows]).square().sum().backward()
            optimizers[by].step()
    return table.detach()


def test_a_row_ends_near_where_adam_brings_it() -> None:
    whole = trained("whole")
    scale = float(whole.square().mean().sqrt())
    assert float((trained("rows") - whole).square().mean().sqrt()) < 0.15 * scale
    lazy = float((trained("sparse") - whole).square().mean().sqrt())
    assert lazy > 0.5 * scale, "it leaves out what momentum does after a row was seen"


def test_rows_that_were_not_seen_stay() -> None:
    table = nn.Parameter(torch.ones(5, 2))
    optimizer = RowAdam([table], lr=0.1, eps=1e-10)
    nn.functional.embedding(torch.tensor([3, 1, 3]), table, sparse=True).sum().backward()
    optimizer.step()
    changed = (table.detach() != 1).any(dim=1)
    assert changed.tolist() == [False, True, False, True, False]
    np.testing.assert_allclose(table.detach()[1], table.detach()[3], rtol=1e-6, err_msg="twice the gradient, one step")


def test_its_state_is_taken_and_put_back() -> None:
    from recdistill.training.state import restore, state_of

    def stepped(optimizer: RowAdam, table: nn.Parameter, row: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.embedding(torch.tensor([row]), table, sparse=True).square().sum().backward()
        optimizer.step()

    table = nn.Parameter(torch.arange(6.0).reshape(3, 2))
    optimizer = RowAdam([table], lr=0.1, eps=1e-10)
    for row in (0, 2, 0):
        stepped(optimizer, table, row)
    again = nn.Parameter(table.detach().clone())
    other = RowAdam([again], lr=0.1, eps=1e-10)
    taken = state_of(optimizer)
    restore(other, taken)
    for row in (2, 1, 0):
        stepped(optimizer, table, row)
        stepped(other, again, row)
    np.testing.assert_array_equal(table.detach(), again.detach())


def test_without_a_gradient_nothing_moves() -> None:
    table = nn.Parameter(torch.ones(2, 2))
    RowAdam([table], lr=0.1, eps=1e-10).step()
    assert (table.detach() == 1).all()
