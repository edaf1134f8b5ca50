import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.errors import ConfigError, DataError
from recdistill.serving.histories import bag_sums
from recdistill.serving.scorers import FORMS, BagScorer, FoldInScorer, Histories, ItemScorer, Scorer, scorer_from_arrays
from recdistill.tables.codecs import CODECS, CodedTable

N_ITEMS, N_USERS, DIM = 40, 9, 6
GENERATOR = np.random.default_rng(0)


def matrix(*shape: int) -> np.ndarray:
    return GENERATOR.standard_normal(shape).astype(np.float32)


def histories(seed: int = 0, users: int = N_USERS, longest: int = 12) -> Histories:
    rng = np.random.default_rng(seed)
    return Histories.from_lists([rng.choice(N_ITEMS, rng.integers(0, longest), replace=False) for _ in range(users)])


def bag(**settings: object) -> BagScorer:
    return BagScorer(item_table=CodedTable.of(matrix(N_ITEMS, DIM)), **settings)  # type: ignore[arg-type]


ITEMS = matrix(N_ITEMS, DIM)
SCORERS: dict[str, Scorer] = {
    "tied": bag(history_weight=matrix(N_ITEMS), normalize=True, history_power=0.5, scale=6.6),
    "two tables": bag(history_table=CodedTable.of(matrix(N_ITEMS, DIM)), item_bias=matrix(N_ITEMS)),
    "with users": bag(user_table=CodedTable.of(matrix(N_USERS, DIM)), normalize=True, scale=2.0),
    "popularity": BagScorer(item_bias=matrix(N_ITEMS)),
    "item": ItemScorer(item_to_item=CodedTable.of(matrix(N_ITEMS, N_ITEMS))),
    "fold in": FoldInScorer(item_table=CodedTable.of(ITEMS), gram=ITEMS.T @ ITEMS, regularization=1.0, alpha=3.0),
    "fold in with users": FoldInScorer(item_table=CodedTable.of(ITEMS), user_table=CodedTable.of(matrix(N_USERS, DIM)),
                                       gram=ITEMS.T @ ITEMS, regularization=1.0),
    "bag and popularity": bag(item_bias=matrix(N_ITEMS), user_table=CodedTable.of(matrix(N_USERS, DIM)),
                              popularity=matrix(N_ITEMS)),
    "item and popularity": ItemScorer(item_to_item=CodedTable.of(matrix(N_ITEMS, N_ITEMS)), popularity=matrix(N_ITEMS)),
    "fold in and popularity": FoldInScorer(
        item_table=CodedTable.of(ITEMS), user_table=CodedTable.of(matrix(N_USERS, DIM)), gram=ITEMS.T @ ITEMS,
        regularization=1.0, popularity=matrix(N_ITEMS)),
}  # fmt: skip
every_scorer = pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS)
USER_ROWS = np.array([3, -1, 0, 8, -1, 1, 2, 4, 5])


def test_a_bag_scorer_is_the_formula_that_it_documents() -> None:
    items, bags, users = matrix(N_ITEMS, DIM), matrix(N_ITEMS, DIM), matrix(N_USERS, DIM)
    weight, bias = matrix(N_ITEMS), matrix(N_ITEMS)
    scorer = BagScorer(
        item_table=CodedTable.of(items), history_table=CodedTable.of(bags), user_table=CodedTable.of(users),
        history_weight=weight, item_bias=bias, normalize=True, history_power=0.5, scale=3.0,
    )  # fmt: skip
    used = [4, 7, 30]
    for row in (5, -1):
        u = sum(weight[i] * bags[i] for i in used) / np.sqrt(3) + (users[row] if row >= 0 else 0)
        want = 3.0 * items @ (u / np.linalg.norm(u)) + bias
        given = Histories.from_lists([used])
        np.testing.assert_allclose(scorer.score(given, np.array([row]))[0], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, scorer in SCORERS.items() if scorer.vectors])
def test_scores_are_products_of_vectors_where_there_are_vectors(name: str) -> None:
    scorer, given = SCORERS[name], Histories.from_lists([[user, user + 9] for user in range(N_USERS)])
    users, items = scorer.user_vectors(given, USER_ROWS), scorer.item_vectors()
    assert users.shape == (N_USERS, scorer.dimension)
    assert items.shape == (N_ITEMS, scorer.dimension)
    bias = 0 if scorer.item_bias is None else scorer.item_bias  # type: ignore[attr-defined]
    np.testing.assert_allclose(users @ items.T + bias, scorer.score(given, USER_ROWS), rtol=1e-4, atol=1e-5)


