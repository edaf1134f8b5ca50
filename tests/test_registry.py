from __future__ import annotations

from recdistill.registry import did_you_mean, nearest


def test_the_nearest_name_is_offered_and_both_of_two_that_are_equally_near() -> None:
    assert nearest("teachr", ["teacher", "student"]) == "Did you mean 'teacher'?"
    assert nearest("pq1", ["pq8", "pq16", "pq4", "svd"]) == "Did you mean 'pq16'?"
    assert nearest("cat", ["bat", "hat", "dog"]) == "Did you mean 'bat' or 'hat'?"
    assert nearest("xyz", ["bat", "hat"]) == "Known: bat, hat."
    assert did_you_mean("xyz", ["bat", "hat"]) == ""
    assert did_you_mean("bats", ["bat", "hat"]) == "Did you mean 'bat'?"
