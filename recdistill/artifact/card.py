"""The card: what a person should know about a model before using it, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def card(config: Mapping[str, Any]) -> str:
    """From the artifact's config alone."""
    form = config["scorer"]
    codecs = ", ".join(f"{table}: {codec}" for table, codec in form["codecs"].items()) or "none"
    known = "none: people are known by their history" if config["users"] is None else f"{config['users']:,}"
    facts = {
        "model": config["kind"],
        "form": form["form"],
        "tables": codecs,
        "dimension": config["dimension"],
        "parameters": f"{config['parameters']:,}",
        "bytes in memory": f"{config['bytes']:,}",
        "items": f"{config['items']:,}",
        "users known by id": known,
    }
    blocks = [
        f"# {_cell(config['name'])}",
        "A recommender made with recdistill. It ranks a catalogue of items for a person, given what they used.",
        _table("", "", facts),
        "## How to load",
        HOW_TO_LOAD,
        "## What it was trained on",
        _table("", "", dict(_flat(config["trained_on"]))) if config["trained_on"] else "Not recorded.",
        *_features(config.get("features") or {}),
        "## Metrics",
        _table("metric", "value", dict(_flat(config["metrics"]))) if config["metrics"] else "Not measured.",
        "## Settings",
        _table("setting", "value", dict(_flat(config["settings"]))) if config["settings"] else "Not recorded.",
    ]
    return "\n\n".join(blocks) + "\n"


HOW_TO_LOAD = """```python
from recdistill import Recommender

recommender = Recommender.load("path/to/this/folder")
recommender.recommend(history=["an item id", "another"], k=10)
```

Loading checks the SHA-256 of every file (`checksums.json`), executes nothing, and needs no torch."""


def _features(told: Mapping[str, Any]) -> list[str]:
    """What the log had beside its rows, with what is missing; whether the model uses it is a setting of the model."""
    blocks = []
    for of, columns in told.items():
        rows = [
            f"| {_cell(name)} | {_cell(one['kind'])} | {one['missing']:,} | {_size(one)} |"
            for name, one in columns.items()
        ]
        if rows:
            head = [f"| of {of} | kind | missing | |", "|---|---|---|---|"]
            blocks.append("\n".join([*head, *rows]))
    return ["## What else was known", *blocks] if blocks else []


def _size(column: Mapping[str, Any]) -> str:
    return ", ".join(f"{column[name]:,} {name}" for name in ("levels", "dimension") if column.get(name) is not None)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _table(left: str, right: str, rows: Mapping[str, Any]) -> str:
    lines = [f"| {left} | {right} |", "|---|---|"]
    return "\n".join(lines + [f"| {_cell(name)} | {_cell(_shown(value))} |" for name, value in rows.items()])


def _shown(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def _cell(value: Any) -> str:
    return " ".join(str(value).replace("|", "\\|").split())
