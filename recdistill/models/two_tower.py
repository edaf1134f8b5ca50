"""The two-tower model: a user is a bag of the history (and an id, if wanted), a score is a cosine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from recdistill.errors import ConfigError
from recdistill.models.base import Ranker, check_log, valid_ndcg
from recdistill.models.two_tower_rules import NESTED_NEEDS, LogFacts, TwoTowerPlan, candidates, method_candidates, plan
from recdistill.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.distillation.methods import Methods
    from recdistill.features.item_map import ItemMap
    from recdistill.knowledge.store import Knowledge
    from recdistill.models.towers import Towers
    from recdistill.serving.scorers import BagScorer, Scorer
    from recdistill.training.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoTowerConfig:
    """None means: by rule from the log, or chosen on valid (see `two_tower_rules`)."""

    dim: int = 256
    """Of users' and items' vectors."""
    nested: tuple[int, ...] | None = None
    """Smaller sizes, ascending, at which the same file can be loaded: the first so many numbers of every vector are
    trained as a model of their own, too."""
    user_id: bool = True
    """A vector of its own for every user; without it the model serves people it has never seen. None has one where
    order counts: what a user likes at all times hides what came last."""
    table: Literal["auto", "full", "tied"] = "auto"
    """Full: one table for the items of histories, one for those ranked. Tied: the same for both."""
    codec: str | None = None
    """Tables are trained through the codes of fp16, int8, int4, int3, int2, binary, pq8 or any other of docs/codecs.md
    but fp32 and sparse, and served as stored; for a model without user ids. None: floats."""
    codec_step: Literal["learned"] | None = None
    """Of int4 and fewer bits: the step of each dimension is learned; none: it follows the dimension's spread."""
    pruned: float | None = None
    """Share of a coded table that is pruned by magnitude while it is trained, gradually over its first half; none: it
    stays whole."""
    pruned_by: Literal["values", "rows", "dimensions"] | None = None
    """Values: the smallest of each row, as many of every row. Rows: items whose vectors are shortest keep a bias alone.
    Dimensions: `dim` is what training starts with. None: values."""
    tau: float | None = None
    """Temperature: a logit is cosine / tau + bias."""
    user_weight: float | None = None
    """A user's labels count n^(1-w), n their number: 0 every interaction the same, 1 every user. In order, where each
    step asks one of them, every user counts the same."""
    history_dropout: float | None = None
    """Share of a history that is hidden in training."""
    label_share: float | None = None
    """Weight of the labels where there is a teacher; the rest is the teacher's."""
    temperature: float = 1.0
    """Softens the teacher's and the student's distributions; the loss carries its square."""
    unseen_only: bool | None = None
    """Whether soft labels leave out the items that a user has used, which are never recommended; none: of lists, and of
    whole scores from 24 numbers an item."""
    order: bool | None = None
    """Whether items of a history count by how long ago they were used, learned from what people used next; the log
    needs times. None: with user ids, chosen on valid where its rows came after the train rows; else not."""
    start: Literal["random", "log", "teacher"] | None = None
    """What vectors start from: numbers drawn, the log's singular vectors, the teacher's. None: a student without user
    ids from its teacher where that has vectors or told all its scores, every other model from the log."""
    epochs: int | None = None
    epochs_share: float = 1.0
    """Of the rule's epochs: what a plan cuts where time is short."""
    learning_rate: float | None = None
    batch_users: int = 512
    negatives: int | None = None
    """Items drawn for each batch beside those that its users have used (mixed negatives with the logQ correction); 0:
    all items; none: all, up to a hundred thousand of them."""
    trials: int | None = None
    """Candidate settings tried on valid by a model without user ids; none: all of the rule's."""
    item_features: bool | None = None
    """Whether items are made of their features, too, so that new ones can be ranked by these; none: they are not."""
    user_features: bool | None = None
    """The same of users, of a model with user ids."""
    feature_dropout: float | None = None
    """Share of the items that are ranked by their features alone in a training step."""

    def __post_init__(self) -> None:
        at_least_one = {"dim": self.dim, "batch_users": self.batch_users, "epochs": self.epochs, "trials": self.trials}
        above_zero = {"tau": self.tau, "temperature": self.temperature, "learning_rate": self.learning_rate}
        above_zero["epochs_share"] = self.epochs_share
        shares = {"user_weight": self.user_weight, "label_share": self.label_share}
        for name, value in at_least_one.items():
            if value is not None and value < 1:
                raise ConfigError(f"two_tower: {name} = {value}: give at least 1.")
        for name, number in above_zero.items():
            if number is not None and not 0 < number < float("inf"):
                raise ConfigError(f"two_tower: {name} = {number}: give a number above 0.")
        for name, number in shares.items():
            if number is not None and not 0 <= number <= 1:
                raise ConfigError(f"two_tower: {name} = {number}: give a number from 0 to 1.")
        for name, number in {"history_dropout": self.history_dropout, "feature_dropout": self.feature_dropout}.items():
            if number is not None and not 0 <= number < 1:
                raise ConfigError(f"two_tower: {name} = {number}: give a number from 0 to below 1.")
        if self.negatives is not None and self.negatives < 0:
            raise ConfigError(f"two_tower: negatives = {self.negatives}: give 0 for all items, or how many to draw.")
        if self.negatives and self.item_features:
            raise ConfigError(
                f"two_tower: negatives = {self.negatives} with item_features = true: features are learned from all "
                "items. Leave one of them out."
            )
        if self.user_features and not self.user_id:
            raise ConfigError(
                "two_tower: user_features = true with user_id = false: a model without rows of users has no place for "
                "what is known of them. Leave user_features out, or keep user_id."
            )
        self._check_codec()
        self._check_pruned()
        self._check_nested()
        if self.feature_dropout is not None and not self.item_features:
            raise ConfigError(
                f"two_tower: feature_dropout = {self.feature_dropout} without item features: set item_features = true."
            )

    def _check_nested(self) -> None:
        if self.nested is None:
            return
        sizes = list(self.nested)
        if not sizes or sizes != sorted(set(sizes)) or sizes[0] < 1 or sizes[-1] >= self.dim:
            raise ConfigError(
                f"two_tower: nested = {sizes}: give whole numbers from 1 to below dim = {self.dim}, ascending."
            )
        if self.codec or self.item_features:
            given = f"codec = {self.codec!r}" if self.codec else "item_features = true"
            raise ConfigError(
                f"two_tower: nested = {sizes} with {given}: such rows cannot be cut. Leave one of them out."
            )

    def _check_pruned(self) -> None:
        if self.pruned is None:
            if self.pruned_by is not None:
                raise ConfigError(f"two_tower: pruned_by = {self.pruned_by!r} without a share: set pruned = 0.5.")
            return
        if not 0 < self.pruned < 1:
            raise ConfigError(f"two_tower: pruned = {self.pruned}: give a number between 0 and 1.")
        from recdistill.tables.codec_names import BITS

        narrowed = self.codec == "int8" and self.pruned_by == "dimensions"
        if self.codec not in ("fp16", *BITS) and not narrowed:
            found = (
                "without a codec" if self.codec is None else f"with codec = {self.codec!r}, which has no pruned form"
            )
            raise ConfigError(f"two_tower: pruned = {self.pruned} {found}: set codec = 'fp16' or 'int4'.")
        if self.table == "full":
            raise ConfigError(
                f"two_tower: pruned = {self.pruned} with table = 'full': what is pruned is one table for both sides. "
                "Leave table out."
            )

    def _check_codec(self) -> None:
        if self.codec is None:
            if self.codec_step is not None:
                raise ConfigError(f"two_tower: codec_step = {self.codec_step!r} without a codec: set codec = 'int4'.")
            return
        from recdistill.tables.codec_names import WITH_STEPS, composed, names_to_train, trained_through
        from recdistill.tables.codecs import CODECS

        if not trained_through(self.codec) or (self.codec_step and self.codec not in WITH_STEPS):
            what = "trained with a learned step" if self.codec_step else "trained through"
            known = WITH_STEPS if self.codec_step else names_to_train()
            raise ConfigError(
                f"two_tower: codec = {self.codec!r} cannot be {what}. {nearest(self.codec, known)} Or convert to it "
                "afterwards: rd.compress."
            )
        if self.dim < (least := CODECS[self.codec].narrowest):
            raise ConfigError(f"two_tower: codec = {self.codec!r} with dim = {self.dim}: give at least dim = {least}.")
        if self.table == "full" and composed(self.codec):
            raise ConfigError(
                f"two_tower: codec = {self.codec!r} with table = 'full': its rows are those of one table for both "
                "sides. Leave table out."
            )
        if self.user_id or self.item_features:
            given = "user_id = true: its rows of users" if self.user_id else "item_features = true: its rows"
            raise ConfigError(f"two_tower: codec = {self.codec!r} with {given} are not coded. Leave one of them out.")


