"""The description of a log as one HTML file that opens anywhere: no script, nothing fetched, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill.report import describe_charts as charts
from recdistill.report import describe_text as words
from recdistill.report import figures, page

if TYPE_CHECKING:
    from recdistill.data.describe import Description


def write_page(told: Description, path: Path) -> None:
    """Draw the page; an older one is replaced when the new one is whole."""
    page.write(render(told), path)


def render(told: Description) -> str:
    """The page as text."""
    return page.render("describe.html", _page(told))


def _page(told: Description) -> dict[str, Any]:
    name, _, rest = words.verdict(told).partition(": ")
    first, _, second = rest.partition(". ")
    made = [shape for shape in told.splits if not shape.skipped]
    return {
        "told": told,
        "title": name,
        "verdict": [first, second],
        "facts": _facts(told),
        "spread_head": words.SPREAD_HEAD,
        "spreads": [
            ("items of a user", words.spread_row(told.histories)),
            ("users of an item", words.spread_row(told.popularity.spread)),
        ],
        "charts": _charts(told),
        "made": made,
        "skipped": [shape for shape in told.splits if shape.skipped],
        "split_head": words.SPLIT_HEAD,
        "split_row": words.split_row,
        "split_words": words.SPLITS,
        "parts": charts.parts(made, "parts") if made else "",
        "cold": charts.cold(made, "cold") if made else "",
        "share": figures.share,
    }


def _facts(told: Description) -> list[tuple[str, str]]:
    return [
        ("users", figures.count(told.users)),
        ("items", figures.count(told.items)),
        ("rows", figures.count(told.rows)),
        ("of all pairs", figures.percent(told.density)),
        ("items of a user, median", f"{told.histories.median:,.0f}"),
        ("pairs with the top tenth", figures.percent(told.popularity.top_tenth)),
    ]


def _charts(told: Description) -> list[dict[str, str]]:
    drawn = [
        {
            "title": "How much is known of a user",
            "svg": charts.bars(told.histories.bins, "histories", "Users by their number of different items"),
            "note": "Users by their number of different items; at the bar, their share of all users.",
        },
        {
            "title": "How the use is shared out among the items",
            "svg": charts.concentration(told.popularity.curve, "popularity"),
            "note": f"The share of all pairs that the most popular items get. Gini {told.popularity.gini:.2f}.",
        },
    ]
    if told.times is not None and len(told.times.rows) > 1:
        note = "" if told.times.dates else " The times are an order, no dates."
        drawn.append(
            {
                "title": f"Rows in each {told.times.by}",
                "svg": charts.over_time(told.times.rows, "time", told.times.by),
                "note": f"From {told.times.first} to {told.times.last}.{note}",
            }
        )
    if told.ratings is not None and len(told.ratings) > 1:
        drawn.append(
            {
                "title": words.ratings_word(told),
                "svg": charts.bars(told.ratings, "ratings", "Rows by rating or value"),
                "note": f"Share of the rows; {told.mean_rating:.2f} on average.",
            }
        )
    return drawn
