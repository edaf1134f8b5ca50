"""Codecs that are trained through: what training sees is what is stored, and gradients pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recdistill.errors import ConfigError
from recdistill.tables.codec_names import TRAINED_CODECS, WITH_STEPS, names_to_train, trained_through
from recdistill.tables.codecs import CODECS, CodedTable
from recdistill.tables.codecs.summed import SummedCodec
from recdistill.tables.coded import CodedFull, CodedTied, codec_of
from recdistill.tables.trained import LEARNED, TrainedCodec, trained_codec
from recdistill.tables.trained_centroids import ProductCentroids
from recdistill.tables.trained_low_rank import LowRank
from recdistill.tables.trained_shared import EVERY, SharedCodec

N, D = 40, 11
FAMILIES = (
    "bf16", "int4_row", "binary_row", "int3_group4", "int2_uniform", "mixed10_4_2", "mixed50_3_1", "fp16_dims10_4",
    "int4_dims25_3", "fp16_dims50_0", "pq3", "rq2", "svd4",
)  # fmt: skip
ALL = (*TRAINED_CODECS, *FAMILIES)


def rows(seed: int = 0, n: int = N, d: int = D) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def awkward() -> Tensor:
    """With a row and a dimension of zeros, a constant dimension, and values far beyond the others."""
    matrix = rows(1)
    matrix[3], matrix[:, 2], matrix[:, 5] = 0.0, 0.0, 0.25
    matrix[7, 0], matrix[8, 1] = 50.0, -1e-7
    return matrix


def test_every_codec_but_floats_and_what_pruning_makes_can_be_trained_through() -> None:
    assert tuple(LEARNED) == WITH_STEPS
    names = (*CODECS, *CODECS.examples)
    assert set(names) - set(names_to_train()) == {"fp32", "sparse16", "fp16_sparse16", "int4_sparse16"}
    for name in names_to_train():
        if not isinstance(CODECS[name], SummedCodec):  # a table of their own: `tables.composed`
            matrix = rows(n=80, d=32)
            assert trained_codec(name, matrix).export(matrix).codec == name
    assert not trained_through("int5") and not trained_through("fp32")
    with pytest.raises(ConfigError, match="codec 'fp32': a table cannot be trained through it"):
        trained_codec("fp32", rows())
    assert {type(CODECS[name]) for name in ALL} >= {
        type(CODECS[name]) for name in names_to_train() if not isinstance(CODECS[name], SummedCodec)
    }
    sizes = [CODECS[name].nbytes(1000, 64) for name in TRAINED_CODECS]
    assert sizes == sorted(sizes, reverse=True)


MATRICES = {"plain": rows(), "awkward": awkward(), "row": rows(n=1), "column": rows(d=1)}


@pytest.mark.parametrize(
    ("codec", "learned", "kind"),
    [
        (codec, learned, kind)
        for codec, learned in [*((name, False) for name in ALL), *((name, True) for name in WITH_STEPS)]
        for kind, matrix in MATRICES.items()
        if matrix.shape[1] >= CODECS[codec].narrowest
    ],
)
def test_a_step_decodes_the_bits_that_are_stored(codec: str, learned: bool, kind: str) -> None:
    matrix = MATRICES[kind]
    module = codec_of(codec, matrix, learned=learned)
    stored = module.export(matrix)
    assert stored.codec == codec and stored.nbytes == CODECS[codec].nbytes(*matrix.shape)
    np.testing.assert_array_equal(module(matrix, matrix).detach().numpy(), stored.matrix())
    some = torch.tensor([0, len(matrix) - 1])
    np.testing.assert_array_equal(module(matrix[some], matrix, some).detach().numpy(), stored.rows(some.numpy()))


@pytest.mark.parametrize("codec", ALL)
def test_what_is_stored_is_what_the_codec_itself_makes(codec: str) -> None:
    matrix = rows()
    own, stored = CodedTable.of(matrix.numpy(), codec), trained_codec(codec, matrix).export(matrix)
    assert {name: array.shape for name, array in own.arrays.items()} == {
        name: array.shape for name, array in stored.arrays.items()
    }
    if codec in ("fp16", "bf16", "int8"):
        np.testing.assert_array_equal(own.matrix(), stored.matrix())
    else:  # the last bit of a step, taken in another order of sums
        np.testing.assert_allclose(own.matrix(), stored.matrix(), rtol=0, atol=5e-3)


@pytest.mark.parametrize("codec", ["mixed10_4_2", "int4_dims10_4", "fp16_dims10_0"])
def test_rows_that_were_used_most_have_more(codec: str) -> None:
    matrix, counts = rows(), torch.arange(N).roll(7)
    wanted = CodedTable.of(matrix.numpy(), codec, weights=counts.numpy())
    stored = trained_codec(codec, matrix, counts).export(matrix)
    np.testing.assert_array_equal(stored.arrays["heads"], wanted.arrays["heads"])
    np.testing.assert_allclose(stored.matrix(), wanted.matrix(), rtol=0, atol=5e-3)


@pytest.mark.parametrize("codec", ALL)
def test_gradients_go_straight_through(codec: str) -> None:
    matrix, given = rows().requires_grad_(), rows(2)
    (trained_codec(codec, matrix.detach())(matrix, matrix) * given).sum().backward()
    torch.testing.assert_close(matrix.grad, given)


@pytest.mark.parametrize("codec", WITH_STEPS)
def test_a_learned_step_that_starts_too_wide_narrows_to_what_errs_least(codec: str) -> None:
    matrix = rows(n=2000, d=2)
    module = LEARNED[codec](matrix)
    with torch.no_grad():
        module.growth += 1.0  # type: ignore[attr-defined]

    def error() -> Tensor:
        return (module(matrix, matrix) - matrix).square().mean()

    before, fixed = error().item(), (trained_codec(codec, matrix)(matrix, matrix) - matrix).square().mean().item()
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


@pytest.mark.parametrize("codec", ALL)
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


@pytest.mark.parametrize("codec", ["pq3", "rq2", "svd4", "fp16_dims10_4"])
def test_what_rows_share_follows_them_while_they_are_trained_and_not_else(codec: str) -> None:
    before, after, counts = rows(n=400), rows(9, n=400), torch.arange(400)
    before[:, :4] *= 5
    after[:, 4:8] *= 5
    module = trained_codec(codec, before, counts)
    assert isinstance(module, SharedCodec)

    def error(one: TrainedCodec) -> float:
        with torch.no_grad():
            return float((one(after, after) - after).square().mean())

    errors = [error(module) for _ in range(2 * EVERY)]
    assert len(set(errors)) == 1
    for _ in range(10 * EVERY):
        module(after.requires_grad_(), after)
    after = after.detach()
    anew = error(trained_codec(codec, after, counts))
    assert error(module) < 1.2 * anew < errors[0]
    again = trained_codec(codec, before, counts)
    again.begin(after)  # type: ignore[attr-defined]
    assert error(again) == pytest.approx(anew, rel=1e-3)


def test_a_centroid_that_lost_its_rows_takes_the_farthest_one() -> None:
    matrix = rows(n=600, d=2)
    module = ProductCentroids("pq1", 1, matrix)
    module.books[7] = 1000.0
    matrix[5] = torch.tensor([40.0, -40.0])
    module.renew(matrix)
    np.testing.assert_array_equal(module.books[7].numpy(), matrix[5].numpy())


def test_rows_of_low_rank_are_kept_as_they_are() -> None:
    matrix = rows(n=60, d=3) @ rows(5, n=3, d=D)
    served = LowRank("svd3", 3, matrix)(matrix, matrix)
    torch.testing.assert_close(served, matrix, rtol=0, atol=0.02)
