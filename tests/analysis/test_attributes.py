"""Groups by what is known of items: levels, lists, numbers in parts; nothing that names a single thing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from recdistill.analysis.attributes import MOST_LEVELS, SHOWN_LEVELS, attributes
from recdistill.data.vocab import Vocab
from recdistill.features import Features
from recdistill.features.table import TYPES, Feature

Groups = list[tuple[str, list[int]]]


def groups_of(kind: Any, values: list[Any], weight: list[int] | None = None) -> Groups:
    """Name and rows of each group that one column makes; none where it makes no groups."""
    ids = Vocab([f"i{row}" for row in range(len(values))])
    features = Features(ids, {"what": Feature(kind, pa.array(values, TYPES[kind]))})
    found = attributes(features, ids, np.ones(len(values)) if weight is None else np.array(weight))
    return [(name, np.flatnonzero(members).tolist()) for one in found for name, members in one.groups]


def test_levels_come_with_the_heaviest_first_and_without_those_that_nobody_wants() -> None:
    assert groups_of("category", ["calm", "wild", "wild", "grim"], [1, 5, 1, 0]) == [("wild", [1, 2]), ("calm", [0])]


def test_an_item_is_in_every_group_of_its_list() -> None:
    assert groups_of("list", [["war", "noir"], ["noir"], None]) == [("noir", [0, 1]), ("war", [0])]


def test_groups_are_over_the_rows_of_the_vocabulary() -> None:
    kinds = Feature("category", pa.array(["x", "y"], TYPES["category"]))
    (one,) = attributes(Features(Vocab(["a", "b"]), {"kind": kinds}), Vocab(["new", "b", "a"]), np.ones(3))
    assert not one.overlapping
    assert [(name, members.tolist()) for name, members in one.groups] == [
        ("x", [False, False, True]), ("y", [False, True, False]),
    ]  # fmt: skip


def test_numbers_make_three_parts_that_are_wanted_as_often() -> None:
    years = [1990, 1991, 1992, 1993, 1994, 1995]
    thirds = [("1990 to 1991", [0, 1]), ("1992 to 1993", [2, 3]), ("1994 to 1995", [4, 5])]
    assert groups_of("number", years) == thirds
    assert groups_of("number", years, [6, 0, 0, 0, 0, 0]) == []


def test_a_column_that_names_every_item_is_no_group() -> None:
    assert groups_of("category", [f"c{row}" for row in range(MOST_LEVELS + 1)]) == []
    assert len(groups_of("category", [f"k{row % 20}" for row in range(60)])) == SHOWN_LEVELS


def test_titles_are_no_group_and_no_table_makes_none() -> None:
    named = Feature("category", pa.array(["x", "y"], TYPES["category"]))
    assert attributes(Features(Vocab(["a", "b"]), {"name": named}, title="name"), Vocab(["a", "b"]), np.ones(2)) == []
    assert attributes(None, Vocab(["a"]), np.ones(1)) == []
