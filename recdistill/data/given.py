"""What a caller gave where a part of a log is wanted: the usual mix-ups, each with what to give in its place."""

from __future__ import annotations

from typing import Any

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.log import Log
from recdistill.data.split import Split
from recdistill.errors import ConfigError

SPLIT_FIRST = "split it, rd.split.ratio(log) or another, and give"


def check_train(given: object, where: str) -> None:
    """Raises ConfigError for what is not the train part of a split, or rows made by `Interactions.from_ids`."""
    if isinstance(given, Interactions):
        return
    if isinstance(given, Split):
        raise ConfigError(f"{where}: this is a whole split; give its train part, split.train")
    if isinstance(given, Log):
        raise ConfigError(f"{where}: this is a whole log, its test rows too; {SPLIT_FIRST} split.train")
    raise ConfigError(f"{where}: found a {_name(given)}; read it by rd.read_interactions, {SPLIT_FIRST} split.train")


def check_valid(given: object, where: str) -> None:
    """Raises ConfigError for what is no valid part; None is none."""
    if given is None or isinstance(given, HeldOut):
        return
    if isinstance(given, Split):
        raise ConfigError(f"{where}: valid is a whole split; give its valid part, split.valid")
    raise ConfigError(f"{where}: valid is a {_name(given)}; give the valid part of a split, split.valid")


def _name(given: Any) -> str:
    return type(given).__name__
