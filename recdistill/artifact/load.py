"""Read an artifact: every file checked, nothing executed, torch not needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from recdistill import files
from recdistill.artifact.index import index_of, names_of
from recdistill.artifact.layout import (
    CHECKED,
    CHECKSUMS,
    CONFIG,
    INDEX_FOLDER,
    ITEM_MAP,
    MODEL,
    SCHEMA_VERSION,
    TITLES,
    VOCAB,
    WHAT,
    checked,
)
from recdistill.artifact.titles import Titles
from recdistill.data.vocab import Vocab
from recdistill.errors import ArtifactError, DataError, RecdistillError
from recdistill.retrieval.retriever import Retriever
from recdistill.serving.scorers import Scorer, scorer_from_arrays

if TYPE_CHECKING:
    from recdistill.features.item_map import ItemMap

AGAIN = "Copy the folder again, or save the model again."


@dataclass(frozen=True, eq=False)
class Artifact:
    scorer: Scorer
    items: Vocab
    users: Vocab | None
    config: dict[str, Any]
    folder: Path
    titles: Titles | None = None
    retriever: Retriever | None = None
    """Where the folder holds an index, and one that reads fewer than all rows."""

    @cached_property
    def item_map(self) -> ItemMap | None:
        """What ranks items that the model has never seen, read when it is asked for; None where it has not learned
        from features. Raises ArtifactError where it is not as it was written."""
        path = self.folder / ITEM_MAP
        if not path.is_file():
            return None
        from recdistill.features.item_map import ItemMap

        try:
            found = ItemMap.from_arrays(_readable(load_file, path))
        except DataError as fault:
            raise ArtifactError(f"{path}: cannot be read: {fault} {AGAIN}") from fault
        if found.dimension != self.scorer.dimension:
            said = f"vectors of {found.dimension} numbers for a model of {self.scorer.dimension}"
            raise ArtifactError(f"{path}: {said}. {AGAIN}")
        return found


def load(folder: str | Path, verify: bool = True) -> Artifact:
    """`verify=False` skips the checksums of a folder that was checked before. Raises ArtifactError, of one line."""
    folder = Path(folder)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "no such folder"
        raise ArtifactError(f"{folder}: {found}. Give an artifact's folder, for instance runs/demo/artifacts/student.")
    if not (folder / CONFIG).is_file():
        raise ArtifactError(f"{folder}: not an artifact: no {CONFIG} in it. Give the folder that holds {CONFIG}.")
    config = files.read_json(folder / CONFIG, WHAT)
    _check_version(folder / CONFIG, config)
    for name in (*CHECKED, CHECKSUMS):
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder / name}: missing, so the artifact is not whole. {AGAIN}")
    if verify:
        _check_sums(folder)
    scorer = _scorer(folder, config)
    items, users = _vocabularies(folder / VOCAB, scorer)
    titles = _titles(folder / TITLES, len(items))
    return Artifact(scorer, items, users, config, folder, titles, index_of(folder, scorer))


def _check_version(path: Path, config: Mapping[str, Any]) -> None:
    if "schema_version" not in config:
        raise ArtifactError(f"{path}: no schema_version, so its folder is not an artifact. Give an artifact's folder.")
    version = config["schema_version"]
    if type(version) is not int or version != SCHEMA_VERSION:
        raise ArtifactError(
            f"{path}: schema_version {version!r}; this version of recdistill reads {SCHEMA_VERSION}. "
            "Use the version that saved it, or save the model again."
        )


def _check_sums(folder: Path) -> None:
    path = folder / CHECKSUMS
    sums = files.read_json(path, WHAT)
    for name in (TITLES, ITEM_MAP):
        if name in sums and not (folder / name).is_file():
            raise ArtifactError(f"{folder / name}: missing, so the artifact is not whole. {AGAIN}")
    lost = [name for name in sums if name.startswith(f"{INDEX_FOLDER}/") and not (folder / name).is_file()]
    if lost:
        raise ArtifactError(f"{folder / lost[0]}: missing, so the artifact is not whole. {AGAIN}")
    if (folder / INDEX_FOLDER).is_dir() and not any(name.startswith(f"{INDEX_FOLDER}/") for name in sums):
        raise ArtifactError(
            f"{folder / INDEX_FOLDER}: the index of another model, left by a copy over it. Remove that folder, and "
            "build one again by recdistill index."
        )
    wanted = list(checked(folder, index=names_of(folder)))
    if list(sums) != wanted or path.read_text(encoding="utf-8") != json.dumps(sums, indent=2) + "\n":
        raise ArtifactError(f"{path}: not as it was written, with one line for each of {wanted}. {AGAIN}")
    for name, want in sums.items():
        found = _readable(files.sha256_of, folder / name)
        if found != want:
            raise ArtifactError(f"{folder / name}: changed since it was saved (SHA-256 {found[:12]}…). {AGAIN}")


def _scorer(folder: Path, config: Mapping[str, Any]) -> Scorer:
    described = config.get("scorer")
    if not isinstance(described, Mapping):
        raise ArtifactError(f"{folder / CONFIG}: 'scorer' must be an object, found {described!r}. {AGAIN}")
    arrays = _readable(load_file, folder / MODEL)
    try:
        return scorer_from_arrays(described, arrays)
    except RecdistillError as fault:
        raise ArtifactError(f"{folder / MODEL}: does not fit {CONFIG}: {fault} {AGAIN}") from fault


def _vocabularies(path: Path, scorer: Scorer) -> tuple[Vocab, Vocab | None]:
    arrays = _readable(load_file, path)
    items = _vocab(path, arrays, "items", scorer.n_items)
    rows = scorer.table_rows("user_table")
    return items, _vocab(path, arrays, "users", rows) if rows else None


def _vocab(path: Path, arrays: Mapping[str, np.ndarray], what: str, rows: int) -> Vocab:
    try:
        vocab = Vocab.from_arrays({name.removeprefix(f"{what}."): array for name, array in arrays.items()
                                   if name.startswith(f"{what}.")})  # fmt: skip
    except RecdistillError as fault:
        raise ArtifactError(f"{path}: the {what} cannot be read: {fault} {AGAIN}") from fault
    if len(vocab) != rows:
        raise ArtifactError(f"{path}: {len(vocab)} ids for a model of {rows} {what}. {AGAIN}")
    return vocab


def _titles(path: Path, items: int) -> Titles | None:
    if not path.is_file():
        return None
    try:
        titles = Titles.from_arrays(_readable(load_file, path))
    except DataError as fault:
        raise ArtifactError(f"{path}: cannot be read: {fault} {AGAIN}") from fault
    if len(titles) != items:
        raise ArtifactError(f"{path}: {len(titles)} titles for {items} items. {AGAIN}")
    return titles


def _readable(read: Any, path: Path) -> Any:
    try:
        return read(path)
    except (OSError, ValueError, KeyError, SafetensorError) as fault:
        raise ArtifactError(f"{path}: cannot be read ({fault}). {AGAIN}") from fault
