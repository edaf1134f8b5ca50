"""The steps of a run, each from what earlier ones wrote. Raise a step's version when its result changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill import files
from recdistill.artifact import load as load_artifact
from recdistill.compression.convert import compress
from recdistill.data import readers, splits
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.evaluation.footprint import footprint
from recdistill.knowledge.extract import fit_temperature
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import Ranker, valid_ndcg
from recdistill.models.fitted import FittedRanker
from recdistill.models.registry import MODELS
from recdistill.models.svd_cut import teacher_svd
from recdistill.runs.config import DataConfig, DistilConfig
from recdistill.runs.evaluations import save_evaluation
from recdistill.runs.run import Done, Run

if TYPE_CHECKING:
    from recdistill.data.splits import Split
    from recdistill.training.progress import Progress

VERSIONS = {
    "data": 1,
    "teacher": 1,
    "baseline": 1,
    "knowledge": 1,
    "student": 1,
    "alone": 1,
    "teacher_svd": 1,
    "compress": 1,
    "evaluate": 1,
    "footprint": 1,
}
FOOTPRINT_SECONDS = 1.5
"""Of measuring, for each model."""


@dataclass(frozen=True, slots=True)
class Part:
    """A split as a step's input: the split, the key that stands for it, and the valid rows that choose (or none)."""

    split: Split
    key: str
    choose: bool

    @property
    def valid(self) -> Any:
        return self.split.valid if self.choose else None


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every training step needs beside its own inputs."""

    run: Run
    device: str
    progress: Progress

    def encode(self, data: DataConfig) -> tuple[Split, Done]:
        """Read, encode and split the log; done again when the file's bytes or the settings change."""
        log = Path(data.log)
        readers.check_file(log)
        settings = {
            "split_column": data.split_column,
            "columns": data.columns,
            "history": data.history,
            "exclude": data.exclude,
        }
        inputs = {"log": files.sha256_of(log), "name": log.name, **settings}

        def build(folder: Path) -> dict[str, Any]:
            read = readers.read_interactions(log, columns=data.columns or None, split_column=data.split_column)
            split = _without_path(replace(splits.default(read), history=data.history, exclude=data.exclude), log)
            split.save(folder / "split")
            return {"log_sha256": inputs["log"], "notes": list(_named(read.notes, log))}

        done = self.run.step("data", VERSIONS["data"], inputs, build)
        return splits.Split.load(done.folder / "split"), done

    def fit(self, role: str, kind: str, settings: Mapping[str, Any], part: Part, seed: int) -> Done:
        """A model fitted on labels: a teacher, a baseline or the student alone (`role` is also the step's name)."""

        def build(folder: Path) -> dict[str, Any]:
            model = MODELS[kind](**settings)
            model.fit(
                part.split.train, part.valid, seed=seed, device=self.device, progress=self.progress.named(role, seed)
            )
            return self._keep(model, folder, role, part)

        inputs = {"kind": kind, "settings": dict(settings), "part": part.key, "seed": seed, "device": self.device}
        return self.run.step(role, VERSIONS.get(role, VERSIONS["baseline"]), inputs, build)

    def extract(self, teacher: Done, part: Part, distil: DistilConfig, temperature: float | None) -> Done:
        """The teacher's knowledge of the part's users."""

        def build(folder: Path) -> dict[str, Any]:
            fitted = FittedRanker.load(teacher.folder / "artifact")
            chosen = temperature if temperature is not None else distil.temperature
            if chosen is None and part.choose and not fitted.softmax_scores:
                chosen = fit_temperature(fitted.scorer, part.split.train, part.valid)
            with self.progress.named("extract").task("asking the teacher", total=1) as bar:
                known = Knowledge.extract(fitted, part.split.train, top_k=distil.top_k, temperature=chosen or 1.0)
                known.teacher["sha256"] = files.sha256_of(teacher.folder / "artifact" / "model.safetensors")
                known.save(folder / "knowledge")
                bar.advance(1)
            return {"temperature": known.teacher["temperature"], "gives": sorted(known.gives)}

        inputs = {
            "teacher": teacher.key,
            "part": part.key,
            "top_k": distil.top_k,
            "temperature": temperature or distil.temperature,
        }
        return self.run.step("knowledge", VERSIONS["knowledge"], inputs, build)

    def distil(self, knowledge: Done, settings: Mapping[str, Any], part: Part, seed: int) -> Done:
        """The student that learns from the knowledge and the labels."""

        def build(folder: Path) -> dict[str, Any]:
            known = Knowledge.load(knowledge.folder / "knowledge")
            known.check(part.split.train)
            student = MODELS["two_tower"](**settings)
            bar = self.progress.named("student", seed)
            student.distil(part.split.train, known, part.valid, seed=seed, device=self.device, progress=bar)  # type: ignore[attr-defined]
            return self._keep(student, folder, "student", part)

        inputs = {
            "knowledge": knowledge.key,
            "settings": dict(settings),
            "part": part.key,
            "seed": seed,
            "device": self.device,
        }
        return self.run.step("student", VERSIONS["student"], inputs, build)

    def cut(self, teacher: Done, dim: int, part: Part) -> Done:
        """What costs no distillation: the teacher's item-to-item map cut to the student's dimension."""

        def build(folder: Path) -> dict[str, Any]:
            fitted = FittedRanker.load(teacher.folder / "artifact")
            return self._keep(
                FittedRanker.of(fitted, teacher_svd(fitted.scorer, dim), kind="teacher_svd"),
                folder,
                "teacher_svd",
                part,
            )

        return self.run.step(
            "teacher_svd", VERSIONS["teacher_svd"], {"teacher": teacher.key, "dim": dim, "part": part.key}, build
        )

    def compress(self, student: Done, codec: str, part: Part) -> Done:
        """The student stored by another codec, and served as stored."""

        def build(folder: Path) -> dict[str, Any]:
            small = compress(FittedRanker.load(student.folder / "artifact"), codec=codec)
            return self._keep(small, folder, f"student_{codec}", part)

        return self.run.step(
            "compress", VERSIONS["compress"], {"student": student.key, "codec": codec, "part": part.key}, build
        )

    def evaluate(self, model: Done, part: Part, metrics: tuple[str, ...], *, on: str) -> Done:
        """Per-user values and lists of a model on `valid` or `test`; read again with `load_evaluation`."""

        def build(folder: Path) -> dict[str, Any]:
            held = part.split.test if on == "test" else part.split.valid
            assert held is not None
            found = evaluate_scorer(
                load_artifact(model.folder / "artifact", verify=False).scorer, part.split, held, metrics=metrics
            )
            save_evaluation(found, folder)
            return {"metrics": found.metrics, "standard_errors": found.standard_errors}

        inputs = {"model": model.key, "part": part.key, "metrics": list(metrics), "on": on}
        return self.run.step("evaluate", VERSIONS["evaluate"], inputs, build)

    def footprint(self, model: Done, part: Part) -> Done:
        """Bytes, speed and latency of a model on this machine, once."""

        def build(_folder: Path) -> dict[str, Any]:
            return footprint(
                load_artifact(model.folder / "artifact", verify=False).scorer, part.split, seconds=FOOTPRINT_SECONDS
            ).as_dict()

        return self.run.step("footprint", VERSIONS["footprint"], {"model": model.key, "part": part.key}, build)

    def _keep(self, model: Ranker, folder: Path, name: str, part: Part) -> dict[str, Any]:
        """Save the artifact; what was chosen, and the choice metric where there are valid rows to choose by."""
        held = part.split.valid
        valid = None if held is None else valid_ndcg(model.scorer, part.split.train, held)
        model.save(folder / "artifact", name=name)
        return {"chosen": model.chosen, "valid": valid}


def _without_path(split: Split, log: Path) -> Split:
    """The log by its file's name: where a person keeps it is nobody's business in a report or an artifact."""
    train = replace(split.train, source=log.name, notes=_named(split.train.notes, log))
    return replace(split, train=train, notes=_named(split.notes, log))


def _named(notes: tuple[str, ...], log: Path) -> tuple[str, ...]:
    return tuple(note.replace(str(log), log.name) for note in notes)
