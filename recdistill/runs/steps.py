"""The steps of a run, each from what earlier ones wrote. Raise a step's version when its result changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill import files
from recdistill.artifact import load as load_artifact
from recdistill.artifact.layout import ITEM_MAP
from recdistill.compression.convert import compress
from recdistill.compression.rivals import RIVALS, Rival, Sources
from recdistill.data import splits
from recdistill.data.widened import new_items, widened
from recdistill.distillation.default import beyond_small
from recdistill.evaluation.cold_items import cold_items
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.evaluation.footprint import footprint
from recdistill.knowledge.extract import fit_temperature
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import Ranker, valid_ndcg
from recdistill.models.fitted import FittedRanker
from recdistill.models.registry import MODELS
from recdistill.models.svd_cut import teacher_svd
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import LogFacts, plan
from recdistill.runs import inputs
from recdistill.runs.config import DistilConfig, RunConfig
from recdistill.runs.evaluations import save_evaluation
from recdistill.runs.run import Done, Run
from recdistill.settings import to_mapping

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.data.splits import Split
    from recdistill.distillation.methods import Methods
    from recdistill.training.progress import Progress

VERSIONS = {
    "data": 3,
    "teacher": 6,
    "baseline": 3,
    "knowledge": 1,
    "pre_train": 1,
    "student": 7,
    "fine_tune": 1,
    "alone": 5,
    "teacher_svd": 3,
    "compress": 2,
    "budget": 2,
    "shapes": 1,
    "searched": 2,
    "rival": 4,
    "evaluate": 1,
    "cold_items": 1,
    "footprint": 2,
}
FINE_TUNE_RATE = 0.1
"""Of the student's learning rate: what it was taught is not to be forgotten."""
FOOTPRINT_SECONDS = 1.5
"""Of measuring, for each model."""


