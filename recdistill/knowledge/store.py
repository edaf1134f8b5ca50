"""What a teacher says, on disk: lists with scores, vectors or all scores where it has them, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from recdistill import files
from recdistill.errors import ArtifactError, KnowledgeError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.models.base import Ranker

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class Knowledge:
    """A teacher's ranking of the items for every user of a training log; row u belongs to user row u of that log.

    Scores are logits at temperature 1: the softmax over the catalogue is the teacher's belief. A list holds the
    user's own train items too, flagged in `top_own`, so that an objective may mask or use them.
    """

    top_items: np.ndarray
    """(n_users, K) item rows, best first; -1 after the end of a shorter list."""
    top_scores: np.ndarray
    """(n_users, K) float32 logits; 0 where there is no item."""
    top_own: np.ndarray
    """(n_users, K) bool: the item is one of the user's train items."""
    tail_mass: np.ndarray
    """(n_users,) float32: the teacher's probability of everything outside the list; 0 where it is not known."""
    n_items: int
    log_sha256: str
    """Of the training interactions that the rows refer to."""
    teacher: dict[str, Any] = field(default_factory=dict)
    """Kind, SHA-256 and settings of the teacher, and the temperature its scores were divided by."""
    user_vectors: np.ndarray | None = None
    """(n_users, d) float32; logit = user · item + bias."""
    item_vectors: np.ndarray | None = None
    item_bias: np.ndarray | None = None
    logits: np.ndarray | None = None
    """(n_users, n_items) float16, each row less its largest: of teachers without vectors, where the log is small."""

    @property
    def n_users(self) -> int:
        return len(self.top_items)

    @property
    def gives(self) -> frozenset[str]:
        """What an objective can ask for: top_k, scores (of these), vectors, all_scores (of the whole catalogue)."""
        given = {"top_k", "scores"}
        if self.item_vectors is not None:
            given |= {"vectors", "all_scores"}
        if self.logits is not None:
            given.add("all_scores")
        return frozenset(given)

    @staticmethod
    def extract(
        teacher: Ranker,
        train: Interactions,
        *,
        top_k: int = 200,
        temperature: float | None = None,
        valid: HeldOut | None = None,
        path: str | Path | None = None,
    ) -> Knowledge:
        """Ask a fitted teacher about every user of `train`; see `recdistill.knowledge.extract.extract`."""
        from recdistill.knowledge.extract import extract

        known = extract(teacher, train, top_k=top_k, temperature=temperature, valid=valid)
        if path is not None:
            known.save(path)
        return known

    @staticmethod
    def from_table(
        table: str | Path | pd.DataFrame | pa.Table, train: Interactions, *, top_k: int = 200, temperature: float = 1.0
    ) -> Knowledge:
        """A teacher from elsewhere: any `user_id, item_id, score`; see `recdistill.knowledge.external.from_table`."""
        from recdistill.knowledge.external import from_table

        return from_table(table, train, top_k=top_k, temperature=temperature)

    def require(self, needed: frozenset[str] | set[str], by: str) -> None:
        """Refuse an objective that needs what this source cannot give."""
        missing = sorted(set(needed) - self.gives)
        if missing:
            raise KnowledgeError(
                f"{by} needs the teacher's {', '.join(missing)}; this source gives {', '.join(sorted(self.gives))} only"
            )

    def check(self, train: Interactions) -> None:
        """Refuse to teach on another log than the one that was asked about."""
        if train.sha256() != self.log_sha256:
            raise KnowledgeError(
                f"this knowledge is of another log (its train part starts {self.log_sha256[:12]}, the one given "
                f"{train.sha256()[:12]}); extract it again from the train part that the student is to learn from"
            )

    def save(self, folder: str | Path) -> None:
        """Write lists, vectors and manifest; whole or not at all."""
        item_type = np.uint16 if self.n_items < 2**16 - 1 else np.int32
        lists = {
            "items": self.top_items.astype(item_type),  # -1 becomes the type's largest value, never an item
            "scores": self.top_scores.astype(np.float32),
            "own": np.packbits(self.top_own, axis=1),
            "tail_mass": self.tail_mass.astype(np.float32),
        }
        with files.whole_folder(Path(folder)) as temporary:
            files.write_arrays(temporary / "lists.safetensors", lists)
            names = ["lists.safetensors"]
            if self.user_vectors is not None and self.item_vectors is not None:
                bias = self.item_bias if self.item_bias is not None else np.zeros(self.n_items, np.float32)
                vectors = {"users": self.user_vectors, "items": self.item_vectors, "item_bias": bias}
                files.write_arrays(
                    temporary / "vectors.safetensors", {k: v.astype(np.float32) for k, v in vectors.items()}
                )
                names.append("vectors.safetensors")
            if self.logits is not None:
                files.write_arrays(temporary / "logits.safetensors", {"logits": self.logits.astype(np.float16)})
                names.append("logits.safetensors")
            manifest = {
                "schema_version": SCHEMA_VERSION,
                "format": "recdistill knowledge",
                "gives": sorted(self.gives),
                "users": self.n_users,
                "items": self.n_items,
                "list_length": self.top_items.shape[1],
                "log_sha256": self.log_sha256,
                "teacher": self.teacher,
                "sha256": {name: files.sha256_of(temporary / name) for name in names},
            }
            files.write_json(temporary / "manifest.json", manifest)

    @classmethod
    def load(cls, folder: str | Path) -> Knowledge:
        """Read a folder written by `save`. Raises ArtifactError where a byte has changed."""
        folder = Path(folder)
        manifest = files.read_json(folder / "manifest.json", "a knowledge folder")
        if manifest.get("format") != "recdistill knowledge" or manifest.get("schema_version") != SCHEMA_VERSION:
            raise ArtifactError(f"{folder}: not knowledge of schema version {SCHEMA_VERSION}; extract it again")
        stored: dict[str, dict[str, np.ndarray]] = {}
        for name, sha256 in manifest["sha256"].items():
            path = folder / Path(name).name
            try:
                if files.sha256_of(path) != sha256:
                    raise ArtifactError(f"{path}: has changed since it was written (SHA-256 differs); extract it again")
                stored[name] = load_file(path)
            except (OSError, SafetensorError) as error:
                raise ArtifactError(f"{path}: cannot be read ({error}); extract it again") from None
        lists, vectors = stored["lists.safetensors"], stored.get("vectors.safetensors", {})
        length = manifest["list_length"]
        items = lists["items"].astype(np.int64)
        return cls(
            top_items=np.where(items >= manifest["items"], -1, items),
            top_scores=lists["scores"],
            top_own=np.unpackbits(lists["own"], axis=1, count=length).astype(bool),
            tail_mass=lists["tail_mass"],
            n_items=manifest["items"],
            log_sha256=manifest["log_sha256"],
            teacher=manifest["teacher"],
            user_vectors=vectors.get("users"),
            item_vectors=vectors.get("items"),
            item_bias=vectors.get("item_bias"),
            logits=stored.get("logits.safetensors", {}).get("logits"),
        )
