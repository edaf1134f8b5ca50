"""A two-tower model goes on from another's vectors, or starts from what is named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import recdistill as rd
from recdistill.errors import ConfigError
from tests.models.conftest import draw_log

LITTLE = {"dim": 8, "user_id": False, "epochs": 1, "learning_rate": 1e-9}


def log(*, times: bool = False) -> rd.Interactions:
    found = draw_log()
    return dataclasses.replace(found, times=np.random.default_rng(0).permutation(found.n_rows)) if times else found


@pytest.mark.parametrize("first", ["full", "tied"])
@pytest.mark.parametrize("then", ["full", "tied"])
def test_a_model_ranks_as_the_one_that_it_goes_on_from(first: str, then: str) -> None:
    train = log()
    earlier = rd.TwoTower(dim=8, user_id=False, epochs=8, table=first).fit(train, device="cpu")
    later = rd.TwoTower(**LITTLE, table=then).go_on_from(earlier).fit(train, device="cpu")
    histories = train.histories()
    want, found = earlier.score(histories), later.score(histories)
    if first == then:
        np.testing.assert_allclose(found, want, atol=1e-3)
    plain = rd.TwoTower(**LITTLE, table=then).fit(train, device="cpu").score(histories)
    assert np.corrcoef(found.ravel(), want.ravel())[0, 1] > np.corrcoef(plain.ravel(), want.ravel())[0, 1]


@pytest.mark.parametrize(
    ("codec", "step"), [("int8", None), ("int4", None), ("int2", None), ("int4", "learned"), ("int2", "learned")]
)
def test_coded_rows_go_on_from_floats_and_from_other_codes(codec: str, step: str | None) -> None:
    train = log()
    earlier = rd.TwoTower(dim=8, user_id=False, epochs=8, codec="int8").fit(train, device="cpu")
    floats = rd.TwoTower(dim=8, user_id=False, epochs=8, table="tied").fit(train, device="cpu")
    for one in (earlier, floats):
        later = rd.TwoTower(**LITTLE, codec=codec, codec_step=step).go_on_from(one).fit(train, device="cpu")
        cast = rd.compress(one, codec=codec)
        want, found, stored = (model.score(train.histories()).ravel() for model in (one, later, cast))
        floor = np.corrcoef(stored, want)[0, 1]
        assert np.corrcoef(found, want)[0, 1] > min(0.99, floor - 0.03)


def test_two_coded_tables_and_pruned_ones_go_on_from_nothing() -> None:
    train = log()
    earlier = rd.TwoTower(dim=8, user_id=False, epochs=1, codec="int8").fit(train, device="cpu")
    for more in ({"table": "full"}, {"pruned": 0.5}):
        with pytest.raises(ConfigError, match="two coded tables, and one that is pruned, start from the teacher"):
            rd.TwoTower(**LITTLE, codec="int4", **more).go_on_from(earlier).fit(train, device="cpu")


def test_weights_of_places_go_on_too() -> None:
    train = log(times=True)
    earlier = rd.TwoTower(dim=8, user_id=False, epochs=8, order=True).fit(train, device="cpu")
    later = rd.TwoTower(**LITTLE, order=True).go_on_from(earlier).fit(train, device="cpu")
    np.testing.assert_allclose(later.scorer.place_weight, earlier.scorer.place_weight, rtol=1e-5)
    assert not np.allclose(earlier.scorer.place_weight, 1.0, atol=1e-3)


@pytest.mark.parametrize(
    ("earlier", "said"),
    [
        (lambda train: rd.TwoTower(dim=4, user_id=False, epochs=1).fit(train), "of dim 4, this one"),
        (lambda train: rd.TwoTower(dim=8, epochs=1).fit(train), "with rows of users"),
        (lambda train: rd.EASE(regularization=1.0).fit(train), "can only go on from a two-tower"),
    ],
)
def test_what_cannot_be_gone_on_from_is_said(earlier: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rd.TwoTower(**LITTLE).go_on_from(earlier(log()))  # type: ignore[operator]


def test_starts_are_what_they_are_called() -> None:
    train = log()
    teacher = rd.TwoTower(dim=16, epochs=5).fit(train, device="cpu")
    known = rd.Knowledge.extract(teacher, train)

    def rows(start: str) -> np.ndarray:
        student = rd.TwoTower(**LITTLE, start=start)
        return rd.distill(known, student=student, on=train, device="cpu").scorer.item_vectors()

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        """Of the two tables' inner products: whatever the rotation."""
        return float(np.corrcoef((a @ a.T).ravel(), (b @ b.T).ravel())[0, 1])

    theirs = teacher.item_vectors()
    assert alike(rows("teacher"), theirs) > alike(rows("log"), theirs) > alike(rows("random"), theirs)
    plain = rd.distill(known, student=rd.TwoTower(**LITTLE), on=train, device="cpu").scorer.item_vectors()
    assert (plain == rows("teacher")).all()


def test_a_start_from_the_teacher_needs_one_that_has_vectors() -> None:
    with pytest.raises(ConfigError, match="start = 'teacher' needs a teacher"):
        rd.TwoTower(**LITTLE, start="teacher").fit(log(), device="cpu")
