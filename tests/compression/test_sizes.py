"""Bytes are known before anything is trained, and budgets are kept."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.compression.sizes import (
    NARROWEST,
    PLACES,
    Shape,
    budget_name,
    parsed_size,
    shapes,
    size_in_bytes,
    student_bytes,
)
from recdistill.errors import ConfigError
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_order import FARTHEST
from recdistill.tables.codec_names import TRAINED_CODECS
from tests.models.conftest import N_ITEMS, draw_log

FILMS = 3043


@pytest.mark.parametrize("dim", [1, 5, 8])
@pytest.mark.parametrize("codec", TRAINED_CODECS)
def test_a_trained_student_weighs_what_was_said_before(codec: str, dim: int) -> None:
    student = TwoTower(dim=dim, codec=codec, table="tied", user_id=False, epochs=1).fit(draw_log())
    assert student.scorer.nbytes == student_bytes(N_ITEMS, codec, dim)


def test_where_order_counts_the_weights_of_places_are_counted() -> None:
    from dataclasses import replace

    log = draw_log()
    log = replace(log, times=np.arange(log.n_rows))
    student = TwoTower(dim=4, codec="int4", table="tied", user_id=False, order=True, epochs=1).fit(log)
    assert student.scorer.nbytes == student_bytes(N_ITEMS, "int4", 4, ordered=True)
    assert PLACES == FARTHEST


@pytest.mark.parametrize("limit", [30_000, 60_000, 125_000, 250_000])
def test_shapes_fill_the_budget_and_one_dimension_more_is_over_it(limit: int) -> None:
    found = shapes(FILMS, limit)
    assert found
    for shape in found:
        assert shape.bytes == student_bytes(FILMS, shape.codec, shape.dim) <= limit
        assert student_bytes(FILMS, shape.codec, shape.dim + 1) > limit or shape.dim == 320
    dims = [shape.dim for shape in found]
    assert dims == sorted(dims)  # fewer bits, more dimensions


def test_an_impossible_budget_gets_the_smallest_that_is_possible() -> None:
    least = student_bytes(FILMS, "binary", NARROWEST)
    with pytest.raises(
        ConfigError, match=rf"budget of 2.0 kB: the smallest .* takes {least / 1000:.1f} kB \(binary, d="
    ):
        shapes(FILMS, 2_000)
    assert shapes(FILMS, least) == [Shape("binary", NARROWEST, least)]


@pytest.mark.parametrize(
    ("text", "size"), [("125kB", 125_000), ("1.5 MB", 1_500_000), ("12b", 12), ("2gb", 2_000_000_000)]
)
def test_sizes_are_read_in_powers_of_a_thousand(text: str, size: int) -> None:
    assert size_in_bytes(text) == parsed_size(text) == size


@pytest.mark.parametrize("text", ["int8", "fp16", "kB", "12", "1.2.3kB", "-3kB"])
def test_what_is_no_size_is_none_and_refused_as_a_budget(text: str) -> None:
    assert parsed_size(text) is None
    with pytest.raises(ConfigError, match="write it like '100kB'"):
        size_in_bytes(text)


def test_a_budget_has_one_name() -> None:
    assert {budget_name(text) for text in ("125kB", "125KB", " 125 kb ")} == {"125kB"}
    assert budget_name("1.5mb") == "1.5MB"


def test_a_codec_of_so_many_parts_needs_as_many_dimensions() -> None:
    found = {shape.codec: shape.dim for shape in shapes(3000, 60_000, codecs=("int4", "pq16", "pq8"))}
    assert set(found) == {"int4", "pq8"}  # 16 parts of 16 dimensions leave no room for the codebooks
    assert found["pq8"] == (60_000 - student_bytes(3000, "pq8", 0)) // 512
    with pytest.raises(ConfigError, match=rf"takes {student_bytes(3000, 'pq16', 16) / 1000:.1f} kB \(pq16, d=16\)"):
        shapes(3000, 30_000, codecs=("pq16",))
