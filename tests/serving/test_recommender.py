import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import recdistill
from recdistill import artifact
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.retrieval.exact import top_k
from recdistill.serving import Recommendation, Recommender
from recdistill.serving.scorers import BagScorer, Histories
from recdistill.tables.codecs import CodedTable

TITLES = ["Alien (1979)", "Heat (1995)", "Ran (1985)", "Amélie (2001)", "Jaws (1975)"]
BIAS = np.array([1.0, 5.0, 3.0, 4.0, 2.0], np.float32)


def by_popularity(**parts: object) -> Recommender:
    """Ranks Heat, Amélie, Ran, Jaws, Alien unless vectors say otherwise."""
    return Recommender(BagScorer(item_bias=BIAS, **parts), Vocab(TITLES))  # type: ignore[arg-type]


def trained(users: int | None = None, n_items: int = 300) -> Recommender:
    rng = np.random.default_rng(0)
    scorer = BagScorer(
        item_table=CodedTable.of(rng.standard_normal((n_items, 16))), normalize=True, history_power=0.5,
        history_weight=rng.random(n_items).astype(np.float32), item_bias=rng.random(n_items).astype(np.float32),
        user_table=None if users is None else CodedTable.of(rng.standard_normal((users, 16))),
    )  # fmt: skip
    return Recommender(scorer, Vocab(np.arange(n_items) * 10), None if users is None else Vocab(np.arange(users) + 500))


def test_items_come_best_first_without_the_history() -> None:
    assert by_popularity().recommend(["Amélie (2001)"], k=3) == ["Heat (1995)", "Ran (1985)", "Jaws (1975)"]


def test_a_stranger_gets_the_best_of_all() -> None:
    assert by_popularity().recommend(k=2) == by_popularity().recommend([], k=2) == ["Heat (1995)", "Amélie (2001)"]


def test_scores_come_with_ids_and_ranks_from_one() -> None:
    found = by_popularity().recommend(["Heat (1995)"], k=2, with_scores=True)
    assert found == [Recommendation("Amélie (2001)", 4.0, 1), Recommendation("Ran (1985)", 3.0, 2)]
    assert found[0].item_id == "Amélie (2001)"


def test_excluded_items_do_not_come_back_and_answers_are_not_padded() -> None:
    found = by_popularity().recommend(["Heat (1995)"], k=5, exclude=["Ran (1985)", "Alien (1979)"])
    assert found == ["Amélie (2001)", "Jaws (1975)"]


def test_unknown_ids_are_skipped_or_refused() -> None:
    recommender = by_popularity()
    assert recommender.recommend(["Ran (1985)", "Solaris"], k=2) == recommender.recommend(["Ran (1985)"], k=2)
    assert recommender.unknown(["Ran (1985)", "Solaris"]) == ["Solaris"]
    with pytest.raises(DataError, match="history: no item 'Solaris' among 5"):
        recommender.recommend(["Ran (1985)", "Solaris"], unknown="raise", k=2)
    with pytest.raises(DataError, match="exclude: no item 'Solaris' among 5"):
        recommender.recommend([], exclude=["Solaris"], unknown="raise", k=2)
    with pytest.raises(ConfigError, match="unknown='drop': must be one of 'raise', 'skip', 'popular'"):
        recommender.recommend([], unknown="drop", k=2)  # type: ignore[call-overload]


def with_titles() -> Recommender:
    """Integer ids; two films are called Heat, one has no title."""
    titles = ["Alien (1979)", "Heat", "Ran (1985)", None, "Heat"]
    return Recommender(BagScorer(item_bias=BIAS), Vocab([10, 20, 30, 40, 50]), titles=artifact.Titles.of(titles))


def test_titles_come_along_with_scores() -> None:
    recommender = with_titles()
    found = recommender.recommend([10], k=3, with_scores=True)
    assert [(one.item_id, one.title) for one in found] == [(20, "Heat"), (40, None), (30, "Ran (1985)")]
    assert recommender.titles([30, "10", 40, 99]) == ["Ran (1985)", "Alien (1979)", None, None]
    assert trained().titles([10]) == [None]


def test_an_item_may_be_named_by_its_title() -> None:
    recommender = with_titles()
    assert recommender.recommend(["Ran (1985)"], k=2) == recommender.recommend([30], k=2) == [20, 40]
    assert recommender.recommend([10], k=2, exclude=["Ran (1985)", 20]) == [40, 50]
    assert recommender.unknown(["Ran (1985)", "ran (1985)", 30, 31]) == ["ran (1985)", 31]
    assert recommender.recommend(["ran (1985)"], k=2) == recommender.recommend(k=2)


def test_a_title_of_several_items_is_refused_with_their_ids() -> None:
    with pytest.raises(DataError, match=r"history: 2 items have the title 'Heat': 20, 50. Give one's id."):
        with_titles().recommend(["Heat"])
    many = Recommender(
        BagScorer(item_bias=np.zeros(20, np.float32)), Vocab(range(20)), titles=artifact.Titles.of(["X"] * 20)
    )
    with pytest.raises(DataError, match=r"20 items have the title 'X': 0, 1, .*, 9, …\. Give"):
        many.recommend(["X"])


