"""The description of a log for the terminal, and the words that its page shares."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from recdistill.report.figures import DASH, count, percent, share
from recdistill.report.table import aligned, printable

if TYPE_CHECKING:
    from recdistill.data.describe import Description, SplitShape
    from recdistill.data.spread import Spread

SPLITS = {
    "given": "as the log's split column says",
    "global_time": "the last rows of the whole log are the test",
    "ratio": "a share of each user's rows, drawn by lot",
    "leave_last_n": "the last row of each user is the test",
    "random": "rows drawn by lot over the whole log",
    "user_folds": "the test users are kept out of training, on purpose",
}
"""Split: what its test part is, for a stranger."""


def describe_text(told: Description) -> str:
    """Counts, spreads, times, then every split on a line."""
    blocks = [[verdict(told)], _times(told), _spreads(told), _popular(told), _ratings(told), _splits(told)]
    blocks += [_features(told), [f"- {printable(note, 400)}" for note in told.notes]]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def verdict(told: Description) -> str:
    """Two sentences for somebody who never saw the log."""
    times = told.times
    when = f" from {times.first[:10]} to {times.last[:10]}" if times and times.dates else ""
    name = printable(PurePath(told.source.partition("!")[0]).name or told.source, 60)
    half = f"{told.histories.median:,.0f}"
    return (
        f"{name}: {count(told.rows)} rows{when}, in which {count(told.users)} users used {count(told.items)} items: "
        f"{percent(told.density)} of all pairs. Half of the users have {half} items or more, and the most popular "
        f"tenth of the items gets {percent(told.popularity.top_tenth)} of the pairs."
    )


def duplicates_line(told: Description) -> str:
    again = told.duplicates
    if not again.rows:
        return "No (user, item) comes twice."
    return (
        f"{count(again.rows)} rows repeat a (user, item) ({percent(share(again.rows, told.rows))} of all; "
        f"{count(again.pairs)} pairs, the most frequent one {count(again.most)} times)."
    )


def ratings_word(told: Description) -> str:
    """Counts go far; ratings stay on their scale."""
    return "Values" if told.ratings and any(" to " in part.label for part in told.ratings) else "Ratings"


def spread_row(spread: Spread) -> list[str]:
    """min, quartiles, mean, max."""
    middle = (spread.quartile_1, spread.median, spread.quartile_3)
    return [count(spread.min), *(f"{value:,.0f}" for value in middle), f"{spread.mean:,.1f}", count(spread.max)]


SPREAD_HEAD = ("min", "25 %", "median", "75 %", "mean", "max")
SPLIT_HEAD = ("train", "valid", "test", "test users", "cold users", "cold rows", "no history")


def split_row(shape: SplitShape) -> list[str]:
    """Rows of the parts; test users; the shares of them, and of the test rows, of which train knows nothing."""
    return [
        *(count(rows) if rows else DASH for rows in (shape.train, shape.valid, shape.test)),
        count(shape.test_users),
        percent(share(shape.cold_users, shape.test_users)),
        percent(share(shape.cold_rows, shape.test)),
        percent(share(shape.no_history, shape.test_users)),
    ]


def _times(told: Description) -> list[str]:
    times = told.times
    if times is None:
        return ["No times: nothing can be split by time.", duplicates_line(told)]
    what = "" if times.dates else " (an order, no dates)"
    fullest = max(times.rows, key=lambda part: part.count)
    range_line = f"Times from {times.first} to {times.last}{what}; the fullest {times.by} is {fullest.label}"
    return [f"{range_line} with {count(fullest.count)} rows.", duplicates_line(told)]


def _spreads(told: Description) -> list[str]:
    rows = [["items of a user", *spread_row(told.histories)], ["users of an item", *spread_row(told.popularity.spread)]]
    lines = aligned([["", *SPREAD_HEAD], *rows])
    return [*lines, f"Gini of the items {told.popularity.gini:.2f} (0: all equally popular; 1: one has everything)"]


def _popular(told: Description) -> list[str]:
    return ["Most popular: " + ", ".join(f"{printable(name, 40)} ({count(n)})" for name, n in told.popularity.most[:5])]


def _ratings(told: Description) -> list[str]:
    if told.ratings is None:
        return []
    parts = ", ".join(f"{part.label}: {percent(share(part.count, told.rows))}" for part in told.ratings if part.count)
    return [f"{ratings_word(told)}, {told.mean_rating:.2f} on average: {parts}"]


def _splits(told: Description) -> list[str]:
    made = [shape for shape in told.splits if not shape.skipped]
    skipped = [
        f"{_name(shape)} cannot be made: {printable(shape.skipped, 200)}" for shape in told.splits if shape.skipped
    ]
    if not made:
        return skipped
    rows = [[_name(shape), *split_row(shape)] for shape in made]
    words = "cold: unknown to train; no history: answered with popularity"
    return [*aligned([["--split", *SPLIT_HEAD], *rows]), f"({words})", *skipped]


def _features(told: Description) -> list[str]:
    lines = []
    for of, columns in told.features.items():
        known = told.items if of == "items" else told.users
        for name, column in columns.items():
            levels = f", {count(column['levels'])} levels" if "levels" in column else ""
            missing = percent(share(column["missing"], known))
            lines.append(f"{of}: {printable(name)}, {column['kind']}{levels}, missing for {missing}")
    return lines


def _name(shape: SplitShape) -> str:
    return shape.name.replace("_", "-")
