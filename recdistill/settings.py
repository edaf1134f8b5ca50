"""Settings as frozen dataclasses: read from TOML and the command line, unknown names refused with the nearest known."""

from __future__ import annotations

import dataclasses
import datetime
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from recdistill.errors import ConfigError
from recdistill.registry import nearest

C = TypeVar("C")


def from_mapping(cls: type[C], values: Mapping[str, Any], where: str = "") -> C:
    """An instance of a settings dataclass; nested dataclasses take nested mappings.

    Raises ConfigError for a name that `cls` has not, a value of another type, and whatever `__post_init__` refuses.
    """
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]
    taken: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{where}.{name}" if where else name
        if name not in names:
            raise ConfigError(f"no setting {path!r}. {nearest(name, names)}")
        taken[name] = _fit(value, hints[name], path)
    try:
        return cls(**taken)
    except TypeError as error:
        raise ConfigError(f"{where or cls.__name__}: {error}") from None


def _fit(value: Any, hint: Any, path: str) -> Any:
    """`value` as the type that the field declares, or a ConfigError that says what was found."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None or (value == "none" and type(None) in options):
            return None
        for option in (o for o in options if o is not type(None)):
            try:
                return _fit(value, option, path)
            except ConfigError:
                continue
        raise ConfigError(f"{path} = {value!r}: expected {_spell(hint)}")
    origin = typing.get_origin(hint) or hint
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} = {value!r}: expected settings like {path}.<name> = …")
        return from_mapping(typing.cast(type, hint), value, path)
    if origin is tuple:
        item = (typing.get_args(hint) or (str,))[0]
        parts = [p for p in value.split(",") if p] if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            parts = [parts]
        return tuple(_fit(part, item, path) for part in parts)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise ConfigError(f"{path} = {value!r}: expected one of {', '.join(map(str, typing.get_args(hint)))}")
        return value
    if origin is dict or hint is Any:
        return value
    if hint is str and isinstance(value, datetime.date):  # TOML has dates of its own
        return value.isoformat()
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(origin, type) and isinstance(value, origin) and not (origin is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{path} = {value!r}: expected {_spell(hint)}")


def _spell(hint: Any) -> str:
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "none"}
    if hint in words:
        return words[hint]
    return " or ".join(words.get(option, str(option)) for option in typing.get_args(hint)) or str(hint)


def to_mapping(settings: Any) -> dict[str, Any]:
    """The settings as a nested mapping that TOML can hold: unset values are left out, tuples become lists."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        if isinstance(value, Mapping):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    def drop(value: Any) -> Any:
        return {k: drop(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value

    return drop(plain(settings))


def assign(values: dict[str, Any], assignment: str) -> None:
    """Put one `name.name=value` of the command line into a nested mapping; the value is read as TOML, else as text."""
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set {assignment!r}: write it as name=value, for instance teacher.dim=256")
    *parents, last = path.strip().split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {assignment!r}: {parent!r} has a value already and no settings under it")
    values[last] = _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error})") from None
