"""The teacher of a log: the best on valid of several kinds and of their ensemble, fitted once for each seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recdistill.comparison.blend import blended, chosen_blend
from recdistill.errors import KnowledgeError
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import valid_ndcg
from recdistill.models.fitted import FittedRanker
from recdistill.models.registry import MODELS
from recdistill.runs.config import DistilConfig
from recdistill.runs.pipeline import SEEDLESS
from recdistill.runs.plan import memory_limit
from recdistill.runs.steps import VERSIONS, Part, Workshop

if TYPE_CHECKING:
    from recdistill.comparison.config import ComparisonConfig
    from recdistill.comparison.logs import ComparedLog
    from recdistill.runs.run import Done

ENSEMBLE = "ensemble"
VERSION = 2
"""Of how the teacher is chosen and its ensemble made."""
MEMORY_SHARE = 0.8
EARLIER = (0.25, 0.5)
"""Shares of a two-tower's epochs after which its lists are the earlier points of a trajectory."""
MADE = frozenset({"item_lists", "trajectory"})
"""What is made of a knowledge for those who need it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who teaches, and what it says."""

    kind: str
    artifact: Path
    known: Knowledge
    note: str = ""
    """Why it is not the best teacher."""

    def ranker(self) -> FittedRanker:
        return FittedRanker.load(self.artifact)


@dataclass(slots=True)
class Choice:
    """What was found on valid with the first seed; every seed is fitted with it."""

    kind: str = ""
    valid_ndcg: dict[str, float] = field(default_factory=dict)
    """NDCG@20 of every kind that was fitted, the ensemble's last."""
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    blend: dict[str, Any] = field(default_factory=dict)
    """Of the ensemble: members, weights, group_ends."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Kinds that were not fitted, and why."""
    ordered: bool = False
    """Whether the best one looks at order; then the students learn to."""

    def as_mapping(self) -> dict[str, Any]:
        return asdict(self)

    def ranked(self) -> list[str]:
        """The chosen kind, then the others by what they reach."""
        others = [kind for kind in self.valid_ndcg if kind != self.kind]
        return [self.kind, *sorted(others, key=lambda kind: -self.valid_ndcg[kind])]


