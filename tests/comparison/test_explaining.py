"""Five lines that say what the rules are."""

from __future__ import annotations

from recdistill.candidates.pairs import TeacherPairs
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.comparison.explaining import explain_default
from recdistill.distillation.default import LARGE_FROM, together
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import SAMPLED_FROM, LogFacts, candidates, plan


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


def test_how_deep_lists_go_is_what_the_methods_look_at() -> None:
    (rrd, margin_mse), (rce_kd,) = together(100).taught, together(LARGE_FROM).taught
    interesting, pairs = rrd.sources()["interesting"], margin_mse.sources()["first", "second"]
    best = rce_kd.sources()["q_teacher"]
    assert isinstance(interesting, TeacherTop) and isinstance(pairs, TeacherPairs) and isinstance(best, TeacherTop)
    small, large = (explain_default(LogFacts(users=900, items=items, rows=9000))[0] for items in (100, LARGE_FROM))
    assert f"best {interesting.k} above" in small and f"best {pairs.of} (Margin-MSE)" in small
    assert f"best {best.k} items and the student's own (RCE-KD)" in large
    assert "RCE-KD" not in small and "Margin-MSE" not in large
    assert "Margin-MSE" in explain_default()[0] and "from 10,000 items" in explain_default()[0]


def test_where_items_are_sampled_soft_labels_teach() -> None:
    facts = LogFacts(users=6000, items=SAMPLED_FROM, rows=800_000)
    taught, _, chosen, ruled, _ = explain_default(facts)
    assert "soft labels on the items that a batch draws" in taught and "RCE-KD" not in taught
    shares = {choice["label_share"] for choice in candidates(TwoTower(dim=32, user_id=False).config, facts)}
    assert ", ".join(f"{share:g}" for share in sorted(shares)) in chosen
    assert "sampled items" in ruled
