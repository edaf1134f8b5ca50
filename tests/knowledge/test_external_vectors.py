"""Vectors of a model from another library: placed by their ids, checked, and taught from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recdistill as rd
from recdistill.data.interactions import Interactions
from recdistill.errors import KnowledgeError
from recdistill.knowledge.store import Knowledge
from tests.conftest import tiny_frame

DIM = 6


@pytest.fixture(scope="module")
def train() -> Interactions:
    frame = tiny_frame()
    return Interactions.from_ids(frame["user_id"].to_numpy(object), frame["item_id"].to_numpy(object))


@pytest.fixture(scope="module")
def vectors(train: Interactions) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.normal(size=(train.n_users, DIM)), draw.normal(size=(train.n_items, DIM))


def test_vectors_in_the_rows_of_the_log_tell_their_products(train: Interactions, vectors: Any) -> None:
    users, items = vectors
    bias = np.arange(train.n_items) / 10
    known = Knowledge.from_vectors(users, items, train, item_bias=bias, top_k=7, temperature=2.0)
    logits = (users @ items.T + bias) / 2.0
    want = np.argsort(-logits, axis=1)[:, :7]
    np.testing.assert_array_equal(known.top_items, want)
    np.testing.assert_allclose(known.top_scores, np.take_along_axis(logits, want, 1), rtol=1e-5, atol=1e-5)
    belief = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(known.tail_mass, 1 - np.take_along_axis(belief, want, 1).sum(1), atol=1e-5)
    own = train.csr().toarray() > 0
    np.testing.assert_array_equal(known.top_own, np.take_along_axis(own, want, 1))
    assert known.gives == {"top_k", "scores", "vectors", "all_scores"}
    known.check(train)


def test_external_ids_put_rows_in_any_order_where_the_log_has_them(train: Interactions, vectors: Any) -> None:
    users, items = vectors
    draw = np.random.default_rng(1)
    u, i = draw.permutation(train.n_users), draw.permutation(train.n_items)
    moved = Knowledge.from_vectors(
        users[u], items[i], train, user_ids=train.users.ids(u), item_ids=train.items.ids(i).tolist()
    )
    plain = Knowledge.from_vectors(users, items, train)
    np.testing.assert_array_equal(moved.top_items, plain.top_items)
    np.testing.assert_array_equal(moved.user_vectors, plain.user_vectors)  # type: ignore[arg-type]


def test_what_the_log_does_not_know_is_left_out_and_counted(train: Interactions, vectors: Any) -> None:
    users, items = vectors
    more = np.concatenate([np.full((1, DIM), 99.0), items])  # such as the padding row of RecBole's tables
    known = Knowledge.from_vectors(users, more, train, item_ids=["[PAD]", *train.items.ids()])
    np.testing.assert_array_equal(known.top_items, Knowledge.from_vectors(users, items, train).top_items)
    assert known.teacher["settings"]["items_unknown_to_the_log"] == 1


def test_users_and_items_without_a_vector_are_counted_and_in_no_list(train: Interactions, vectors: Any) -> None:
    users, items = (array.copy() for array in vectors)
    users[5] = 0  # a row that another library never trained
    had, named = np.arange(10, train.n_items), train.users.ids()[3:]
    known = Knowledge.from_vectors(
        users[3:], items[had], train, user_ids=named, item_ids=train.items.ids(had), top_k=200
    )
    assert known.top_items.shape == (train.n_users, len(had))
    np.testing.assert_array_equal(np.flatnonzero(~known.users_known), [0, 1, 2, 5])
    assert known.teacher["users_without_list"] == 4
    assert known.teacher["settings"]["items_without_vector"] == 10
    assert set(known.top_items[3]) == set(had.tolist())
    assert known.user_vectors is not None
    assert known.item_vectors is not None
    np.testing.assert_allclose(
        known.user_vectors[3] @ known.item_vectors[0], (users[3] @ items[had].T).mean(), rtol=1e-4
    )


def test_a_user_of_whom_nothing_is_told_learns_from_labels_alone(train: Interactions, vectors: Any) -> None:
    """The student is the same whatever the vectors of the others say about that user."""
    from recdistill.training.teacher import teacher_source

    users, items = vectors
    known = Knowledge.from_vectors(users[1:], items, train, user_ids=train.users.ids()[1:])
    source = teacher_source(known, temperature=1.0, device=torch.device("cpu"))
    sample = torch.arange(0, train.n_items, 2)
    rows = torch.tensor([0, 1])
    assert source.known(rows).tolist() == [False, True]
    assert source.among(sample, torch.zeros(len(sample))).known(rows).tolist() == [False, True]


def test_tensors_teach_like_arrays(train: Interactions, vectors: Any) -> None:
    users, items = (torch.nn.Parameter(torch.from_numpy(array)) for array in vectors)
    known = Knowledge.from_vectors(users, items, train)
    np.testing.assert_array_equal(known.top_items, Knowledge.from_vectors(*vectors, train).top_items)
    half = Knowledge.from_vectors(users.bfloat16(), items.bfloat16(), train)
    assert (half.top_items[:, 0] == known.top_items[:, 0]).mean() > 0.9


def test_the_temperature_is_fitted_to_valid_items_of_users_with_a_vector(tmp_path: Path) -> None:
    split = rd.split.ratio(rd.read_interactions(tiny_frame()), valid=0.2, test=0.2)
    teacher = rd.ALS(dim=8).fit(split.train)
    users, items = teacher.user_vectors(_histories(split.train), np.arange(split.train.n_users)), teacher.item_vectors()
    known = Knowledge.from_vectors(
        users[1:], items, split.train, user_ids=split.train.users.ids()[1:], valid=split.valid
    )
    assert known.teacher["temperature"] < 0.5, "scores of ALS lie between 0 and 1"
    known.save(tmp_path / "known")
    student = rd.distill(
        Knowledge.load(tmp_path / "known"), student=rd.TwoTower(dim=8, user_id=False, epochs=10), on=split.train
    )
    metrics = rd.evaluate({"student": student, "popularity": rd.Popularity().fit(split.train)}, split, ["ndcg@10"])
    assert metrics["student"].metrics["ndcg@10"] > 1.5 * metrics["popularity"].metrics["ndcg@10"]


def _histories(train: Interactions) -> Any:
    from recdistill.serving.scorers import Histories

    return Histories.from_csr(train.csr())


def test_ids_of_another_kind_are_found(vectors: Any) -> None:
    log = Interactions.from_ids(np.array([1, 2, 3]), np.array([10, 20, 30]))
    users, items = np.eye(3), np.eye(3)
    known = Knowledge.from_vectors(users, items, log, user_ids=["1", "2", "3"], item_ids=["30", "20", "10"], top_k=1)
    assert known.top_items[:, 0].tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"users": np.ones(3)}, r"vectors of users: an array of shape \(3,\); give one row for each"),
        ({"users": [["a", "b"]]}, "vectors of users: <U1, not numbers"),
        ({"users": [[1.0, 2.0], [1.0]]}, "vectors of users: list, not numbers"),
        ({"users": np.zeros((0, DIM))}, r"shape \(0, 6\)"),
        ({"users": np.ones((120, DIM + 1))}, "users have 7 columns, items 6; give both of one model"),
        ({"users": np.ones((7, DIM))}, r"7 rows without ids, the log has 120 users; give the ids .* user_ids="),
        ({"users": np.ones((120, DIM)) * np.nan}, r"120 of 120 rows hold NaN.*\(the first is row 0\)"),
        ({"items": np.full((48, DIM), 1e300)}, "48 of 48 rows hold NaN, infinity or more than float32"),
        ({"items": np.full((48, DIM), 1e38), "users": np.full((120, DIM), 1e38)}, "too large for float32"),
        ({"item_bias": np.ones(5)}, r"item_bias: an array of shape \(5,\) for 48 items"),
        ({"item_bias": np.full(48, np.inf)}, "item_bias: 48 of 48 rows hold NaN"),
        ({"item_ids": ["item 1"]}, "48 rows and 1 ids; give one id for each row"),
        ({"item_ids": ["item 1"] * 48}, "the id 'item 1' stands for several rows; give each id once"),
        ({"item_ids": np.arange(48)}, "none of the 48 ids is in the log, such as 'item 0'"),
        ({"temperature": 0.0}, "give a number above 0"),
        ({"top_k": 0}, "give at least 1"),
    ],
)
def test_vectors_that_cannot_teach_are_refused_in_one_line(
    train: Interactions, vectors: Any, changed: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"users": vectors[0], "items": vectors[1], **changed}
    with pytest.raises(KnowledgeError, match=message) as refused:
        Knowledge.from_vectors(given.pop("users"), given.pop("items"), train, **given)
    assert "\n" not in str(refused.value)
