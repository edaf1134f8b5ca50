"""The index that an artifact may hold, checked like its other files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from recdistill import files
from recdistill.artifact.layout import CHECKSUMS, INDEX_FOLDER, checked
from recdistill.errors import ConfigError
from recdistill.retrieval.items import Items
from recdistill.retrieval.kinds import FLAT
from recdistill.retrieval.retriever import Retriever
from recdistill.retrieval.stored import names, write
from recdistill.serving.base import Scorer


def items_of(scorer: Scorer) -> Items:
    """What a retriever of this model searches. Raises ConfigError for a model without item vectors."""
    table = getattr(scorer, "item_table", None)
    if not scorer.vectors or table is None:
        raise ConfigError(f"a model of the form {scorer.form!r} has no item vectors, so there is nothing to index.")
    return Items(item_table=table, item_bias=scorer.item_bias)


def index_of(folder: Path, scorer: Scorer) -> Retriever | None:
    """The artifact's index; None where there is none, or none that is quicker than reading every row."""
    if not (folder / INDEX_FOLDER).is_dir():
        return None
    retriever = Retriever.load(folder / INDEX_FOLDER, items=items_of(scorer))
    return None if retriever.kind == FLAT and not len(retriever.removed) else retriever


def names_of(folder: Path) -> tuple[str, ...]:
    """The files of the artifact's index."""
    return names(folder / INDEX_FOLDER) if (folder / INDEX_FOLDER).is_dir() else ()


def add_index(folder: str | Path, retriever: Retriever) -> Path:
    """Put the index into the artifact, in place of an older one: the folder is whole before and after.

    The retriever must have been built over `items_of` the artifact's scorer. Raises ArtifactError where the disk
    refuses."""
    folder = Path(folder)
    with files.whole_folder(folder) as unfinished:
        for path in folder.iterdir():
            if path.is_file():
                _same(path, unfinished / path.name)
        (unfinished / CHECKSUMS).unlink()
        (unfinished / INDEX_FOLDER).mkdir()
        write(retriever, unfinished / INDEX_FOLDER)
        wanted = checked(unfinished, index=names_of(unfinished))
        files.write_json(unfinished / CHECKSUMS, {name: files.sha256_of(unfinished / name) for name in wanted})
    return folder


def _same(path: Path, target: Path) -> None:
    """No second copy on the disk where that can be had: nobody writes into these files."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copy2(path, target)
