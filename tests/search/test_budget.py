from __future__ import annotations

import pytest

from recdistill.errors import ConfigError
from recdistill.search.budget import MOST_TRIALS, Budget


def test_the_first_trial_is_started_whatever_the_time() -> None:
    assert Budget(minutes=0.01, clock=lambda: 1e6).over([], 0.0) is None


def test_no_trial_is_started_that_would_not_fit() -> None:
    budget = Budget(minutes=1, clock=lambda: 130.0, began=100.0)  # half a minute is spent
    assert budget.over([30.0, 30.0], 0.0) is None
    assert "another takes 31 s" in (budget.over([30.0, 32.0], 0.0) or "")


def test_what_earlier_commands_spent_counts() -> None:
    budget = Budget(minutes=1, clock=lambda: 130.0, began=100.0)
    assert budget.over([10.0], 20.0) is None
    assert budget.over([10.0], 20.1) is not None


def test_trials_alone_know_no_time() -> None:
    budget = Budget(trials=3, clock=lambda: 1e9)
    assert budget.over([1e6, 1e6], 0.0) is None
    assert "ended after 3 trials, as asked" in (budget.over([1.0] * 3, 0.0) or "")


def test_without_a_budget_it_is_an_hour_and_a_hundred_trials() -> None:
    assert Budget(clock=lambda: 3590.0).over([5.0], 0.0) is None
    assert Budget(clock=lambda: 3590.0).over([15.0], 0.0) is not None
    assert Budget(clock=lambda: 0.0).over([0.0] * MOST_TRIALS, 0.0) is not None


@pytest.mark.parametrize(
    ("budget", "message"), [({"minutes": 0.0}, "minutes = 0.0"), ({"trials": 0}, "trials = 0: give at least 1")]
)
def test_a_budget_of_nothing_is_refused(budget: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Budget(**budget)  # type: ignore[arg-type]
