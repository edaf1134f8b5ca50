"""The settings that turn a log into train, valid and test: what is read, what is left out, how it is split."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from recdistill.errors import ConfigError

Hidden = Literal["train", "train+valid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    log: str = ""
    """A file, a folder, or FILE.zip!member."""
    dataset: str | None = None
    """A data set by name, fetched before; in the place of `log`."""
    valid_log: str | None = None
    """A file of its own with the valid rows, where `log` holds the train rows alone."""
    test_log: str | None = None
    """A file of its own with the test rows."""
    query: str | None = None
    """What to ask a database file for."""
    columns: dict[str, str] = field(default_factory=dict)
    """Our name to the file's: {"user_id": "userId"}; none: usual names are recognised."""
    split_column: str | None = None
    """Column with train|valid|test or 0|2|1."""
    items: str | None = None
    """A table of what is known of items: titles, categories, numbers, texts, vectors."""
    users: str | None = None
    """The same of users."""
    drop_null: bool = False
    """Leave out rows with an empty id, time or rating; without it they are refused."""
    cache: bool = True
    """Keep the encoded log for the next run on the same file."""

    def __post_init__(self) -> None:
        if self.dataset and self.log:
            raise ConfigError(f"data.dataset = {self.dataset!r} and data.log = {self.log!r}: give one of them")
        if self.valid_log and not self.test_log:
            raise ConfigError("data.valid_log (--valid) without data.test_log (--test): give the test rows' file too")
        if self.test_log and self.split_column:
            raise ConfigError("data.test_log and data.split_column: the files are the split; leave the column out")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterConfig:
    """What is left out before the split; each filter says in the report what it removed."""

    min_rating: float | None = None
    """Rows below it are no sign of liking, and go."""
    core: int | None = None
    """Users and items with at least this many rows, counted again until all have them."""
    user_core: int | None = None
    item_core: int | None = None
    duplicates: Literal["last", "first", "sum"] | None = None
    """What counts of a repeated (user, item) within a part of the split; none: the last."""
    since: str | float | None = None
    """ISO date or time, or seconds; rows before it go."""
    until: str | float | None = None
    """ISO date or time, or seconds; rows from it on go."""
    users: str | None = None
    """File with one id in each line: only these stay."""
    items: str | None = None
    without_users: str | None = None
    """File with one id in each line: these go."""
    without_items: str | None = None
    transform: Literal["log"] | None = None
    """log(1 + count) in the place of counts."""
    cap: float | None = None
    """Largest value of a count."""

    def settings(self) -> dict[str, Any]:
        return _given(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    name: str | None = None
    """A registered split; none: the split column if one is named, else by time, else per user."""
    valid: float | None = None
    test: float | None = None
    by: Literal["seed", "time"] | None = None
    seed: int | None = None
    n: int | None = None
    """leave_last_n: test rows of each user."""
    n_valid: int | None = None
    """leave_last_n: valid rows of each user."""
    folds: int | None = None
    fold: int | None = None
    held: float | None = None
    """user_folds: share of an unseen person's rows that is asked for."""
    history: Hidden | None = None
    """What a user is made of when test is scored; none: as the split has it (train; leave_last_n: train+valid)."""
    exclude: Hidden | None = None
    """What may not be recommended when test is scored; none: as the split has it."""

    def __post_init__(self) -> None:
        from recdistill.data.splits import SPLITS

        if self.name is not None:
            SPLITS[self.name.replace("-", "_")]
        elif given := sorted(set(self.settings()) - {"valid", "test"}):
            raise ConfigError(f"split.{given[0]}: belongs to a split; name it by --split or split.name")

    def settings(self) -> dict[str, Any]:
        """What the split of this name takes; `valid` of leave_last_n is a count, elsewhere a share."""
        found = {name: value for name, value in _given(self).items() if name not in ("name", "history", "exclude")}
        if "n_valid" in found:
            found["valid"] = found.pop("n_valid")
        return found


def _given(config: Any) -> dict[str, Any]:
    named = {part.name: getattr(config, part.name) for part in fields(config)}
    return {name: value for name, value in named.items() if value is not None}
