from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.data.vocab import Vocab
from recdistill.errors import DataError

integers = st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=30)
words = st.lists(st.text(max_size=8).filter(lambda text: text.isprintable()), unique=True, min_size=1, max_size=30)


@given(integers | words, st.randoms())
def test_ids_and_rows_undo_each_other_in_any_order(ids: list, random) -> None:
    vocab = Vocab(ids)
    rows = list(range(len(ids)))
    random.shuffle(rows)
    assert vocab.ids(rows).tolist() == [ids[row] for row in rows]
    assert vocab.rows([ids[row] for row in rows]).tolist() == rows


@given(integers | words)
def test_a_vocabulary_survives_its_arrays(ids: list) -> None:
    vocab = Vocab(ids)
    back = Vocab.from_arrays(vocab.arrays())
    assert back == vocab or not ids
    assert back.sha256() == vocab.sha256()
    assert hash(back) == hash(vocab)


@given(integers)
def test_an_integer_is_found_under_its_spelling_and_the_other_way_round(ids: list[int]) -> None:
    spelled = [str(one) for one in ids]
    if ids:
        assert Vocab(ids).rows(spelled).tolist() == list(range(len(ids)))
        assert Vocab(spelled).rows(ids).tolist() == list(range(len(ids)))


@pytest.mark.parametrize(
    "stranger", ["07", " 7", "7.0", "+7", "-0", "", None, True, 7.5, float("nan"), 2**70, "9" * 40, "\u0667"]
)
def test_what_only_looks_like_an_id_is_unknown(stranger: object) -> None:
    vocab = Vocab([7, 1, 0])
    assert vocab.rows([stranger, 7]).tolist() == [-1, 0]


def test_whole_floats_and_numpy_scalars_are_found() -> None:
    assert Vocab([5, 7]).rows([7.0, np.int32(5), np.float32(7)]).tolist() == [1, 0, 1]
    assert Vocab(["5", "7"]).rows([7.0, np.int32(5), True]).tolist() == [1, 0, -1]
    assert Vocab([5, 7]).rows(np.array(["7", "5"], dtype=object)).tolist() == [1, 0]


def test_large_unsigned_and_mixed_ids_lose_nothing_on_the_way() -> None:
    assert Vocab([2**53 + 1, 2**53]).rows(np.array([2**53, 2**53 + 1], dtype=np.uint64)).tolist() == [1, 0]
    assert Vocab([1]).rows(np.array([2**64 - 1], dtype=np.uint64)).tolist() == [-1]
    assert Vocab([3, 4]).rows([4, "x", "3"]).tolist() == [1, -1, 0]


def test_an_empty_vocabulary_knows_nobody() -> None:
    assert Vocab([]).rows([1, "a"]).tolist() == [-1, -1]
    assert Vocab(np.zeros(0, dtype=np.int64)).rows([1]).tolist() == [-1]


def test_order_is_part_of_the_hash_and_of_equality() -> None:
    assert Vocab([1, 2]) != Vocab([2, 1])
    assert Vocab([1, 2]).sha256() != Vocab([2, 1]).sha256()
    assert Vocab([1, 2]) != Vocab(["1", "2"])
    assert Vocab(["ab", "c"]).sha256() != Vocab(["a", "bc"]).sha256()
    assert Vocab([1]) != [1]


@pytest.mark.parametrize(
    ("ids", "fault"),
    [
        ([1, 2, 1], "1 of 3 ids are repeated"),
        (["a", "a"], "1 of 2 ids are repeated"),
        ([1, "a"], "all integers .* or all strings; found 1"),
        ([1.5], "found 1.5"),
        ([None], "found None"),
        ([2**64], "found 18446744073709551616"),
        (np.zeros((2, 2), dtype=np.int64), r"shape \(2, 2\)"),
    ],
)
def test_ids_that_cannot_be_a_vocabulary_are_refused(ids: object, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        Vocab(ids)


def test_ids_that_are_not_unicode_are_refused_when_stored() -> None:
    with pytest.raises(DataError, match="cannot be written as UTF-8"):
        Vocab(["\ud800"]).arrays()


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"words": np.zeros(1)}, "stored as 'int64' or as 'bytes'"),
        ({"bytes": np.zeros(3, np.uint8), "offsets": np.array([0, 2])}, "offsets do not fit"),
        ({"bytes": np.zeros(3, np.uint8), "offsets": np.array([], dtype=np.int64)}, "offsets do not fit"),
        ({"bytes": np.array([255], np.uint8), "offsets": np.array([0, 1])}, "not UTF-8"),
    ],
)
def test_stored_arrays_that_were_changed_are_refused(arrays: dict, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        Vocab.from_arrays(arrays)


def test_the_vocabulary_loads_without_the_heavy_libraries() -> None:
    heavy = "{'torch', 'pandas', 'pyarrow', 'scipy'}"
    code = f"import sys, recdistill.data.vocab; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("ids", [[5, 1, 0, 9], [2**62, -7, 0, 1], list(range(500, 0, -1)), ["a", "1", "é"]])
def test_rows_of_known_ids_are_those_of_any(ids: list[int | str], many: bool) -> None:
    vocab = Vocab(ids)
    asked = [*ids, ids[0]] * (600 if many else 1)
    found = vocab.rows_of_known(asked)
    assert found is not None and found.tolist() == vocab.rows(asked).tolist()


@pytest.mark.parametrize("stranger", [7, "07", None, True, 0.5, 2**70, [1], float("nan"), -1, 10**9])
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("ids", [[5, 1, 0, 9], ["5", "1", "0"], [1, 2**40]])
def test_where_one_id_is_unknown_or_spelled_otherwise_the_quick_way_gives_up(
    ids: list[int | str], many: bool, stranger: object
) -> None:
    asked = [ids[0]] * (2000 if many else 2)
    assert Vocab(ids).rows_of_known([*asked, stranger]) is None
    if isinstance(ids[0], int):
        assert Vocab(ids).rows_of_known([*asked, str(ids[0])]) is None


def test_ids_between_the_known_ones_and_beyond_them_are_unknown() -> None:
    vocab = Vocab([10, 30, 20])
    assert vocab.rows(np.array([9, 10, 11, 20, 30, 31, -(2**63), 2**63 - 1])).tolist() == [-1, 0, -1, 2, 1, -1, -1, -1]
