"""Which columns of a source are read, and as what: named by the caller, known to the format, or under a usual name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from recdistill.data.formats.base import Source
from recdistill.data.names import find_role
from recdistill.data.times import LEAST
from recdistill.errors import ConfigError, DataError
from recdistill.registry import did_you_mean, nearest

REQUIRED, OPTIONAL = ("user_id", "item_id"), ("rating", "timestamp")
SPLITS = ("split", "partition")
ORDERS = ("pos", "position", "seq", "sequence", "order", "step")
"""What a column of places in each user's order may be called; or one of places on a screen, so that a person says."""


@dataclass(frozen=True)
class Wanted:
    """The names of the columns by role, and how they were found where that is not plain."""

    names: dict[str, str]
    notes: tuple[str, ...] = ()


def wanted_columns(source: Source, columns: Mapping[str, str], split_column: str | None) -> Wanted:
    """Raises where a column is missing, named twice, or could be meant in two ways."""
    for role in columns:
        if role not in REQUIRED + OPTIONAL:
            raise ConfigError(f"columns: no {role!r}. {nearest(role, REQUIRED + OPTIONAL)}")
    named, notes = dict(columns), tuple[str, ...]()
    if split_column is not None:
        named["split"] = split_column
    if not source.headed and not source.roles and not set(REQUIRED) <= set(columns):
        found, notes = _by_order(source, named)
    else:
        found = _by_name(source, named)
    asked = {role: found[role] for role in (*REQUIRED, *OPTIONAL, "split") if role in found}
    _refuse_wrong(source, asked)
    return Wanted(asked, notes)


def column_notes(source: Source, wanted: Wanted, split_column: str | None) -> tuple[str, ...]:
    """What was read, under which name, and what was not."""
    taken = ", ".join(role if role == name else f"{role} = {name!r}" for role, name in wanted.names.items())
    unused = [name for name in source.names if name not in wanted.names.values()]
    notes = [*wanted.notes, f"columns read: {taken}" + (f"; not read: {', '.join(unused)}" if unused else "")]
    split = next((name for name in unused if name.lower() in SPLITS), None)
    if split_column is None and split is not None:
        notes.append(f"a column {split!r} is there and was not used; name it as the split column to use it")
    if "timestamp" not in wanted.names and unused:
        notes.append("no column of times was recognised; if there is one, name it as timestamp to split by time")
        order = next((name for name in unused if name.lower() in ORDERS), None)
        if order is not None:
            notes.append(f"column {order!r} may be the place in each user's order; --columns timestamp={order} uses it")
    return tuple(notes)


def _by_name(source: Source, named: dict[str, str]) -> dict[str, str]:
    found = dict(named)
    for role in REQUIRED + OPTIONAL:
        if role in found:
            continue
        free = [name for name in source.names if name not in found.values()]
        try:
            name = source.roles.get(role) or find_role(free, role)
        except DataError as fault:
            raise DataError(f"{source.where}: {fault}") from None
        if name is not None:
            found[role] = name
        elif role in REQUIRED:
            found[role] = role  # refused below, with what is there
    return found


def _by_order(source: Source, named: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """A table without names: user, item[, rating or time[, time]]."""
    free = [name for name in source.names if name not in named.values()]
    roles = [role for role in REQUIRED if role not in named]
    if len(free) < len(roles):
        raise DataError(f"{source.where}: {len(source.names)} columns and no header; a log has at least user and item.")
    found = named | dict(zip(roles, free, strict=False))
    rest = free[len(roles) :]
    if len(rest) == 1:
        role = "timestamp" if _is_time(source, rest[0]) else "rating"
        found.setdefault(role, rest[0])
    elif len(rest) == 2:
        for role, name in zip(OPTIONAL, rest, strict=True):
            found.setdefault(role, name)
    elif rest:
        raise DataError(
            f"{source.where}: {len(source.names)} columns and no header; say which are which with --columns "
            f"user_id={source.names[0]},item_id={source.names[1]} (they are called {', '.join(source.names)})."
        )
    return found, ("no header: columns taken by their order",)


def _is_time(source: Source, name: str) -> bool:
    """Large numbers and dates are times, small numbers ratings."""
    column = source.columns({"timestamp": name})["timestamp"]
    if pa.types.is_temporal(column.type):
        return True
    try:
        first = column.slice(0, 1000).cast(pa.float64()).drop_null()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return True  # text: a rating would not be
    return len(first) > 0 and sorted(first.to_pylist())[len(first) // 2] >= LEAST


def _refuse_wrong(source: Source, asked: Mapping[str, str]) -> None:
    if any("\0" in name for name in source.names):
        raise DataError(f"{source.where}: its first line holds NUL bytes; the file is damaged or no text.")
    for role, name in asked.items():
        if name not in source.names:
            cure = source.fault_in_names() or _cure(role, name, source.names)
            found = [one if len(one) <= 40 else f"{one[:40]}…" for one in source.names[:30]]
            raise DataError(f"{source.where}: no column {name!r}; found {found}. {cure}")
        if source.names.count(name) > 1:
            raise DataError(f"{source.where}: {source.names.count(name)} columns are called {name!r}; keep one.")
        twin = next((other for other in asked if other != role and asked[other] == name), None)
        if twin is not None:
            raise DataError(f"{source.where}: column {name!r} cannot be both {role} and {twin}. Name two columns.")


def _cure(role: str, name: str, names: list[str]) -> str:
    if role == "split" or name != role:
        return did_you_mean(name, names) or "Name one of these."
    return f"Pass columns={{{role!r}: '<your name>'}} (--columns {role}=YOUR_NAME)."
