"""What the columns of logs are usually called, and which of a table's columns play which role."""

from __future__ import annotations

import re
from collections.abc import Iterable

from recdistill.errors import DataError

USUAL: dict[str, tuple[str, ...]] = {
    "user_id": (
        "user userid uid",
        "user_idx user_index user_no user_number user_key user_name username user_token",
        "customer customer_id customer_no client client_id buyer buyer_id reviewer reviewer_id member member_id "
        "visitor visitor_id account account_id person person_id player player_id reader reader_id learner learner_id "
        "student_id profile_id subscriber subscriber_id full_visitor_id device_id cookie_id",
        "author_id steam_id msno",
        "session session_id",
    ),
    "item_id": (
        "item itemid iid",
        "item_idx item_index item_no item_number item_key item_token",
        "movie_id parent_asin product_id article_id book_id artist_id track_id song_id business_id venue_id video_id "
        "anime_id recipe_id game_id news_id course_id restaurant_id hotel_id property_id job_id post_id show_id "
        "film_id app_id poi_id place_id listing_id offer_id content_id ad_id repo_id beer_id album_id podcast_id "
        "paper_id document_id doc_id sku_id aid",
        "asin isbn sku stock_code gtin ean upc",
        "movie product article book artist track song business venue video anime recipe game news course restaurant "
        "hotel job film show app poi place listing",
    ),
    "rating": (
        "ratings user_rating item_rating book_rating movie_rating review_rating rating_value rate",
        "stars score overall",
        "weight plays playcount play_count listens listen_count strength preference",
        "value count quantity clicks views",
    ),
    "timestamp": (
        "timestamps rating_timestamp event_timestamp time_stamp unix_time unix_timestamp unix_review_time "
        "utc_timestamp timestamp_ms time_ms epoch ts",
        "datetime date_time event_time rating_time review_time created_at created created_time created_utc "
        "updated_at submitted_at interaction_time watch_time_utc purchased_at ordered_at order_time listened_at",
        "time date day t_dat event_date rating_date review_date order_date purchase_date invoice_date date_added",
    ),
    "title": (
        "titles movie_title item_title product_title book_title track_title",
        "name item_name movie_name product_name book_name artist_name track_name song_name business_name venue_name "
        "video_title anime_title game_title prod_name",
    ),
}
"""Role: lines of usual names, the likeliest first; the names of one line are equally good."""


def _plain(name: str) -> str:
    """Ignoring case, spaces, `_`, `-`, `.` and what a file may carry before its first name."""
    return re.sub(r"[\s_.\-\ufeff]+", "", name).casefold()


_RANKS = {
    role: {_plain(name): rank for rank, line in enumerate((role, *lines)) for name in line.split()}
    for role, lines in USUAL.items()
}


def find_role(names: Iterable[str], role: str) -> str | None:
    """The column of `names` that plays `role` (user_id, item_id, rating, timestamp, title), or None.

    The role's own name comes first. Raises DataError where two columns are equally good.
    """
    ranks = _RANKS[role]
    found = list(dict.fromkeys(name for name in names if _plain(name) in ranks))
    if role in found:
        return role
    if not found:
        return None
    best = min(ranks[_plain(name)] for name in found)
    good = [name for name in found if ranks[_plain(name)] == best]
    if len(good) > 1:
        raise DataError(
            f"columns {good[0]!r} and {good[1]!r} could both be {role}; say which with "
            f"--columns {role}={good[0]} (in Python columns={{{role!r}: {good[0]!r}}})."
        )
    return good[0]


def is_usual(name: str) -> bool:
    """Whether `name` is a usual name of any role, so that a line that holds it is likely a header."""
    return any(_plain(name) in ranks for ranks in _RANKS.values())
