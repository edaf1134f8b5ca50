"""Is an artifact whole, and as small as it says?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recdistill.artifact.index import names_of
from recdistill.artifact.layout import CHECKSUMS, CONFIG, checked
from recdistill.artifact.load import load
from recdistill.errors import ArtifactError

TOLERANCE = 4_000
"""Bytes by which a claim may be off."""


def doctor(folder: str | Path) -> dict[str, Any]:
    """What the folder holds, its bytes counted from the arrays.

    Raises ArtifactError for anything that `load` refuses, and for a claim that is off by more than 4 kB.
    """
    found = load(folder)
    counted, claimed = found.scorer.nbytes, found.config.get("bytes")
    if not isinstance(claimed, int) or abs(claimed - counted) > TOLERANCE:
        path = found.folder / CONFIG
        raise ArtifactError(f"{path}: claims {claimed!r} bytes, its arrays hold {counted}. Save the model again.")
    described = found.scorer.config()
    names = (*checked(found.folder, index=names_of(found.folder)), CHECKSUMS)
    return {
        "folder": str(found.folder),
        "name": found.config.get("name"),
        "kind": found.config.get("kind"),
        "schema_version": found.config["schema_version"],
        "form": described["form"],
        "codecs": described["codecs"],
        "items": len(found.items),
        "users": None if found.users is None else len(found.users),
        "dimension": found.scorer.dimension,
        "parameters": found.scorer.parameters,
        "bytes": counted,
        "bytes_claimed": claimed,
        "index": None if found.retriever is None else found.retriever.kind,
        "index_bytes": 0 if found.retriever is None else found.retriever.nbytes,
        "titles": None if found.titles is None else sum(one is not None for one in found.titles),
        "new_items_by": None if found.item_map is None else list(found.item_map.encoder.columns),
        "files": {name: (found.folder / name).stat().st_size for name in names},
    }
