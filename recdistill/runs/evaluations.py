"""An evaluation on disk: per-user values and lists between the steps, a Parquet table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from recdistill import files
from recdistill.data.interactions import HeldOut
from recdistill.evaluation.evaluator import Evaluation

PREFIX = "metric."


def save_evaluation(found: Evaluation, folder: Path) -> None:
    arrays: dict[str, np.ndarray] = {
        "items": np.ascontiguousarray(found.items, np.int32),
        "held_index": found.held_index.astype(np.int64),
    }
    arrays |= {PREFIX + name: np.ascontiguousarray(values, np.float64) for name, values in found.per_user.items()}
    files.write_arrays(folder / "evaluation.safetensors", arrays)
    files.write_json(
        folder / "over_lists.json", {"over_lists": found.over_lists, "users_left_out": found.users_left_out}
    )


def load_evaluation(folder: Path, held: HeldOut) -> Evaluation:
    """The inverse of `save_evaluation`; `held` is the part that was evaluated."""
    arrays = load_file(folder / "evaluation.safetensors")
    rest = files.read_json(folder / "over_lists.json", "an evaluation")
    index = arrays["held_index"]
    return Evaluation(
        users=held.user_ids[index],
        held_index=index,
        items=arrays["items"].astype(np.int64),
        per_user={name.removeprefix(PREFIX): values for name, values in arrays.items() if name.startswith(PREFIX)},
        over_lists=rest["over_lists"],
        users_left_out=rest["users_left_out"],
    )


def write_per_user(evaluations: Mapping[int, Evaluation], held: HeldOut, metrics: Sequence[str], path: Path) -> None:
    """`user_id, seed, relevant, <metric>…`, one row for each user and seed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for seed, found in evaluations.items():
        columns = {
            "user_id": pa.array(found.users.tolist()),
            "seed": pa.array(np.full(len(found.users), seed, np.int32)),
            "relevant": pa.array(held.relevant_count[found.held_index]),
        }
        columns |= {name: pa.array(found.per_user[name]) for name in metrics}
        tables.append(pa.table(columns))
    pq.write_table(pa.concat_tables(tables), path, compression="zstd")
