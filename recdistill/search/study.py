"""Optuna's study behind a search: in memory, or in a file of the folder, where a search that was killed goes on.

SQLite: a trial is there whole or not at all, whatever killed the process, and it holds numbers and JSON alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill.errors import ArtifactError, ConfigError
from recdistill.search.result import TrialRecord

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

FILE = "trials.sqlite"
NAME = "tune"
IDENTITY, RECORD = "search", "record"
DRAWN_BLINDLY = 6
"""Trials, the rule's included, before what they found guides the next."""
WHOLE_BEFORE_STOPPING = 3
"""Trials trained to the end before one is stopped early."""
CHECKS = 4
"""Looks during a training, the end included; a trial is compared with others at the same share of its own training."""
FIRST_STOP = 2
"""The check, of 1 to 4, from which a trial may be stopped: before the middle the rate of learning is at its highest."""


def need_optuna() -> None:
    """Refused in one line where the extra is not installed."""
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"tune needs {error.name}. Install it: pip install 'recdistill[tune]'.") from None


@contextmanager
def open_study(folder: Path | None, identity: Mapping[str, Any]) -> Iterator[Study]:
    """The study of this search; `identity` is all that decides its trials, and must be the one that the folder holds.

    Raises ConfigError that names what differs, ArtifactError where the folder cannot be used.
    """
    from optuna.storages import InMemoryStorage

    if folder is None:
        with _quiet():
            yield _study(InMemoryStorage(), "memory", identity)
        return
    with _alone(folder), _quiet(), _refusing(folder / FILE):
        storage = _storage(folder / FILE)
        try:
            study = _study(storage, str(folder), identity)
            for trial in study.get_trials(deepcopy=False, states=(_state("RUNNING"),)):  # its process was killed
                study.tell(trial.number, state=_state("FAIL"))
            yield study
        finally:
            storage.remove_session()
            storage.engine.dispose()


def begin(study: Study, start: Mapping[str, Any] | None, *, seed: int, number: int) -> Any:
    """Optuna's next trial: with the values of `start`, or drawn from what the others found.

    The draw depends on the seed and the number alone, so that a search that goes on draws what it would have drawn.
    """
    import numpy as np
    from optuna.samplers import TPESampler

    drawn_by = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    study.sampler = TPESampler(seed=drawn_by, n_startup_trials=DRAWN_BLINDLY)
    if start is not None and not study.get_trials(deepcopy=False, states=(_state("WAITING"),)):
        study.enqueue_trial(dict(start))
    return study.ask()


def end(study: Study, trial: Any, record: TrialRecord) -> None:
    """The trial with its record, in the file from here on."""
    trial.set_user_attr(RECORD, asdict(record))
    if record.state == "finished":
        study.tell(trial, record.valid_ndcg)
    else:  # one without a single check counts as the worst there is
        study.tell(trial, state=_state("PRUNED"))


def records(study: Study) -> list[TrialRecord]:
    """Of every trial that came to an end, in order."""
    ended = study.get_trials(deepcopy=False, states=(_state("COMPLETE"), _state("PRUNED")))
    return sorted((TrialRecord(**trial.user_attrs[RECORD]) for trial in ended), key=lambda record: record.number)


def importance(study: Study, *, top: float) -> dict[str, float]:
    """Share of each setting in what tells the `top` share of finished trials from all of them.

    PED-ANOVA (Watanabe et al., 2023).
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=top))
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _study(storage: BaseStorage, where: str, identity: Mapping[str, Any]) -> Study:
    import optuna

    pruner = optuna.pruners.MedianPruner(n_startup_trials=WHOLE_BEFORE_STOPPING, n_warmup_steps=FIRST_STOP)
    study = optuna.create_study(
        storage=storage, study_name=NAME, direction="maximize", pruner=pruner, load_if_exists=True
    )
    held = study.user_attrs.get(IDENTITY)
    if held is None:
        study.set_user_attr(IDENTITY, dict(identity))
    elif held != identity:
        names = [name for name in {**held, **identity} if held.get(name) != identity.get(name)]
        told = "; ".join(_told(name, held.get(name), identity.get(name)) for name in names)
        raise ConfigError(f"{where}: holds another search: {told}. Give the command that began it, or another --out")
    return study


def _told(name: str, held: Any, asked: Any) -> str:
    if name == "data":
        return "the log or its split is not the same"
    if name == "space":
        return "the searched ranges are not the same"
    return f"{name} {held!r} there, {asked!r} here"


def _storage(path: Path) -> Any:
    """SQLite in the file. The connection is made here: a path need not be a URL."""
    from optuna.storages import RDBStorage

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, check_same_thread=False)

    try:
        return RDBStorage(f"sqlite:///{FILE}", engine_kwargs={"creator": connect})
    except RuntimeError:
        raise ArtifactError(f"{path}: is of another version of Optuna; give another --out") from None


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """What the database says, in one line: a damaged file, a full disk."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        first = str(cause).splitlines()[0]
        raise ArtifactError(f"{path}: cannot be used ({first}); free space, or choose another --out") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder, made if need be, for this process alone."""
    from filelock import FileLock, Timeout

    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; --out needs a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FILE).is_file():
        raise ConfigError(f"{folder}: holds files that are not of a search; give --out a new or empty folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).touch()
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(f"{folder}: another search is working in it; wait for it or choose another --out") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells of every study on standard error."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]