@every_scorer
def test_scores_are_float32_and_finite_even_without_a_history(scorer: Scorer) -> None:
    scores = scorer.score(Histories.empty(2), None)
    assert scores.shape == (2, N_ITEMS)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    want = next((x for x in (scorer.popularity, scorer.item_bias) if x is not None), np.zeros(N_ITEMS))
    np.testing.assert_array_equal(scores[0], want)


@pytest.mark.parametrize("name", [name for name in SCORERS if "popularity" in name and name != "popularity"])
def test_popularity_answers_those_of_whom_nothing_is_known_and_changes_nobody_else(name: str) -> None:
    scorer, given = SCORERS[name], Histories.from_lists([[], [3, 5], [], []])
    rows = np.array([-1, -1, 2, -1])
    without = dataclasses.replace(scorer, popularity=None)  # type: ignore[call-arg]
    known = [1, 2] if scorer.table_rows("user_table") else [1]
    scores = scorer.score(given, rows)
    np.testing.assert_array_equal(scores[known], without.score(given, rows)[known])
    for user in set(range(4)) - set(known):
        np.testing.assert_array_equal(scores[user], scorer.popularity)
    assert scorer.nbytes - without.nbytes == 4 * N_ITEMS
    assert scorer.quantized("int8").popularity.dtype == np.float16  # type: ignore[union-attr]
    old = scorer_from_arrays(without.config(), without.arrays())
    assert old.popularity is None, "an artifact from before there was popularity is read"


@every_scorer
@pytest.mark.parametrize("codec", tuple(CODECS))
def test_what_is_saved_answers_as_before(scorer: Scorer, codec: str) -> None:
    coded = scorer.quantized(codec)
    again = scorer_from_arrays(coded.config(), coded.arrays())
    assert type(again) is type(scorer)
    np.testing.assert_array_equal(again.score(histories(), USER_ROWS), coded.score(histories(), USER_ROWS))
    assert again.nbytes == coded.nbytes == sum(array.nbytes for array in coded.arrays().values())
    assert again.parameters == scorer.parameters


@every_scorer
def test_halves_change_scores_little_and_take_half_the_bytes(scorer: Scorer) -> None:
    half = scorer.quantized("fp16")
    given = histories()
    np.testing.assert_allclose(half.score(given, USER_ROWS), scorer.score(given, USER_ROWS), atol=0.05)
    whole = scorer.gram.nbytes if isinstance(scorer, FoldInScorer) else 0
    assert half.nbytes - whole == (scorer.nbytes - whole) / 2


def test_int8_of_a_tied_model_with_weight_and_bias_is_under_thirty_percent() -> None:
    n = 3043
    scorer = BagScorer(item_table=CodedTable.of(matrix(n, 32)), history_weight=matrix(n), item_bias=matrix(n))
    assert scorer.nbytes == n * (32 + 2) * 4
    assert scorer.quantized("int8").nbytes == n * (32 + 2 + 2 + 2)
    assert scorer.quantized("int8").nbytes / scorer.nbytes <= 0.30
    assert scorer.parameters == scorer.quantized("int8").parameters == n * 34


def test_a_tied_table_counts_once_and_a_table_given_twice_as_well() -> None:
    table = CodedTable.of(matrix(N_ITEMS, DIM))
    assert BagScorer(item_table=table).nbytes == table.nbytes
    assert BagScorer(item_table=table, history_table=table).nbytes == table.nbytes


@pytest.mark.parametrize("columns", [1, 2, 5, 32])
@pytest.mark.parametrize("codec", tuple(CODECS))
@pytest.mark.parametrize("weighted", [True, False])
def test_a_user_gets_the_same_bits_alone_and_among_others(columns: int, codec: str, weighted: bool) -> None:
    table = CodedTable.of(matrix(N_ITEMS, columns), codec)
    weights = matrix(N_ITEMS) if weighted else None
    given = histories(users=60, longest=30)
    together = bag_sums(table, weights, given)
    for user in range(60):
        alone = given.take(slice(user, user + 1))
        np.testing.assert_array_equal(bag_sums(table, weights, alone)[0], together[user])
        factors = 1 if weights is None else weights[alone.items, None]
        np.testing.assert_allclose(together[user], (table.rows(alone.items) * factors).sum(0), rtol=1e-4, atol=1e-4)


