"""Numbers that describe numbers, on data that one can count by eye."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.data.spread import Bin, Spread, are_dates, concentration, gini, over_time, ratings, spelled, top_share


def labelled(bins: tuple[Bin, ...]) -> dict[str, int]:
    return {part.label: part.count for part in bins}


def test_a_spread_holds_quartiles_mean_and_readable_bins() -> None:
    spread = Spread.of(np.array([2, 3, 3, 4, 60]))
    assert (spread.min, spread.quartile_1, spread.median, spread.quartile_3, spread.max) == (2, 3.0, 3.0, 4.0, 60)
    assert spread.mean == pytest.approx(14.4)
    assert labelled(spread.bins) == {"2 to 4": 4, "5 to 9": 0, "10 to 19": 0, "20 to 49": 0, "50 to 99": 1}


@pytest.mark.parametrize(
    ("top", "last"), [(1, "1"), (4, "2 to 4"), (5, "5 to 9"), (1_000_000, "1,000,000 to 1,999,999")]
)
def test_the_largest_number_is_in_the_last_bin(top: int, last: str) -> None:
    assert Spread.of(np.array([1, top])).bins[-1].label == last
    assert sum(part.count for part in Spread.of(np.array([1, top])).bins) == 2


def test_gini_is_0_where_all_are_alike_and_near_1_where_one_has_everything() -> None:
    assert gini(np.full(50, 7)) == pytest.approx(0)
    assert gini(np.array([0] * 99 + [10])) == pytest.approx(0.99)
    assert gini(np.array([1, 2, 3])) == pytest.approx(2 / 9)


def test_the_top_share_and_the_curve_agree() -> None:
    counts = np.array([50, 20, 10, 5, 5, 3, 3, 2, 1, 1])
    assert top_share(counts) == 0.5
    assert concentration(counts)[0] == (0.0, 0.0)
    assert concentration(counts)[-1] == (1.0, 1.0)
    assert (0.1, 0.5) in concentration(counts) and (0.2, 0.7) in concentration(counts)


def seconds(*dates: str) -> np.ndarray:
    return np.array(dates, dtype="datetime64[s]").astype(np.int64)


@pytest.mark.parametrize(
    ("dates", "unit", "counts"),
    [
        (("2020-02-28", "2020-02-28T12:00", "2020-03-01"), "day", {"2020-02-28": 2, "2020-02-29": 0, "2020-03-01": 1}),
        (("2020-02-28", "2020-05-01"), "month", {"2020-02": 1, "2020-03": 0, "2020-04": 0, "2020-05": 1}),
        (("2001-06-01", "2003-01-01", "2010-01-01"), "year", None),
    ],
)
def test_rows_are_counted_by_day_month_or_year_without_gaps(
    dates: tuple[str, ...], unit: str, counts: dict[str, int] | None
) -> None:
    by, bins = over_time(seconds(*dates), dates=True)
    assert by == unit
    if counts is None:
        assert len(bins) == 10 and sum(part.count for part in bins) == 3
    else:
        assert labelled(bins) == counts


def test_times_that_are_an_order_are_no_dates() -> None:
    assert not are_dates(np.arange(1000))
    assert are_dates(seconds("1996-01-01", "2024-01-01"))
    by, bins = over_time(np.arange(1000), dates=False)
    assert by == "step" and sum(part.count for part in bins) == 1000
    assert spelled(12.0, date=False) == "12"
    assert spelled(float(seconds("2001-02-03T04:05:06")[0]), date=True) == "2001-02-03 04:05:06"


def test_few_ratings_are_counted_each_and_many_in_steps() -> None:
    assert labelled(ratings(np.array([0.5, 4, 4, 5]))) == {"0.5": 1, "4": 2, "5": 1}
    assert len(ratings(np.linspace(0, 1, 500))) == 20
    assert labelled(ratings(np.arange(1.0, 1001.0)))["100 to 199"] == 100
