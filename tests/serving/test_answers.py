"""Filters, weights, rules for the unknown, explanations, likenesses, new items and tables of answers."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill import artifact
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.retrieval.exact import top_k
from recdistill.retrieval.subset import Subset
from recdistill.serving import Recommender
from recdistill.serving.scorers import BagScorer, FoldInScorer, Histories, ItemScorer, Scorer
from recdistill.tables.codecs import CodedTable

N_ITEMS = 300
FORMS = ["bag", "tied", "int8", "fold_in", "item", "bias"]


def scorer(form: str, users: int | None = None) -> Scorer:
    rng = np.random.default_rng(3)
    table = CodedTable.of(rng.standard_normal((N_ITEMS, 16)))
    popularity = rng.integers(0, 30, N_ITEMS).astype(np.float32)
    people = None if users is None else CodedTable.of(rng.standard_normal((users, 16)))
    bias = rng.random(N_ITEMS).astype(np.float32)
    if form == "bias":
        return BagScorer(item_bias=bias)
    if form == "item":
        matrix = rng.standard_normal((N_ITEMS, N_ITEMS))
        return ItemScorer(item_to_item=CodedTable.of(matrix), popularity=popularity)
    if form == "fold_in":
        gram = table.matrix().T @ table.matrix()
        return FoldInScorer(
            item_table=table, gram=gram, regularization=2.0, alpha=5.0, popularity=popularity, user_table=people
        )
    bag = BagScorer(
        item_table=table, history_table=None if form == "tied" else CodedTable.of(rng.standard_normal((N_ITEMS, 16))),
        history_weight=rng.random(N_ITEMS).astype(np.float32), item_bias=bias, popularity=popularity, normalize=True,
        history_power=0.5, scale=5.0, user_table=people,
    )  # fmt: skip
    return bag.quantized("int8") if form == "int8" else bag


def served(form: str = "bag", users: int | None = None) -> Recommender:
    return Recommender(
        scorer(form, users), Vocab(np.arange(N_ITEMS) * 7), None if users is None else Vocab(range(users))
    )


def histories(seed: int = 0, count: int = 12) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [(rng.choice(N_ITEMS, rng.integers(0, 60), replace=False) * 7).tolist() for _ in range(count)]


@pytest.mark.parametrize("form", FORMS)
def test_one_by_one_in_a_batch_and_offline_the_answers_are_the_same_to_the_bit(form: str) -> None:
    recommender, asked = served(form), histories()
    bags = Histories.from_lists([[one // 7 for one in history] for history in asked])
    rows, scores = top_k(recommender.scorer, bags, None, 20, bags)
    want = [
        [(int(row) * 7, float(score)) for row, score in zip(*one, strict=True)]
        for one in zip(rows, scores, strict=True)
    ]
    together = recommender.recommend_batch(asked, k=20, with_scores=True)
    alone = [recommender.recommend(one, k=20, with_scores=True) for one in asked]
    assert together == alone
    assert [[(one.item_id, one.score) for one in answer] for answer in together] == want
    assert [recommender.recommend(one, k=20) for one in asked] == [[item for item, _ in answer] for answer in want]
    strings = Recommender(recommender.scorer, Vocab([f"i{row}" for row in range(N_ITEMS)]))
    spelled = [[f"i{one // 7}" for one in history] for history in asked]
    assert strings.recommend_batch(spelled, k=20) == [[f"i{item // 7}" for item, _ in answer] for answer in want]
    assert [strings.recommend(one, k=20) for one in spelled] == strings.recommend_batch(spelled, k=20)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 60), coarse=st.booleans(), twins=st.booleans())
@settings(max_examples=60, deadline=None)
def test_ids_without_scores_come_in_the_order_of_the_scores(seed: int, k: int, coarse: bool, twins: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((80, 5))
    vectors = np.rint(vectors) if coarse else vectors
    if twins:
        vectors[40:] = vectors[:40] * (1 + 1e-7)
    recommender = Recommender(BagScorer(item_table=CodedTable.of(vectors), history_power=0.5), Vocab(range(80)))
    history = rng.choice(80, rng.integers(1, 30)).tolist()
    answer = recommender.recommend(history, k=k)
    assert answer == [one.item_id for one in recommender.recommend(history, k=k, with_scores=True)]
    assert answer == recommender.recommend_rows_of_one(np.unique(history), k).tolist()
    assert answer == recommender.recommend_batch([history, [0]], k=k)[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.05, 0.6])
def test_only_items_of_the_filter_come_alone_and_in_batches(form: str, share: float) -> None:
    recommender, asked = served(form), histories(1)
    allowed = [row * 7 for row in range(N_ITEMS) if np.random.default_rng(row).random() < share]
    prepared = recommender.filter(allowed)
    assert len(prepared) == len(allowed) and f"{len(allowed)} of {N_ITEMS}" in repr(prepared)
    everything = recommender.recommend_batch(asked, k=N_ITEMS)
    want = [[one for one in answer if one in set(allowed)][:20] for answer in everything]
    assert recommender.recommend_batch(asked, k=20, only=prepared) == want
    assert recommender.recommend_batch(asked, k=20, only=allowed) == want
    assert [recommender.recommend(one, k=20, only=prepared) for one in asked] == want
    hidden = [answer[:2] for answer in want]
    fewer = [
        recommender.recommend(one, k=9, only=prepared, exclude=out) for one, out in zip(asked, hidden, strict=True)
    ]
    assert fewer == [answer[2:11] for answer in want]


def test_a_filter_of_nothing_answers_nothing_and_one_of_elsewhere_is_refused() -> None:
    recommender = served()
    assert recommender.recommend([7], only=[]) == []
    assert recommender.recommend([7], only=[7, "no such"]) == []
    with pytest.raises(DataError, match="filter: no item 'no such' among 300"):
        recommender.filter([7, "no such"], unknown="raise")
    with pytest.raises(DataError, match="only: this filter was prepared by another recommender"):
        recommender.recommend([7], only=served().filter([14]))


def test_excluded_items_add_nothing_to_the_taste() -> None:
    recommender = served()
    plain = recommender.recommend([7, 14], k=30)
    assert recommender.recommend([7, 14], k=20, exclude=plain[:10]) == plain[10:]
    assert recommender.recommend([7, 14], k=20, exclude=np.array(plain[:10])) == plain[10:]
    assert recommender.recommend([7, 14], k=20, exclude=[*map(str, plain[:10]), "no such"]) == plain[10:]


@pytest.mark.parametrize("form", [form for form in FORMS if form != "bias"])
def test_weights_move_the_answer_and_equal_ones_do_not(form: str) -> None:
    recommender, asked = served(form), histories(2)
    even = [[1.0] * len(one) for one in asked]
    plain = recommender.recommend_batch(asked, k=20, with_scores=True)
    for a, b in zip(plain, recommender.recommend_batch(asked, k=20, weights=even, with_scores=True), strict=True):
        assert [one.item_id for one in a] == [one.item_id for one in b]
        np.testing.assert_allclose([one.score for one in a], [one.score for one in b], rtol=1e-5)
    rng = np.random.default_rng(0)
    uneven = [(rng.random(len(one)) * 5).tolist() for one in asked]
    together = recommender.recommend_batch(asked, k=20, weights=uneven, with_scores=True)
    assert together != plain
    assert together == [
        recommender.recommend(one, k=20, weights=own, with_scores=True) for one, own in zip(asked, uneven, strict=True)
    ]


@pytest.mark.parametrize("form", [form for form in FORMS if form != "bias"])
def test_an_item_of_no_weight_is_not_tasted_yet_does_not_come_back(form: str) -> None:
    recommender = served(form)
    found = recommender.recommend([7, 14, 21], k=N_ITEMS, weights=[1, 0, 1])
    assert found == [one for one in recommender.recommend([7, 21], k=N_ITEMS) if one != 14]
    assert recommender.recommend([7, 14, 7], weights=[9, 1, 2]) == recommender.recommend([14, 7], weights=[1, 2])


def test_weights_scale_the_user_as_the_formula_says() -> None:
    bag = scorer("bag")
    assert isinstance(bag, BagScorer) and bag.history_table is not None and bag.history_weight is not None
    weighted = Histories(np.array([0, 2]), np.array([3, 8]), np.array([2.0, 0.5], np.float32))
    own = bag.history_weight[[3, 8]] * np.array([2.0, 0.5])
    user = (own[:, None] * bag.history_table.matrix()[[3, 8]]).sum(axis=0) / 2.5**0.5
    np.testing.assert_allclose(bag.user_vectors(weighted)[0], user / np.linalg.norm(user), rtol=1e-5)


@pytest.mark.parametrize(
    ("weights", "said"),
    [([1], "weights: 1 for a history of 2 items"), ([1, -1], "weights: must be finite and 0 or more, found -1"),
     ([1, math.nan], "found nan"), ([1, "x"], "weights: of history 0 must be a list of numbers")],
)  # fmt: skip
def test_weights_that_cannot_be_are_refused(weights: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        served().recommend([7, 14], weights=weights)


@pytest.mark.parametrize("form", FORMS)
def test_of_whom_nothing_is_known_the_rule_decides(form: str) -> None:
    recommender = served(form)
    popular = recommender.recommend(k=20)
    assert len(popular) == 20
    assert recommender.recommend(["x"], k=20) == recommender.recommend([], k=20, unknown="skip") == popular
    assert recommender.recommend(["x", 7], k=20, unknown="skip") == recommender.recommend([7], k=20)
    assert recommender.recommend(["x"], k=20, unknown="skip") == []
    assert recommender.recommend_batch([["x"], [], [7]], k=20, unknown="skip")[:2] == [[], popular]
    assert recommender.recommend(user="nobody", k=20) == popular


def test_a_known_user_with_an_unknown_history_is_still_known() -> None:
    recommender = served(users=4)
    assert (
        recommender.recommend(["x"], user=2, unknown="skip") == recommender.recommend(user=2) != recommender.recommend()
    )
    assert recommender.recommend(user=99, unknown="skip") == []
    assert recommender.recommend([7], user=3, k=9) == recommender.recommend_batch([[7], [7]], 9, users=[3, 99])[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_shares_of_a_history_add_up_to_the_score_that_is_given(form: str, weighted: bool) -> None:
    recommender = served(form, users=3 if form in ("bag", "fold_in") else None)
    history = [7, 140, 21, 1400, "x"]
    weights = [2.0, 1.0, 0.5, 3.0, 1.0] if weighted else None
    for user in (None, 1):
        answers = recommender.recommend(history, user=user, weights=weights, k=5, with_scores=True)
        for one in answers:
            said = recommender.explain(history, one.item_id, user=user, weights=weights)
            assert (said.item_id, said.score) == (one.item_id, one.score)
            assert math.fsum([*(share.share for share in said.shares), said.user, said.bias]) == one.score
            assert sorted(share.share for share in said.shares)[::-1] == [share.share for share in said.shares]
            assert {share.item_id for share in said.shares} == {7, 140, 21, 1400}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_parts_add_up_before_what_was_rounded_is_given_to_any(form: str, weighted: bool) -> None:
    recommender = served(form, users=3 if form in ("bag", "fold_in") else None)
    weights = np.array([2.0, 1.0, 0.5], np.float32) if weighted else None
    history = Histories(np.array([0, 3]), np.array([1, 3, 20]), weights)
    for user in (-1, 1):
        scores = recommender.scorer.score(history, np.array([user]))[0]
        for item in (0, 7, 250):
            shares, own, bias = recommender.scorer.shares(history, user, item)
            assert shares.sum() + own + bias == pytest.approx(scores[item], rel=1e-4, abs=1e-5)


def test_a_share_is_what_the_item_adds_to_the_score() -> None:
    bag = scorer("bag")
    assert isinstance(bag, BagScorer) and bag.history_table is not None and bag.item_table is not None
    assert bag.history_weight is not None and bag.item_bias is not None
    said = Recommender(bag, Vocab(range(N_ITEMS))).explain([4, 9], 30)
    vectors = bag.history_weight[[4, 9], None] * bag.history_table.matrix()[[4, 9]]
    unit = np.linalg.norm(vectors.sum(axis=0))
    want = vectors @ bag.item_table.matrix()[30] * 5.0 / unit
    found = dict(said.shares)
    np.testing.assert_allclose([found[4], found[9]], want, rtol=1e-5)
    assert said.bias == pytest.approx(float(bag.item_bias[30])) and said.user == 0


def test_of_a_stranger_the_popularity_is_the_explanation() -> None:
    said = served().explain([], 70)
    assert said.shares == () and said.user == 0 and said.score == said.bias
    with pytest.raises(DataError, match="item: no item 'x' among 300"):
        served().explain([7], "x")


@pytest.mark.parametrize("form", ["bag", "int8", "fold_in"])
def test_similar_items_are_those_of_the_highest_cosine(form: str) -> None:
    recommender = served(form)
    vectors = recommender.scorer.item_vectors().astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = [int(row) * 7 for row in np.argsort(-(vectors @ vectors[5])) if row != 5]
    found = recommender.similar(35, k=20, with_scores=True)
    assert [one.item_id for one in found] == order[:20]
    np.testing.assert_allclose(
        [one.score for one in found], (vectors @ vectors[5])[[i // 7 for i in order[:20]]], rtol=1e-4
    )
    assert recommender.similar("35", k=18, exclude=order[:2]) == order[2:20]
    assert recommender.similar(35, k=3, only=recommender.filter(order[4:9])) == order[4:7]
    assert len(recommender.similar(35, k=N_ITEMS)) == N_ITEMS - 1


def test_similar_items_of_an_item_to_item_model_are_what_it_says_and_of_popularity_there_are_none() -> None:
    recommender = served("item")
    row = recommender.scorer.score(Histories.from_lists([[5]]))[0]
    row[5] = -np.inf
    assert recommender.similar(35, k=10) == (np.argsort(-row)[:10] * 7).tolist()
    with pytest.raises(ConfigError, match="knows no similar items"):
        served("bias").similar(7)
    with pytest.raises(ConfigError, match="k=0: must"):
        recommender.similar(7, k=0)
    with pytest.raises(DataError, match="item: no item 'x'"):
        recommender.similar("x")


@pytest.mark.parametrize("form", ["bag", "tied", "int8", "fold_in"])
def test_a_new_item_with_an_old_ones_vector_stands_beside_it(form: str) -> None:
    old = served(form)
    before = old.recommend([7, 14], k=20, with_scores=True)
    vector = old.scorer.item_vectors()[[before[0].item_id // 7]]
    bias = None if old.scorer.item_bias is None else old.scorer.item_bias[[before[0].item_id // 7]]
    new = old.with_items([5], vector, bias=bias, titles=["New"])
    answer = new.recommend([7, 14], k=21, with_scores=True)
    assert {answer[0].item_id, answer[1].item_id} == {5, before[0].item_id} and answer[0].score == answer[1].score
    assert [one[:2] for one in answer if one.item_id != 5] == [one[:2] for one in before]
    assert new.titles([5, 7]) == ["New", None]
    assert new.recommend([5], k=5) and old.unknown([5]) == [5]
    assert old.recommend([7, 14], k=20, with_scores=True) == before


def test_vectors_of_new_items_have_the_length_of_those_that_the_model_shows() -> None:
    rng = np.random.default_rng(0)
    bag = BagScorer(item_table=CodedTable.of(rng.standard_normal((N_ITEMS, 6)).astype(np.float32)), scale=4.0)
    longer = Recommender(bag, Vocab(range(N_ITEMS))).with_items([1000], bag.item_vectors()[[3]]).scorer
    np.testing.assert_allclose(longer.item_vectors()[-1], bag.item_vectors()[3])


def test_what_a_new_item_says_of_a_person_follows_from_its_vector_as_for_the_others() -> None:
    rng = np.random.default_rng(0)
    vectors, step = rng.standard_normal((N_ITEMS, 6)), rng.standard_normal((6, 6))
    bag = BagScorer(item_table=CodedTable.of(vectors), history_table=CodedTable.of(vectors @ step))
    new = rng.standard_normal((1, 6))
    longer = Recommender(bag, Vocab(range(N_ITEMS))).with_items([1000], new).scorer
    np.testing.assert_allclose(longer.user_vectors(Histories.from_lists([[N_ITEMS]])), new @ step, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("ids", "vectors", "more", "said"),
    [([5, 6], np.zeros((1, 16)), {}, "with_items: 1 vectors for 2 ids"),
     ([5], np.zeros((1, 3)), {}, "vectors must have the shape"),
     ([7], np.zeros((1, 16)), {}, "1 of 301 ids are repeated"),
     ([5], np.full((1, 16), np.nan), {}, "Vectors must be finite"),
     (["new"], np.zeros((1, 16)), {}, "ids must be all integers"),
     ([5], np.zeros((1, 16)), {"bias": np.array([np.inf])}, "bias: must be finite"),
     ([5], np.zeros((1, 16)), {"titles": []}, "0 titles for 1 ids")],
)  # fmt: skip
def test_new_items_that_do_not_fit_are_refused(
    ids: list[Any], vectors: np.ndarray, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        served().with_items(ids, vectors, **more)


def test_models_without_vectors_or_biases_take_no_such_items() -> None:
    for form in ("item", "bias"):
        with pytest.raises(ConfigError, match="takes no new items"):
            served(form).with_items([5], np.zeros((1, 16)))
    with pytest.raises(ConfigError, match="bias: this model's scores have none"):
        served("fold_in").with_items([5], np.zeros((1, 16)), bias=np.zeros(1))


@pytest.mark.parametrize("ids", ["numbers", "words"])
def test_answers_come_as_a_table_too(ids: str) -> None:
    vocab = Vocab(np.arange(N_ITEMS) * 7) if ids == "numbers" else Vocab([f"i{row}" for row in range(N_ITEMS)])
    titles = artifact.Titles.of([None if row % 2 else f"Film {row}" for row in range(N_ITEMS)])
    recommender = Recommender(scorer("bag"), vocab, titles=titles)
    asked = [vocab.ids([1, 2]).tolist(), vocab.ids(range(N_ITEMS - 2)).tolist()]
    arrow = recommender.recommend_batch(asked, 5, users=["a", "b"], output="arrow")
    frame = recommender.recommend_batch(asked, 5, users=["a", "b"], output="pandas")
    assert arrow.column_names == list(frame.columns) == ["history", "user_id", "item_id", "score", "rank", "title"]
    want = [
        {"history": place, "user_id": "ab"[place], "item_id": one.item_id, "score": one.score, "rank": one.rank,
         "title": one.title}
        for place, answer in enumerate(recommender.recommend_batch(asked, 5, with_scores=True)) for one in answer
    ]  # fmt: skip
    assert arrow.to_pylist() == want and len(want) == 7
    assert frame[["history", "user_id", "item_id", "rank"]].to_dict("records") == [
        {key: one[key] for key in ("history", "user_id", "item_id", "rank")} for one in want
    ]
    with pytest.raises(ConfigError, match="output='csv': must be one of 'lists', 'arrow', 'pandas'"):
        recommender.recommend_batch(asked, output="csv")  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="has scores and ranks already"):
        recommender.recommend_batch(asked, output="arrow", with_scores=True)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("k", "said"),
    [
        (0, "k=0: must lie between 1 and the catalogue's 300 items"),
        (N_ITEMS + 1, "k=301: must lie between 1 and the catalogue's 300 items"),
        (True, "k=True: must be a whole number, from 1 to the catalogue's 300 items"),
        (2.0, "k=2.0: must be a whole number"),
        ("3", "k='3': must be a whole number"),
    ],
)
def test_a_k_that_is_no_number_of_items_is_refused(k: Any, said: str) -> None:
    for ask in (lambda: served().recommend([7], k=k), lambda: served().recommend_batch([[7]], k=k)):
        with pytest.raises(ConfigError, match=said):
            ask()


class Found:
    """An index that finds the right items in any order, with scores of its own."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer, self.asked, self.kind = scorer, 0, "made for this test"

    def __len__(self) -> int:
        return N_ITEMS

    def search(
        self, queries: np.ndarray, k: int, *, exclude: Histories | None = None, only: Subset | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        self.asked += len(queries)
        scores = queries @ self.scorer.item_table.matrix().T  # type: ignore[attr-defined]
        scores += self.scorer.item_bias
        if exclude is not None:
            scores[exclude.users, exclude.items] = -np.inf
        if only is not None:
            scores[:, np.setdiff1d(np.arange(N_ITEMS), only.rows)] = -np.inf
        rows = np.argsort(-scores, axis=1)[:, :k]
        rows[np.take_along_axis(scores, rows, axis=1) == -np.inf] = -1
        return rows[:, ::-1], np.zeros(rows.shape, np.float32)


def test_what_an_index_finds_is_scored_and_ordered_exactly() -> None:
    exact, asked = served(), histories(5, 20)
    index = Found(exact.scorer)
    indexed = Recommender(exact.scorer, exact.items, retriever=index)
    assert indexed.recommend_batch(asked, 20, with_scores=True) == exact.recommend_batch(asked, 20, with_scores=True)
    assert index.asked == sum(map(bool, asked))  # strangers are answered with popularity
    for one in asked:
        assert indexed.recommend(one, k=20, with_scores=True) == exact.recommend(one, k=20, with_scores=True)
    few = list(range(0, 700, 70))
    assert indexed.recommend(asked[1], k=20, only=few) == exact.recommend(asked[1], k=20, only=few)
    with pytest.raises(ConfigError, match="k=301"):
        indexed.recommend([7], k=301)


def test_threads_get_their_own_answers_from_the_quick_way_and_the_long_one() -> None:
    recommender, asked = served("int8"), histories(6, 60)
    want = [recommender.recommend(one, k=20, with_scores=True) for one in asked]
    fresh = served("int8")
    prepared = fresh.filter([one * 7 for one in range(200)])
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda one: fresh.recommend(one, k=20, with_scores=True), asked * 3))
        batches = list(pool.map(lambda _: fresh.recommend_batch(asked, k=20, with_scores=True), range(4)))
        filtered = list(pool.map(lambda one: fresh.recommend(one, k=20, only=prepared), asked))
    assert found == want * 3
    assert batches == [want] * 4
    assert filtered == fresh.recommend_batch(asked, k=20, only=prepared)
