"""The people of a report are picked by the length of their history, and nothing tells who they are."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import recdistill as rd
from recdistill.data.readers import read_interactions
from recdistill.data.splits import Split
from recdistill.evaluation.evaluator import Evaluation, evaluate_scorer
from recdistill.evaluation.examples import chosen_people, examples
from recdistill.models.popularity import Popularity


def frame(*, times: bool = True) -> pd.DataFrame:
    """Person n has n + 2 rows of train, the latest item last, and one of test that the next person has used."""
    rows = [(f"secret{n:02}", f"film {i:02}", 100 * i + n, 0) for n in range(12) for i in range(n + 2)]
    rows += [(f"secret{n:02}", f"film {n + 2:02}", 9_000, 1) for n in range(11)]
    made = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "split"])
    return made if times else made.drop(columns="timestamp")


def measured(*, times: bool = True) -> tuple[Split, dict[str, Evaluation]]:
    split = rd.split.given(read_interactions(frame(times=times), split_column="split"))
    found = evaluate_scorer(Popularity().fit(split.train).scorer, split, k=10, metrics=["ndcg@5"])
    return split, {"teacher": found, "student": found}


def test_people_stand_at_the_quartiles_of_history_length() -> None:
    assert chosen_people(np.array([0, 0, 5, 1, 3, 2, 4])) == [5, 4, 6]
    assert chosen_people(np.array([0, 7, 0])) == [1]
    assert chosen_people(np.zeros(3)) == []


def test_the_choice_knows_lengths_alone_and_is_the_same_again() -> None:
    lengths = np.repeat(3, 50)
    assert chosen_people(lengths) == chosen_people(lengths) != chosen_people(lengths, seed=1)


def test_lists_are_those_of_the_evaluation_with_hits_marked() -> None:
    split, found = measured()
    shown = examples(split, found)
    assert [one["history_rows"] for one in shown] == [4, 7, 10]
    assert all(one["test_rows"] == 1 and one["by_time"] for one in shown)
    first = shown[0]
    assert first["used"] == ["film 03", "film 02", "film 01", "film 00"]
    assert first["lists"]["teacher"][:2] == [{"item": "film 04", "hit": True}, {"item": "film 05", "hit": False}]
    assert shown[1]["used"] == ["film 06", "film 05", "film 04", "film 03", "film 02"]
    assert len(shown[1]["lists"]["student"]) == 5
    assert first["depth"] == 10 and first["hits"] == {"teacher": 1, "student": 1}


def test_items_go_by_title_where_they_have_one() -> None:
    split, found = measured()
    titles = [f"Title {i}" if i != 3 else None for i in range(split.train.n_items)]
    assert examples(split, found, titles)[0]["used"] == ["film 03", "Title 2", "Title 1", "Title 0"]


def test_without_times_some_of_the_history_is_drawn() -> None:
    split, found = measured(times=False)
    shown = examples(split, found)
    assert [len(one["used"]) for one in shown] == [4, 5, 5] and not any(one["by_time"] for one in shown)
    assert shown == examples(split, found)


def test_nothing_tells_who_the_people_are() -> None:
    assert "secret" not in json.dumps(examples(*measured()))


def test_short_lists_are_not_padded() -> None:
    split, found = measured()
    found["teacher"].items[:, 1:] = -1
    assert all(len(one["lists"]["teacher"]) == 1 for one in examples(split, found))


@pytest.mark.parametrize("names", [["teacher"], ["teacher", "student"]])
def test_only_the_models_that_are_given_are_shown(names: list[str]) -> None:
    split, found = measured()
    assert list(examples(split, {name: found[name] for name in names})[0]["lists"]) == names
