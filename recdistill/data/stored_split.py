"""A split on disk: arrays in safetensors, the rest in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from scipy.sparse import csr_matrix

from recdistill import files
from recdistill.data.interactions import HeldOut, Interactions, Unseen
from recdistill.data.split import Split
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError

if TYPE_CHECKING:
    from recdistill.features import Features

ARRAYS, REST = "split.safetensors", "split.json"
ITEMS, USERS = "items.arrow", "users.arrow"
"""Side features, where the log has them."""
SCHEMA_VERSION = 2


def save_split(split: Split, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    train = split.train
    arrays = {name: getattr(train, name) for name in ("user_rows", "item_rows", "times", "values")}
    arrays = {f"train.{name}": array for name, array in arrays.items() if array is not None}
    arrays |= _vocab_arrays("users", train.users) | _vocab_arrays("items", train.items)
    if split.valid is not None:
        arrays |= _held_arrays("valid", split.valid)
    if split.test is not split.valid:
        arrays |= _held_arrays("test", split.test)
    if split.seen is not None:
        arrays |= _held_arrays("seen", split.seen)
    files.write_arrays(folder / ARRAYS, arrays)
    for name, features in ((ITEMS, train.item_features), (USERS, train.user_features)):
        (folder / name).unlink(missing_ok=True)  # of an older split
        if features is not None:
            features.save(folder / name)
    rest = {
        "schema_version": SCHEMA_VERSION,
        "name": split.name,
        "history": split.history,
        "exclude": split.exclude,
        "users_left_out": split.users_left_out,
        "notes": split.notes,
        "train_notes": train.notes,
        "source": train.source,
        "sha256": train.sha256(),
        "test_is_valid": split.test is split.valid,
    }
    (folder / REST).write_text(json.dumps(rest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_split(folder: Path) -> Split:
    arrays, rest = _read(folder)
    train = Interactions(
        _vocab("users", arrays),
        _vocab("items", arrays),
        arrays["train.user_rows"],
        arrays["train.item_rows"],
        arrays.get("train.times"),
        arrays.get("train.values"),
        tuple(rest["train_notes"]),
        rest["source"],
        _features(folder / ITEMS),
        _features(folder / USERS),
    )
    if train.sha256() != rest["sha256"]:
        raise DataError(f"{folder / ARRAYS}: the rows are not those that were saved. Make the split again.")
    valid = _held("valid", arrays, train.n_items)
    test = valid if rest["test_is_valid"] else _held("test", arrays, train.n_items)
    if test is None:
        raise DataError(f"{folder / ARRAYS}: holds no test part. Make the split again.")
    settings = {name: rest[name] for name in ("name", "history", "exclude", "users_left_out")}
    seen = _held("seen", arrays, train.n_items)
    return Split(train, valid, test, notes=tuple(rest["notes"]), seen=seen, **settings)


def _read(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        rest = json.loads((folder / REST).read_text(encoding="utf-8"))
        arrays = load_file(folder / ARRAYS)
    except (FileNotFoundError, NotADirectoryError) as fault:
        raise DataError(f"{folder}: not a saved split; {Path(str(fault.filename)).name} is missing.") from None
    except (ValueError, SafetensorError) as fault:
        raise DataError(f"{folder}: the saved split cannot be read ({fault}). Make it again.") from None
    if rest.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"{folder}: a split of schema {rest.get('schema_version')!r}; {SCHEMA_VERSION} is read here.")
    return arrays, rest


def _features(path: Path) -> Features | None:
    if not path.is_file():
        return None
    from recdistill.features import Features

    return Features.load(path)


def _vocab_arrays(prefix: str, vocab: Vocab) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": array for name, array in vocab.arrays().items()}


def _vocab(prefix: str, arrays: dict[str, np.ndarray]) -> Vocab:
    names = {name: name.removeprefix(f"{prefix}.") for name in arrays if name.startswith(f"{prefix}.")}
    return Vocab.from_arrays({short: arrays[name] for name, short in names.items()})


def _held_arrays(part: str, held: HeldOut) -> dict[str, np.ndarray]:
    arrays = _vocab_arrays(f"{part}_users", Vocab(held.user_ids)) | _csr_arrays(part, held.relevant)
    arrays |= {f"{part}.user_rows": held.user_rows, f"{part}.relevant_count": held.relevant_count}
    if held.history is not None:
        arrays |= _csr_arrays(f"{part}.history", held.history)
    if held.unseen is not None:
        arrays |= _vocab_arrays(f"{part}.unseen_items", held.unseen.items)
        arrays |= _csr_arrays(f"{part}.unseen", held.unseen.relevant)
    times = {"relevant_times": held.relevant_times, "history_times": held.history_times}
    return arrays | {f"{part}.{name}": array for name, array in times.items() if array is not None}


def _held(part: str, arrays: dict[str, np.ndarray], n_items: int) -> HeldOut | None:
    if f"{part}.user_rows" not in arrays:
        return None
    rows, counts = arrays[f"{part}.user_rows"], arrays[f"{part}.relevant_count"]
    history = _csr(f"{part}.history", arrays, n_items) if f"{part}.history.indptr" in arrays else None
    times = arrays.get(f"{part}.relevant_times"), arrays.get(f"{part}.history_times")
    users, relevant = _vocab(f"{part}_users", arrays).ids(), _csr(part, arrays, n_items)
    return HeldOut(users, rows, relevant, counts, history, *times, unseen=_unseen(part, arrays))


def _unseen(part: str, arrays: dict[str, np.ndarray]) -> Unseen | None:
    if f"{part}.unseen.indptr" not in arrays:
        return None
    items = _vocab(f"{part}.unseen_items", arrays)
    return Unseen(items, _csr(f"{part}.unseen", arrays, len(items)))


def _csr_arrays(prefix: str, matrix: csr_matrix) -> dict[str, np.ndarray]:
    return {f"{prefix}.indptr": matrix.indptr, f"{prefix}.indices": matrix.indices}


def _csr(prefix: str, arrays: dict[str, np.ndarray], n_items: int) -> csr_matrix:
    indptr, indices = arrays[f"{prefix}.indptr"], arrays[f"{prefix}.indices"]
    return csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(len(indptr) - 1, n_items))