@dataclass(frozen=True, slots=True)
class Part:
    """A split as a step's input: the split, the key that stands for it, and the valid rows that choose (or none)."""

    split: Split
    key: str
    choose: bool
    final: bool = True
    """Whether its models stand in the report; else they only choose."""

    @property
    def valid(self) -> Any:
        return self.split.valid if self.choose else None

    def held(self, on: str) -> HeldOut | None:
        """The held-out part of this name: valid, test, or the seen people beside unseen test people."""
        return {"valid": self.split.valid, "test": self.split.test, "seen": self.split.seen}[on]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every training step needs beside its own inputs."""

    run: Run
    device: str
    progress: Progress

    def encode(self, config: RunConfig) -> tuple[Split, Done]:
        """Read, encode, filter and split the log; done again when a file's content or the settings change."""
        named = inputs.paths(config.data)
        found = inputs.fingerprints(config)
        dependent = {
            "files": found,
            "names": {part: Path(path).name for part, path in named.items()},
            "columns": dict(config.data.columns),
            "split_column": config.data.split_column,
            "query": config.data.query,
            "drop_null": config.data.drop_null,
            "filter": to_mapping(config.filter),
            "split": to_mapping(config.split),
        }

        def build(folder: Path) -> dict[str, Any]:
            log = inputs.read_log(config.data, config.filter)
            split = _without_paths(inputs.make_split(log, config), named)
            split.save(folder / "split")
            return {"log_sha256": found["log"], "notes": list(_named(log.notes, named))}

        done = self.run.step("data", VERSIONS["data"], dependent, build)
        return splits.Split.load(done.folder / "split"), done

    def fit(self, role: str, kind: str, settings: Mapping[str, Any], part: Part, seed: int) -> Done:
        """A model fitted on labels: a teacher, a baseline or the student alone (`role` is also the step's name)."""

        def build(folder: Path) -> dict[str, Any]:
            model = MODELS[kind](**settings)
            model.fit(
                part.split.train, part.valid, seed=seed, device=self.device, progress=self.progress.named(role, seed)
            )
            return self.keep(model, folder, role, part)

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

    def distil(self, knowledge: Done, settings: Mapping[str, Any], part: Part, seed: int, distil: DistilConfig) -> Done:
        """The student that learns from the knowledge and the labels: pre-trained, taught, fine-tuned, each in a step of
        its own, the first and the last where they are asked for."""
        begun = None if distil.pre_train is None else self._pre_train(settings, part, seed, distil.pre_train)
        taught = self._teach(knowledge, settings, part, seed, distil, begun)
        done = taught if distil.fine_tune is None else self._fine_tune(taught, settings, part, seed, distil.fine_tune)
        phases = {step.key: step.seconds for step in (begun, taught, done) if step is not None}
        return replace(done, seconds=sum(phases.values()))

    def _pre_train(self, settings: Mapping[str, Any], part: Part, seed: int, epochs: int) -> Done:
        """On labels alone, with the rule's settings where they are still to be chosen."""

        def build(folder: Path) -> dict[str, Any]:
            student = TwoTower(**{**settings, "epochs": epochs, "trials": 1})
            bar = self.progress.named("pre-train", seed)
            student.fit(part.split.train, part.valid, seed=seed, device=self.device, progress=bar)
            return self.keep(student, folder, "student", part)

        inputs = {
            "settings": dict(settings),
            "part": part.key,
            "seed": seed,
            "device": self.device,
            "epochs": epochs,
        }
        return self.run.step("pre_train", VERSIONS["pre_train"], inputs, build)

    def _fine_tune(self, taught: Done, settings: Mapping[str, Any], part: Part, seed: int, epochs: int) -> Done:
        """On labels alone, from what was taught; where valid rows choose, the better of both is the student."""
        chosen, decides = taught.result["chosen"], part.choose and seed == 0

        def build(folder: Path) -> dict[str, Any]:
            own = {**settings, **chosen}
            rule = plan(TwoTower(**own).config, LogFacts.of(part.split.train, part.valid), distilled=False)
            own |= {"epochs": epochs, "trials": 1, "learning_rate": FINE_TUNE_RATE * rule.learning_rate}
            before = FittedRanker.load(taught.folder / "artifact")
            student: Ranker = TwoTower(**own).go_on_from(before)
            bar = self.progress.named("fine-tune", seed)
            student.fit(part.split.train, part.valid, seed=seed, device=self.device, progress=bar)
            better = True
            if decides:
                reached = valid_ndcg(student.scorer, part.split.train, part.valid)
                better = reached > taught.result["valid"]
            kept = self.keep(student if better else before, folder, "student", part)
            return kept | {"chosen": chosen, "fine_tuned": better}

        inputs = {
            "taught": taught.key,
            "part": part.key,
            "seed": seed,
            "device": self.device,
            "epochs": epochs,
            "decides": decides,
        }
        return self.run.step("fine_tune", VERSIONS["fine_tune"], inputs, build)

    def _teach(
        self, knowledge: Done, settings: Mapping[str, Any], part: Part, seed: int, distil: DistilConfig,
        begun: Done | None,
    ) -> Done:  # fmt: skip
        def build(folder: Path) -> dict[str, Any]:
            known = load_knowledge(knowledge, distil.methods(), part.split.train, distil.top_k)
            student = TwoTower(**settings)
            methods = distil.methods_for(student, known)
            if begun is not None:
                student.go_on_from(FittedRanker.load(begun.folder / "artifact"))
            bar = self.progress.named("student", seed)
            student.distil(
                part.split.train, known, part.valid, seed=seed, device=self.device, progress=bar, methods=methods
            )
            return self.keep(student, folder, "student", part)

        inputs = {
            "knowledge": knowledge.key,
            "settings": dict(settings),
            "part": part.key,
            "seed": seed,
            "device": self.device,
        }
        if begun is not None:
            inputs["begun"] = begun.key
        if distil.method is not None:
            inputs |= {"method": distil.method, "labels": distil.labels}
        else:
            inputs |= beyond_small(part.split.train.n_items)
        return self.run.step("student", VERSIONS["student"], inputs, build)

    def cut(self, teacher: Done, dim: int, part: Part) -> Done:
        """What costs no distillation: the teacher's item-to-item map cut to the student's dimension."""

        def build(folder: Path) -> dict[str, Any]:
            fitted = FittedRanker.load(teacher.folder / "artifact")
            return self.keep(
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
            return self.keep(small, folder, f"student_{codec}", part)

        return self.run.step(
            "compress", VERSIONS["compress"], {"student": student.key, "codec": codec, "part": part.key}, build
        )

    def rival(self, way: str, limit: int, sources: Mapping[str, Done], part: Part, what: str | None) -> Done:
        """The model within `limit` bytes that a way makes of the finished teacher and students: the one
        that is called `what`, or without it the best on valid; none where it can make none."""

        def build(folder: Path) -> dict[str, Any]:
            loaded = {name: FittedRanker.load(step.folder / "artifact") for name, step in sources.items()}
            best: tuple[float, Rival] | None = None
            for rival in RIVALS[way](Sources(**{name: one.scorer for name, one in loaded.items()}), limit):
                if what is None:
                    reached = valid_ndcg(rival.scorer, part.split.train, part.valid)
                elif rival.what != what:
                    continue
                else:
                    reached = 0.0
                if best is None or reached > best[0]:
                    best = reached, rival
            if best is None:
                return {"what": None}
            made = FittedRanker.of(loaded["student"], best[1].scorer, kind=way)
            return self.keep(made, folder, way, part) | {"what": best[1].what}

        inputs: dict[str, Any] = {name: step.key for name, step in sources.items()}
        inputs |= {"way": way, "limit": limit, "part": part.key, "what": what}
        return self.run.step("rival", VERSIONS["rival"], inputs, build)

    def evaluate(self, model: Done, part: Part, metrics: tuple[str, ...], *, on: str) -> Done:
        """Per-user values and lists of a model on the part `on`; read again with `load_evaluation`."""

        def build(folder: Path) -> dict[str, Any]:
            held = part.held(on)
            assert held is not None
            found = evaluate_scorer(
                load_artifact(model.folder / "artifact", verify=False).scorer, part.split, held, metrics=metrics
            )
            save_evaluation(found, folder)
            return {"metrics": found.metrics, "standard_errors": found.standard_errors}

        inputs = {"model": model.key, "part": part.key, "metrics": list(metrics), "on": on}
        return self.run.step("evaluate", VERSIONS["evaluate"], inputs, build)

    def cold_items(self, model: Done, part: Part) -> dict[str, Any] | None:
        """How test rows of items that train never saw are ranked by their features; None where the model has not
        learned from features, or the table of items, which alone decides what is added, has no new one."""
        new = new_items(part.split.train) if (model.folder / "artifact" / ITEM_MAP).is_file() else None
        if new is None:
            return None

        def build(_folder: Path) -> dict[str, Any]:
            wide = FittedRanker.load(model.folder / "artifact").extended(new)
            return cold_items(wide.scorer, widened(part.split, wide.train_vocab.items), part.split.train.n_items)

        inputs = {"model": model.key, "part": part.key}
        return self.run.step("cold_items", VERSIONS["cold_items"], inputs, build).result

    def footprint(self, model: Done, part: Part) -> Done:
        """Bytes, speed and latency of a model on this machine, once."""

        def build(_folder: Path) -> dict[str, Any]:
            return footprint(
                load_artifact(model.folder / "artifact", verify=False).scorer, part.split, seconds=FOOTPRINT_SECONDS
            ).as_dict()

        return self.run.step("footprint", VERSIONS["footprint"], {"model": model.key, "part": part.key}, build)

    def keep(self, model: Ranker, folder: Path, name: str, part: Part) -> dict[str, Any]:
        """Save the artifact; what was chosen, and the choice metric where there are valid rows to choose by."""
        held = part.split.valid
        valid = None if held is None else valid_ndcg(model.scorer, part.split.train, held)
        model.save(folder / "artifact", name=name)
        result = {"chosen": model.chosen, "valid": valid}
        notes = list(getattr(model, "notes", ()))
        return result | ({"notes": notes} if notes else {}) | ({"ordered": True} if model.scorer.ordered else {})


def load_knowledge(done: Done, methods: Methods | None, train: Interactions, top_k: int) -> Knowledge:
    """What was extracted of this log, with what the methods want beside it."""
    known = Knowledge.load(done.folder / "knowledge")
    known.check(train)
    return known if methods is None else told(known, methods, train, top_k)


def told(known: Knowledge, methods: Methods, train: Interactions, top_k: int) -> Knowledge:
    """With lists of the items' best users where a method wants them; refused where it wants what a run cannot give."""
    if any("item_lists" in method.needs() for method in methods.taught) and "item_lists" not in known.gives:
        known = known.with_item_lists(train, min(top_k, train.n_users))
    methods.require(known)
    return known


def _without_paths(split: Split, named: Mapping[str, str]) -> Split:
    """Files by their names: where a person keeps them is nobody's business in a report or an artifact."""
    source = _named((split.train.source,), named)[0]
    sides: dict[str, Any] = {}
    for side in ("item_features", "user_features"):
        features = getattr(split.train, side)
        if features is not None:
            sides[side] = replace(
                features, source=_named((features.source,), named)[0], notes=_named(features.notes, named)
            )
    train = replace(split.train, source=source, notes=_named(split.train.notes, named), **sides)
    return replace(split, train=train, notes=_named(split.notes, named))


def _named(notes: tuple[str, ...], named: Mapping[str, str]) -> tuple[str, ...]:
    """Of every path its last part, also of tables that lie beside a log."""
    folders = {f"{Path(path).parent}/" for path in named.values()} - {"./", "//"}
    for folder in sorted(folders, key=len, reverse=True):
        notes = tuple(note.replace(folder, "") for note in notes)
    return notes
