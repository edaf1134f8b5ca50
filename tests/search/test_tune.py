"""A search gives the same trials again, goes on where it was stopped, and looks at valid rows alone."""

from __future__ import annotations

import json
import sqlite3
import sys
import tomllib
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recdistill as rd
from recdistill.data.splits import Split
from recdistill.errors import ArtifactError, ConfigError
from recdistill.models.base import valid_ndcg
from recdistill.search import tune as searches
from recdistill.search.result import TrialRecord, TuneResult
from tests.search.conftest import split_of_tiny

QUICK = {"dim": 4, "epochs": 8}


def timeless(found: TuneResult) -> TuneResult:
    return replace(found, trials=tuple(replace(trial, seconds=0.0) for trial in found.trials))


def quick(split: Split, trials: int = 5, **settings: Any) -> TuneResult:
    return rd.tune(split, "two_tower", settings=QUICK, trials=trials, **settings)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., float]], None]:
    """Puts a function of the settings and the looks into the place of a training."""

    def put(fitted: Callable[..., float]) -> None:
        monkeypatch.setattr(searches._Trainer, "fitted", fitted)

    return put


def test_the_best_settings_give_the_ndcg_that_is_told(tiny_split: Split) -> None:
    found = quick(tiny_split)
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3, 4]
    assert found.best.valid_ndcg == max(trial.valid_ndcg for trial in found.finished)  # type: ignore[type-var]
    assert {name: found.settings[name] for name in QUICK} == QUICK
    model = found.model().fit(tiny_split.train, tiny_split.valid)
    assert tiny_split.valid is not None
    assert valid_ndcg(model.scorer, tiny_split.train, tiny_split.valid) == found.best.valid_ndcg
    assert "0, the rule's" in str(found)


def test_the_same_search_gives_the_same_trials(tiny_split: Split, tmp_path: Path) -> None:
    found = quick(tiny_split)
    assert timeless(quick(tiny_split, out=tmp_path / "out")) == timeless(found)
    assert found.trials[1].settings["order"] is True  # the rule's other candidate comes before what is drawn
    assert quick(tiny_split, seed=1).trials[2].settings != found.trials[2].settings
    assert len({trial.settings["tau"] for trial in found.trials[1:]}) == 4


def test_a_search_that_was_killed_goes_on_and_ends_the_same(
    tiny_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, fitted, begun = quick(tiny_split), searches._Trainer.fitted, []

    def killed(self: Any, settings: Mapping[str, Any], on_check: Any) -> float:
        begun.append(settings)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return fitted(self, settings, on_check)

    monkeypatch.setattr(searches._Trainer, "fitted", killed)
    with pytest.raises(KeyboardInterrupt):
        quick(tiny_split, out=tmp_path / "out")
    assert not (tmp_path / "out" / "best.toml").exists()
    assert timeless(quick(tiny_split, out=tmp_path / "out")) == timeless(whole)
    assert len(begun) == 3 + 3  # trials 2, 3 and 4, and none of those that were whole
    with closing(sqlite3.connect(tmp_path / "out" / "trials.sqlite")) as held:
        states = [state for (state,) in held.execute("SELECT state FROM trials ORDER BY number")]
    assert states[2] == "FAIL" and "RUNNING" not in states


def test_more_trials_go_on_and_none_are_done_again(tiny_split: Split, tmp_path: Path) -> None:
    first = quick(tiny_split, trials=3, out=tmp_path / "out")
    assert quick(tiny_split, trials=3, out=tmp_path / "out") == first
    more = quick(tiny_split, trials=5, out=tmp_path / "out")
    assert more.trials[:3] == first.trials
    assert timeless(more).trials == timeless(quick(tiny_split)).trials


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "svd", "settings": {}}, "kind 'ease' there, 'svd' here"),
        ({"seed": 1}, "seed 0 there, 1 here"),
        ({"max_users": 60}, "users 120 there, 60 here"),
        ({"split": split_of_tiny(seed=1)}, "the log or its split is not the same"),
    ],
)
def test_another_search_in_the_same_folder_is_refused(
    change: dict[str, Any], message: str, tiny_split: Split, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"split": tiny_split, "kind": "ease", "trials": 1, "out": tmp_path}
    rd.tune(**asked)
    with pytest.raises(ConfigError, match=message) as refusal:
        rd.tune(**{**asked, **change})
    assert len(str(refusal.value).splitlines()) == 1


