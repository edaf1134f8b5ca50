"""What a teacher says: asked once, written whole, checked when it is read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recdistill as rd
from recdistill.data.interactions import Interactions
from recdistill.errors import ArtifactError, DataError, KnowledgeError
from recdistill.knowledge.extract import fit_temperature
from recdistill.knowledge.store import Knowledge
from recdistill.serving.scorers import Histories
from tests.conftest import tiny_frame


@pytest.fixture(scope="module")
def train() -> Interactions:
    frame = tiny_frame()
    return Interactions.from_ids(frame["user_id"].to_numpy(object), frame["item_id"].to_numpy(object))


@pytest.fixture(scope="module")
def ease(train: Interactions) -> rd.EASE:
    return rd.EASE(regularization=20.0).fit(train)


@pytest.fixture(scope="module")
def svd(train: Interactions) -> rd.SVD:
    return rd.SVD(dim=8).fit(train)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def test_lists_are_the_teachers_best_items_own_ones_flagged(train: Interactions, ease: rd.EASE) -> None:
    known = Knowledge.extract(ease, train, top_k=10)
    scores = ease.score(Histories.from_csr(train.csr()))
    dense = train.csr().toarray()
    for user in range(train.n_users):
        np.testing.assert_allclose(known.top_scores[user], np.sort(scores[user])[::-1][:10], rtol=1e-5)
        np.testing.assert_array_equal(known.top_own[user], dense[user, known.top_items[user]] > 0)
    assert known.top_own.any(), "own items are kept"


def test_the_tail_is_what_the_softmax_leaves_outside_the_list(train: Interactions, ease: rd.EASE) -> None:
    known = Knowledge.extract(ease, train, top_k=10, temperature=0.1)
    belief = softmax(ease.score(Histories.from_csr(train.csr())).astype(np.float64) / 0.1)
    inside = np.take_along_axis(belief, known.top_items, 1).sum(1)
    np.testing.assert_allclose(known.tail_mass, 1 - inside, atol=1e-5)


def test_vectors_are_given_where_the_teacher_has_them(train: Interactions, svd: rd.SVD, ease: rd.EASE) -> None:
    known = Knowledge.extract(svd, train, top_k=5, temperature=0.5)
    assert known.gives == {"top_k", "scores", "vectors", "all_scores"}
    assert known.logits is None
    assert known.user_vectors is not None
    assert known.item_vectors is not None
    logits = known.user_vectors @ known.item_vectors.T + (0 if known.item_bias is None else known.item_bias)
    np.testing.assert_allclose(logits, svd.score(Histories.from_csr(train.csr())) / 0.5, atol=1e-4)
    assert Knowledge.extract(ease, train, top_k=5).gives == {"top_k", "scores", "all_scores"}


def test_a_teacher_without_vectors_tells_all_its_scores_where_they_are_few(
    train: Interactions, ease: rd.EASE, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Knowledge.extract(ease, train, top_k=5, temperature=0.2)
    assert known.logits is not None
    want = softmax(ease.score(Histories.from_csr(train.csr())).astype(np.float64) / 0.2)
    np.testing.assert_allclose(softmax(known.logits.astype(np.float64)), want, rtol=1e-2, atol=1e-6)
    monkeypatch.setattr("recdistill.knowledge.extract.LOGITS_BYTES", 2 * train.n_users * train.n_items - 1)
    many = Knowledge.extract(ease, train, top_k=5, temperature=0.2)
    assert many.gives == {"top_k", "scores"}
    np.testing.assert_array_equal(many.tail_mass, known.tail_mass)


def test_a_list_longer_than_the_catalogue_is_cut_to_it(train: Interactions, ease: rd.EASE) -> None:
    known = Knowledge.extract(ease, train, top_k=200)
    assert known.top_items.shape == (train.n_users, train.n_items)
    assert (known.tail_mass == 0).all()


@pytest.mark.parametrize("teacher", ["svd", "ease"])
def test_what_is_saved_is_read_back(
    teacher: str, train: Interactions, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    known = Knowledge.extract(request.getfixturevalue(teacher), train, top_k=7, path=tmp_path / "known")
    read = Knowledge.load(tmp_path / "known")
    for field in dataclasses.fields(Knowledge):
        a, b = getattr(known, field.name), getattr(read, field.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
        elif field.name != "item_bias":
            assert a == b


@pytest.mark.parametrize("name", ["lists.safetensors", "vectors.safetensors"])
def test_a_changed_byte_is_refused(train: Interactions, svd: rd.SVD, tmp_path: Path, name: str) -> None:
    Knowledge.extract(svd, train, top_k=7, path=tmp_path / "known")
    path = tmp_path / "known" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=f"{name}: has changed"):
        Knowledge.load(tmp_path / "known")


def test_a_folder_that_is_not_knowledge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not a knowledge folder"):
        Knowledge.load(tmp_path)


def test_knowledge_of_another_log_is_refused(train: Interactions, ease: rd.EASE) -> None:
    frame = tiny_frame(seed=1)
    other = Interactions.from_ids(frame["user_id"].to_numpy(object), frame["item_id"].to_numpy(object))
    known = Knowledge.extract(ease, train, top_k=5)
    known.check(train)
    with pytest.raises(KnowledgeError, match="of another log"):
        known.check(other)


@pytest.mark.parametrize("part", ["top_scores", "item_vectors"])
def test_knowledge_that_holds_nan_is_refused_before_training(train: Interactions, svd: rd.SVD, part: str) -> None:
    known = Knowledge.extract(svd, train, top_k=5)
    broken = getattr(known, part).copy()
    broken[3, 1] = np.nan
    rows = len(broken)
    with pytest.raises(KnowledgeError, match=f"NaN or infinity in 1 of {rows} rows of its {part}"):
        rd.distill(dataclasses.replace(known, **{part: broken}), student=rd.TwoTower(dim=4, user_id=False), on=train)


def test_an_objective_that_needs_more_than_the_source_gives_is_refused(train: Interactions, ease: rd.EASE) -> None:
    known = Knowledge.extract(ease, train, top_k=5)
    says = "HTD needs the teacher's vectors; this source gives all_scores, scores, top_k only"
    with pytest.raises(KnowledgeError, match=says):
        known.require({"vectors"}, by="HTD")


def test_the_fitted_temperature_makes_the_softmax_likeliest(train: Interactions, ease: rd.EASE) -> None:
    split = rd.Split(train, None, valid_part(train), "per_user").hold_out(seed=3)
    assert split.valid is not None
    teacher = rd.EASE(regularization=20.0).fit(split.train)
    fitted = fit_temperature(teacher.scorer, split.train, split.valid)
    scores = teacher.score(Histories.from_csr(split.train.csr()[split.valid.user_rows])).astype(np.float64)
    scores[split.train.csr()[split.valid.user_rows].nonzero()] = -np.inf
    user, item = split.valid.relevant.nonzero()

    def likelihood(temperature: float) -> float:
        return float(np.log(softmax(scores / temperature)[user, item]).mean())

    assert likelihood(fitted) > likelihood(fitted * 2)
    assert likelihood(fitted) > likelihood(fitted / 2)


def valid_part(train: Interactions) -> rd.HeldOut:
    """Any part: each user's own rows."""
    return rd.HeldOut(train.users.ids(), np.arange(train.n_users), train.csr(), np.diff(train.csr().indptr))


