"""Claim: in the papers' own terms on CiteULike the default's student ranks like the papers' teacher.

    python benchmarks/papers_default.py [--log citeulike-t-derrd-loo] [--dim 20] [--seeds 3]

The log, the drawn items and H@k and N@k are those of `papers.py`: a test item among 499 that its user has in no part.
The teacher is a two-tower by its defaults; the student has as many numbers an item as the papers', and is what
`rd.distill` makes of it; beside it the same student by its own label loss. Whatever is chosen is chosen on valid.
An item that train has not (5 % of those wanted) is never recommended here: it stands below all others.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
from common import log_path, write
from papers import CUTS, PUBLISHED, Log

import recdistill as rd
from recdistill.data import splits

TILE = 256
"""Users whose scores of all items are held at once."""


def measured(model: Any, train: rd.Interactions, log: Log, part: str) -> dict[str, float]:
    """H@k and N@k of the wanted items, a tie counted by half."""
    users, items = (one.numpy() for one in log.asked[part])
    assert np.array_equal(train.users.ids(), log.train.users.ids())
    rows = train.items.rows(log.train.items.ids())[items]  # (m, 500), -1 where train has no such item
    histories, places = train.histories(), np.empty(len(users))
    for start in range(0, len(users), TILE):
        some, asked = users[start : start + TILE], rows[start : start + TILE]
        scores = np.take_along_axis(model.score(histories.take(some), some), asked.clip(0), axis=1)
        scores[asked < 0] = -np.inf
        wanted, others = scores[:, :1], scores[:, 1:]
        places[start : start + TILE] = (others > wanted).sum(1) + 0.5 * (others == wanted).sum(1)
    found: dict[str, float] = {}
    for cut in CUTS:
        hit = places < cut
        found[f"H@{cut}"] = float(hit.mean())
        found[f"N@{cut}"] = float(np.where(hit, 1.0 / np.log2(places + 2.0), 0.0).mean())
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="citeulike-t-derrd-loo")
    parser.add_argument("--dim", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    asked = Log(options.log)
    split = splits.given(rd.read_interactions(log_path(options.log), split_column="split"))
    result: dict[str, Any] = {"log": options.log, "dim": options.dim, "published": PUBLISHED, "models": {}}

    def note(name: str, model: Any, seconds: float) -> None:
        rows = result["models"].setdefault(name, {"by_seed": []})
        figures = {part: measured(model, split.train, asked, part) for part in ("valid", "test")}
        rows["by_seed"].append({**figures, "settings": model.settings(), "seconds": round(seconds, 1)})
        rows["mean"] = {
            part: {m: round(statistics.fmean(one[part][m] for one in rows["by_seed"]), 4) for m in figures[part]}
            for part in figures
        }
        print(name, {part: rows["mean"][part] for part in figures}, f"{seconds:.0f} s", flush=True)
        write("papers_default", result)

    chosen: dict[str, dict[str, Any]] = {}
    for seed in range(options.seeds):
        start = time.perf_counter()
        teacher = rd.TwoTower().fit(split.train, seed=seed)
        note("teacher", teacher, time.perf_counter() - start)
        known = rd.Knowledge.extract(teacher, split.train)
        for name in ("default", "alone"):
            start = time.perf_counter()
            student = rd.TwoTower(**chosen.get(name, {"dim": options.dim, "user_id": False}))
            valid = None if name in chosen else split.valid  # what seed 0 chose is kept
            if name == "default":
                rd.distill(known, student=student, on=split.train, valid=valid, seed=seed)
            else:
                student.fit(split.train, valid, seed=seed)
            chosen.setdefault(name, student.settings())
            note(name, student, time.perf_counter() - start)
