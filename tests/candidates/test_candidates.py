"""Where the lists of an objective come from: what every source keeps to, and what each one is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from recdistill.candidates.base import Candidates, Listed, Step, in_order
from recdistill.candidates.catalogue import Catalogue, Scored
from recdistill.candidates.groups import PopularityPairs, popularity_groups
from recdistill.candidates.joined import Joined, places_of
from recdistill.candidates.orders import TeacherOrders
from recdistill.candidates.own import Own
from recdistill.candidates.pairs import TeacherPairs
from recdistill.candidates.registry import CANDIDATES
from recdistill.candidates.source import Source
from recdistill.candidates.student_top import NearStudentTop, Overestimated, StudentTop, Underestimated, ranks_in
from recdistill.candidates.teacher_top import RankSampled, TeacherTop
from recdistill.candidates.trajectory import Curriculum, TrajectoryTop
from recdistill.candidates.truncated import ranks_drawn
from recdistill.candidates.unused import ByPopularity, Hard, InBatch, Uniform
from recdistill.data.interactions import Interactions
from recdistill.errors import ConfigError
from recdistill.knowledge.store import Knowledge
from recdistill.training.batches import whole_batches
from tests.models.conftest import draw_log

USERS = np.array([3, 41, 0, 17, 59, 8])
LISTS = 15


@pytest.fixture(scope="module")
def train() -> Interactions:
    return draw_log()


@pytest.fixture(scope="module")
def known(train: Interactions) -> Knowledge:
    draw = np.random.default_rng(5)
    users, items = (draw.standard_normal((n, 4)).astype(np.float32) for n in (train.n_users, train.n_items))
    one = Knowledge.from_vectors(users, items, train, top_k=LISTS, temperature=1.0)
    return one.with_trajectory([one.permuted(train, draw), one])


@pytest.fixture(scope="module")
def step(train: Interactions, known: Knowledge) -> Callable[..., Step]:
    """A step of six users; the student ranks unseen items by row, the last one first."""
    csr = train.csr()
    unseen = csr.toarray() == 0
    top = np.full((train.n_users, 12), -1)
    for user, row in enumerate(unseen):
        best = np.flatnonzero(row)[::-1][:12]
        top[user, : len(best)] = best

    def make(seed: int = 0, users: np.ndarray = USERS, knowledge: Knowledge = known) -> Step:
        batch = whole_batches(csr, 0.5, torch.device("cpu"))(users)
        reached, distance = torch.zeros(train.n_users, dtype=torch.int64), torch.full((train.n_users,), -1.0)
        assert knowledge.trajectory is not None
        return Step(
            batch.users, batch.positives, Source(knowledge, csr), torch.Generator().manual_seed(seed),
            student_top=torch.from_numpy(top).int(), score=lambda items: items.float(),
            curriculum=Curriculum(reached, distance, knowledge.trajectory, TrajectoryTop(k=5)),
        )  # fmt: skip

    return make


@pytest.fixture(params=sorted(CANDIDATES))
def source(request: pytest.FixtureRequest) -> Candidates:
    return CANDIDATES[request.param]()


def own(train: Interactions, listed: Listed) -> np.ndarray:
    """Which of the items (batch, …, n) the user has used."""
    used = train.csr().toarray()[USERS] > 0
    return used[np.arange(len(USERS))[:, None], listed.items.flatten(1).numpy()].reshape(listed.items.shape)


def counted(listed: Listed) -> list[list[int]]:
    rows = zip(listed.items.tolist(), listed.mask.tolist(), strict=True)
    return [[item for item, counts in zip(items, mask, strict=True) if counts] for items, mask in rows]


def test_a_source_gives_rows_of_the_catalogue_and_a_mask(source: Candidates, step: Callable[..., Step]) -> None:
    listed = source.checked(step().source).draw(step())
    assert listed.items.dtype == torch.int64
    assert listed.mask.dtype == torch.bool
    assert listed.items.shape[0] == listed.mask.shape[0] == len(USERS)
    assert listed.items.shape[-1] == listed.mask.shape[-1]
    assert 0 <= int(listed.items.min()) <= int(listed.items.max()) < step().n_items
    assert listed.mask.any()


def test_a_source_draws_the_same_from_the_same_generator(source: Candidates, step: Callable[..., Step]) -> None:
    one, two = source.draw(step(1)), source.draw(step(1))
    assert torch.equal(one.items, two.items) and torch.equal(one.mask, two.mask)


def test_a_source_lists_scores_of_the_teacher_where_it_says_so(source: Candidates, step: Callable[..., Step]) -> None:
    asked = step()
    checked = source.checked(asked.source)
    listed = checked.draw(asked)
    if not checked.told:
        return
    assert listed.scores is not None
    sides = listed.items.flatten(1)
    wanted = asked.source.scores(asked.users, sides)
    mask = listed.mask[:, None].expand_as(listed.items).flatten(1) if listed.items.dim() == 3 else listed.mask
    torch.testing.assert_close(listed.scores.flatten(1)[mask], wanted[mask], atol=2e-2, rtol=2e-3)  # half floats


@pytest.mark.parametrize("name", sorted(set(CANDIDATES) - {"own", "catalogue", "scored", "label_pairs"}))
def test_what_a_user_has_used_is_shown_by_none_that_is_not_asked_for_it(
    name: str, step: Callable[..., Step], train: Interactions
) -> None:
    listed = CANDIDATES[name]().draw(step())
    mask = listed.mask.numpy() if listed.items.dim() == 2 else np.broadcast_to(listed.mask[:, None], listed.items.shape)
    assert not own(train, listed)[mask].any()


def test_no_source_is_refused_on_a_batch_of_one(source: Candidates, step: Callable[..., Step]) -> None:
    assert source.draw(step(users=np.array([7]))).mask.shape[0] == 1


def test_teachers_top_is_its_list_without_what_was_used(step: Callable[..., Step], known: Knowledge) -> None:
    found = counted(TeacherTop(k=4).draw(step()))
    for user, items in zip(USERS, found, strict=True):
        assert items == known.top_items[user][~known.top_own[user] & (known.top_items[user] >= 0)][:4].tolist()
    whole = counted(TeacherTop(k=None, unseen=False).draw(step()))
    assert whole == known.top_items[USERS].tolist()


def test_a_shorter_list_is_masked_at_its_end(step: Callable[..., Step], known: Knowledge) -> None:
    short = known.top_items.copy()
    short[3, 2:] = -1
    short[41] = -1
    listed = TeacherTop(k=6, unseen=False).draw(step(knowledge=replace(known, top_items=short)))
    assert listed.mask.sum(1).tolist()[:3] == [2, 0, 6]


def test_draws_by_rank_keep_the_order_and_fall_with_the_rank(step: Callable[..., Step]) -> None:
    first = counted(TeacherTop(k=8).draw(step()))
    seen = np.zeros(8)
    for seed in range(400):
        for items, drawn in zip(first, counted(RankSampled(n=3, of=8, temperature=2.0).draw(step(seed))), strict=True):
            places = [items.index(item) for item in drawn]
            assert places == sorted({*places})
            seen[places] += 1
    assert (np.diff(seen[:6]) < 0).all()


def test_ranks_are_drawn_by_their_law_within_the_list() -> None:
    draw = torch.Generator().manual_seed(0)
    found = ranks_drawn(torch.rand(200_000, generator=draw), torch.tensor(5), 2.0)
    law = np.exp(-np.arange(5) / 2.0)
    shares = np.bincount(found.numpy(), minlength=5) / 200_000
    np.testing.assert_allclose(shares, law / law.sum(), atol=5e-3)
    assert ranks_drawn(torch.rand(9), torch.tensor(0), 2.0).tolist() == [0] * 9


def test_even_draws_are_even_over_the_unused_and_apart_from_other_lists(step: Callable[..., Step]) -> None:
    times = np.zeros((len(USERS), 25))
    for seed in range(300):
        asked = step(seed)
        asked.drawn["top"] = TeacherTop(k=4).draw(asked)
        for user, items in enumerate(counted(Uniform(n=30, apart_from=("top",)).draw(asked))):
            np.add.at(times[user], items, 1)
    asked = step()
    for user, top in enumerate(counted(TeacherTop(k=4).draw(asked))):
        used = asked.positives.items[asked.positives.rows == user].tolist()
        allowed = sorted({*range(25)} - {*used} - {*top})
        assert (times[user, [*used, *top]] == 0).all()
        assert times[user, allowed].min() > 0.8 * 300 * 30 / 25


def test_draws_by_popularity_are_as_often_as_items_are_used(step: Callable[..., Step], train: Interactions) -> None:
    counts = np.bincount(train.item_rows, minlength=25)
    drawn = ByPopularity(n=20_000).draw(step())
    shares = np.bincount(drawn.items.flatten().numpy(), minlength=25) / drawn.items.numel()
    np.testing.assert_allclose(shares, counts / counts.sum(), atol=4e-3)
    assert drawn.log_q is not None
    np.testing.assert_allclose(drawn.log_q[0].exp().numpy(), (counts / counts.sum())[drawn.items[0]], rtol=1e-4)


def test_draws_from_the_batch_know_their_chance(step: Callable[..., Step]) -> None:
    asked = step()
    drawn = InBatch(n=20_000).draw(asked)
    used = np.bincount(asked.positives.items.numpy(), minlength=25)
    shares = np.bincount(drawn.items.flatten().numpy(), minlength=25) / drawn.items.numel()
    np.testing.assert_allclose(shares, used / used.sum(), atol=4e-3)
    assert drawn.log_q is not None
    np.testing.assert_allclose(drawn.log_q[0].exp().numpy(), (used / used.sum())[drawn.items[0]], rtol=1e-4)


def test_hard_ones_are_the_highest_of_the_even_draws(step: Callable[..., Step]) -> None:
    drawn, hard = counted(Uniform(n=20).draw(step(4))), counted(Hard(n=5, of=20).draw(step(4)))
    assert [sorted(items, reverse=True)[:5] for items in drawn] == hard


def test_own_items_are_drawn_once_each(step: Callable[..., Step]) -> None:
    asked = step()
    every = [asked.positives.items[asked.positives.rows == row].tolist() for row in range(len(USERS))]
    for items, used in zip(counted(Own(n=4).draw(step())), every, strict=True):
        assert len({*items}) == len(items) == min(4, len(used))
        assert {*items} <= {*used}
    assert [sorted(items) for items in counted(Own(n=25).draw(step()))] == every


@pytest.mark.parametrize("early", [False, True])
def test_what_a_user_has_used_is_drawn_the_same_whether_few_or_all_of_it_is_sorted(
    early: bool, step: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    want = counted(Own(n=2).draw(step()))
    monkeypatch.setattr(Own, "_early", lambda self, chance, positives: torch.full_like(chance, early, dtype=torch.bool))
    assert counted(Own(n=2).draw(step())) == want


def test_the_students_items_are_those_of_the_last_refresh(step: Callable[..., Step]) -> None:
    asked = step()
    assert asked.student_top is not None
    assert counted(StudentTop(k=3).draw(asked)) == asked.student_top[USERS, :3].tolist()
    near = counted(NearStudentTop(n=4, of=8).draw(asked))
    assert all({*items} <= {*asked.student_top[user, :8].tolist()} for user, items in zip(USERS, near, strict=True))


def test_what_stands_in_the_way_of_the_teachers_items_is_drawn_more_often(step: Callable[..., Step]) -> None:
    """The student's first items have all of the teacher's after them, its last ones none."""
    times = np.zeros(8)
    for seed in range(300):
        asked = step(seed)
        assert asked.student_top is not None
        rank = {int(item): place for place, item in enumerate(asked.student_top[3, :8])}
        drawn = NearStudentTop(n=1, of=8, k=8, temperature=1.0).draw(step(seed, users=np.array([3])))
        times[rank[counted(drawn)[0][0]]] += 1
    assert times[0] > 2 * times[7]


def test_what_one_ranks_too_low_or_too_high_is_where_the_lists_part(step: Callable[..., Step]) -> None:
    asked = step()
    assert asked.student_top is not None
    teacher = counted(TeacherTop(k=10).draw(step()))
    student = [[item for item in row if item >= 0] for row in asked.student_top[USERS, :10].tolist()]
    low, high = (counted(one.draw(step())) for one in (Underestimated(n=5, of=10), Overestimated(n=5, of=10)))
    for his, mine, under, over in zip(teacher, student, low, high, strict=True):
        behind = {item for place, item in enumerate(his) if (mine.index(item) if item in mine else 10) > place}
        ahead = {item for place, item in enumerate(mine) if (his.index(item) if item in his else 10) > place}
        assert {*under} <= behind and {*over} <= ahead
        assert [his.index(item) for item in under] == sorted(his.index(item) for item in under)


def test_ranks_in_another_list_are_places_or_its_length() -> None:
    ranking = Listed(torch.tensor([[4, 2, 7]]), torch.tensor([[True, True, False]]))
    asked = Listed(torch.tensor([[2, 7, 4, 0]]), torch.ones(1, 4, dtype=torch.bool))
    assert ranks_in(ranking, asked, 8).tolist() == [[1, 3, 0, 3]]


@pytest.mark.parametrize("form", ["all scores", "lists"])
def test_pairs_of_a_popularity_group_are_in_the_teachers_order(
    form: str, step: Callable[..., Step], known: Knowledge
) -> None:
    if form == "lists":
        known = replace(known, user_vectors=None, item_vectors=None, item_bias=None)
    asked = step(knowledge=known)
    pairs = PopularityPairs(groups=2, n=12, of=6).draw(asked)
    group = popularity_groups(asked.source, 2)
    scores = step().source.all_scores(asked.users)
    above, below = (scores.gather(1, side) for side in pairs.items.unbind(1))
    assert pairs.mask.any(1).all()
    assert (above > below)[pairs.mask].all()
    sides = group[pairs.items.numpy()]
    assert (sides[:, 0] == sides[:, 1])[pairs.mask.numpy()].all()


def test_popularity_groups_share_the_interactions(step: Callable[..., Step]) -> None:
    source = step().source
    counts = np.bincount(source.csr.indices, minlength=25)
    group = popularity_groups(source, 3)
    shares = np.bincount(group, weights=counts) / counts.sum()
    assert np.abs(shares - 1 / 3).max() < 0.1
    assert counts[group == 0].max() <= counts[group == 2].min()


def test_pairs_of_the_teacher_have_the_better_one_first(step: Callable[..., Step]) -> None:
    pairs = TeacherPairs(n=9, of=6).draw(step())
    assert pairs.scores is not None
    assert (pairs.scores[:, 0] > pairs.scores[:, 1])[pairs.mask].all()
    against = TeacherPairs(n=9, of=6, against="uniform").draw(step())
    assert against.scores is None and against.mask.any()


def test_orders_are_drawn_by_the_teachers_belief(step: Callable[..., Step]) -> None:
    drawn = TeacherOrders(n=6, draws=2000, tau=0.5).draw(step())
    assert drawn.places is not None and drawn.scores is not None
    assert (drawn.places.sort(2).values == torch.arange(6)).all()
    first = (drawn.places[:, :, :1] == torch.arange(6)).float().mean(1)  # (batch, 6)
    belief = (drawn.scores / 0.5).masked_fill(~drawn.mask, -torch.inf).softmax(1)
    torch.testing.assert_close(first, belief, atol=0.05, rtol=0)


def test_the_catalogue_is_all_items_in_their_order(step: Callable[..., Step], train: Interactions) -> None:
    listed = Catalogue(unseen=True).draw(step())
    assert (listed.items == torch.arange(25)).all()
    np.testing.assert_array_equal(listed.mask.numpy(), train.csr().toarray()[USERS] == 0)


def test_what_is_scored_is_the_catalogue_or_the_list(step: Callable[..., Step], known: Knowledge) -> None:
    assert Scored().checked(step().source) == Catalogue()
    lists = replace(known, user_vectors=None, item_vectors=None, item_bias=None)
    assert Scored().checked(step(knowledge=lists).source) == TeacherTop(k=None, unseen=False)


def test_joined_lists_hold_an_item_once(step: Callable[..., Step]) -> None:
    parts = TeacherTop(k=6), StudentTop(k=8), Uniform(n=9)
    joined = Joined(parts)
    assert joined.needs == {"top_k"} and not joined.told
    assert (joined.student_list, joined.refresh) == (8, 5)
    for items, one, two, three in zip(*(counted(one.draw(step())) for one in (joined, *parts)), strict=True):
        assert len(items) == len({*items})
        assert {*items} == {*one, *two, *three}


def test_places_are_where_an_item_stands_first() -> None:
    items = torch.tensor([[5, 3, 5, 3, 9], [1, 1, 1, 2, 2]])
    mask = torch.tensor([[True, True, True, True, False], [False, True, True, True, True]])
    assert places_of(items, mask).tolist() == [[0, 1, 0, 1, -1], [-1, 1, 1, 3, 3]]


def test_lists_that_look_at_each_other_are_refused() -> None:
    one, two = Uniform(apart_from=("two",)), Uniform(apart_from=("one",))
    with pytest.raises(ConfigError, match="look at each other"):
        in_order({"one": one, "two": two})
    assert in_order({"below": Uniform(apart_from=("above",)), "above": TeacherTop()}) == ["above", "below"]


def test_a_curriculum_goes_on_where_the_student_has_come_nearer(known: Knowledge, train: Interactions) -> None:
    trajectory = np.stack([np.tile([0, 1, 2], (2, 1)), np.tile([3, 4, 5], (2, 1)), np.tile([6, 7, 8], (2, 1))])
    reached, distance = torch.zeros(2, dtype=torch.int64), torch.full((2,), -1.0)
    course = Curriculum(reached, distance, trajectory, TrajectoryTop(k=3))
    course.look(torch.tensor([[0, 1, 3], [0, 1, 5]]), 0)
    assert reached.tolist() == [0, 0]
    course.look(torch.tensor([[3, 4, 0], [0, 1, 5]]), 1)
    assert reached.tolist() == [1, 0]  # the first has come nearer to the second list, the other not
    course.look(torch.tensor([[6, 7, 8], [3, 5, 4]]), 2)
    assert reached.tolist() == [2, 1]
    course.look(torch.tensor([[6, 7, 8], [3, 5, 4]]), 3)
    assert reached.tolist()[0] == 2  # there is no further list


@pytest.mark.parametrize("name", sorted(CANDIDATES))
def test_a_count_of_nothing_is_refused(name: str) -> None:
    kind = CANDIDATES[name]
    counts = [field.name for field in dataclasses.fields(kind) if field.name in ("k", "n", "of", "every", "draws")]  # type: ignore[arg-type]
    for count in counts:
        with pytest.raises(ConfigError, match=f"{count} = 0"):
            kind(**{count: 0})


def test_lists_of_all_users_are_scored_a_few_users_at_a_time(
    train: Interactions, known: Knowledge, step: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recdistill.candidates.source.CACHE_BYTES", 0)
    monkeypatch.setattr("recdistill.candidates.source.LIST_ROWS", 7)
    top = step().student_top
    assert top is not None
    source = Source(known, train.csr())
    found = source.scores_of_lists(top)
    wanted = source.all_scores(torch.arange(train.n_users)).gather(1, top.long().clamp_min(0))
    assert found.shape == top.shape and train.n_users > 7
    assert torch.allclose(found, wanted, atol=1e-5)
