"""What is searched of a student within a limit, where it begins, what decides, and that it goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from recdistill.compression.limits import Search, parsed_search
from recdistill.compression.sizes import student_bytes, widest
from recdistill.compression.trials import Effort, Trials, Tried
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.errors import ConfigError
from recdistill.knowledge.store import Knowledge
from recdistill.models.two_tower import TwoTower
from recdistill.search.architecture import (
    OTHER_SEEDS,
    ArchitectureSearch,
    Searched,
    parameters,
    settings_of,
    surely_above,
)
from recdistill.search.budget import Budget
from tests.models.test_two_tower import blocks

LIMIT, ITEMS, DRAWN = 720, 30, 4
GIVEN: dict[str, Any] = {"epochs": 8, "batch_users": 32}
WIDEST = {
    (codec, tied): dim
    for codec in ("int8", "int4", "int2")
    for tied in (True, False)
    if (dim := widest(lambda d, c=codec, t=tied: student_bytes(ITEMS, c, d, tied=t), LIMIT)) >= 8  # type: ignore[misc]
}


class Counted(Trials):
    """Trials that say what they trained."""

    made: ClassVar[list[tuple[int, dict[str, Any]]]] = []

    def trained(self, settings: Any, share: float = 1.0) -> tuple[TwoTower, Tried]:
        self.made.append((self.seed, dict(settings)))
        return super().trained(settings, share)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, dict[str, Any]]]:
    found: list[tuple[int, dict[str, Any]]] = []
    monkeypatch.setattr(Counted, "made", found)
    return found


@pytest.fixture(scope="module")
def log() -> tuple[Interactions, HeldOut]:
    return blocks()


@pytest.fixture(scope="module")
def trials(log: tuple[Interactions, HeldOut]) -> Trials:
    known = Knowledge.extract(TwoTower(dim=8, epochs=30, learning_rate=0.02).fit(log[0]), log[0], top_k=12)
    return Counted(*log, known, GIVEN)


@pytest.fixture(scope="module")
def default(trials: Trials) -> Tried:
    effort = Effort(codecs=("int4",), candidates=1)
    return replace(trials, effort=effort).best(LIMIT).tried[-1]


def search(trials: Trials, default: Tried, folder: Path, drawn: int = DRAWN) -> ArchitectureSearch:
    return ArchitectureSearch(trials, WIDEST, default, Budget(trials=drawn), {"data": "blocks"}, folder)


def test_everything_tried_keeps_the_bytes_and_weighs_what_is_said(
    trials: Trials, default: Tried, tmp_path: Path, made: list[Any]
) -> None:
    found = search(trials, default, tmp_path / "a").best()
    assert found.tried[0] == default
    for one in found.tried:
        assert one.bytes <= LIMIT and one.epochs_share == 1
    student, again = trials.trained(found.settings)
    assert student.scorer.nbytes == again.bytes == next(t.bytes for t in found.tried if t.settings == found.settings)
    told = found.told
    assert told["trials"] == DRAWN and told["trials"] == len(found.tried) - 1 + told["stopped_early"] + told["failed"]


def test_the_default_is_not_trained_again_and_the_mean_over_seeds_decides(
    trials: Trials, default: Tried, tmp_path: Path, made: list[Any]
) -> None:
    found = search(trials, default, tmp_path / "a").best()
    assert sum(seed == 0 for seed, _ in made) == DRAWN  # the default was trained already
    confirmed = {seed for seed, _ in made} - {0}
    assert confirmed == set(OTHER_SEEDS) and found.told["seeds"] == 1 + len(OTHER_SEEDS)
    assert found.told["valid"] >= found.told["valid_default"]
    assert found.won == (found.settings != default.settings)
    if not found.won:
        assert found.told["valid"] == found.told["valid_default"]


def test_a_default_that_nothing_reaches_stays(trials: Trials, default: Tried, tmp_path: Path, made: list[Any]) -> None:
    found = search(trials, replace(default, valid=10.0), tmp_path / "a").best()
    assert not found.won and found.settings == default.settings


def test_a_search_of_no_whole_trial_leaves_the_default(
    trials: Trials, default: Tried, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Counted, settings: Any, share: float = 1.0) -> Any:
        raise ConfigError("not today")

    monkeypatch.setattr(Counted, "trained", failing)
    found = search(trials, default, tmp_path / "a").best()
    assert (found.won, found.settings, found.told["failed"]) == (False, default.settings, DRAWN)


def test_what_is_above_by_chance_is_not_surely_above() -> None:
    draw = np.random.default_rng(0)
    others = draw.random((2, 400)).astype(np.float32)
    noise = draw.standard_normal((2, 400)) * 0.2
    noise -= noise.mean(axis=1, keepdims=True)
    assert surely_above(others + noise + 0.05, others)
    assert not surely_above(others + noise + 0.003, others)  # one standard error is .007
    assert not surely_above(others + noise + np.array([[0.3], [-0.1]]), others)
    assert not surely_above(others - 0.05, others)


def test_a_search_goes_on_and_ends_as_one_that_was_not_stopped(
    trials: Trials, default: Tried, tmp_path: Path, made: list[Any]
) -> None:
    whole = search(trials, default, tmp_path / "a").best()
    first = search(trials, default, tmp_path / "b", drawn=2).best()
    assert first.told["trials"] == 2
    del made[:]
    rest = search(trials, default, tmp_path / "b").best()
    assert sum(seed == 0 for seed, _ in made) == DRAWN - 2
    del made[:]

    def told(found: Searched) -> Any:
        return found.settings, found.tried, {**found.told, "minutes": None}

    assert told(rest) == told(whole)
    assert told(search(trials, default, tmp_path / "b").best()) == told(whole)
    assert made == []


def test_a_folder_with_another_search_is_refused(
    trials: Trials, default: Tried, tmp_path: Path, made: list[Any]
) -> None:
    search(trials, default, tmp_path / "a", drawn=1).best()
    with pytest.raises(ConfigError, match="the log or its split is not the same"):
        replace(search(trials, default, tmp_path / "a"), identity={"data": "other"}).best()


def test_what_is_given_or_cannot_be_is_not_searched() -> None:
    space = parameters(WIDEST, {"history_dropout": 0.1}, distilled=False)
    assert not {"history_dropout", "label_share"} & set(space)
    assert "full" not in parameters({("int4", True): 9}, {}, distilled=True)["table"].values  # type: ignore[attr-defined]


def test_a_point_stands_for_settings_within_the_limit() -> None:
    drawn = {"codec": "int4", "table": "full", "fill": 0.5, "learned_step": True, "longer": 1.5, "learning_rate": 0.02}
    made = settings_of(drawn, {("int4", True): 40, ("int4", False): 20}, {"epochs_share": 0.5})
    assert made == {"learning_rate": 0.02, "codec": "int4", "table": "full", "dim": 10, "codec_step": "learned",
                    "epochs_share": 0.75}  # fmt: skip
    only_one = settings_of({**drawn, "longer": 1.0}, {("int4", True): 40}, {})
    assert (only_one["table"], only_one["dim"]) == ("tied", 20) and "epochs_share" not in only_one
    assert "codec_step" not in settings_of({**drawn, "codec": "int8"}, {("int8", True): 40}, {})


@pytest.mark.parametrize("asked", [Search("125kB", 20.0), Search("50us", None, 40), Search("1.5MB", 0.5, 3)])
def test_a_search_is_written_in_one_way(asked: Search) -> None:
    assert parsed_search(str(asked)) == asked
    assert asked.model == f"student_{asked.limit}_searched"


@pytest.mark.parametrize("text", ["125kB", "int8", "125kB+search", "int8+search20min", "125kB+20min"])
def test_what_is_no_search_is_none(text: str) -> None:
    assert parsed_search(text) is None


@pytest.mark.parametrize("codec", ["int8", "int4", "binary"])
def test_two_tables_weigh_what_is_said_before(codec: str, log: tuple[Interactions, HeldOut]) -> None:
    student = TwoTower(dim=8, codec=codec, table="full", user_id=False, epochs=1).fit(log[0])
    assert student.scorer.nbytes == student_bytes(ITEMS, codec, 8, tied=False)