def test_an_id_goes_before_a_title_of_the_same_spelling() -> None:
    recommender = Recommender(BagScorer(item_bias=BIAS[:3]), Vocab(["1984", "b", "c"]),
                              titles=artifact.Titles.of(["Brazil", "1984", "Ran"]))  # fmt: skip
    assert recommender.recommend(["1984"], k=2) == ["b", "c"]


def test_items_are_found_by_a_part_of_their_title() -> None:
    recommender = with_titles()
    assert recommender.find("EA") == [(20, "Heat"), (50, "Heat")]
    assert recommender.find("a") == [(10, "Alien (1979)"), (20, "Heat"), (30, "Ran (1985)"), (50, "Heat")]
    assert recommender.find("ran (1985)") == [(30, "Ran (1985)")] and recommender.find("solaris") == []
    assert by_popularity().find("am") == [("Amélie (2001)", None)]


def test_a_repeated_item_counts_once() -> None:
    recommender = trained()
    assert recommender.recommend([10, 20, 10]) == recommender.recommend([20, 10])


def test_integer_ids_come_back_as_python_integers() -> None:
    found = trained().recommend([10, "20"], k=3)
    assert all(type(one) is int for one in found)
    assert trained().recommend(np.array([10, 20]), k=3) == found


def test_one_title_instead_of_a_list_is_refused() -> None:
    with pytest.raises(DataError, match=r"history: must be a list of item ids, found 'Heat \(1995\)'"):
        by_popularity().recommend("Heat (1995)")
    with pytest.raises(DataError, match="history: must be a list of item ids, found 10"):
        trained().recommend(10)  # type: ignore[call-overload]


def test_a_k_above_the_catalogue_is_refused() -> None:
    with pytest.raises(ConfigError, match="k=6: must lie between 1 and the catalogue's 5 items"):
        by_popularity().recommend(k=6)


def test_a_known_user_is_told_from_a_stranger() -> None:
    recommender = trained(users=4)
    known = recommender.recommend(user=502, k=20)
    want, _ = top_k(recommender.scorer, Histories.empty(1), np.array([2]), 20)
    assert known == recommender.items.ids(want[0]).tolist()
    assert known != recommender.recommend(user=999, k=20) == recommender.recommend(k=20)
    with pytest.raises(DataError, match="user 999: not a user it has seen"):
        recommender.recommend(user=999, unknown="raise")


def test_a_model_without_a_user_table_answers_from_the_history() -> None:
    recommender = trained()
    assert recommender.recommend([10], user=502) == recommender.recommend([10])
    with pytest.raises(DataError, match="user 502: this model knows people by their history alone"):
        recommender.recommend([10], user=502, unknown="raise")


def test_a_batch_answers_as_one_by_one() -> None:
    recommender = trained(users=4)
    rng = np.random.default_rng(1)
    histories = [(rng.integers(0, 300, size) * 10).tolist() for size in (0, 3, 50, 7)]
    users = [500, 777, 503, 501]
    together = recommender.recommend_batch(histories, k=20, users=users, with_scores=True)
    alone = [
        recommender.recommend(one, user=user, k=20, with_scores=True)
        for one, user in zip(histories, users, strict=True)
    ]
    assert together == alone
    assert recommender.recommend_batch([]) == []


def test_a_batch_whose_parts_differ_in_length_is_refused() -> None:
    with pytest.raises(DataError, match="exclude: 1 lists for 2 histories"):
        trained().recommend_batch([[10], [20]], exclude=[[30]])
    with pytest.raises(DataError, match="users: 1 lists for 2 histories"):
        trained(users=4).recommend_batch([[10], [20]], users=[501])


def test_threads_may_share_a_recommender() -> None:
    recommender = trained()
    histories = [[10 * i, 10 * i + 50] for i in range(60)]
    want = [recommender.recommend(one, k=20, with_scores=True) for one in histories]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: recommender.recommend(one, k=20, with_scores=True), histories))
    assert found == want


def test_the_serving_half_answers_without_torch_pandas_pyarrow_or_scipy(tmp_path: Path) -> None:
    recommender = trained()
    artifact.save(
        tmp_path / "student", recommender.scorer.quantized("int8"), recommender.items, kind="two_tower", name="student",
        trained_on={},
    )  # fmt: skip
    program = f"""
        import sys
        from recdistill.serving import Recommender
        print(Recommender.load({str(tmp_path / "student")!r}).recommend([10, 20], k=20))
        print([name for name in ("torch", "pandas", "pyarrow", "scipy", "implicit", "sklearn") if name in sys.modules])
    """
    root = Path(recdistill.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, cwd=root, check=True
    )
    answer, heavy = done.stdout.splitlines()
    assert heavy == "[]"
    coded = Recommender(recommender.scorer.quantized("int8"), recommender.items)
    assert answer == str(coded.recommend([10, 20], k=20))
