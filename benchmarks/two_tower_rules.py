"""What the two-tower's rules and candidates rest on: NDCG@20 on valid rows of real logs, one setting moved at a time.

    python benchmarks/two_tower_rules.py ml-1m-lcfn lastfm-lightgcn [--student-only]

Where a log has no valid part a seeded tenth of each user's train rows takes its place. Nothing is measured on test.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from common import log_path, write

from recdistill.data import splits
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.readers import read_interactions
from recdistill.files import sha256_of
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import valid_ndcg
from recdistill.models.svd_cut import teacher_svd
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import LogFacts, plan

TEACHER: list[dict[str, Any]] = [
    {},
    {"epochs": 30},
    {"epochs": 60},
    {"tau": 0.12},
    {"tau": 0.15},
    {"user_weight": 0.0},
    {"user_weight": 0.5},
]
STUDENT: list[dict[str, Any]] = [
    {"history_dropout": 0.0},
    {"history_dropout": 0.1},
    {"history_dropout": 0.3},
    {"history_dropout": 0.5},
    {"history_dropout": 0.1, "table": "tied"},
    {"history_dropout": 0.1, "table": "full"},
    {"history_dropout": 0.5, "table": "tied"},
    {"history_dropout": 0.1, "learning_rate": 5e-3},
    {"history_dropout": 0.5, "learning_rate": 5e-3},
]
DISTILLED: list[dict[str, Any]] = [
    {"history_dropout": 0.1, "label_share": 0.0},
    {"history_dropout": 0.1, "label_share": 0.3},
    {"history_dropout": 0.1, "temperature": 0.7},
    {"history_dropout": 0.1, "temperature": 1.5},
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+")
    parser.add_argument("--student-only", action="store_true", help="skip the teacher's settings but the default")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = {}
    for name in options.logs:
        teachers = TEACHER[:1] if options.student_only else TEACHER
        found[name] = study(log_path(name), seed=options.seed, teachers=teachers)
        write("two_tower_rules", {"logs": found})


def study(file: Path, *, seed: int, teachers: list[dict[str, Any]]) -> dict[str, Any]:
    """Every setting of the lists above on one log."""
    split = splits.given(read_interactions(file, split_column="split")).selection()
    train, valid = split.train, split.valid
    assert valid is not None
    rows = []
    for settings in teachers:
        rows.append(trained("teacher", TwoTower(**settings), train, None, valid, seed))
    teacher = TwoTower().fit(train, seed=seed)
    knowledge = Knowledge.extract(teacher, train)
    rows.append({"model": "teacher_svd", "settings": {}, "ndcg@20": valid_ndcg(teacher_svd(teacher, 32), train, valid)})
    for settings in STUDENT:
        rows.append(trained("student_alone", TwoTower(dim=32, user_id=False, **settings), train, None, valid, seed))
    for settings in STUDENT + DISTILLED:
        rows.append(trained("student", TwoTower(dim=32, user_id=False, **settings), train, knowledge, valid, seed))
    facts = LogFacts.of(train)
    rule = plan(TwoTower().config, facts, distilled=False)
    counts = {"users": facts.users, "items": facts.items, "rows": facts.rows}
    return {"sha256": sha256_of(file), **counts, "rule": repr(rule), "seed": seed, "trials": rows}


def trained(
    name: str, model: TwoTower, train: Interactions, knowledge: Knowledge | None, valid: HeldOut, seed: int
) -> dict[str, Any]:
    """One training without a look at valid, then its NDCG@20 there."""
    started = time.perf_counter()
    model = model.fit(train, seed=seed) if knowledge is None else model.distil(train, knowledge, seed=seed)
    seconds = round(time.perf_counter() - started, 1)
    row = {"model": name, "settings": model.settings(), "ndcg@20": round(valid_ndcg(model.scorer, train, valid), 5)}
    print(name, model, row["ndcg@20"], f"{seconds} s", flush=True)
    return {**row, "seconds": seconds, "bytes": model.scorer.nbytes}


if __name__ == "__main__":
    main()
