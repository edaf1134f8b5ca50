"""What else a teacher can give: its best users of an item, what it said earlier, and a control that knows nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.errors import ArtifactError, ConfigError, KnowledgeError
from recdistill.knowledge.store import Knowledge
from recdistill.models.ease import EASE
from recdistill.models.svd import SVD
from tests.models.conftest import N_ITEMS, N_USERS, draw_log


@pytest.fixture(scope="module")
def train() -> Interactions:
    return draw_log()


@pytest.fixture(scope="module")
def vectors(train: Interactions) -> Knowledge:
    return Knowledge.extract(SVD(dim=5).fit(train), train, top_k=9)


@pytest.fixture(scope="module")
def logits(train: Interactions) -> Knowledge:
    return Knowledge.extract(EASE().fit(train), train, top_k=9)


def scores(known: Knowledge) -> np.ndarray:
    if known.logits is not None:
        return known.logits.astype(np.float32)
    assert known.user_vectors is not None and known.item_vectors is not None
    return known.user_vectors @ known.item_vectors.T


@pytest.mark.parametrize("source", ["vectors", "logits"])
@pytest.mark.parametrize("tile", [8_000_000, 130])
def test_an_items_list_holds_its_best_users_who_have_not_used_it(
    source: str, tile: int, train: Interactions, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recdistill.knowledge.item_lists.TILE_FLOATS", tile)
    known = request.getfixturevalue(source)
    lists = known.with_item_lists(train, 6).item_lists
    assert lists.shape == (N_ITEMS, 6)
    found, used = scores(known), train.csr().toarray() > 0
    for item, users in enumerate(lists):
        free = np.flatnonzero(~used[:, item])
        best = np.sort(found[free, item])[::-1][:6]
        np.testing.assert_allclose(found[users, item], best, rtol=1e-5, atol=1e-6)
        assert not used[users, item].any() and len({*users.tolist()}) == 6


def test_an_items_list_ends_where_the_users_do(train: Interactions, vectors: Knowledge) -> None:
    lists = vectors.with_item_lists(train, 500).item_lists
    assert lists is not None
    assert lists.shape == (N_ITEMS, N_USERS)
    np.testing.assert_array_equal((lists >= 0).sum(1), N_USERS - np.bincount(train.item_rows, minlength=N_ITEMS))


def test_users_of_whom_the_teacher_says_nothing_stand_in_no_list(train: Interactions, vectors: Knowledge) -> None:
    nobody = vectors.top_items.copy()
    nobody[:10] = -1
    lists = replace(vectors, top_items=nobody).with_item_lists(train, 500).item_lists
    assert lists is not None
    assert not ((lists >= 0) & (lists < 10)).any()


def test_lists_of_items_need_all_scores(train: Interactions, vectors: Knowledge) -> None:
    lists_alone = replace(vectors, user_vectors=None, item_vectors=None)
    with pytest.raises(
        KnowledgeError, match=r"needs the teacher's all_scores; this source gives scores, top_k only\. All"
    ):
        lists_alone.with_item_lists(train)
    with pytest.raises(ConfigError, match="item lists: k = 0"):
        vectors.with_item_lists(train, 0)


def test_a_trajectory_is_the_unseen_lists_from_easy_to_hard(vectors: Knowledge, logits: Knowledge) -> None:
    known = vectors.with_trajectory([logits], k=4)
    assert "trajectory" in known.gives and "trajectory" not in vectors.gives
    assert known.trajectory is not None
    assert known.trajectory.shape == (2, N_USERS, 4)
    for stage, source in enumerate((logits, vectors)):
        for user in range(N_USERS):
            wanted = source.top_items[user][~source.top_own[user]][:4].tolist()
            assert known.trajectory[stage, user].tolist() == wanted + [-1] * (4 - len(wanted))


def test_a_trajectory_of_nothing_or_of_another_log_is_refused(vectors: Knowledge) -> None:
    with pytest.raises(KnowledgeError, match="needs knowledge of an earlier teacher"):
        vectors.with_trajectory([])
    with pytest.raises(KnowledgeError, match="knowledge 0 is of another log"):
        vectors.with_trajectory([replace(vectors, log_sha256="other")])


def test_what_was_added_is_stored_too(
    train: Interactions, vectors: Knowledge, logits: Knowledge, tmp_path: Path
) -> None:
    known = vectors.with_item_lists(train, 6).with_trajectory([logits])
    known.save(tmp_path / "known")
    read = Knowledge.load(tmp_path / "known")
    assert read.gives == known.gives
    np.testing.assert_array_equal(read.item_lists, known.item_lists)
    np.testing.assert_array_equal(read.trajectory, known.trajectory)
    assert known.sha256() != vectors.sha256()
    path = tmp_path / "known" / "trajectory.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"trajectory\.safetensors: has changed"):
        Knowledge.load(tmp_path / "known")


def test_a_shuffled_teacher_says_of_each_user_what_it_said_of_another(
    train: Interactions, vectors: Knowledge, logits: Knowledge
) -> None:
    known = vectors.with_item_lists(train, 6).with_trajectory([logits])
    shuffled = known.permuted(train, np.random.default_rng(1))
    order = [np.flatnonzero((known.user_vectors == row).all(1))[0] for row in shuffled.user_vectors]  # type: ignore[union-attr]
    assert sorted(order) == list(range(N_USERS)) != order
    np.testing.assert_array_equal(shuffled.top_items, known.top_items[order])
    np.testing.assert_array_equal(shuffled.trajectory, known.trajectory[:, order])  # type: ignore[index]
    used = train.csr().toarray() > 0
    np.testing.assert_array_equal(shuffled.top_own, used[np.arange(N_USERS)[:, None], shuffled.top_items])
    assert shuffled.item_lists is not None and known.item_lists is not None
    np.testing.assert_array_equal(np.asarray(order)[shuffled.item_lists], known.item_lists)
    assert shuffled.teacher["permuted"] is True


def test_beliefs_of_several_teachers_are_mixed(train: Interactions, vectors: Knowledge, logits: Knowledge) -> None:
    known = Knowledge.combined([vectors, logits], train, weights=[3.0, 1.0])
    beliefs = [np.exp(s - s.max(1, keepdims=True)) for s in (scores(vectors).astype(np.float64), scores(logits))]
    wanted = sum(w * p / p.sum(1, keepdims=True) for w, p in zip((0.75, 0.25), beliefs, strict=True))
    np.testing.assert_array_equal(known.top_items[:, 0], wanted.argmax(1))
    np.testing.assert_allclose(np.exp(known.top_scores), np.sort(wanted, 1)[:, ::-1][:, :9], rtol=1e-3)
    np.testing.assert_allclose(known.tail_mass, 1 - np.sort(wanted, 1)[:, ::-1][:, :9].sum(1), atol=1e-4)
    assert known.logits is not None
    np.testing.assert_allclose(np.exp(known.logits.astype(float)), wanted / wanted.max(1, keepdims=True), atol=2e-3)


def test_what_a_list_does_not_hold_has_an_even_part_of_its_tail(train: Interactions, vectors: Knowledge) -> None:
    lists = replace(vectors, user_vectors=None, item_vectors=None, item_bias=None)
    known = Knowledge.combined([lists, lists], train, top_k=N_ITEMS)
    assert known.logits is None
    np.testing.assert_array_equal(known.top_items[:, :9], lists.top_items)
    p = np.exp(known.top_scores.astype(float))
    np.testing.assert_allclose(p.sum(1), 1.0, rtol=1e-4)
    np.testing.assert_allclose(p[:, 9:], np.tile(lists.tail_mass[:, None] / (N_ITEMS - 9), N_ITEMS - 9), rtol=1e-3)


def test_ranks_of_several_teachers_are_summed(train: Interactions, vectors: Knowledge, logits: Knowledge) -> None:
    known = Knowledge.combined([vectors, logits], train, by="ranks")
    for user in (0, 7):
        worth = np.zeros(N_ITEMS)
        for source in (vectors, logits):
            worth[source.top_items[user]] += 1 / (61 + np.arange(9))
        assert worth[known.top_items[user]].tolist() == sorted(worth, reverse=True)[:9]


def test_a_teacher_counts_more_for_users_whose_valid_items_it_ranks_well(
    train: Interactions, vectors: Knowledge, logits: Knowledge
) -> None:
    """The valid item of even users is the first unseen one of one teacher, of odd users that of the other."""
    users = np.arange(N_USERS)
    first = [known.top_items[users, known.top_own.argmin(1)] for known in (vectors, logits)]
    wanted = np.where(users % 2 == 0, first[0], first[1])
    relevant = csr_matrix((np.ones(N_USERS, np.float32), (np.arange(N_USERS), wanted)), shape=(N_USERS, N_ITEMS))
    valid = HeldOut(train.users.ids(), np.arange(N_USERS), relevant, np.ones(N_USERS, np.int64))
    even, judged = (Knowledge.combined([vectors, logits], train, valid=part, top_k=N_ITEMS) for part in (None, valid))

    def of_wanted(known: Knowledge) -> np.ndarray:
        return np.where(known.top_items == wanted[:, None], known.top_scores, 0.0).sum(1)

    parted = first[0] != first[1]
    assert parted.any()
    assert (of_wanted(judged) - of_wanted(even))[parted].mean() > 0


def test_teachers_that_cannot_be_combined_are_refused(train: Interactions, vectors: Knowledge) -> None:
    with pytest.raises(KnowledgeError, match="1 sources; give two"):
        Knowledge.combined([vectors], train)
    with pytest.raises(ConfigError, match="one for each of 2"):
        Knowledge.combined([vectors, vectors], train, weights=[1.0])
    with pytest.raises(ConfigError, match="by = 'votes'"):
        Knowledge.combined([vectors, vectors], train, by="votes")  # type: ignore[arg-type]
    with pytest.raises(KnowledgeError, match="of another log"):
        Knowledge.combined([vectors, replace(vectors, log_sha256="other")], train)
