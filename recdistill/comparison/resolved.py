"""What a training comes to on a log: every setting, by the rules as they now are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import plan

if TYPE_CHECKING:
    from recdistill.comparison.recipes import Recipe
    from recdistill.models.two_tower_rules import LogFacts


def resolved(recipe: Recipe, settings: Mapping[str, Any], facts: LogFacts) -> dict[str, Any]:
    """By name; settings of a method begin with `method.`.

    What has its plain default is left out, so that a setting that a student newly has changes no key.
    """
    if not recipe.axes():
        return {"dim": settings["dim"]}
    student = {name: value for name, value in settings.items() if "." not in name}
    told = plan(TwoTower(**student, user_id=False).config, facts, distilled=recipe.distilled)
    changed = {one.name: getattr(told, one.name) for one in fields(told) if getattr(told, one.name) != one.default}
    of_method = {name: value for name, value in settings.items() if "." in name}
    return {**changed, **recipe.by_rule(facts), **of_method}
