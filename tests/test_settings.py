"""Settings are read strictly: unknown names and wrong types are refused with what would have been right."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from recdistill.errors import ConfigError
from recdistill.settings import assign, from_mapping, read_toml, to_mapping


@dataclass(frozen=True, kw_only=True)
class Inner:
    dim: int = 8
    rate: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    names: tuple[str, ...] = ()
    sizes: tuple[int, ...] | None = None
    mode: Literal["a", "b"] = "a"
    limit: float | None = None
    on: bool = False


def test_what_is_written_is_read_back() -> None:
    settings = Outer(inner=Inner(dim=4), names=("x", "y"), sizes=(1, 2), mode="b", on=True)
    assert from_mapping(Outer, to_mapping(settings)) == settings


def test_a_whole_number_is_taken_for_a_number() -> None:
    assert from_mapping(Outer, {"limit": 3}).limit == 3.0


def test_text_with_commas_is_taken_for_a_list() -> None:
    assert from_mapping(Outer, {"names": "x,y"}).names == ("x", "y")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"iner": {}}, "no setting 'iner'. Did you mean 'inner'?"),
        ({"inner": {"dimm": 3}}, "no setting 'inner.dimm'. Did you mean 'dim'?"),
        ({"inner": {"dim": 3.5}}, "inner.dim = 3.5: expected a whole number"),
        ({"inner": {"dim": True}}, "inner.dim = True: expected a whole number"),
        ({"inner": 3}, "inner = 3: expected settings like inner.<name>"),
        ({"mode": "c"}, "mode = 'c': expected one of a, b"),
        ({"limit": "much"}, "limit = 'much': expected a number or none"),
        ({"on": 1}, "on = 1: expected true or false"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_mapping(Outer, values)
    assert message in str(error.value)


def test_an_assignment_reads_its_value_as_toml_or_text() -> None:
    values: dict[str, object] = {}
    for text in ("inner.dim=3", "names=x,y", "on=true", "mode=b", 'limit="3"'):
        assign(values, text)
    assert values == {"inner": {"dim": 3}, "names": "x,y", "on": True, "mode": "b", "limit": "3"}


@pytest.mark.parametrize("text", ["dim", "=3"])
def test_an_assignment_without_name_or_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write it as name=value"):
        assign({}, text)


def test_an_assignment_under_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="has a value already"):
        assign({"inner": 3}, "inner.dim=3")


def test_a_broken_toml_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("a = ")
    with pytest.raises(ConfigError, match=r"run\.toml: cannot be read as TOML"):
        read_toml(tmp_path / "run.toml")
    with pytest.raises(ConfigError, match="no such file"):
        read_toml(tmp_path / "none.toml")