class TwoTower(Ranker):
    """User = Σ_history rows / √n (+ the user's own row), item = a row, both of length 1; logit = cosine / τ + bias.

    Learns from a decoupled softmax over all items and, in `distil`, from a teacher's soft labels over all items.
    """

    kind: ClassVar[str] = "two_tower"
    label: ClassVar[str] = "two-tower"
    about: ClassVar[str] = "vectors from histories"
    meaning: ClassVar[str] = (
        "A user is the sum of vectors of the history (and a vector of their own); a score is a product of vectors."
    )
    Config: ClassVar[type] = TwoTowerConfig
    softmax_scores: ClassVar[bool] = True
    config: TwoTowerConfig
    notes: tuple[str, ...] = ()
    """What the last fit made of features, and what it left out."""
    _item_map: ItemMap | None = None
    _begin: BagScorer | None = None

    def _keep(self, scorer: Scorer, train: Interactions, seed: int) -> None:
        super()._keep(scorer, train, seed)
        self._known_beside = self._known_beside._replace(item_map=self._item_map)

    def go_on_from(self, earlier: Ranker) -> Self:
        """The next `fit` or `distil` starts from this two-tower's vectors, biases and weights of places.

        Raises ConfigError where it is another model, of another dim, or has rows of users.
        """
        from recdistill.models.two_tower_begin import checked_begin

        if self.config.user_id:
            raise ConfigError("two_tower: a model with user ids goes on from nothing. Set user_id = false.")
        self._begin = checked_begin(earlier.scorer, dim=self.config.dim, n_items=earlier.scorer.n_items)
        return self

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> BagScorer:
        return self._choose(train, None, valid, seed=seed, device=device, progress=progress)

    def distil(
        self,
        train: Interactions,
        knowledge: Knowledge,
        valid: HeldOut | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
        progress: Progress | None = None,
        methods: Methods | None = None,
    ) -> Self:
        """Learn from the labels of `train` and from what a teacher says about its users, who are those of the rows.

        By `methods`, or, without them, by soft labels over all items.
        """
        check_log(train, self.kind, valid)
        if (knowledge.n_users, knowledge.n_items) != (train.n_users, train.n_items):
            raise ConfigError(
                f"two_tower: the knowledge is of {knowledge.n_users} users and {knowledge.n_items} items, the log has "
                f"{train.n_users} and {train.n_items}. Extract it from this training log."
            )
        if methods is not None and self.config.nested is not None:
            beyond = frozenset().union(*(method.needs() for method in methods.taught)) - NESTED_NEEDS
            if beyond:
                raise ConfigError(
                    f"two_tower: nested = {list(self.config.nested)} with a method that needs the teacher's "
                    f"{', '.join(sorted(beyond))}, and so vectors of one width. Leave one of them out."
                )
        self.chosen = {}
        told = {"seed": seed, "device": device, "progress": progress, "methods": methods}
        self._keep(self._choose(train, knowledge, valid, **told), train, seed)  # type: ignore[arg-type]
        return self

    def _choose(
        self,
        train: Interactions,
        knowledge: Knowledge | None,
        valid: HeldOut | None,
        *,
        seed: int,
        device: str,
        progress: Progress | None,
        methods: Methods | None = None,
    ) -> BagScorer:
        """The best on valid of the candidate settings; without a valid part the first of them, the rule's default."""
        from recdistill.models.two_tower_features import Sides
        from recdistill.models.two_tower_training import Trained, train_two_tower

        sides = Sides.of(train, items=bool(self.config.item_features), users=bool(self.config.user_features))
        if self._begin is not None:
            from recdistill.models.two_tower_begin import checked_begin

            checked_begin(self._begin, dim=self.config.dim, n_items=train.n_items)
        facts = LogFacts.of(train, valid)
        tried = candidates(self.config, facts) if methods is None else method_candidates(self.config, methods)
        tried = tried[: self.config.trials] if valid is not None else tried[:1]
        best: tuple[float, Trained, dict[str, Any]] | None = None
        for number, changes in enumerate(tried, 1):
            settings = self._plan(replace(self.config, **changes), facts, distilled=knowledge is not None)
            if methods is not None:
                settings = replace(settings, negatives=None)  # lists may name any item
            trained = train_two_tower(
                settings, train, knowledge, valid, seed=seed, device=device, progress=progress,
                name=f"{self.label} d={self.config.dim}" + (f", {number} of {len(tried)}" if len(tried) > 1 else ""),
                sides=sides, make=self._towers(settings, seed), methods=methods, begin=self._begin,
            )  # fmt: skip
            reached = valid_ndcg(trained.scorer, train, valid) if valid is not None and len(tried) > 1 else 0.0
            if best is None or reached > best[0]:
                best = reached, trained, changes
        assert best is not None
        self.chosen = best[2] if len(tried) > 1 else {}
        self.notes, self._item_map = sides.notes, best[1].item_map
        return best[1].scorer

    def _plan(self, config: TwoTowerConfig, facts: LogFacts, *, distilled: bool) -> TwoTowerPlan:
        return plan(config, facts, distilled=distilled)

    def _towers(self, plan: TwoTowerPlan, seed: int) -> Callable[..., Towers]:
        """What is trained by the plan: called with the rows that tables start from."""
        from recdistill.models.towers import Towers

        return Towers
