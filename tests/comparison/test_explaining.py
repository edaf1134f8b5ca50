"""Five lines that say what the rules are."""

from __future__ import annotations

from recdistill.candidates.pairs import TeacherPairs
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.comparison.explaining import explain_default
from recdistill.distillation.default import together
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import LogFacts, plan


def test_five_lines_are_enough() -> None:
    assert len(explain_default()) == 5
    assert all(len(line) < 330 for line in explain_default())


def test_for_a_log_the_rules_are_resolved() -> None:
    for facts in (LogFacts(users=6022, items=3043, rows=796_244), LogFacts(users=900, items=4000, rows=6000)):
        rule = plan(TwoTower(dim=32, user_id=False).config, facts, distilled=True)
        line = explain_default(facts)[3]
        assert f"{rule.epochs} epochs" in line
        assert ("one table" in line) == rule.tied
        assert f"{facts.users:,} users" in line


def test_how_deep_the_teachers_lists_go_is_what_the_methods_look_at() -> None:
    rrd, margin_mse = together().taught
    interesting, pairs = rrd.sources()["interesting"], margin_mse.sources()["first", "second"]
    assert isinstance(interesting, TeacherTop) and isinstance(pairs, TeacherPairs)
    taught = explain_default()[0]
    assert f"best {interesting.k} above" in taught and f"best {pairs.of} (" in taught