def test_a_folder_of_something_else_is_refused(tiny_split: Split, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not of a search"):
        rd.tune(tiny_split, "svd", trials=1, out=tmp_path)
    with pytest.raises(ConfigError, match="is a file"):
        rd.tune(tiny_split, "svd", trials=1, out=tmp_path / "notes.txt")
    (tmp_path / "notes.txt").rename(tmp_path / "trials.sqlite")
    (tmp_path / "trials.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ArtifactError, match=r"trials.sqlite: cannot be used"):
        rd.tune(tiny_split, "svd", trials=1, out=tmp_path)


def test_a_search_of_another_optuna_is_refused(tiny_split: Split, tmp_path: Path) -> None:
    rd.tune(tiny_split, "svd", trials=1, out=tmp_path)
    with closing(sqlite3.connect(tmp_path / "trials.sqlite")) as held, held:
        held.execute("UPDATE alembic_version SET version_num = 'later'")
    with pytest.raises(ArtifactError, match="another version of Optuna"):
        rd.tune(tiny_split, "svd", trials=1, out=tmp_path)


def test_a_file_that_is_damaged_under_a_search_is_told_in_one_line(
    tiny_split: Split, tmp_path: Path, made_up: Callable[[Callable[..., float]], None]
) -> None:
    def damaging(*_: Any) -> float:
        with closing(sqlite3.connect(tmp_path / "trials.sqlite")) as held:
            held.execute("DROP TABLE trial_user_attributes")
        return 0.5

    made_up(damaging)
    with pytest.raises(ArtifactError, match=r"trials.sqlite: cannot be used .*no such table") as refusal:
        rd.tune(tiny_split, "svd", trials=1, out=tmp_path)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_folder_in_which_a_search_is_working_is_refused(
    tiny_split: Split, tmp_path: Path, made_up: Callable[[Callable[..., float]], None]
) -> None:
    refusals = []

    def again(*_: Any) -> float:
        with pytest.raises(ConfigError, match="another search is working") as refusal:
            rd.tune(tiny_split, "svd", trials=1, out=tmp_path)
        refusals.append(refusal)
        return 0.5

    made_up(again)
    rd.tune(tiny_split, "svd", trials=1, out=tmp_path)
    assert len(refusals) == 1


def test_a_folder_may_have_any_name(tiny_split: Split, tmp_path: Path) -> None:
    folder = tmp_path / "a space?b=c 50%25 {x} #ü"
    rd.tune(tiny_split, "svd", trials=1, out=folder)
    assert (folder / "trials.sqlite").stat().st_size > 0


def test_a_trial_that_is_behind_is_stopped_and_the_first_never(
    tiny_split: Split, made_up: Callable[[Callable[..., float]], None]
) -> None:
    values = iter([0.1, 0.5, 0.5, 0.5, 0.2, 0.6])

    def fitted(self: Any, settings: Mapping[str, Any], on_check: Callable[[float, float], None]) -> float:
        value = next(values)
        for share in (0.25, 0.5, 0.75):
            on_check(share, value * share)
        return value

    made_up(fitted)
    found = quick(tiny_split, trials=6)
    states = [trial.state for trial in found.trials]
    assert states == ["finished"] * 4 + ["stopped early", "finished"]
    assert found.trials[4].checks == [[0.25, 0.05], [0.5, 0.1]]
    assert found.trials[4].valid_ndcg == 0.1
    assert found.best.number == 5
    assert "6 trials (1 stopped early)" in str(found)


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 15, 47])
def test_looks_of_any_number_of_epochs_are_told_apart(epochs: int, tiny_split: Split, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of two reports at the same place
        found = rd.tune(tiny_split, "two_tower", settings={"dim": 2, "epochs": epochs}, trials=1)
    assert len(found.trials[0].checks) == min(3, epochs - 1)


def test_a_trial_that_fails_is_told_and_the_search_goes_on(
    tiny_split: Split, made_up: Callable[[Callable[..., float]], None]
) -> None:
    def fitted(self: Any, settings: Mapping[str, Any], on_check: Any) -> float:
        if settings != self.space.starts[0]:
            raise ConfigError("ease: too small")
        return 0.3

    made_up(fitted)
    found = rd.tune(tiny_split, "ease", trials=7)
    assert [trial.state for trial in found.trials] == ["finished"] + ["failed"] * 6
    assert found.trials[1].message == "ease: too small"
    assert found.best.number == 0
    assert "None of the others" in str(found)


def test_what_fails_with_the_rules_settings_is_raised(
    tiny_split: Split, made_up: Callable[[Callable[..., float]], None]
) -> None:
    def fitted(*_: Any) -> float:
        raise ConfigError("cannot be fitted")

    made_up(fitted)
    with pytest.raises(ConfigError, match="cannot be fitted"):
        rd.tune(tiny_split, "ease", trials=3)


def test_which_setting_mattered_is_told_from_eight_trials_on(
    tiny_split: Split, made_up: Callable[[Callable[..., float]], None]
) -> None:
    made_up(lambda self, settings, _: 1.0 - abs(np.log(settings["tau"] / 0.2)))
    assert quick(tiny_split, trials=7).importance == {}
    found = quick(tiny_split, trials=30)
    assert next(iter(found.importance)) == "tau"
    assert sum(found.importance.values()) == pytest.approx(1.0)
    assert found.best.settings["tau"] == pytest.approx(0.2, rel=0.15)
    assert "PED-ANOVA" in str(found)


def test_what_is_found_on_some_users_is_carried_to_all(tiny_split: Split) -> None:
    found = rd.tune(tiny_split, "ease", trials=3, max_users=60)
    rule = rd.EASE().fit(tiny_split.train).settings()["regularization"]
    start = found.trials[0].settings["regularization"]
    assert found.settings["regularization"] == pytest.approx(
        found.best.settings["regularization"] * rule / start, rel=0.01
    )
    assert rule > start
    assert any("60 of 120 users" in note for note in found.notes)
    assert any("carried to all users" in note for note in found.notes)


@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize("kind", ["two_tower", "ease", "als", "svd"])
def test_nothing_that_is_chosen_depends_on_the_test_part(
    kind: str, valid: bool, tiny_split: Split, no_valid: Split
) -> None:
    """A search finds the same where the test part is not even there."""
    split = tiny_split if valid else no_valid
    settings = QUICK if kind == "two_tower" else {}
    found = [
        rd.tune(part, kind, settings=settings, trials=3, max_users=100)
        for part in (split, replace(split, test=None))  # type: ignore[arg-type]
    ]
    assert timeless(found[0]) == timeless(found[1])


def test_what_is_written_is_what_was_found(tiny_split: Split, tmp_path: Path) -> None:
    found = quick(tiny_split, trials=3, out=tmp_path)
    told = json.loads((tmp_path / "tune.json").read_text())
    assert [TrialRecord(**trial) for trial in told["trials"]] == list(found.trials)
    assert told["best"] == {
        "trial": found.best.number, "valid_ndcg": found.best.valid_ndcg, "settings": found.settings
    }  # fmt: skip
    assert {"recdistill", "optuna", "torch"} <= told["environment"].keys()
    best = tomllib.loads((tmp_path / "best.toml").read_text())
    assert best == {"teacher": {"kind": "two_tower", **found.settings}}
    assert rd.RunConfig(**best).model("teacher")[1].items() >= found.settings.items()


def test_without_optuna_the_cure_is_named(tiny_split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'recdistill\[tune\]'"):
        rd.tune(tiny_split, "svd", trials=1)


def test_a_model_that_does_not_fit_into_memory_is_refused(tiny_split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.runs.plan.memory_limit", lambda: 10_000)
    with pytest.raises(ConfigError, match="ease needs"):
        rd.tune(tiny_split, "ease", trials=1)
