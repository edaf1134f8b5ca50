import dataclasses
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.errors import ConfigError, DataError
from recdistill.retrieval import exact, scores
from recdistill.retrieval.exact import top_k
from recdistill.retrieval.selection import floor_of_kth, tie_ranks
from recdistill.retrieval.subset import Subset
from recdistill.serving.scorers import BagScorer, FoldInScorer, Histories, ItemScorer, Scorer
from recdistill.tables import codecs
from recdistill.tables.codecs import CodedTable


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(Scorer):
    """Scores that are given, one row per user row."""

    form = "dense"
    given: np.ndarray

    n_items = property(lambda self: self.given.shape[1])
    vectors = False
    dimension = 0

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        assert user_rows is not None
        return self.given[user_rows]


def brute_force(values: np.ndarray, seen: list[list[int]], k: int, ranks: np.ndarray) -> list[list[int]]:
    """Sort every item by score, then by its rank; only for eyes and small cases."""
    allowed = [[i for i in range(values.shape[1]) if i not in set(one)] for one in seen]
    return [
        sorted(items, key=lambda i, row=row: (-row[i], ranks[i]))[:k]  # type: ignore[misc]
        for row, items in zip(values, allowed, strict=True)
    ]


def without_padding(items: np.ndarray) -> list[list[int]]:
    return [[int(i) for i in row if i >= 0] for row in items]


FEW_VALUES = st.sampled_from([-1.0, 0.0, 0.5, 2.0])


@st.composite
def asked(draw: st.DrawFn) -> tuple[np.ndarray, list[list[int]], int]:
    users, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 60))
    values = draw(st.one_of(st.just(FEW_VALUES), st.just(st.just(1.0)), st.just(st.floats(-9, 9, width=32))))
    row = st.lists(values, min_size=n_items, max_size=n_items)
    seen = st.lists(st.integers(0, n_items - 1), max_size=n_items)
    table = np.array(draw(st.lists(row, min_size=users, max_size=users)), np.float32)
    return table, draw(st.lists(seen, min_size=users, max_size=users)), draw(st.integers(1, n_items))


@given(case=asked())
@settings(max_examples=300, deadline=None)
def test_answers_are_those_of_sorting_everything_ties_included(case: tuple[np.ndarray, list[list[int]], int]) -> None:
    values, seen, k = case
    items, found = top_k(
        Dense(given=values), Histories.empty(len(values)), np.arange(len(values)), k, Histories.from_lists(seen)
    )
    want = brute_force(values, seen, k, tie_ranks(np.arange(values.shape[1])))
    assert without_padding(items) == want
    for row, kept, got in zip(values, want, found, strict=True):
        assert got[: len(kept)].tolist() == row[kept].tolist()
        assert (got[len(kept) :] == -np.inf).all()


@given(seed=st.integers(0, 10_000), coarse=st.booleans(), k=st.integers(1, 30), codec=st.sampled_from(["fp32", "int8"]))
@settings(max_examples=100, deadline=None)
def test_vectors_rank_as_their_products_in_double_precision(seed: int, coarse: bool, k: int, codec: str) -> None:
    rng = np.random.default_rng(seed)
    n_items, users = 150, 7
    vectors, bias = rng.standard_normal((n_items, 3)), rng.standard_normal(n_items)
    if coarse:
        vectors, bias = np.rint(vectors), np.rint(bias)
    table = CodedTable.of(vectors, codec)
    scorer = BagScorer(item_table=table, item_bias=bias.astype(np.float32), history_power=0.5)
    bags = Histories.from_lists([rng.choice(n_items, rng.integers(0, 40), replace=False) for _ in range(users)])
    items, _ = top_k(scorer, bags, None, k, bags)
    exactly = scorer.queries(bags).astype(float) @ scorer.item_vectors().astype(float).T + scorer.item_bias
    seen = [bags.take(slice(u, u + 1)).items.tolist() for u in range(users)]
    assert without_padding(items) == brute_force(exactly.astype(np.float32), seen, k, tie_ranks(np.arange(n_items)))


def model(form: str, rng: np.random.Generator, n_items: int = 500) -> Scorer:
    vectors = rng.standard_normal((n_items, 24)).astype(np.float32)
    vectors[1::7] = vectors[0]  # ties
    table = CodedTable.of(vectors)
    if form == "item":
        return ItemScorer(item_to_item=CodedTable.of(rng.standard_normal((n_items, n_items))))
    if form == "fold_in":
        return FoldInScorer(item_table=table, gram=vectors.T @ vectors, regularization=1.0, alpha=4.0)
    bag = BagScorer(item_table=table, history_weight=rng.random(n_items).astype(np.float32), normalize=True, scale=6.0)
    return bag if form == "bag" else bag.quantized(form)


