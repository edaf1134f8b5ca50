"""Items that only a table knows: what they are, and the split whose catalogue has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recdistill.data import splits
from recdistill.data.interactions import HeldOut, Unseen
from recdistill.data.readers import read_interactions
from recdistill.data.split import Split
from recdistill.data.vocab import Vocab
from recdistill.data.widened import new_items, widened
from recdistill.errors import DataError
from recdistill.features import attach

ROWS = [
    (1, 10, "train"), (1, 11, "train"), (1, 12, "test"), (1, 13, "valid"),
    (2, 10, "train"), (2, 12, "test"), (2, 14, "test"), (2, 11, "test"),
    (3, 11, "train"), (3, 10, "test"),
]  # fmt: skip
"""Train knows 10 and 11; 12, 13 and 14 are unseen."""


def split_of(table: list[object] | None = None) -> Split:
    log = read_interactions(pd.DataFrame(ROWS, columns=["user_id", "item_id", "split"]), split_column="split")
    if table is not None:
        log = attach(log, items=pd.DataFrame({"item_id": table, "size": range(len(table))}))
    return splits.given(log)


def wanted(held: HeldOut, items: Vocab) -> list[list[int]]:
    return [items.ids(held.relevant[place].indices).tolist() for place in range(len(held))]


def test_which_unseen_items_people_wanted_is_kept() -> None:
    test = split_of().test
    assert test.unseen is not None
    assert test.unseen.items.ids().tolist() == [12, 14]
    assert test.unseen.relevant.toarray().tolist() == [[1, 0], [1, 1], [0, 0]]
    assert (np.diff(test.relevant.indptr) + np.diff(test.unseen.relevant.indptr)).tolist() == [1, 3, 1]
    part = test.take(np.array([1]))
    assert part.unseen is not None and part.unseen.relevant.toarray().tolist() == [[1, 1]]


def test_they_come_back_from_a_folder(tmp_path: Path) -> None:
    split_of().save(tmp_path)
    found = Split.load(tmp_path)
    assert found.test.unseen is not None and found.valid is not None and found.valid.unseen is not None
    assert found.test.unseen.items.ids().tolist() == [12, 14]
    assert found.test.unseen.relevant.toarray().tolist() == [[1, 0], [1, 1], [0, 0]]
    assert found.valid.unseen.items.ids().tolist() == [13]


def test_unseen_items_that_do_not_add_up_are_refused() -> None:
    test = split_of().test
    assert test.unseen is not None
    with pytest.raises(DataError, match="the known and the unseen relevant items are not those that are counted"):
        replace(test, unseen=Unseen(test.unseen.items, test.unseen.relevant[::-1]))


def test_new_items_are_those_of_the_table_that_train_lacks() -> None:
    found = new_items(split_of([11, 14, 99, 12]).train)
    assert found is not None
    assert found.ids.ids().tolist() == [12, 14, 99]  # 99 nobody asks for, 13 no table tells of
    assert new_items(split_of([10, 11]).train) is None
    assert new_items(split_of().train) is None


def test_ids_that_cannot_stand_beside_numbers_are_left_out() -> None:
    found = new_items(split_of(["11", "12", "x9"]).train)
    assert found is not None and found.ids.ids().tolist() == ["12"]


def test_the_test_part_wants_what_the_wide_catalogue_has() -> None:
    split = split_of()
    items = Vocab([*split.train.items.ids().tolist(), 14, 99])
    wide = widened(split, items)
    assert wide.train.n_items == 4 and wide.train.n_rows == split.train.n_rows
    assert wanted(wide.test, items) == [[], [11, 14], [10]]
    assert wide.test.unseen is not None
    assert wide.test.unseen.items.ids().tolist() == [12]
    assert wide.test.relevant_count.tolist() == split.test.relevant_count.tolist()
    assert wide.excluded(wide.test).toarray().tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]


def test_what_is_hidden_stays_what_train_knows() -> None:
    split = split_of().hiding(history="train+valid", exclude="train+valid")
    wide = widened(split, Vocab([*split.train.items.ids().tolist(), 13]))
    assert wide.valid is not None
    assert wide.excluded(wide.test)[:, 2].nnz == 0
    assert wide.histories(wide.test)[:, :2].toarray().tolist() == split.histories(split.test).toarray().tolist()


def test_a_catalogue_that_does_not_begin_with_train_s_is_refused() -> None:
    split = split_of()
    with pytest.raises(DataError, match="must begin with the items of train, in their order"):
        widened(split, Vocab([14, 10, 11]))
