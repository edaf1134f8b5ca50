"""Students under a limit of bytes or time: shape and settings searched together, judged by the valid rows.

One or two tables, the codec and how its step is found, how much of the widest dimension is used, and what a training is
told. Trials that are behind at the middle of their training are stopped; the best are trained again with other seeds,
beside the student that was found without a search, which stays unless one is above it by more than one standard error
over users: among so many trials some are above it by chance.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file

from recdistill import files
from recdistill.compression.sizes import narrowest, student_bytes
from recdistill.compression.trials import Tried
from recdistill.errors import RecdistillError
from recdistill.evaluation.compare import compare
from recdistill.models.base import valid_ndcg_by_user
from recdistill.search import study as studies
from recdistill.search.budget import Budget
from recdistill.search.judge import JudgedProgress
from recdistill.search.parameters import OneOf, Parameter, Real
from recdistill.search.report import trial_line
from recdistill.search.result import State, TrialRecord
from recdistill.tables.codec_names import WITH_STEPS
from recdistill.training.progress import NullProgress, Progress

if TYPE_CHECKING:
    from optuna import Study

    from recdistill.compression.trials import Trials

VERSION = 1
"""Raised by hand when the same search gives other trials."""
FINALISTS = 3
"""Students that are trained again, the default among them."""
OTHER_SEEDS = (1, 2)
"""With which they are."""
BY_USER = "ndcg"
"""The array of a file of values."""
Widest = Mapping[tuple[str, bool], int]
"""The most dimensions by codec and whether there is one table for both sides; what does not fit is missing."""


class Hopeless(Exception):
    """A trial that is behind the others at the same share of its training."""


@dataclass(frozen=True, slots=True)
class Searched:
    """The student that ranks best on valid, mean of its seeds, and what it is beside the default."""

    settings: dict[str, Any]
    tried: tuple[Tried, ...]
    """Trials that were trained to the end."""
    told: dict[str, Any]
    """Counts, minutes, and the means on valid of the winner and of the default."""
    won: bool
    """Whether it is another than the default."""


def parameters(widest: Widest, given: Mapping[str, Any], *, distilled: bool) -> dict[str, Parameter]:
    """What is searched, by name; settings that are given are not."""
    codecs = tuple(dict.fromkeys(codec for codec, _ in widest))
    tables = ("tied", "full") if any(not tied for _, tied in widest) else ("tied",)
    named: dict[str, Parameter] = {
        "codec": OneOf(default=codecs[0], values=codecs),
        "table": OneOf(default="tied", values=tables),
        "fill": Real(default=1.0, low=0.5, high=1.0),
        "learned_step": OneOf(default=False, values=(False, True)),
        "history_dropout": Real(default=0.0, low=0.0, high=0.6),
        "learning_rate": Real(default=1e-2, low=2.5e-3, high=4e-2, log=True),
        "longer": Real(default=1.0, low=0.5, high=1.5),
    }
    if distilled:
        named["label_share"] = Real(default=0.3, low=0.0, high=0.9)
    return {name: parameter for name, parameter in named.items() if name not in given}


def settings_of(drawn: Mapping[str, Any], widest: Widest, given: Mapping[str, Any]) -> dict[str, Any]:
    """Of the two-tower model what a point of the space stands for; where two tables do not fit it is one."""
    codec = drawn["codec"]
    tied = drawn["table"] == "tied" or (codec, False) not in widest
    made = {name: drawn[name] for name in ("label_share", "history_dropout", "learning_rate") if name in drawn}
    made |= {"codec": codec, "table": "tied" if tied else "full"}
    made["dim"] = max(narrowest(codec), int(drawn["fill"] * widest[codec, tied]))
    if drawn["learned_step"] and codec in WITH_STEPS:
        made["codec_step"] = "learned"
    share = drawn["longer"] * given.get("epochs_share", 1.0)
    return made | ({} if share == 1.0 else {"epochs_share": share})


@dataclass(frozen=True, slots=True)
class ArchitectureSearch:
    trials: Trials
    """What every training has in common; its seed is that of the trials."""
    widest: Widest
    default: Tried
    """The student that was found without a search: where this one begins, and what it is held against."""
    budget: Budget
    identity: Mapping[str, Any]
    """All that decides what a trial is."""
    folder: Path
    """Where trials are kept; a search that was stopped, or is given more time, goes on."""

    def best(self) -> Searched:
        """Trial after trial until the budget is over, then the best of them again with other seeds."""
        studies.need_optuna()
        with studies.open_study(self.folder, {"version": VERSION, **self.identity}) as study:
            done = studies.records(study)
            earlier = sum(record.seconds for record in done)
            if len(done) > 1:
                self._progress.say(f"- goes on after {len(done) - 1} trials")
            while not done or self._over(done, earlier) is None:
                done.append(self._trial(study, len(done)))
                self._progress.say(trial_line(done[-1]))
            return self._decided(done)

    @property
    def _progress(self) -> Progress:
        return self.trials.progress or NullProgress()

    @property
    def _space(self) -> dict[str, Parameter]:
        return parameters(self.widest, self.trials.given, distilled=self.trials.knowledge is not None)

    def _over(self, done: Sequence[TrialRecord], earlier: float) -> str | None:
        """Why no further trial is drawn; time for the trainings that decide is set aside. The default is none."""
        drawn = [record.seconds for record in done[1:]]
        aside = FINALISTS * len(OTHER_SEEDS) * statistics.fmean(drawn) if drawn else 0.0
        return self.budget.over(drawn, earlier + aside)

    def _trial(self, study: Study, number: int) -> TrialRecord:
        """One trial, which is in the study when this returns; the first is the default, which is trained already."""
        space, start = self._space, None
        if not number:
            told = self.default.settings
            start = {name: told.get(name, parameter.default) for name, parameter in space.items()}
        asked = studies.begin(study, start, seed=self.trials.seed, number=number)
        drawn = {name: parameter.suggest(asked, name) for name, parameter in space.items()}
        if start is not None:
            record = TrialRecord(
                number=0, state="finished", valid_ndcg=self.default.first, seconds=0.0, settings=start, checks=[]
            )
            studies.end(study, asked, record)
            return record
        checks: list[list[float]] = []

        def on_check(share: float, ndcg: float) -> None:
            checks.append([round(share, 4), ndcg])
            asked.report(ndcg, int(share * studies.CHECKS))
            if asked.should_prune():
                raise Hopeless

        begun, value, message = time.perf_counter(), None, None
        state: State = "finished"
        try:
            watched = replace(self.trials, progress=JudgedProgress(self._progress, on_check))
            value = watched.trained(settings_of(drawn, self.widest, self.trials.given))[1].valid
        except Hopeless:
            state, value = "stopped early", checks[-1][1]
        except RecdistillError as error:
            state, message = "failed", str(error)
        record = TrialRecord(
            number=number, state=state, valid_ndcg=value, seconds=round(time.perf_counter() - begun, 3),
            settings=drawn, checks=checks, message=message,
        )  # fmt: skip
        studies.end(study, asked, record)
        return record

    def _decided(self, done: Sequence[TrialRecord]) -> Searched:
        """The best by the mean over seeds of those that were best with the first; the default, if none is surely so."""
        whole = [record for record in done if record.state == "finished"]
        ranked = sorted(whole[1:], key=lambda record: (-(record.valid_ndcg or 0.0), record.number))
        finalists = [whole[0], *ranked[: FINALISTS - 1]]
        means, again = [self.default.first], []
        if ranked:
            again = [self._again(record) for record in finalists]
            pairs = zip(finalists, again, strict=True)
            means = [statistics.fmean([one.valid_ndcg or 0.0, *values.mean(axis=1).tolist()]) for one, values in pairs]
        sure = [place for place in range(1, len(again)) if surely_above(again[place], again[0])]
        best = max([0, *sure], key=lambda place: (means[place], -place))
        states = [record.state for record in done[1:]]
        return Searched(
            settings=self._settings(finalists[best]),
            tried=tuple(self._tried(record) for record in whole),
            told={
                "trials": len(states),
                "stopped_early": states.count("stopped early"),
                "failed": states.count("failed"),
                "minutes": round(sum(record.seconds for record in done) / 60, 2),
                "seeds": 1 + len(OTHER_SEEDS) if ranked else 1,
                "valid": means[best],
                "valid_default": means[0],
            },
            won=best > 0,
        )

    def _again(self, record: TrialRecord) -> np.ndarray:
        """(seeds, users) NDCG@20 on valid of what the other seeds make of a trial's settings; what was measured before
        is in the folder."""
        trials, found = self.trials, []
        for seed in OTHER_SEEDS:
            path = self.folder / f"trial-{record.number}-seed-{seed}.safetensors"
            if not path.is_file():
                student = replace(trials, seed=seed).trained(self._settings(record))[0]
                values = valid_ndcg_by_user(student.scorer, trials.train, trials.valid)
                with files.whole_file(path) as unfinished:
                    files.write_arrays(unfinished, {BY_USER: values})
            found.append(load_file(path)[BY_USER])
        return np.stack(found)

    def _settings(self, record: TrialRecord) -> dict[str, Any]:
        """All settings of a trial, those given among them."""
        if record.number == 0:
            return dict(self.default.settings)
        made = settings_of(record.settings, self.widest, self.trials.given)
        return {**self.trials.given, **made, "user_id": False}

    def _tried(self, record: TrialRecord) -> Tried:
        settings = self._settings(record)
        size = student_bytes(
            self.trials.train.n_items, settings["codec"], settings["dim"], tied=settings["table"] == "tied",
            ordered=bool(settings.get("order")),
        )  # fmt: skip
        return Tried(settings, size, 1.0, record.valid_ndcg or 0.0)


def surely_above(values: np.ndarray, others: np.ndarray) -> bool:
    """Of users' values (seeds, users): higher with every seed, and by more than one standard error of the mean."""
    found = compare(values, others)
    return found.seeds_same_sign and found.difference > found.standard_error