@given(lists=st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=20), max_size=8), data=st.data())
@settings(max_examples=60)
def test_histories_are_sorted_sets_and_can_be_taken_in_any_order(lists: list[list[int]], data: st.DataObject) -> None:
    given = Histories.from_lists(lists)
    parts = [given.items[start:stop].tolist() for start, stop in zip(given.indptr[:-1], given.indptr[1:], strict=True)]
    assert parts == [sorted(set(one)) for one in lists]
    chosen = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=10)) if lists else []
    taken, direct = given.take(np.array(chosen, int)), Histories.from_lists([lists[i] for i in chosen])
    np.testing.assert_array_equal(taken.items, direct.items)
    np.testing.assert_array_equal(taken.indptr, direct.indptr)
    part, direct = given.take(slice(1, 3)), Histories.from_lists(lists[1:3])
    np.testing.assert_array_equal(part.items, direct.items)
    np.testing.assert_array_equal(part.indptr, direct.indptr)


def test_histories_come_from_a_sparse_matrix_in_sorted_order() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    unsorted = sparse.csr_matrix((np.ones(3), np.array([5, 2, 1]), np.array([0, 2, 2, 3])), shape=(3, 6))
    given = Histories.from_csr(unsorted)
    assert given.items.tolist() == [2, 5, 1]
    assert given.users.tolist() == [0, 0, 2]
    assert given.lengths.tolist() == [2, 0, 1]


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured")
@pytest.mark.parametrize("alpha", [1.0, 5.0])
def test_a_folded_in_user_is_the_one_that_implicit_computes(alpha: float) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    als = pytest.importorskip("implicit.cpu.als")
    given = histories(seed=1, users=25)
    log = sparse.csr_matrix((np.ones(len(given.items), np.float32), given.items, given.indptr), shape=(25, N_ITEMS))
    model = als.AlternatingLeastSquares(factors=8, regularization=0.7, alpha=alpha, iterations=5, random_state=0)
    model.fit(log, show_progress=False)
    scorer = FoldInScorer(
        item_table=CodedTable.of(model.item_factors), user_table=CodedTable.of(model.user_factors),
        gram=model.item_factors.T @ model.item_factors, regularization=0.7, alpha=alpha,
    )  # fmt: skip
    fresh = histories(seed=2, users=25)
    asked = sparse.csr_matrix((np.ones(len(fresh.items), np.float32), fresh.items, fresh.indptr), shape=(25, N_ITEMS))
    folded = scorer.user_vectors(fresh)
    assert np.abs(folded).max() > 0.1
    np.testing.assert_allclose(folded, model.recalculate_user(np.arange(25), asked), atol=1e-4)
    rows = np.array([3, -1, 7])
    mixed = scorer.user_vectors(fresh.take(slice(0, 3)), rows)
    np.testing.assert_array_equal(mixed[[0, 2]], model.user_factors[[3, 7]])
    np.testing.assert_array_equal(mixed[1], folded[1])


def test_a_scorer_without_vectors_says_so() -> None:
    with pytest.raises(ConfigError, match="'item' has no user vectors"):
        SCORERS["item"].user_vectors(histories())
    with pytest.raises(ConfigError, match="'item' has no item vectors"):
        SCORERS["item"].item_vectors()


def test_every_form_is_registered_under_its_name() -> None:
    assert {name: FORMS[name].form for name in FORMS} == {name: name for name in FORMS}
    assert [FORMS[name] for name in ("bag", "item", "fold_in")] == [BagScorer, ItemScorer, FoldInScorer]
    with pytest.raises(ConfigError, match=r"no scorer form 'bags'. Did you mean 'bag'\?"):
        scorer_from_arrays({"form": "bags"}, {})


def config(**changes: object) -> dict[str, object]:
    return {**SCORERS["tied"].config(), **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalise": True}, r"no setting 'normalise'. Did you mean 'normalize'\?"),
        ({"normalize": "__import__('os')"}, "'normalize' must be true or false"),
        ({"scale": True}, "'scale' must be a number"),
        ({"scale": float("nan")}, "'scale' must be a number"),
        ({"codecs": {"other": "fp32"}}, "codecs must name tables among"),
        ({"codecs": {"item_table": "fp16"}}, "'values' must be float16"),
        ({"codecs": {"item_table": "int8"}}, "needs the arrays"),
        ({"codecs": {"item_table": "fp32", "history_table": "fp32"}}, "needs the arrays"),
        ({"codecs": {}}, "'item_table.values' is not part"),
    ],
)
def test_a_config_that_does_not_fit_the_arrays_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        scorer_from_arrays(config(**changes), SCORERS["tied"].arrays())


def test_a_setting_that_is_missing_is_refused() -> None:
    less = config()
    del less["scale"]
    with pytest.raises(DataError, match=r"lacks the settings \['scale'\]"):
        scorer_from_arrays(less, SCORERS["tied"].arrays())


def test_an_array_that_is_missing_is_refused() -> None:
    scorer = SCORERS["fold in"]
    arrays = {name: array for name, array in scorer.arrays().items() if name != "gram"}
    with pytest.raises(DataError, match=r"lacks an array: .*gram"):
        scorer_from_arrays(scorer.config(), arrays)


