"""Tables of sums of rows of two small ones, trained as they are stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recdistill.tables.codecs import CODECS, CodedTable
from recdistill.tables.composed import ComposedTied

N, D = 50, 6
CODEC_NAMES = ("qr8", "hash12")


def start() -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.5, 2.0, N)[:, None]


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_what_is_stored_is_what_training_ranks_by(codec: str) -> None:
    table = ComposedTied(start(), codec)
    exported = table.export()
    stored = exported["item_table"]
    assert isinstance(stored, CodedTable) and stored.codec == codec
    assert stored.nbytes == CODECS[codec].nbytes(N, D)
    np.testing.assert_array_equal(stored.matrix(), table.item_rows().detach().numpy())
    weights = exported["history_weight"]
    assert isinstance(weights, Tensor)
    np.testing.assert_array_equal(
        stored.matrix() * weights.detach().numpy()[:, None], table.history_rows().detach().numpy()
    )


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_it_starts_near_the_rows_with_a_length_of_about_1(codec: str) -> None:
    rows = start()
    table = ComposedTied(rows, codec)
    served = table.item_rows().detach()
    assert served.square().sum(1).mean().item() == pytest.approx(1.0, abs=1e-2)
    likeness = torch.nn.functional.cosine_similarity(served, rows).mean()
    assert likeness > 0.3  # of N rows in 15 to 24 sums
    torch.testing.assert_close(table.weights[:, 0], rows.norm(dim=1))


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_a_sample_of_the_items_has_the_rows_and_the_gradients_of_the_whole(codec: str) -> None:
    table, shown = ComposedTied(start(), codec), torch.tensor([0, 9, 49])
    history, items = table.among(shown)
    torch.testing.assert_close(items, table.item_rows()[shown], rtol=0, atol=0)
    torch.testing.assert_close(history, table.history_rows()[shown], rtol=0, atol=0)
    (history.sum() + (2 * items).sum()).backward()
    found = [one.grad.to_dense() for one in table.parameters() if one.grad is not None]
    table.zero_grad()
    (table.history_rows()[shown].sum() + (2 * table.item_rows()[shown]).sum()).backward()
    wanted = [one.grad for one in table.parameters()]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_rows_that_are_such_sums_are_learned(codec: str) -> None:
    aim = ComposedTied(start(), codec)
    with torch.no_grad():
        aim.first.normal_(generator=torch.Generator().manual_seed(3))
        aim.second.normal_(generator=torch.Generator().manual_seed(4))
        wanted = aim.item_rows()
    table = ComposedTied(start(), codec)
    optimizer = torch.optim.Adam([table.first, table.second], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (table.item_rows() - wanted).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(table.item_rows(), wanted, rtol=0, atol=0.02)