@pytest.mark.parametrize("form", ["bag", "int8", "item", "fold_in"])
@pytest.mark.parametrize("k", [1, 20, 300])
def test_people_of_whom_nothing_is_known_get_the_most_popular_ties_and_exclusions_included(form: str, k: int) -> None:
    rng = np.random.default_rng(4)
    popularity = np.log(rng.integers(1, 40, 500)).astype(np.float32)  # many ties
    without = model(form, rng)
    scorer = dataclasses.replace(without, popularity=popularity)  # type: ignore[call-arg]
    bags = Histories.from_lists([rng.choice(500, 9 * (user % 3), replace=False) for user in range(30)])
    excluded = Histories.from_lists([rng.choice(500, 40 * (user % 2), replace=False) for user in range(30)])
    items, found = top_k(scorer, bags, None, k, excluded, batch=7)
    strangers = np.flatnonzero(bags.lengths == 0)
    seen = [excluded.take(slice(user, user + 1)).items.tolist() for user in strangers]
    want = brute_force(np.tile(popularity, (len(strangers), 1)), seen, k, tie_ranks(np.arange(500)))
    assert items[strangers].tolist() == want
    assert (found[strangers] == popularity[items[strangers]]).all()
    others = np.flatnonzero(bags.lengths)
    again, scores = top_k(without, bags.take(others), None, k, excluded.take(others))
    np.testing.assert_array_equal(items[others], again)
    np.testing.assert_array_equal(found[others], scores)


@pytest.mark.parametrize("form", ["bag", "int8", "fp16", "item", "fold_in"])
@pytest.mark.parametrize("k", [1, 20, 100])
def test_the_order_of_users_and_the_size_of_batches_never_change_a_bit(form: str, k: int) -> None:
    rng = np.random.default_rng(0)
    scorer = model(form, rng)
    bags = Histories.from_lists([rng.choice(500, rng.integers(0, 90), replace=False) for _ in range(50)])
    items, found = top_k(scorer, bags, None, k, bags)
    for batch in (1, 7, 49):
        again, values = top_k(scorer, bags, None, k, bags, batch=batch)
        np.testing.assert_array_equal(again, items)
        np.testing.assert_array_equal(values, found)
    order = rng.permutation(50)
    again, values = top_k(scorer, bags.take(order), None, k, bags.take(order))
    np.testing.assert_array_equal(again, items[order])
    np.testing.assert_array_equal(values, found[order])


@pytest.mark.parametrize("form", ["bag", "item", "fold_in"])
def test_scores_are_those_of_the_scorer(form: str) -> None:
    rng = np.random.default_rng(1)
    scorer = model(form, rng)
    bags = Histories.from_lists([rng.choice(500, 9, replace=False) for _ in range(5)])
    items, found = top_k(scorer, bags, None, 20, bags)
    np.testing.assert_allclose(np.take_along_axis(scorer.score(bags), items, axis=1), found, rtol=1e-5, atol=1e-5)
    assert (np.diff(found, axis=1) <= 0).all()


def test_a_constant_scorer_scores_what_chance_scores() -> None:
    rng = np.random.default_rng(2)
    n_items, users, k = 400, 2000, 20
    scorer = BagScorer(item_bias=np.zeros(n_items, np.float32))
    popular_first = np.minimum(rng.geometric(0.02, (users, 10)), n_items) - 1  # rows are often sorted by popularity
    items, _ = top_k(scorer, Histories.empty(users), None, k)
    hits = (items[:, :, None] == popular_first[:, None, :]).any(axis=1).mean()
    chance = k / n_items
    first, _ = top_k(scorer, Histories.empty(1), None, k, tie_order=np.arange(n_items))
    favoured = np.isin(popular_first, first[0]).mean()
    assert favoured > 5 * chance  # what the order of rows would give
    assert hits < 3 * chance
    assert len(set(items[0].tolist())) == k


def test_the_fixed_order_has_no_lean_towards_low_or_high_rows() -> None:
    order = np.argsort(tie_ranks(np.arange(10_000)))
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.03
    assert sorted(order.tolist()) == list(range(10_000))


def test_a_given_order_breaks_ties_instead() -> None:
    scorer = BagScorer(item_bias=np.zeros(9, np.float32))
    items, _ = top_k(scorer, Histories.empty(1), None, 3, tie_order=np.arange(9)[::-1])
    assert items.tolist() == [[8, 7, 6]]


def test_equal_vectors_tie_although_a_matrix_product_may_round_them_apart() -> None:
    rng = np.random.default_rng(3)
    vectors = np.repeat(rng.standard_normal((1, 100)), 301, axis=0)
    scorer = BagScorer(item_table=CodedTable.of(vectors), history_weight=rng.random(301).astype(np.float32))
    bags = Histories.from_lists([[i, i + 1] for i in range(0, 60, 2)])
    items, found = top_k(scorer, bags, None, 10, bags)
    want = brute_force(np.zeros((30, 301)), [[i, i + 1] for i in range(0, 60, 2)], 10, tie_ranks(np.arange(301)))
    assert items.tolist() == want
    assert (found == found[:, :1]).all()


