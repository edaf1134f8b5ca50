"""From the settings of a run to its split: read, filtered, split; and the fingerprint of what was read."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill import files
from recdistill.data import filters, readers, splits
from recdistill.data.formats.registry import open_source
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.registry import nearest

if TYPE_CHECKING:
    from recdistill.data.log import Log
    from recdistill.data.splits import Split
    from recdistill.runs.config import RunConfig
    from recdistill.runs.data_config import DataConfig, FilterConfig


def log_path(data: DataConfig) -> str:
    """Where the log is: as given, or where the data set of this name was put."""
    if data.dataset:
        from recdistill.data.datasets import open_dataset

        return str(open_dataset(data.dataset))
    if not data.log:
        raise ConfigError("no log: give --log FILE or --dataset NAME, or try recdistill demo")
    return data.log


def paths(data: DataConfig) -> dict[str, str]:
    """Every file or folder that the run reads, by its part."""
    named = {"log": log_path(data), "valid": data.valid_log, "test": data.test_log}
    named |= {"items": data.items, "users": data.users}
    return {part: path for part, path in named.items() if path}


def fingerprints(config: RunConfig) -> dict[str, str]:
    """SHA-256 of the content of each of them, of tables beside the log and of the filters' lists."""
    found = {part: files.content_sha256(readers.check_file(path)) for part, path in paths(config.data).items()}
    for part, table in open_source(log_path(config.data), query=config.data.query).side.items():
        if Path(table.where).is_file():
            found[f"beside.{part}"] = files.content_sha256(table.where)
    for name, value in config.filter.settings().items():
        if name in ("users", "items", "without_users", "without_items"):
            found[f"filter.{name}"] = files.content_sha256(_list_file(name, value))
    return found


def read_log(data: DataConfig, filter: FilterConfig) -> Log:
    """The log, encoded and filtered, with what is known of its items and users."""
    named = paths(data)
    log = _read(data, named["log"], data.split_column)
    if "test" in named:
        parts = {"train": log} | {part: _read(data, named[part], None) for part in ("valid", "test") if part in named}
        log = splits.concatenate(parts)
    log = with_tables(log, items=data.items, users=data.users, columns=_columns(data))
    return _without_filtered(log, filters.apply(log, filter.settings()))


def _without_filtered(log: Log, left: Log) -> Log:
    """What is `left` of the log, without what is known of items that a filter took: they are no new items."""
    if log.item_features is None or left is log:
        return left
    ids = log.item_features.ids.ids()
    stay = (log.items.rows(ids) < 0) | (left.items.rows(ids) >= 0)
    return left if stay.all() else replace(left, item_features=log.item_features.of(Vocab(ids[stay])))


def with_tables(log: Log, *, items: str | None, users: str | None, columns: Mapping[str, str]) -> Log:
    """The log with its side tables; a name that its id column was given counts for them too, where they have it."""
    from recdistill.features import attach, read_features

    tables = {}
    for side, of, path in (("items", "item", items), ("users", "user", users)):
        if path:
            table, role = open_source(path), f"{of}_id"
            name = columns.get(role)
            tables[side] = read_features(table, of=of, columns={role: name} if name in table.names else None)  # type: ignore[arg-type]
    return attach(log, **tables) if tables else log


def make_split(log: Log, config: RunConfig) -> Split:
    """The split that the settings name, or the one that suits the log."""
    chosen, settings = config.split, config.split.settings()
    name = chosen.name.replace("-", "_") if chosen.name else splits.default_name(log)
    split = splits.SPLITS[name]
    known = [parameter for parameter in inspect.signature(split).parameters if parameter != "log"]
    for setting in settings:
        if setting not in known:
            raise ConfigError(f"split.{setting}: the split {name} has no such setting. {nearest(setting, known)}")
    made = split(log, **settings)
    hidden: dict[str, Any] = {
        side: getattr(chosen, side) for side in ("history", "exclude") if getattr(chosen, side) is not None
    }
    return made.hiding(**hidden) if hidden else made


def _read(data: DataConfig, path: str, split_column: str | None) -> Log:
    return readers.read_interactions(
        path,
        columns=_columns(data) or None,
        split_column=split_column,
        query=data.query,
        drop_null=data.drop_null,
        cache=data.cache,
    )


def _columns(data: DataConfig) -> dict[str, str]:
    """The data set's own names of its columns, then those that are given."""
    if not data.dataset:
        return dict(data.columns)
    from recdistill.data.datasets import CATALOGUE

    return {**CATALOGUE[data.dataset].columns, **data.columns}


def _list_file(name: str, value: str) -> Path:
    path = Path(value)
    if not path.is_file():
        raise DataError(f"{path}: no such file; filter.{name} is a text file with one id in each line.")
    return path
