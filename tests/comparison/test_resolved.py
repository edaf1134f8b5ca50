"""What a training comes to on a log, as it enters a cell's key."""

from __future__ import annotations

from recdistill.comparison.recipes import Recipe, recipe_of
from recdistill.comparison.resolved import resolved
from recdistill.distillation.default import LARGE_FIRST, LARGE_FROM
from recdistill.models.two_tower_rules import LogFacts


def told(recipe: Recipe, items: int) -> dict[str, object]:
    facts = LogFacts(users=900, items=items, rows=90_000)
    return resolved(recipe, {"dim": 8, **recipe.first({"dim": 8}, facts)}, facts)


def test_a_large_catalogues_default_has_another_key_and_a_small_ones_stays() -> None:
    assert told(recipe_of("default"), LARGE_FROM)["default"] == ["rce_kd", LARGE_FIRST]
    assert told(recipe_of("shuffled"), LARGE_FROM)["default"] == ["rce_kd", LARGE_FIRST]
    assert "default" not in told(recipe_of("default"), LARGE_FROM - 1)


def test_who_is_not_taught_by_the_default_has_no_key_of_it() -> None:
    assert "default" not in told(recipe_of("alone"), LARGE_FROM) | told(recipe_of("rce_kd"), LARGE_FROM)
