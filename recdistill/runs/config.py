"""The settings of a run, read from the command line and TOML, refused where they cannot be."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recdistill.compression.limits import Search, limit_name, parsed_search
from recdistill.compression.sizes import parsed_size
from recdistill.errors import ConfigError
from recdistill.runs.data_config import DataConfig, FilterConfig, SplitConfig
from recdistill.settings import assign, from_mapping, read_toml

if TYPE_CHECKING:
    from recdistill.compression.trials import Effort
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilConfig:
    top_k: int = 200
    """Length of the teacher's stored lists."""
    temperature: float | None = None
    """Divides the teacher's scores; none: 1 for a teacher trained by a softmax, else fitted to the valid rows."""
    method: dict[str, Any] | str | None = None
    """A method by name, several with commas, or each with its settings, as `rd.distill` takes it, which says what
    none is."""
    pre_train: int | None = None
    """Epochs on labels alone that the student has before it is taught, in a step of its own; none: none."""
    fine_tune: int | None = None
    """Epochs on labels alone after it, at a tenth of the learning rate; kept where the valid rows are for it."""
    labels: dict[str, Any] | str | None = None
    """With a method: another objective of labels than the student's own, or their share, {weight = 0.3}."""

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ConfigError(f"distil.top_k = {self.top_k}: a list needs at least one item")
        for name, epochs in {"pre_train": self.pre_train, "fine_tune": self.fine_tune}.items():
            if epochs is not None and epochs < 1:
                raise ConfigError(f"distil.{name} = {epochs}: give at least one epoch, or leave it out")
        if self.temperature is not None and not self.temperature > 0:
            raise ConfigError(f"distil.temperature = {self.temperature}: give a number above 0")
        if self.labels is not None and not self._by_objectives:
            without = "without distil.method" if self.method is None else f"with distil.method = {self.method!r}"
            raise ConfigError(f"distil.labels = {self.labels!r} {without}: set student.label_share instead")

    @property
    def _by_objectives(self) -> bool:
        """Whether any is named: neither the default nor soft labels."""
        from recdistill.distillation.default import SOFT_LABELS

        return self.method not in (None, SOFT_LABELS)

    def methods(self) -> Methods | None:
        """What the student learns by, read and checked; none for the default, and for soft labels."""
        if self.method is None or not self._by_objectives:
            return None
        from recdistill.distillation.methods import read_methods

        named = [name.strip() for name in self.method.split(",")] if isinstance(self.method, str) else self.method
        methods = read_methods(named, self.labels)
        for method in methods.taught:
            if "teacher" in method.needs():
                raise ConfigError(
                    f"distil.method: {method.name} trains its teacher along, which a run does not. In Python: "
                    "recdistill.distillation.mutual.train_together."
                )
            if "trajectory" in method.needs():
                raise ConfigError(
                    f"distil.method: {method.name} needs the teacher's trajectory, which a run does not keep. In "
                    "Python: Knowledge.with_trajectory."
                )
        return methods

    def methods_for(self, student: object, knowledge: Knowledge) -> Methods | None:
        """`methods`, the default among them; none for soft labels."""
        from recdistill.distillation.default import default_methods

        return default_methods(student, knowledge) if self.method is None else self.methods()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    trials: int | None = None
    """Candidate settings of the student tried on valid, as many for distilled as for alone; none: the plan's."""
    codecs: tuple[str, ...] | None = None
    """That students for a limit are compared through; none: int8 to binary."""
    finalists: int | None = None
    """Of their shapes, those trained to the end; none: 3, or all where valid has few users."""
    candidates: int | None = None
    """Settings tried of the best shape; none: 4."""

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise ConfigError(f"search.trials = {self.trials}: give at least 1")
        self.effort()

    def effort(self) -> Effort:
        """What is tried for a limit of bytes or time."""
        from recdistill.compression.trials import Effort

        given = {name: getattr(self, name) for name in ("codecs", "finalists", "candidates")}
        return Effort(**{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that decides the result of a run, and how it is to be planned."""

    data: DataConfig = field(default_factory=DataConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    teacher: dict[str, Any] = field(default_factory=dict)
    """`kind` (a registered model; default two_tower) and that model's own settings."""
    student: dict[str, Any] = field(default_factory=dict)
    """Settings of the history-only two-tower that is distilled."""
    distil: DistilConfig = field(default_factory=DistilConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    baselines: tuple[str, ...] = ("popularity",)
    """Registered models that stand beside teacher and student."""
    compress: tuple[str, ...] = ("fp16", "int8")
    """Codecs that the student is stored in, and limits for which one is trained through its codes, of bytes like 125kB
    or of the time of an answer like 50us, also searched like 125kB+search20min; each a model of the report."""
    k: tuple[int, ...] | None = None
    """Cut-offs of the metrics; none: 10 and 20, cut to the catalogue."""
    seeds: int = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    minutes: float = 60.0
    """What one seed of the whole command is planned for."""
    memory: str | None = None
    """What the plan may fill, like 16GB; none: 80 % of the machine's or cgroup's limit."""

    def __post_init__(self) -> None:
        from recdistill.models.registry import MODELS
        from recdistill.tables.codecs import CODECS

        if self.seeds < 1:
            raise ConfigError(f"seeds = {self.seeds}: give at least 1")
        if not self.minutes > 0:
            raise ConfigError(f"minutes = {self.minutes}: give a number above 0")
        if self.k is not None and (not self.k or min(self.k) < 1):
            raise ConfigError(f"k = {list(self.k)}: cut-offs are whole numbers from 1")
        if self.memory is not None:
            parse_size(self.memory)
        for name in self.baselines:
            MODELS[name]
        for name in self.codecs:
            CODECS[name]
        if self.student.get("kind", "two_tower") != "two_tower":
            raise ConfigError(f"student.kind = {self.student['kind']!r}: only 'two_tower' can be distilled into")
        if self.student.get("user_id"):
            raise ConfigError(
                "student.user_id = true: the student of a run serves people it has never seen; leave it out"
            )
        own = "split_column" if self.data.split_column else "test_log" if self.data.test_log else None
        if own and self.split.name not in (None, "given"):
            raise ConfigError(
                f"split.name = {self.split.name!r} and data.{own} = {getattr(self.data, own)!r}: a log is split in one "
                "way; leave one of them out"
            )
        self.model("teacher")
        self.model("student")

    @property
    def codecs(self) -> tuple[str, ...]:
        """Of `compress`, those that are no limits."""
        return tuple(name for name in self.compress if limit_name(name) is None and parsed_search(name) is None)

    @property
    def limits(self) -> tuple[str, ...]:
        """The others, each written in one way: of bytes, then of time."""
        asked = [*map(limit_name, self.compress), *(search.limit for search in self.searches)]
        named = dict.fromkeys(filter(None, asked))
        return tuple(sorted(named, key=lambda name: parsed_size(name) is None))

    @property
    def searches(self) -> tuple[Search, ...]:
        """What is searched within limits; of several for one limit the last."""
        found = filter(None, map(parsed_search, self.compress))
        return tuple({search.limit: search for search in found}.values())

    def with_limits(self, *more: str) -> RunConfig:
        """With more limits and searches, each once."""
        asked = (*self.codecs, *self.limits, *map(str, self.searches), *more)
        return replace(self, compress=tuple(dict.fromkeys(asked)))

    @property
    def budgets(self) -> tuple[str, ...]:
        """Limits of bytes."""
        return tuple(name for name in self.limits if parsed_size(name) is not None)

    @property
    def latencies(self) -> tuple[str, ...]:
        """Limits of time."""
        return self.limits[len(self.budgets) :]

    def model(self, role: Literal["teacher", "student"]) -> tuple[str, dict[str, Any]]:
        """Kind and settings of a role, with the role's defaults; refused where the kind does not know a setting."""
        from recdistill.models.registry import MODELS

        given = dict(getattr(self, role))
        kind = given.pop("kind", "two_tower")
        defaults: dict[str, Any] = {}
        if kind == "two_tower":
            defaults = {"dim": 256, "user_id": True} if role == "teacher" else {"dim": 32, "user_id": False}
        settings = {**defaults, **given}
        try:
            MODELS[kind](**settings)
        except ConfigError as error:
            raise ConfigError(f"{role}: {error}") from None
        return kind, settings

    def check_methods(self) -> None:
        """Raises ConfigError for methods that are none, and for one that asks for what the teacher's kind never has."""
        from recdistill.models.registry import MODELS

        methods, (kind, _) = self.distil.methods(), self.model("teacher")
        for method in () if methods is None or MODELS[kind].has_vectors else methods.taught:
            if "vectors" in method.needs():
                raise ConfigError(
                    f"distil.method: {method.name} needs the teacher's vectors, and teacher.kind = {kind!r} has none. "
                    "Take a teacher that has them, such as teacher.kind = 'two_tower', or another method."
                )

    @classmethod
    def of_run(cls, folder: Path) -> RunConfig:
        """What the run in this folder was made with."""
        if not (folder / "config.toml").is_file():
            raise ConfigError(
                f"{folder}: no config.toml in it; give the folder of a run (recdistill run --out {folder})"
            )
        values = read_toml(folder / "config.toml")
        values.pop("plan", None)
        return from_mapping(cls, values)

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> RunConfig:
        """The config file, then the options, then each --set, later ones first in force."""
        values: dict[str, Any] = read_toml(Path(options.config)) if options.config else {}
        for section, given in sections(options).items():
            values[section] = {**values.get(section, {}), **given}
        for name in ("seeds", "device", "minutes", "memory"):
            if getattr(options, name) is not None:
                values[name] = getattr(options, name)
        if options.k:
            values["k"] = [_whole(part, options.k) for part in options.k.split(",")]
        for assignment in options.set:
            assign(values, assignment)
        values.pop("plan", None)  # what an earlier run planned is made again from the same counts
        return from_mapping(cls, values)


def sections(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The options that stand for settings (`data.log`, `filter.core`) and were given, by section and name."""
    found: dict[str, dict[str, Any]] = {}
    for setting, value in vars(options).items():
        section, dot, name = setting.partition(".")
        if dot and value is not None:
            found.setdefault(section, {})[name] = value
    if getattr(options, "columns", None):
        found.setdefault("data", {})["columns"] = parse_columns(options.columns)
    return found


def parse_columns(text: str) -> dict[str, str]:
    """What --columns says: our name to the log's."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(equals and ours.strip() and yours.strip() for ours, equals, yours in pairs):
        raise ConfigError(f"--columns {text!r}: write it as user_id=yours,item_id=yours")
    return {ours.strip(): yours.strip() for ours, _, yours in pairs}


def _whole(part: str, whole: str) -> int:
    if not part.strip().isdigit():
        raise ConfigError(f"--k {whole!r}: cut-offs are whole numbers from 1, with commas between them")
    return int(part)


def parse_size(text: str) -> int:
    """Bytes of a size like 16GB or 500MB (1 kB = 1,000 bytes)."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kMGT]?)i?B?\s*", text, flags=re.IGNORECASE)
    if not match or not float(match[1]) > 0:
        raise ConfigError(f"memory = {text!r}: write it like 16GB or 800MB")
    return int(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " "))
