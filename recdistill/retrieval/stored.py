"""A retriever as a folder: `index.json` (what it is and what was measured), `index.faiss`, and the vectors unless an
artifact holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from recdistill import files
from recdistill.errors import ArtifactError, RecdistillError
from recdistill.retrieval.faiss_index import FaissIndex, Space
from recdistill.retrieval.items import Items
from recdistill.retrieval.measured import Measured
from recdistill.retrieval.retriever import Retriever, Settings

VERSION = 1
WHAT = "an index"
CONFIG = "index.json"
INDEX = "index.faiss"
"""There unless the kind is flat."""
VECTORS = "vectors.safetensors"
"""There unless an artifact holds them."""


def save(retriever: Retriever, folder: Path) -> Path:
    """The whole folder, or nothing."""
    if folder.exists() and not (folder / CONFIG).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(f"{folder}: exists and is not an index, so it is left alone. Choose another folder.")
    with files.whole_folder(folder) as unfinished:
        write(retriever, unfinished)
        files.write_arrays(unfinished / VECTORS, retriever.items.arrays())
    return folder


def write(retriever: Retriever, folder: Path) -> None:
    """Index and description into a folder that is being made."""
    index = retriever.index
    if index is not None:
        index.save(folder / INDEX)
    measured = retriever.measured
    files.write_json(folder / CONFIG, {
        "version": VERSION,
        "kind": retriever.kind,
        "items": retriever.items.n_items,
        "removed": retriever.removed.tolist(),
        "scorer": retriever.items.config(),
        "settings": asdict(retriever.settings),
        "index": None if index is None else {"factory": index.factory, "space": asdict(index.space)},
        "measured": None if measured is None else measured.as_dict(),
    })  # fmt: skip


def names(folder: Path) -> tuple[str, ...]:
    """The files that an index within an artifact has."""
    return (CONFIG, INDEX) if (folder / INDEX).is_file() else (CONFIG,)


def load(cls: type[Retriever], folder: Path, *, mmap: bool, items: Items | None) -> Any:
    """See `Retriever.load`."""
    config = files.read_json(folder / CONFIG, WHAT)
    if config.get("version") != VERSION:
        raise ArtifactError(
            f"{folder / CONFIG}: version {config.get('version')!r}; this recdistill reads {VERSION}. Build it again."
        )
    try:
        found = _items(folder, config["scorer"]) if items is None else items
        if len(found) != config["items"]:
            raise ArtifactError(
                f"{folder}: an index of {config['items']} items, the model has {len(found)}. Build it again."
            )
        index = _index(folder, config["index"], mmap, found)
        measured = config["measured"]
        return cls(
            found, index, Settings(**config["settings"]), kind=str(config["kind"]),
            measured=None if measured is None else Measured.from_dict(measured), removed=config["removed"],
        )  # fmt: skip
    except ArtifactError:
        raise
    except (KeyError, TypeError, ValueError, OSError, SafetensorError, RecdistillError) as fault:
        raise ArtifactError(f"{folder}: not an index as it was written ({fault}). Build it again.") from fault


def _items(folder: Path, scorer: Mapping[str, Any]) -> Items:
    if not (folder / VECTORS).is_file():
        raise ArtifactError(f"{folder / VECTORS}: missing; an index within an artifact is loaded with the artifact.")
    arrays: dict[str, np.ndarray] = load_file(folder / VECTORS)
    return Items.from_arrays(scorer, arrays)


def _index(folder: Path, described: Mapping[str, Any] | None, mmap: bool, items: Items) -> FaissIndex | None:
    if described is None:
        return None
    if not (folder / INDEX).is_file():
        raise ArtifactError(f"{folder / INDEX}: missing, so the index is not whole. Build it again.")
    space = Space(**described["space"])
    index = FaissIndex.load(folder / INDEX, space, str(described["factory"]), mmap=mmap)
    if len(index) > len(items) or space.columns != items.dimension:
        raise ArtifactError(
            f"{folder / INDEX}: {len(index)} items of {space.columns} columns for vectors {items.item_table.shape}. "
            "Build it again."
        )
    return index
