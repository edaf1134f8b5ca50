"""One counterfactual trained and judged on valid rows, as a step of the run's folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from safetensors.numpy import load_file

from recdistill import files
from recdistill.analysis.counterfactuals import Teaching
from recdistill.analysis.imitation import imitation
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.knowledge.store import Knowledge
from recdistill.models.registry import MODELS
from recdistill.runs.run import Done, Run
from recdistill.runs.steps import Part, told

if TYPE_CHECKING:
    from recdistill.analysis.sample import Sample
    from recdistill.models.two_tower import TwoTower
    from recdistill.serving.scorers import Scorer
    from recdistill.training.progress import Progress

VERSION = 1
"""Of the step; raised by hand when what it keeps changes."""
ASKED = 1_000
"""People whose lists are compared with the teacher's."""
VALUES = "valid.safetensors"


@dataclass(frozen=True)
class School:
    """What every training of a diagnosis needs beside what it changes."""

    run: Run
    part: Part
    """Where settings were chosen; models are judged on its valid rows."""
    sample: Sample
    teacher: Scorer
    knowledge: Knowledge
    """Of the whole part."""
    knowledge_key: str
    top_k: int
    k: int
    device: str
    progress: Progress

    def taught(self, name: str, teaching: Teaching) -> Done:
        """The student of this training on valid: `values_of` gives its NDCG@k; the result, how well it imitates."""

        def build(folder: Path) -> dict[str, Any]:
            sample = self.sample
            if teaching.people < 1.0:
                sample = sample.part(teaching.people, np.random.default_rng([teaching.seed, 11]))
            student = teach(
                sample, teaching, self.knowledge, top_k=self.top_k, device=self.device,
                progress=self.progress.named(name),
            )  # fmt: skip
            return self._judged(student.scorer, sample, folder)

        return self.run.step("diagnose", VERSION, self._inputs(teaching=_told(teaching)), build)

    def asked(self, student: Scorer, key: str) -> Done:
        """The same of a student that is there already; `key` stands for it."""
        return self.run.step(
            "diagnose", VERSION, self._inputs(student=key), lambda folder: self._judged(student, self.sample, folder)
        )

    def _judged(self, student: Scorer, sample: Sample, folder: Path) -> dict[str, Any]:
        metric = f"ndcg@{self.k}"
        found = evaluate_scorer(student, self.part.split, self.sample.held, metrics=(metric,))
        files.write_arrays(folder / VALUES, {metric: found.per_user[metric]})
        whole = self.sample.whole
        result: dict[str, Any] = {metric: found.metrics[metric], "users": len(found.users)}
        people = {"known": sample.rows, "strangers": np.setdiff1d(self.sample.rows, sample.rows)}
        for name, rows in people.items():
            if len(rows):
                rows = np.random.default_rng(12).permutation(rows)[:ASKED]
                temperature = float(self.knowledge.teacher.get("temperature", 1.0))
                result[name] = imitation(self.teacher, student, whole, rows, temperature=temperature, k=self.k)
        return result

    def _inputs(self, **own: Any) -> dict[str, Any]:
        return own | {
            "knowledge": self.knowledge_key,
            "part": self.part.key,
            "users": files.fingerprint(self.sample.rows.tolist())[:16],
            "top_k": self.top_k,
            "k": self.k,
            "device": self.device,
        }


def teach(
    sample: Sample, teaching: Teaching, known: Knowledge, *, top_k: int, device: str, progress: Progress
) -> TwoTower:
    """A student of the sample's users, by their labels and by what `known`, of the whole, says of them."""
    train, known = sample.train, sample.knowledge(known)
    if teaching.lists_only:
        known = replace(known, user_vectors=None, item_vectors=None, item_bias=None, logits=None)
    if teaching.methods is not None:
        known = told(known, teaching.methods, train, top_k)
    student = cast("TwoTower", MODELS["two_tower"](**teaching.settings))
    return student.distil(
        train, known, None, seed=teaching.seed, device=device, progress=progress, methods=teaching.methods
    )


def values_of(step: Done, k: int) -> np.ndarray:
    """float64 (m,) NDCG@k of the people who were judged, in the order of the sample's held-out part."""
    return load_file(step.folder / VALUES)[f"ndcg@{k}"]


def _told(teaching: Teaching) -> dict[str, Any]:
    return {
        "settings": dict(teaching.settings),
        "methods": str(teaching.methods or ""),
        "seed": teaching.seed,
        "lists_only": teaching.lists_only,
        "people": teaching.people,
    }
