"""A training that is watched can be ended at a look, and is otherwise not changed."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pytest

from recdistill.data.splits import Split
from recdistill.models.two_tower import TwoTower
from recdistill.search.judge import JudgedProgress


class Shown:
    """A progress that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def named(self, name: str, seed: int | None = None) -> Shown:
        self.told.append(("named", name, seed))
        return self

    def task(self, name: str, total: int) -> Shown:
        self.told.append(("task", name, total))
        return self

    def say(self, line: str) -> None:
        self.told.append(("say", line))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.told.append("closed")

    def advance(self, steps: int = 1, *, valid_ndcg: float | None = None) -> None:
        self.told.append(("advance", steps, valid_ndcg))


class Enough(Exception):
    pass


def test_every_look_but_the_last_is_passed_on() -> None:
    shown, checks = Shown(), []
    progress = JudgedProgress(shown, lambda share, ndcg: checks.append((share, ndcg)))
    progress.say("x")
    with progress.named("a", 1).task("fit", 4) as bar:
        for ndcg in (None, 0.1, 0.2, 0.3):
            bar.advance(1, valid_ndcg=ndcg)
    assert checks == [(0.5, 0.1), (0.75, 0.2)]
    assert shown.told[:3] == [("say", "x"), ("named", "a", 1), ("task", "fit", 4)]
    assert shown.told[-2:] == [("advance", 1, 0.3), "closed"]


def test_a_training_ends_where_a_look_says_so(tiny_split: Split) -> None:
    def stop(share: float, ndcg: float) -> None:
        if share >= 0.5:
            raise Enough

    shown = Shown()
    with pytest.raises(Enough):
        TwoTower(dim=4, epochs=8).fit(tiny_split.train, tiny_split.valid, progress=JudgedProgress(shown, stop))
    assert sum(told[0] == "advance" for told in shown.told) == 4
    assert shown.told[-1] == "closed"


def test_a_training_that_is_watched_is_the_same_training(tiny_split: Split) -> None:
    shares: list[float] = []
    watched = JudgedProgress(Shown(), lambda share, _: shares.append(share))
    models = [
        TwoTower(dim=4, epochs=8, order=False).fit(tiny_split.train, tiny_split.valid, progress=progress)
        for progress in (watched, None)
    ]
    np.testing.assert_array_equal(models[0].item_vectors(), models[1].item_vectors())
    assert shares == [0.25, 0.5, 0.75]
