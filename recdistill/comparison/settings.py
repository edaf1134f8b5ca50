"""From the command line to the settings of a comparison and its logs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill.comparison.config import ComparisonConfig
from recdistill.errors import ConfigError
from recdistill.runs import inputs
from recdistill.runs.config import RunConfig, sections
from recdistill.settings import assign, from_mapping

if TYPE_CHECKING:
    from recdistill.data.splits import Split


def comparison_of(options: argparse.Namespace) -> ComparisonConfig:
    """The options, then each --set."""
    values: dict[str, Any] = {}
    for name in ("seeds", "trials", "device"):
        if getattr(options, name) is not None:
            values[name] = getattr(options, name)
    if options.methods:
        values["methods"] = [part.strip() for part in options.methods.split(",") if part.strip()]
    if options.dims:
        parts = [part.strip() for part in options.dims.split(",")]
        if not all(part.isdigit() for part in parts):
            raise ConfigError(f"--dims {options.dims!r}: whole numbers with commas between them, for instance 16,32")
        values["dims"] = [int(part) for part in parts]
    for assignment in options.set:
        assign(values, assignment)
    return from_mapping(ComparisonConfig, values, "compare")


def named_logs(options: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Name to what is read: `NAME=PATH`, or a path, whose file's name it then is; a data set by its own name."""
    found: dict[str, dict[str, str]] = {}
    given = getattr(options, "data.log") or []
    dataset = getattr(options, "data.dataset")
    if not given and not dataset:
        raise ConfigError("no log: give --log NAME=PATH, once for each log, or --dataset NAME")
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            name, path = Path(text).name.partition(".")[0], text
        if name in found:
            raise ConfigError(f"--log {text}: {name!r} is the name of another log; name it: --log NAME={path}")
        found[name] = {"log": path}
    if dataset:
        if dataset in found:
            raise ConfigError(f"--dataset {dataset}: is the name of another log; name that one: --log NAME=PATH")
        found[dataset] = {"dataset": dataset}
    return found


def splits_of(options: argparse.Namespace, logs: Mapping[str, Mapping[str, str]]) -> dict[str, Split]:
    """Every log read, filtered and split alike."""
    given = sections(options)
    data = {name: value for name, value in given.pop("data", {}).items() if name not in ("log", "dataset")}
    found = {}
    for name, where in logs.items():
        config = from_mapping(RunConfig, {"data": {**data, **where}, **given})
        split = inputs.make_split(inputs.read_log(config.data, config.filter), config)
        found[name] = replace(split, train=replace(split.train, source=name))
    return found
