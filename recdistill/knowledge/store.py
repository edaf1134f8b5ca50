"""What a teacher says, on disk: lists with scores, vectors or all scores where it has them, and where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
CURES = {
    "vectors": "Vectors come from a teacher that has them, as rd.TwoTower, or by Knowledge.from_vectors.",
    "all_scores": "All scores come from a teacher with vectors, or from extracting on a log that is small enough.",
    "item_lists": "Add them with known.with_item_lists(train).",
    "trajectory": "Add it with known.with_trajectory([earlier knowledge, …]).",
    "teacher": "The teacher itself learns along; see recdistill.distillation.mutual.",
}
"""How to get what a source does not give."""


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
    item_lists: np.ndarray | None = None
    """(n_items, K) int32 the best users of every item, best first, -1 after the end; who has used it is left out."""
    trajectory: np.ndarray | None = None
    """(checkpoints, n_users, K) int32 item rows of the teacher's unseen lists from easy to hard, the last its own."""

    def __repr__(self) -> str:
        told = sorted(self.gives - {"top_k"})
        kind, dim = self.teacher.get("kind"), self.teacher.get("settings", {}).get("dim")
        who = f"; teacher {kind}{f' d={dim}' if dim else ''}" if kind else ""
        size = f"{self.n_users:,} users x top {self.top_items.shape[1]:,} of {self.n_items:,} items"
        return f"Knowledge({size}; {', '.join(told)}{who})"

    @property
    def n_users(self) -> int:
        return len(self.top_items)

    @property
    def users_known(self) -> np.ndarray:
        """(n_users,) bool: of whom the teacher says anything."""
        known: np.ndarray = self.top_items[:, 0] >= 0
        return known

    @property
    def gives(self) -> frozenset[str]:
        """What an objective can ask for: top_k, scores (of these), vectors, all_scores (of the whole catalogue),
        item_lists, trajectory."""
        given = {"top_k", "scores"}
        if self.item_vectors is not None:
            given |= {"vectors", "all_scores"}
        if self.logits is not None:
            given.add("all_scores")
        given |= {name for name in ("item_lists", "trajectory") if getattr(self, name) is not None}
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

    @staticmethod
    def from_vectors(
        users: Any,
        items: Any,
        train: Interactions,
        *,
        user_ids: Iterable[Any] | None = None,
        item_ids: Iterable[Any] | None = None,
        item_bias: Any = None,
        top_k: int = 200,
        temperature: float | None = None,
        valid: HeldOut | None = None,
    ) -> Knowledge:
        """A teacher from elsewhere: arrays or tensors of user and item vectors; see
        `recdistill.knowledge.external_vectors.from_vectors`."""
        from recdistill.knowledge.external_vectors import from_vectors

        return from_vectors(
            users, items, train, user_ids=user_ids, item_ids=item_ids, item_bias=item_bias, top_k=top_k,
            temperature=temperature, valid=valid,
        )  # fmt: skip

    def require(self, needed: frozenset[str] | set[str], by: str) -> None:
        """Refuse an objective that needs what this source cannot give."""
        missing = sorted(set(needed) - self.gives)
        if missing:
            raise KnowledgeError(
                f"{by} needs the teacher's {', '.join(missing)}; this source gives {', '.join(sorted(self.gives))} "
                f"only. {' '.join(CURES[need] for need in missing if need in CURES)}".rstrip()
            )

    def with_item_lists(self, train: Interactions, k: int = 40) -> Knowledge:
        """With the best users of every item; see `recdistill.knowledge.item_lists`."""
        from recdistill.knowledge.item_lists import with_item_lists

        return with_item_lists(self, train, k)

    def with_trajectory(self, earlier: Sequence[Knowledge], k: int | None = None) -> Knowledge:
        """With what the teacher said earlier, the easiest first; see `recdistill.knowledge.trajectory`."""
        from recdistill.knowledge.trajectory import with_trajectory

        return with_trajectory(self, earlier, k)

    @staticmethod
    def combined(
        sources: Sequence[Knowledge],
        train: Interactions,
        *,
        by: Literal["scores", "ranks"] = "scores",
        weights: Sequence[float] | None = None,
        valid: HeldOut | None = None,
        top_k: int | None = None,
    ) -> Knowledge:
        """Several teachers as one; see `recdistill.knowledge.combined`."""
        from recdistill.knowledge.combined import combined

        return combined(sources, train, by=by, weights=weights, valid=valid, top_k=top_k)

    def permuted(self, train: Interactions, generator: np.random.Generator) -> Knowledge:
        """With its users shuffled, for a control; see `recdistill.knowledge.permuted`."""
        from recdistill.knowledge.permuted import permuted

        return permuted(self, train, generator)

    def check(self, train: Interactions) -> None:
        """Refuse to teach on another log than the one that was asked about, and by what is no number."""
        if train.sha256() != self.log_sha256:
            raise KnowledgeError(
                f"this knowledge is of another log (its train part starts {self.log_sha256[:12]}, the one given "
                f"{train.sha256()[:12]}); extract it again from the train part that the student is to learn from"
            )
        for name in ("top_scores", "tail_mass", "user_vectors", "item_vectors", "item_bias", "logits"):
            array = getattr(self, name)
            if array is not None and not np.isfinite(array).all():
                rows = int((~np.isfinite(array.reshape(len(array), -1)).all(axis=1)).sum())
                raise KnowledgeError(
                    f"this knowledge holds NaN or infinity in {rows} of {len(array)} rows of its {name}; mend the "
                    "teacher and extract it again"
                )

    def sha256(self) -> str:
        """Of lists, scores and vectors, and of the log that they are of."""
        digest = hashlib.sha256(self.log_sha256.encode())
        for name in (
            "top_items",
            "top_scores",
            "tail_mass",
            "user_vectors",
            "item_vectors",
            "item_bias",
            "logits",
            "item_lists",
            "trajectory",
        ):
            array = getattr(self, name)
            if array is not None:
                digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

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
            if self.item_lists is not None:
                files.write_arrays(temporary / "item_lists.safetensors", {"users": self.item_lists.astype(np.int32)})
                names.append("item_lists.safetensors")
            if self.trajectory is not None:
                # as above: -1 becomes the type's largest value
                files.write_arrays(temporary / "trajectory.safetensors", {"items": self.trajectory.astype(item_type)})
                names.append("trajectory.safetensors")
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
            item_lists=stored.get("item_lists.safetensors", {}).get("users"),
            trajectory=_rows(stored.get("trajectory.safetensors", {}).get("items"), manifest["items"]),
        )


def _rows(items: np.ndarray | None, n_items: int) -> np.ndarray | None:
    """Item rows as they were before they were stored; -1 where there is none."""
    return None if items is None else np.where(items >= n_items, -1, items.astype(np.int64)).astype(np.int32)
