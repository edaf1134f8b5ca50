"""Write an artifact: whole under its name, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recdistill import files
from recdistill.artifact.card import card
from recdistill.artifact.layout import (
    CARD,
    CHECKSUMS,
    CONFIG,
    ITEM_MAP,
    MODEL,
    SCHEMA_VERSION,
    TITLES,
    VOCAB,
    checked,
)
from recdistill.artifact.titles import Titles
from recdistill.data.vocab import Vocab
from recdistill.errors import ArtifactError, ConfigError
from recdistill.serving.base import Scorer

if TYPE_CHECKING:
    from recdistill.features.item_map import ItemMap


def save(
    folder: str | Path,
    scorer: Scorer,
    items: Vocab,
    users: Vocab | None = None,
    *,
    kind: str,
    name: str,
    trained_on: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    titles: Titles | Iterable[str | None] | None = None,
    features: Mapping[str, Any] | None = None,
    item_map: ItemMap | None = None,
) -> Path:
    """Write the folder, in place of an older artifact only once it is whole. `users` is kept where the model has a user
    table. `titles`, one for each item (None where there is none), go along and are not counted as bytes of the model;
    `features` says on the card what else is known of items and users; by `item_map`, not counted
    either, new items can be ranked. Raises ArtifactError where the disk refuses, or where something else than an
    artifact stands in the way."""
    folder = Path(folder)
    users = users if scorer.config()["codecs"].get("user_table") else None
    called = titles if titles is None or isinstance(titles, Titles) else Titles.of(titles)
    _check(folder, scorer, items, users, called)
    if item_map is not None and item_map.dimension != scorer.dimension:
        raise ConfigError(
            f"{folder}: an item map to vectors of {item_map.dimension} numbers for a model of {scorer.dimension}; give "
            "the model's own, or none."
        )
    told = {"trained_on": trained_on, "metrics": metrics, "settings": settings}
    told |= {"features": features} if features else {}
    config = _config(scorer, items, users, kind=kind, name=name, told=told)
    vocab = {f"items.{part}": array for part, array in items.arrays().items()}
    if users is not None:
        vocab |= {f"users.{part}": array for part, array in users.arrays().items()}
    with files.whole_folder(folder) as unfinished:
        files.write_arrays(unfinished / MODEL, scorer.arrays())
        files.write_arrays(unfinished / VOCAB, vocab)
        if called is not None:
            files.write_arrays(unfinished / TITLES, called.arrays())
        if item_map is not None:
            files.write_arrays(unfinished / ITEM_MAP, item_map.arrays())
        files.write_json(unfinished / CONFIG, config)
        (unfinished / CARD).write_text(card(config), encoding="utf-8")
        sums = {file: files.sha256_of(unfinished / file) for file in checked(unfinished)}
        files.write_json(unfinished / CHECKSUMS, sums)
    return folder


def _config(
    scorer: Scorer, items: Vocab, users: Vocab | None, *, kind: str, name: str, told: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "kind": kind,
        "bytes": scorer.nbytes,
        "parameters": scorer.parameters,
        "dimension": scorer.dimension,
        "items": len(items),
        "users": None if users is None else len(users),
        "scorer": scorer.config(),
        **{part: plain(value or {}) for part, value in told.items()},
    }


def plain(value: Any) -> Any:
    """The value as JSON has it: paths become text, numpy's numbers Python's, and what is not finite null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _check(folder: Path, scorer: Scorer, items: Vocab, users: Vocab | None, titles: Titles | None) -> None:
    if len(items) != scorer.n_items:
        raise ConfigError(f"{folder}: {len(items)} item ids for a model of {scorer.n_items} items; give one for each.")
    if titles is not None and len(titles) != len(items):
        raise ConfigError(f"{folder}: {len(titles)} titles for {len(items)} items; give one for each, or None for it.")
    rows = scorer.table_rows("user_table")
    if users is not None and rows != len(users):
        raise ConfigError(f"{folder}: {len(users)} user ids for a user table of {rows} rows; give one for each.")
    if users is None and rows:
        raise ConfigError(f"{folder}: the model has a user table of {rows} rows, but no user ids were given.")
    if folder.exists() and not (folder / CONFIG).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(f"{folder}: exists and is not an artifact, so it is left alone. Choose another folder.")
