"""Codecs that are trained through: what training sees is what is stored, and gradients pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recdistill.tables.codec_names import BITS, TRAINED_CODECS, WITH_STEPS
from recdistill.tables.codecs import CODECS, CodedTable
from recdistill.tables.coded import CodedFull, CodedTied
from recdistill.tables.trained import LEARNED, TRAINED

N, D = 40, 11


def rows(seed: int = 0, n: int = N, d: int = D) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def awkward() -> Tensor:
    """With a row and a dimension of zeros, a constant dimension, and values far beyond the others."""
    matrix = rows(1)
    matrix[3], matrix[:, 2], matrix[:, 5] = 0.0, 0.0, 0.25
    matrix[7, 0], matrix[8, 1] = 50.0, -1e-7
    return matrix


def test_the_names_are_those_of_the_codecs_and_of_what_trains_through_them() -> None:
    assert tuple(TRAINED) == TRAINED_CODECS and tuple(LEARNED) == WITH_STEPS
    assert all(name in CODECS for name in TRAINED_CODECS)
    sizes = [CODECS[name].nbytes(1000, 64) for name in TRAINED_CODECS]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("codec", "learned"), [*((name, False) for name in TRAINED_CODECS), *((name, True) for name in WITH_STEPS)]
)
@pytest.mark.parametrize("matrix", [rows(), awkward(), rows(n=1), rows(d=1)], ids=["plain", "awkward", "row", "column"])
def test_a_step_decodes_the_bits_that_are_stored(codec: str, matrix: Tensor, learned: bool) -> None:
    module = (LEARNED if learned else TRAINED)[codec](matrix)
    stored = module.export(matrix)
    assert stored.codec == codec
    np.testing.assert_array_equal(module(matrix, matrix).detach().numpy(), stored.matrix())
    some = torch.tensor([0, len(matrix) - 1])
    np.testing.assert_array_equal(module(matrix[some], matrix).detach().numpy(), stored.rows(some.numpy()))


@pytest.mark.parametrize("codec", ["fp16", "int8", *BITS])
def test_what_is_stored_is_what_the_codec_itself_makes(codec: str) -> None:
    matrix = rows()
    own, stored = CodedTable.of(matrix.numpy(), codec), TRAINED[codec](matrix).export(matrix)
    differ = own.matrix() != stored.matrix()
    if codec in BITS:  # the last bit of a step, taken in another order of sums
        assert np.abs(own.arrays["scales"] - stored.arrays["scales"]).max() <= 1e-3
        assert differ.mean() < 0.5
    else:
        assert not differ.any()


@pytest.mark.parametrize("codec", TRAINED_CODECS)
def test_gradients_go_straight_through(codec: str) -> None:
    matrix, given = rows().requires_grad_(), rows(2)
    (TRAINED[codec](matrix.detach())(matrix, matrix) * given).sum().backward()
    torch.testing.assert_close(matrix.grad, given)


@pytest.mark.parametrize("codec", WITH_STEPS)
def test_a_learned_step_that_starts_too_wide_narrows_to_what_errs_least(codec: str) -> None:
    matrix = rows(n=2000, d=2)
    module = LEARNED[codec](matrix)
    with torch.no_grad():
        module.growth += 1.0  # type: ignore[attr-defined]

    def error() -> Tensor:
        return (module(matrix, matrix) - matrix).square().mean()

    before, fixed = error().item(), (TRAINED[codec](matrix)(matrix, matrix) - matrix).square().mean().item()
    optimizer = torch.optim.Adam([module.growth], lr=0.02)  # type: ignore[attr-defined]
    for _ in range(150):
        optimizer.zero_grad()
        error().backward()
        optimizer.step()
    assert error().item() < 1.05 * fixed < before


def test_values_beyond_a_learned_grid_get_no_gradient_and_those_within_get_it_whole() -> None:
    matrix = torch.tensor([[0.1], [0.2], [-0.1], [90.0]], requires_grad=True)
    module = LEARNED["int2"](matrix.detach())
    module(matrix, matrix).sum().backward()
    assert matrix.grad is not None
    assert matrix.grad[:, 0].tolist() == [1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("codec", TRAINED_CODECS)
@pytest.mark.parametrize("tied", [True, False])
def test_a_sample_of_the_items_has_the_rows_of_the_whole_table(codec: str, tied: bool) -> None:
    table = CodedTied(rows(), codec) if tied else CodedFull(rows(), rows(3), codec)
    shown = torch.tensor([0, 4, 39])
    history, items = table.among(shown)
    torch.testing.assert_close(items, table.item_rows()[shown], rtol=0, atol=0)
    torch.testing.assert_close(history, table.history_rows()[shown], rtol=0, atol=0)


def test_items_are_about_of_length_1_and_weigh_in_a_history_what_their_rows_are_long() -> None:
    start = rows() * torch.linspace(0.5, 2.0, N)[:, None]
    table = CodedTied(start, "int8")
    torch.testing.assert_close(table.item_rows().norm(dim=1), torch.ones(N), rtol=0, atol=0.01)
    torch.testing.assert_close(table.history_rows(), start, rtol=0, atol=0.05)
