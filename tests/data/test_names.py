from __future__ import annotations

import pytest

from recdistill.data.names import USUAL, find_role, is_usual
from recdistill.errors import DataError


@pytest.mark.parametrize(
    ("names", "role", "found"),
    [
        (["userId", "movieId", "rating", "timestamp"], "user_id", "userId"),
        (["userId", "movieId", "rating", "timestamp"], "item_id", "movieId"),
        (["User-ID", "ISBN", "Book-Rating"], "user_id", "User-ID"),
        (["User-ID", "ISBN", "Book-Rating"], "rating", "Book-Rating"),
        (["reviewerID", "asin", "overall", "unixReviewTime", "reviewTime"], "timestamp", "unixReviewTime"),
        (["reviewerID", "asin", "overall", "unixReviewTime", "reviewTime"], "rating", "overall"),
        (["parent_asin", "asin", "user_id"], "item_id", "parent_asin"),
        (["userID", "artistID", "weight"], "rating", "weight"),
        (["timestamp", "visitorid", "event", "itemid", "transactionid"], "user_id", "visitorid"),
        (["review_id", "user_id", "business_id", "stars", "useful", "date"], "timestamp", "date"),
        (["USER ID", "Item.Id"], "item_id", "Item.Id"),
        (["\ufeffuser", "item"], "user_id", "\ufeffuser"),
        (["session_id", "user_id", "item_id"], "user_id", "user_id"),
        (["t_dat", "customer_id", "article_id", "price"], "timestamp", "t_dat"),
        (["movie_id", "movie_title", "name"], "title", "movie_title"),
        (["price", "colour"], "rating", None),
    ],
)
def test_columns_are_known_under_their_usual_names(names: list[str], role: str, found: str | None) -> None:
    assert find_role(names, role) == found


def test_the_name_of_the_role_comes_before_every_other() -> None:
    assert find_role(["userId", "user_id", "User_ID"], "user_id") == "user_id"


@pytest.mark.parametrize(("names", "role"), [(["movie_id", "book_id"], "item_id"), (["User_ID", "userid"], "user_id")])
def test_two_names_that_are_equally_good_are_refused_with_both_of_them(names: list[str], role: str) -> None:
    message = f"'{names[0]}' and '{names[1]}' could both be {role}; say which with --columns {role}={names[0]}"
    with pytest.raises(DataError, match=message):
        find_role(names, role)


def test_what_no_role_is_called_is_not_usual() -> None:
    assert all(is_usual(name) for name in ("userId", "ASIN", "Rating", "ts", "Movie Title"))
    assert not any(is_usual(name) for name in ("196", "881250949", "4.5", "B00X4WHP5E", ""))


def test_a_usual_name_stands_for_one_role_alone() -> None:
    names = [name for lines in USUAL.values() for line in lines for name in line.split()]
    assert len(names) == len(set(names))
