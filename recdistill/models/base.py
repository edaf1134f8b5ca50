"""What every model is: settings in, `fit` on a training log, then a serving scorer that answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar

import numpy as np

from recdistill.data.given import check_train, check_valid
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError
from recdistill.settings import from_mapping, to_mapping

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recdistill.artifact import Titles
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.features import Features
    from recdistill.features.item_map import ItemMap
    from recdistill.models.cold_items import ColdItems
    from recdistill.models.fitted import FittedRanker
    from recdistill.models.wrapped import WrappedRanker
    from recdistill.serving.scorers import Histories, Scorer
    from recdistill.training.progress import Progress

T = TypeVar("T")
CHOICE_K = 20


class NotFittedError(ConfigError):
    """A model was asked something before it was fitted."""


class TrainVocab(NamedTuple):
    """The ids that a model was fitted on; rows of its scorer are rows of these."""

    users: Vocab
    items: Vocab


class KnownBeside(NamedTuple):
    """What goes along with a model though it does not score by it, as `artifact.save` takes it."""

    titles: Titles | None = None
    features: dict[str, Any] | None = None
    """Side features of the log: {"items": {column: {"kind": …, "missing": …}}, "users": …}."""
    item_map: ItemMap | None = None
    """What ranks items that the log never saw, where the model has learned from features."""


class Ranker(ABC):
    """Scores users × items; the settings are keywords, those of its `Config`, a frozen dataclass.

    A setting that is None is chosen in `fit`: on the valid part where one is given, else by a rule from the log.
    """

    kind: ClassVar[str]
    """The name in configs, reports and artifacts."""
    label: ClassVar[str]
    """The name in tables and charts."""
    about: ClassVar[str]
    """What it is, in a few words under the label."""
    meaning: ClassVar[str]
    """The same in a sentence for the glossary of a report."""
    Config: ClassVar[type]
    softmax_scores: ClassVar[bool] = False
    """Whether scores are logits of a softmax over all items, so that a teacher needs no temperature."""
    has_vectors: ClassVar[bool] = True
    """Whether a score is a product of a user's and an item's vector, which some methods need of a teacher."""

    config: Any
    chosen: dict[str, Any]
    """Settings that the last `fit` chose itself; `type(model)(**model.settings())` is fitted with the same ones."""

    def __init__(self, **settings: Any) -> None:
        self.config = from_mapping(self.Config, settings, where=self.kind)
        self.chosen = {}
        self._scorer: Scorer | None = None
        self._train_vocab: TrainVocab | None = None
        self._trained_on: dict[str, Any] = {}
        self._known_beside = KnownBeside()

    def fit(
        self,
        train: Interactions,
        valid: HeldOut | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> Self:
        """Learn from `train`; `valid` only chooses settings that are None, it is never fitted on."""
        check_log(train, self.kind, valid)
        self.chosen = {}
        self._keep(self._fit(train, valid, seed=seed, device=device, progress=progress), train, seed)
        return self

    @abstractmethod
    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> Scorer:
        """The scorer learned from `train`; what was chosen on the way goes to `self.chosen`."""

    def _keep(self, scorer: Scorer, train: Interactions, seed: int) -> None:
        self._scorer = scorer
        self._train_vocab = TrainVocab(train.users, train.items)
        self._trained_on = {
            "source": train.source,
            "sha256": train.sha256(),
            "users": train.n_users,
            "items": train.n_items,
            "rows": train.n_rows,
            "seed": seed,
        }
        self._known_beside = known_beside(train)

    @property
    def item_map(self) -> ItemMap:
        """From an item's features to its vector and bias; ConfigError where the model has not learned from features."""
        self._after_fit(self._scorer)
        if self._known_beside.item_map is None:
            raise ConfigError(
                f"{self.kind}: this model was fitted without item features and knows nothing of new items. Fit a "
                "two-tower model with item_features=True on a log with a table of items."
            )
        return self._known_beside.item_map

    def cold_item_vectors(self, features: Features, *, margin: float = 0.0) -> ColdItems:
        """Vectors and biases of items that the log never saw, by their features, as `Recommender.with_items` takes
        them; items of the log are left out. `margin` is how far new items stand back: it is taken off their biases."""
        from recdistill.models.cold_items import cold_items

        return cold_items(self.item_map, self.train_vocab.items, features, margin=margin)

    def extended(self, items: Features, *, margin: float = 0.0) -> FittedRanker:
        """This model with the new ones of `items` after those that it has: evaluated, asked and saved among them."""
        from recdistill.models.cold_items import extended

        return extended(self, items, margin=margin)

    @staticmethod
    def wrap(model: Any, *, on: Interactions | None = None, **settings: Any) -> WrappedRanker:
        """A model of your own: any object, or torch module, with `user_vectors(users, histories)` and `item_vectors()`
        (and maybe `item_bias()`), or with `score(users, histories, items)`; see `recdistill.models.own_model`.

        `on`: the log that it was trained on, for one that is trained already. Settings: see
        `recdistill.models.wrapped.WrappedConfig`.
        """
        from recdistill.models.wrapped import WrappedRanker

        return WrappedRanker(model, on=on, **settings)

    def memory_bytes(self, *, n_items: int, n_users: int, n_rows: int) -> int:
        """The most that `fit` holds at once on a log of these counts, beside the log; 0: little."""
        return 0

    @property
    def fitted(self) -> bool:
        return self._scorer is not None

    @property
    def scorer(self) -> Scorer:
        """What answers: works on rows of `train_vocab`, without torch."""
        return self._after_fit(self._scorer)

    @property
    def train_vocab(self) -> TrainVocab:
        return self._after_fit(self._train_vocab)

    def settings(self) -> dict[str, Any]:
        """The settings in force, those chosen in `fit` included; unset ones are left out."""
        return {**to_mapping(self.config), **self.chosen}

    def user_vectors(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """float32 (B, d); only where the scorer has vectors."""
        return self.scorer.user_vectors(histories, user_rows)

    def item_vectors(self) -> np.ndarray:
        """float32 (n_items, d); score = user · item + bias."""
        return self.scorer.item_vectors()

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """float32 (B, n_items) for histories of item rows; `user_rows` is -1 for people unknown in training."""
        return self.scorer.score(histories, user_rows)

    def top_k(
        self, histories: Histories, k: int, user_rows: np.ndarray | None = None, *, exclude: Histories | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Item rows (B, k) and scores, best first; -1 and -inf where fewer than k items remain after `exclude`."""
        from recdistill.retrieval.exact import top_k

        return top_k(self.scorer, histories, user_rows, k, exclude)

    def save(self, folder: str | Path, *, name: str | None = None, metrics: dict[str, Any] | None = None) -> Path:
        """Write the artifact that `Recommender.load` reads."""
        from recdistill import artifact

        scorer, vocab = self.scorer, self.train_vocab
        artifact.save(
            Path(folder), scorer, vocab.items, vocab.users, kind=self.kind, name=name or self.kind,
            trained_on=self._trained_on, metrics=metrics, settings=self.settings(), **self._known_beside._asdict(),
        )  # fmt: skip
        return Path(folder)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings().items())
        return f"{type(self).__name__}({settings})"

    def _after_fit(self, part: T | None) -> T:
        if part is None:
            name = type(self).__name__
            raise NotFittedError(f"{name}: not fitted yet. Call {name}(…).fit(train) first.")
        return part


def known_beside(train: Interactions) -> KnownBeside:
    """Titles of the items that a model knows, and what else the log says of them and of its users."""
    from recdistill.artifact import Titles

    sides = {"items": (train.item_features, train.items), "users": (train.user_features, train.users)}
    told = {of: features.of(vocab).describe() for of, (features, vocab) in sides.items() if features is not None}
    titles = None if train.item_features is None else train.item_features.titles(train.items)
    return KnownBeside(None if titles is None else Titles.of(titles), told or None)


def check_log(train: Interactions, kind: str, valid: HeldOut | None = None) -> None:
    check_train(train, kind)
    check_valid(valid, kind)
    if not train.n_rows:
        raise ConfigError(f"{kind}: the training log is empty; found 0 rows. Fit on a log with interactions.")


def train_rows(train: csr_matrix, user_rows: np.ndarray) -> csr_matrix:
    """The training rows of `user_rows`; empty ones where a row is -1."""
    known = np.flatnonzero(user_rows >= 0)
    found = train[user_rows[known]]
    counts = np.zeros(len(user_rows) + 1, dtype=np.int64)
    counts[known + 1] = np.diff(found.indptr)
    return type(train)((found.data, found.indices, np.cumsum(counts)), shape=(len(user_rows), train.shape[1]))


def known_of(held: HeldOut, train: Interactions) -> csr_matrix:
    """(m, n_items): what the users of `held` are made of: their train rows or, unseen, a history of their own."""
    return train_rows(train.csr(), held.user_rows) if held.history is None else held.history


def valid_ndcg(scorer: Scorer, train: Interactions, valid: HeldOut, k: int = CHOICE_K) -> float:
    """Mean NDCG@k over the users of `valid` with a relevant item; history and excluded items are what is known of them.

    `k` is cut to the catalogue.
    """
    return float(valid_ndcg_by_user(scorer, train, valid, k).mean())


def valid_ndcg_by_user(scorer: Scorer, train: Interactions, valid: HeldOut, k: int = CHOICE_K) -> np.ndarray:
    """(users with a relevant item,) the values of which `valid_ndcg` is the mean."""
    from recdistill.data.known import known_histories
    from recdistill.evaluation.ranking import hits_of, ndcg
    from recdistill.retrieval.exact import top_k

    counted = np.flatnonzero(valid.relevant_count > 0)
    if not len(counted):
        raise ConfigError("valid part: no user has a relevant item, so nothing can be chosen on it. Leave it out.")
    rows, k = valid.user_rows[counted], min(k, train.n_items)
    histories = known_histories(valid, train, ordered=scorer.ordered).take(counted)
    items, _ = top_k(scorer, histories, rows, k, histories)
    found: np.ndarray = ndcg(hits_of(items, valid.relevant[counted]), valid.relevant_count[counted], k)
    return found


class Choice(NamedTuple):
    value: float
    scorer: Any
    valid_ndcg: float


def choose(
    values: Iterable[float],
    fit: Callable[[float], Scorer],
    train: Interactions,
    valid: HeldOut,
    *,
    task: str,
    progress: Progress | None,
) -> Choice:
    """The value whose scorer has the highest NDCG@20 on valid, the earlier one on a tie; holds two scorers at most."""
    from recdistill.training.progress import NullProgress

    values = list(values)
    best: Choice | None = None
    with (progress or NullProgress()).task(task, total=len(values)) as bar:
        for value in values:
            scorer = fit(value)
            found = Choice(value, scorer, valid_ndcg(scorer, train, valid))
            if best is None or found.valid_ndcg > best.valid_ndcg:
                best = found
            del scorer
            bar.advance(1, valid_ndcg=found.valid_ndcg)
    if best is None:
        raise ConfigError(f"{task}: no values to choose from; give at least one")
    return best