def test_arrays_of_other_shapes_are_refused() -> None:
    table = CodedTable.of(matrix(N_ITEMS, DIM))
    with pytest.raises(DataError, match=r"item_bias must have the shape \(40,\), found \(39,\)"):
        BagScorer(item_table=table, item_bias=np.zeros(39, np.float32))
    with pytest.raises(DataError, match="history_table must have the shape"):
        BagScorer(item_table=table, history_table=CodedTable.of(matrix(N_ITEMS, DIM + 1)))
    with pytest.raises(DataError, match="user_table must have the shape"):
        BagScorer(item_table=table, user_table=CodedTable.of(matrix(3, DIM + 1)))
    with pytest.raises(DataError, match="gram must have the shape"):
        FoldInScorer(item_table=table, gram=np.eye(DIM + 1, dtype=np.float32), regularization=1.0)
    with pytest.raises(DataError, match="item_to_item must have the shape"):
        ItemScorer(item_to_item=table)
    with pytest.raises(DataError, match="needs an item table, or a bias"):
        BagScorer()
    for scorer in ("bag and popularity", "item and popularity", "fold in and popularity"):
        with pytest.raises(DataError, match=r"popularity must have the shape \(40,\), found \(39,\)"):
            dataclasses.replace(SCORERS[scorer], popularity=np.zeros(39, np.float32))  # type: ignore[call-arg]


def test_rows_outside_the_tables_are_refused() -> None:
    scorer = SCORERS["with users"]
    with pytest.raises(DataError, match=r"user_rows must lie in -1..8, found 9..9"):
        scorer.score(Histories.empty(1), np.array([9]))
    with pytest.raises(DataError, match=r"user_rows must have the shape \(2,\)"):
        scorer.score(Histories.empty(2), np.array([0]))
    with pytest.raises(DataError, match="item row 40 is outside a catalogue of 40 items"):
        scorer.score(Histories.from_lists([[40]]))
    with pytest.raises(DataError, match="item rows start at 0, found -1"):
        Histories.from_lists([[-1]])
    with pytest.raises(DataError, match="indptr must rise from 0 to 1"):
        Histories(np.array([0, 2]), np.array([1]))


def test_a_bag_by_places_weighs_items_by_how_long_ago_they_were_used() -> None:
    table = CodedTable.of(np.eye(4, dtype=np.float32))
    scorer = BagScorer(item_table=table, place_weight=np.array([1.0, 0.5, 0.25], np.float32))
    assert scorer.ordered
    scores = scorer.score(Histories.from_lists([[3, 1, 0, 2], [2]]))
    np.testing.assert_array_equal(scores, [[0.5, 0.25, 1.0, 0.25], [0, 0, 1, 0]])  # the last weight is of all before
    unknown = Histories(np.array([0, 4]), np.arange(4))  # nobody knows in which order
    np.testing.assert_array_equal(scorer.score(unknown), np.ones((1, 4)))
    weighed = Histories.from_pairs(np.zeros(2, int), np.array([1, 2]), 1, np.array([2.0, 3.0]))
    placed = dataclasses.replace(weighed, places=np.array([1, 0], np.int32))
    np.testing.assert_array_equal(scorer.score(placed), [[0, 1.0, 3.0, 0]])


def test_the_shares_of_a_bag_by_places_add_up_to_its_score() -> None:
    draw = np.random.default_rng(0)
    table = CodedTable.of(draw.standard_normal((6, 3)).astype(np.float32))
    scorer = BagScorer(
        item_table=table, place_weight=np.array([2.0, 0.5], np.float32), normalize=True, history_power=0.5
    )
    history = Histories.from_lists([[4, 1, 2]])
    shares, own, bias = scorer.shares(history, -1, 5)
    np.testing.assert_allclose(shares.sum() + own + bias, scorer.score(history)[0, 5], rtol=1e-5)
    assert abs(shares[1]) != abs(shares[2])


def test_weights_by_place_are_kept_with_a_scorer_and_a_broken_column_of_them_is_refused() -> None:
    table = CodedTable.of(np.eye(3, dtype=np.float32))
    scorer = BagScorer(item_table=table, place_weight=np.array([1.0, 0.5], np.float32))
    again = scorer_from_arrays(scorer.config(), scorer.arrays())
    np.testing.assert_array_equal(again.score(Histories.from_lists([[0, 2]])), [[0.5, 0, 1]])
    assert again.nbytes == scorer.nbytes == table.nbytes + 8
    with pytest.raises(DataError, match="place_weight"):
        BagScorer(item_table=table, place_weight=np.ones((2, 2), np.float32))