class Teachers:
    """Of one log, fitted when they are first asked for and kept in the work folder."""

    def __init__(
        self, workshop: Workshop, log: ComparedLog, config: ComparisonConfig, choice: Choice | None = None
    ) -> None:
        """`choice`: what was found before, and is not looked for again."""
        self._workshop, self._log, self._config, self._choice = workshop, log, config, choice
        self._known: dict[str, Knowledge] = {}
        self._last: tuple[Any, Source] | None = None
        """The source that was asked for last, since trials ask for the same one."""

    @staticmethod
    def identity(config: ComparisonConfig) -> dict[str, Any]:
        """All that decides, beside the log and the seed, who teaches and what is said."""
        versions = {name: VERSIONS[name] for name in ("teacher", "knowledge")}
        settings = {kind: dict(config.teacher.get(kind, {})) for kind in config.members}
        return {"version": VERSION, **versions, "members": settings, "top_k": config.top_k}

    def choice(self) -> Choice:
        if self._choice is None:
            self._choice = self._choose()
        return self._choice

    def tower(self) -> dict[str, Any]:
        """Settings of the two-tower member, as they were chosen where it was fitted."""
        return self.choice().settings.get("two_tower") or dict(self._config.teacher.get("two_tower", {}))

    def ranker(self, where: Literal["final", "selection"], seed: int, kind: str | None = None) -> FittedRanker:
        return FittedRanker.load(self._fitted(kind or self.choice().kind, self._part(where), seed).folder / "artifact")

    def seconds(self, where: Literal["final", "selection"], seed: int) -> float:
        """Of fitting the teacher, with all its members; what was chosen on the way included."""
        choice, part = self.choice(), self._part(where)
        kinds = [*choice.blend["members"], ENSEMBLE] if choice.kind == ENSEMBLE else [choice.kind]
        return sum(self._fitted(kind, part, seed).seconds for kind in kinds)

    def source(
        self, where: Literal["final", "selection"], seed: int, needs: frozenset[str], *, single: bool = False,
        or_lists: bool = False,
    ) -> Source:  # fmt: skip
        """The best teacher that gives what is needed; KnowledgeError, with what each lacks, where none does, unless
        lists will do."""
        asked = (where, seed, needs, single, or_lists)
        if self._last is None or self._last[0] != asked:
            try:
                found = self._source(self._part(where), seed, needs, single)
            except KnowledgeError:
                if not or_lists:
                    raise
                found = self._source(self._part(where), seed, frozenset({"top_k"}), single)
            self._last = asked, found
        return self._last[1]

    def _source(self, part: Part, seed: int, needs: frozenset[str], single: bool) -> Source:
        choice = self.choice()
        ranked = [kind for kind in choice.ranked() if not (single and kind == ENSEMBLE)]
        lacking: list[str] = []
        for kind in ranked:
            known = self._knowledge(kind, part, seed)
            missing = _implied(needs) - known.gives - MADE
            if "trajectory" in needs and "two_tower" not in choice.settings:
                missing |= {"trajectory"}
            if missing:
                lacking.append(f"{kind} gives no {', '.join(sorted(missing))}")
                continue
            done = self._fitted(kind, part, seed)
            known = self._with_made(known, needs, part, seed)
            return Source(kind, done.folder / "artifact", known, "; ".join(lacking))
        raise KnowledgeError("; ".join(lacking) or "no teacher")

    def _part(self, where: Literal["final", "selection"]) -> Part:
        return self._log.final if where == "final" else self._log.selection

    def _choose(self) -> Choice:
        part, found = self._log.selection, Choice()
        train = part.split.train
        fitted: dict[str, Done] = {}
        for kind in self._config.members:
            settings = dict(self._config.teacher.get(kind, {}))
            model = MODELS[kind](**settings)
            needed = model.memory_bytes(n_items=train.n_items, n_users=train.n_users, n_rows=train.n_rows)
            if needed > MEMORY_SHARE * memory_limit():
                found.skipped[kind] = f"would hold {needed / 1e9:.0f} GB"
                self._workshop.progress.say(f"- {self._log.name}: {kind} is left out: it {found.skipped[kind]}")
                continue
            fitted[kind] = self._workshop.fit("teacher", kind, settings, part, 0)
            found.settings[kind] = {**settings, **fitted[kind].result["chosen"]}
            found.valid_ndcg[kind] = fitted[kind].result["valid"]
        if not fitted:
            raise KnowledgeError(f"{self._log.name}: no teacher fits into memory; give other members")
        found.kind = max(found.valid_ndcg, key=lambda kind: found.valid_ndcg[kind])
        if len(fitted) > 1:
            done = self._blend(fitted, None, part)
            found.blend = done.result["blend"]
            found.valid_ndcg[ENSEMBLE] = done.result["valid"]
            if done.result["valid"] > found.valid_ndcg[found.kind]:
                found.kind = ENSEMBLE
        best = fitted[found.kind] if found.kind != ENSEMBLE else done
        found.ordered = bool(best.result.get("ordered"))
        return found

    def _fitted(self, kind: str, part: Part, seed: int) -> Done:
        """The model of a kind with what was chosen, fitted on the part."""
        choice = self.choice()
        if kind == ENSEMBLE:
            members = {name: self._fitted(name, part, seed) for name in choice.blend["members"]}
            return self._blend(members, choice.blend, part)
        seed = 0 if kind in SEEDLESS else seed
        if part is self._log.selection and seed == 0:  # the fit that chose
            return self._workshop.fit("teacher", kind, dict(self._config.teacher.get(kind, {})), part, 0)
        return self._workshop.fit("teacher", kind, choice.settings[kind], part, seed)

    def _blend(self, members: Mapping[str, Done], given: dict[str, Any] | None, part: Part) -> Done:
        """The ensemble of fitted members, with weights that are given or chosen on the part's valid rows."""

        def build(folder: Path) -> dict[str, Any]:
            fitted = {kind: FittedRanker.load(done.folder / "artifact") for kind, done in members.items()}
            train, valid = part.split.train, part.valid
            blend = given or chosen_blend(fitted, train, valid, progress=self._workshop.progress)
            ensemble = blended(fitted, blend, train)
            ensemble.save(folder / "artifact", name=ENSEMBLE)
            reached = None if part.split.valid is None else valid_ndcg(ensemble.scorer, train, part.split.valid)
            return {"blend": blend, "valid": reached, "ordered": ensemble.scorer.ordered}

        inputs = {"members": {kind: done.key for kind, done in members.items()}, "blend": given, "part": part.key}
        return self._workshop.run.step("blend", VERSION, inputs, build)

    def _knowledge(self, kind: str, part: Part, seed: int) -> Knowledge:
        """What a teacher says of the part's users, at the temperature that was found where everything is chosen."""
        distil, temperature = DistilConfig(top_k=self._config.top_k), None
        if not (part is self._log.selection and seed == 0):
            first = self._fitted(kind, self._log.selection, 0)
            temperature = self._workshop.extract(first, self._log.selection, distil, None).result["temperature"]
        done = self._workshop.extract(self._fitted(kind, part, seed), part, distil, temperature)
        if done.key not in self._known:
            self._known = {key: self._known[key] for key in list(self._known)[-1:]}  # two are held at most
            self._known[done.key] = Knowledge.load(done.folder / "knowledge")
        return self._known[done.key]

    def _with_made(self, known: Knowledge, needs: frozenset[str], part: Part, seed: int) -> Knowledge:
        train = part.split.train
        if "item_lists" in needs:
            known = known.with_item_lists(train, min(self._config.top_k, train.n_users))
        if "trajectory" in needs:
            known = known.with_trajectory([self._earlier(share, part, seed) for share in EARLIER])
        return known

    def _earlier(self, share: float, part: Part, seed: int) -> Knowledge:
        """Of the two-tower after a part of its epochs."""
        settings = dict(self.choice().settings["two_tower"])
        settings["epochs_share"] = share * float(settings.get("epochs_share", 1.0))
        done = self._workshop.fit("teacher", "two_tower", settings, part, seed)
        extracted = self._workshop.extract(done, part, DistilConfig(top_k=self._config.top_k), 1.0)
        return Knowledge.load(extracted.folder / "knowledge")


def _implied(needs: frozenset[str]) -> frozenset[str]:
    """Lists of an item's users are made of the scores of all items."""
    return needs | ({"all_scores"} if "item_lists" in needs else set())