@dataclass
class Noisy:
    """Scores that are off by up to `error`, until asked for exactly; row u is user u's."""

    exactly: np.ndarray
    off: float
    width: int = 200
    n_items: int = 200

    def ask(self, scorer: Scorer, histories: Histories, user_rows: np.ndarray | None) -> "Noisy":
        self.error = np.full(len(self.exactly), self.off)
        return self

    def near(self, scores: np.ndarray) -> np.ndarray:
        return scores + np.random.default_rng(0).uniform(-self.off, self.off, scores.shape).astype(np.float32)

    def fill(self, out: np.ndarray, users: slice, start: int, stop: int) -> None:
        out[:] = self.near(self.exactly[users, start:stop])

    def exact(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return self.exactly[users, items]

    def roughly(self, user: int, items: np.ndarray) -> np.ndarray:
        return self.near(self.exactly[user, items])


@given(
    seed=st.integers(0, 10_000),
    error=st.sampled_from([0.01, 0.2, 1.0]),
    k=st.sampled_from([1, 5, 20]),
    width=st.sampled_from([64, 200]),
)
@settings(max_examples=100, deadline=None)
def test_a_product_that_rounds_never_changes_the_answer(seed: int, error: float, k: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    noisy = Noisy(rng.integers(0, 40, (4, 200)).astype(np.float32), error, width)
    seen = [rng.choice(200, 30).tolist() for _ in range(4)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "scores_of", lambda _: noisy)
        items, found = top_k(
            Dense(given=noisy.exactly), Histories.empty(4), np.arange(4), k, Histories.from_lists(seen)
        )
    assert items.tolist() == brute_force(noisy.exactly, seen, k, tie_ranks(np.arange(200)))
    np.testing.assert_array_equal(found, np.take_along_axis(noisy.exactly, items, axis=1))


def test_where_fewer_than_k_remain_the_answer_is_shorter_never_padded_with_seen_items() -> None:
    scorer = BagScorer(item_bias=np.arange(5, dtype=np.float32))
    items, found = top_k(scorer, Histories.empty(2), None, 4, Histories.from_lists([[4, 2, 0], range(5)]))
    assert items.tolist() == [[3, 1, -1, -1], [-1] * 4]
    assert found.tolist() == [[3.0, 1.0, -np.inf, -np.inf], [-np.inf] * 4]


def test_no_user_is_no_answer() -> None:
    items, found = top_k(BagScorer(item_bias=np.zeros(3, np.float32)), Histories.empty(0), None, 2)
    assert items.shape == found.shape == (0, 2)


@pytest.mark.parametrize("k", [1, 3, 24, 99, 100])
@pytest.mark.parametrize("n_items", [100, 5_000])
def test_at_least_k_scores_reach_the_floor_and_few_more(k: int, n_items: int) -> None:
    values = np.random.default_rng(4).standard_normal((20, n_items)).astype(np.float32)
    above = (values >= floor_of_kth(values, k)[:, None]).sum(axis=1)
    assert (above >= k).all()
    assert above.mean() <= 1.3 * k
    assert floor_of_kth(values, n_items + 1).tolist() == [-np.inf] * 20


@pytest.mark.parametrize("form", ["int8", "bag", "fold_in"])
@pytest.mark.parametrize("k", [1, 20, 300])
def test_a_large_catalogue_is_looked_at_tile_by_tile(monkeypatch: pytest.MonkeyPatch, form: str, k: int) -> None:
    rng = np.random.default_rng(5)
    popularity = rng.integers(0, 40, 500).astype(np.float32)
    scorer = dataclasses.replace(model(form, rng), popularity=popularity)  # type: ignore[call-arg]
    bags = Histories.from_lists([rng.choice(500, 9 * (user % 7), replace=False) for user in range(30)])
    some = np.sort(rng.choice(500, 400, replace=False))
    whole, filtered = top_k(scorer, bags, None, k, bags), top_k(scorer, bags, None, k, bags, only=some)
    monkeypatch.setattr(scores, "DENSE", 100)
    monkeypatch.setattr(scores, "WIDE", 64)
    monkeypatch.setattr(codecs.table, "DECODED_BYTES", 0)
    monkeypatch.setattr(exact, "SCORES_BYTES", 64 * 4 * 8)
    fresh = dataclasses.replace(scorer, item_table=CodedTable(scorer.item_table.codec, scorer.item_table.arrays))  # type: ignore[attr-defined, call-arg]
    assert scores.scores_of(fresh).width == 64
    np.testing.assert_equal(top_k(fresh, bags, None, k, bags), whole)
    np.testing.assert_equal(top_k(fresh, bags, None, k, bags, only=some), filtered)
    for user in (0, 3):
        alone = bags.take(slice(user, user + 1))
        np.testing.assert_equal(top_k(fresh, alone, None, k, alone), [part[user : user + 1] for part in whole])


@pytest.mark.parametrize("form", ["bag", "int8", "item", "fold_in"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.6, 1.0])
def test_only_the_items_that_are_allowed_come_and_in_the_same_order(form: str, share: float) -> None:
    rng = np.random.default_rng(7)
    scorer = model(form, rng)
    bags = Histories.from_lists([rng.choice(500, rng.integers(1, 90), replace=False) for _ in range(12)])
    only = np.flatnonzero(rng.random(500) < share)
    everything, values = top_k(scorer, bags, None, 500, bags)
    items, found = top_k(scorer, bags, None, 20, bags, only=only)
    for user in range(12):
        allowed = np.isin(everything[user], only)
        want = everything[user][allowed][:20]
        assert items[user, : len(want)].tolist() == want.tolist()
        assert (items[user, len(want) :] == -1).all()
        np.testing.assert_array_equal(found[user, : len(want)], values[user][allowed][:20])
        one = bags.take(slice(user, user + 1))
        alone, alone_values = top_k(scorer, one, None, 20, one, only=Subset(only, 500))
        np.testing.assert_array_equal(alone[0], items[user])
        np.testing.assert_array_equal(alone_values[0], found[user])


@pytest.mark.parametrize("rows", [[3, 1], [1, 1], [-1, 2], [2, 500]])
def test_a_filter_of_foreign_or_unsorted_rows_is_refused(rows: list[int]) -> None:
    with pytest.raises(DataError, match=r"only: item rows must rise within 0\.\.499"):
        Subset(np.array(rows), 500)


@pytest.mark.parametrize("dimension", [1, 2, 31, 64, 200])
@pytest.mark.parametrize("codec", ["fp32", "int8"])
@pytest.mark.parametrize("coarse", [False, True])
def test_one_person_gets_the_same_bits_alone_and_among_others(dimension: int, codec: str, coarse: bool) -> None:
    rng = np.random.default_rng(dimension)
    vectors = rng.standard_normal((700, dimension))
    scorer = BagScorer(
        item_table=CodedTable.of(np.rint(vectors) if coarse else vectors, codec), normalize=not coarse, scale=3.7,
        history_table=CodedTable.of(rng.standard_normal((700, dimension)), codec), history_power=0.5,
        history_weight=rng.random(700).astype(np.float16), user_table=CodedTable.of(rng.random((9, dimension)), codec),
        item_bias=None if coarse else rng.standard_normal(700).astype(np.float16),
    )  # fmt: skip
    bags = Histories.from_lists([rng.choice(700, rng.integers(0, 400), replace=False) for _ in range(60)])
    users = rng.integers(-1, 9, 60)
    together = top_k(scorer, bags, users, 20, bags)
    queries = scorer.queries(bags, users)
    for user in range(60):
        alone = bags.take(slice(user, user + 1))
        assert scorer.query_of(alone.items, users[user]).tobytes() == queries[user].tobytes()
        single = top_k(scorer, alone, users[user : user + 1], 20, alone)
        np.testing.assert_array_equal(single[0][0], together[0][user])
        assert single[1][0].tobytes() == together[1][user].tobytes()


def test_memory_stays_far_below_users_times_items() -> None:
    rng = np.random.default_rng(6)
    users, n_items = 6_000, 8_000
    scorer = BagScorer(item_table=CodedTable.of(rng.standard_normal((n_items, 8))))
    bags = Histories.from_pairs(np.arange(users), rng.integers(0, n_items, users), users)
    tracemalloc.start()
    top_k(scorer, bags, None, 20, bags)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60_000_000 < users * n_items * 4


@pytest.mark.parametrize("k", [0, 4])
def test_a_k_outside_the_catalogue_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match=rf"k={k}: must lie between 1 and the catalogue's 3 items"):
        top_k(BagScorer(item_bias=np.zeros(3, np.float32)), Histories.empty(1), None, k)


def test_arguments_of_different_lengths_and_foreign_rows_are_refused() -> None:
    scorer = BagScorer(item_bias=np.zeros(3, np.float32))
    with pytest.raises(DataError, match="exclude is of 1 users, the histories of 2"):
        top_k(scorer, Histories.empty(2), None, 1, Histories.empty(1))
    with pytest.raises(DataError, match="user_rows is of 1 users"):
        top_k(scorer, Histories.empty(2), np.zeros(1, int), 1)
    with pytest.raises(DataError, match="item row 3 is outside a catalogue of 3 items"):
        top_k(scorer, Histories.empty(1), None, 1, Histories.from_lists([[3]]))
