"""Claim: a training that is killed (SIGKILL) at a random moment and begun again ends with the bits of one that was not.

    python benchmarks/resume.py [--kills 100] [--every 0.05]

Seven trainings of a generated log: a teacher with features of items, one whose settings are chosen among candidates on
valid, one over a sample of the items; students distilled over all items and over a sample; matrix factorisation by BPR
and LightGCN. Each is killed at moments drawn from the time that it takes, begun again each time, and compared with an
undisturbed one when it comes to its end. `every` seconds a checkpoint is written, far more often than the default's
30, so that kills hit every part of a training and of the writing itself. What a checkpoint costs is measured on
tables as large as the teacher's of ml-1m.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import random
import shutil
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import WORK, write
from torch import nn

import recdistill as rd
from recdistill.files import content_sha256
from recdistill.training import checkpoint
from recdistill.training.checkpoint import SECONDS, Checkpoints
from recdistill.training.state import state_of

USERS, ITEMS, ROWS = 900, 300, 40
WIDE = (6_022 + 2 * 3_043, 256)
"""Rows and columns of the teacher of ml-1m: users, items of histories, ranked items."""


def split() -> rd.Split:
    """Users and items on a circle of tastes; items have a column that tells where."""
    draw = np.random.default_rng(0)
    distance = np.add.outer(draw.uniform(0, 1, USERS), -np.linspace(0, 1, ITEMS))
    chance = np.exp(-np.square(np.sin(np.pi * distance)) * 8) * draw.pareto(1.5, ITEMS)
    used = [draw.choice(ITEMS, ROWS, replace=False, p=row / row.sum()) for row in chance]
    frame = pd.DataFrame({"user_id": np.repeat(np.arange(USERS), ROWS), "item_id": np.concatenate(used)})
    items = pd.DataFrame(
        {"item_id": np.arange(ITEMS), "place": [f"place {20 * item // ITEMS}" for item in range(ITEMS)]}
    )
    return rd.split.ratio(rd.attach(rd.read_interactions(frame), items=items), valid=0.1, test=0.1)


def teacher(parts: rd.Split, **settings: Any) -> rd.TwoTower:
    model = rd.TwoTower(**{"dim": 32, "epochs": 24, "batch_users": 90, "history_dropout": 0.2, **settings})
    return model.fit(parts.train, seed=1, device="cpu")


def chosen(parts: rd.Split) -> rd.TwoTower:
    model = rd.TwoTower(dim=16, user_id=False, epochs=8, batch_users=90, trials=4)
    return model.fit(parts.train, parts.valid, seed=1, device="cpu")


def student(parts: rd.Split, **settings: Any) -> rd.TwoTower:
    draw = np.random.default_rng(2)
    users, items = draw.normal(size=(USERS, 24)), draw.normal(size=(ITEMS, 24))
    known = rd.Knowledge.from_vectors(
        users, items, parts.train, user_ids=np.arange(USERS), item_ids=np.arange(ITEMS), top_k=50
    )
    fresh = rd.TwoTower(
        **{"dim": 16, "user_id": False, "epochs": 24, "batch_users": 90, "history_dropout": 0.2, **settings}
    )
    return rd.distill(known, student=fresh, on=parts.train, seed=1, device="cpu")


def bpr(parts: rd.Split) -> rd.MatrixFactorisation:
    return rd.MatrixFactorisation(dim=16, loss="bpr", epochs=40, batch_users=90).fit(parts.train, seed=1, device="cpu")


def lightgcn(parts: rd.Split) -> rd.LightGCN:
    return rd.LightGCN(dim=16, epochs=40, batch_users=90).fit(parts.train, seed=1, device="cpu")


TRAININGS: dict[str, Callable[[rd.Split], Any]] = {
    "teacher with item features": lambda parts: teacher(parts, item_features=True),
    "teacher over a sample of the items": lambda parts: teacher(parts, negatives=60),
    "settings chosen among four candidates": chosen,
    "student": student,
    "student over a sample of the items": lambda parts: student(parts, negatives=60),
    "matrix factorisation by BPR": bpr,
    "LightGCN": lightgcn,
}


def start(name: str, parts: rd.Split, out: Path, every: float) -> int:
    """A process of its own, without what importing takes."""
    child = os.fork()
    if child == 0:
        with Checkpoints(out / "kept", every=every):
            TRAININGS[name](parts).save(out / "model")
        os._exit(0)
    return child


def whole(name: str, parts: rd.Split, out: Path, every: float) -> float:
    """Seconds of a run to its end."""
    began = time.perf_counter()
    assert os.waitpid(start(name, parts, out, every), 0)[1] == 0, name
    return time.perf_counter() - began


def killed(name: str, parts: rd.Split, out: Path, *, every: float, after: float) -> bool:
    """Whether the kill found the training still at it."""
    child = start(name, parts, out, every)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def measured(name: str, parts: rd.Split, kills: int, every: float, draw: random.Random) -> dict[str, Any]:
    """Killed so often, and compared whenever it came to its end."""
    folder = WORK / "resume"
    shutil.rmtree(folder, ignore_errors=True)
    seconds = whole(name, parts, folder / "whole", every)
    want = content_sha256(folder / "whole" / "model")
    out, done, moments, equal, resumed = folder / "again", 0, [], [], 0
    while done < kills:
        resumed += any((out / "kept").glob("*.safetensors"))
        moment = draw.uniform(0.02, 0.6) * seconds
        if killed(name, parts, out, every=every, after=moment):
            done, moments = done + 1, [*moments, round(moment, 3)]
        if (out / "model").is_dir():  # it came to its end, or was killed on the way out
            equal.append(content_sha256(out / "model") == want)
            shutil.rmtree(out)
    resumed += any((out / "kept").glob("*.safetensors"))
    whole(name, parts, out, every)
    equal.append(content_sha256(out / "model") == want and not (out / "kept").exists())
    found = {"seconds": round(seconds, 2), "kills": done, "gone_on_from_a_checkpoint": resumed, "compared": len(equal)}
    print(f"{name}: {found}, equal: {sum(equal)}", flush=True)
    return {**found, "bit_equal": sum(equal), "killed_after_seconds": moments}


def cost() -> dict[str, Any]:
    """Of one checkpoint of tables with their moments."""
    model = nn.ParameterList([nn.Parameter(torch.randn(WIDE))])
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model[0].square().mean().backward()
    optimizer.step()
    folder, seconds = WORK / "resume-cost", []
    for _ in range(7):
        with Checkpoints(folder, every=0) as kept:
            kept.write(folder / "001.safetensors", state_of({"model": model, "optimizer": optimizer}), {"of": ""})
            size = (folder / "001.safetensors").stat().st_size
        seconds.append(kept.seconds)
    middle = statistics.median(seconds)
    return {
        "bytes": size,
        "seconds": round(middle, 3),
        "seconds_of_all": [round(one, 3) for one in seconds],
        "seconds_between": SECONDS,
        "share_of_training": round(middle / SECONDS, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--every", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint.SHARE = 1.0  # as often as was asked, whatever they cost
    parts, draw = split(), random.Random(options.seed)
    for train in TRAININGS.values():  # in the parent: kills are for trainings, not for what is imported on the way
        train(parts)
    each, more = divmod(options.kills, len(TRAININGS))
    found = {
        name: measured(name, parts, each + (place < more), options.every, draw) for place, name in enumerate(TRAININGS)
    }
    total = {key: sum(one[key] for one in found.values()) for key in ("kills", "compared", "bit_equal")}
    write("resume", {"seconds_between_checkpoints": options.every, **total, "trainings": found, "cost": cost()})
    if total["bit_equal"] < total["compared"]:
        raise SystemExit("a training that was killed ended otherwise than one that was not")


if __name__ == "__main__":
    main()