def test_a_table_from_elsewhere_becomes_lists(train: Interactions) -> None:
    table = pd.DataFrame(
        [
            ("u000", "item 3", 2.0),
            ("u000", "item 5", 7.0),
            ("u000", "item 5", 1.0),
            ("u002", "item 4", 1.0),
            ("nobody", "item 4", 9.0),
        ],
        columns=["user_id", "item_id", "score"],
    )
    known = Knowledge.from_table(table, train, top_k=2, temperature=2.0)
    items = train.items.rows(np.array(["item 5", "item 3", "item 4"], object))
    np.testing.assert_array_equal(known.top_items[:3], [[items[0], items[1]], [-1, -1], [items[2], -1]])
    np.testing.assert_array_equal(known.top_scores[:3], [[3.5, 1.0], [0, 0], [0.5, 0]])
    assert known.teacher["settings"]["rows_unknown_to_the_log"] == 1
    assert known.teacher["users_without_list"] == train.n_users - 2
    assert not known.top_own[known.top_items < 0].any()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_is_read_from_a_file(train: Interactions, tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame({"user_id": ["u001"], "item_id": ["item 2"], "score": [1.5]})
    path = tmp_path / f"scores{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    assert Knowledge.from_table(path, train).top_scores[1, 0] == 1.5


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ({"user_id": ["u001"], "item_id": ["item 2"]}, DataError, "no column 'score'"),
        ({"user_id": ["u001"], "item_id": ["item 2"], "score": ["x"]}, DataError, "not numbers"),
        ({"user_id": ["u001"], "item_id": [None], "score": [1.0]}, DataError, "are empty"),
        ({"user_id": ["u001"], "item_id": ["item 2"], "score": [np.inf]}, DataError, "not finite"),
        ({"user_id": ["x"], "item_id": ["item 2"], "score": [1.0]}, KnowledgeError, "none of its rows"),
    ],
)
def test_a_table_that_cannot_teach_is_refused(
    train: Interactions, table: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Knowledge.from_table(pd.DataFrame(table), train)


def test_a_table_file_that_is_not_there_is_named(train: Interactions, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        Knowledge.from_table(tmp_path / "none.csv", train)


def test_a_temperature_of_zero_is_refused(train: Interactions) -> None:
    with pytest.raises(KnowledgeError, match="above 0"):
        Knowledge.from_table(pd.DataFrame(), train, temperature=0.0)


def test_knowledge_is_told_in_one_line(train: Interactions, svd: rd.SVD) -> None:
    known = Knowledge.extract(svd, train, top_k=10)
    size = f"{train.n_users} users x top 10 of {train.n_items} items"
    assert repr(known) == f"Knowledge({size}; all_scores, scores, vectors; teacher svd d=8)"
    assert repr(dataclasses.replace(known, teacher={})).endswith("vectors)")
