"""What is searched of each kind of model: a function from a log to parameters, registered once.

A new model writes one such function here and registers it; whatever a person sets is taken out of its space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recdistill.errors import ConfigError
from recdistill.models import als, ease, embedding_rules, graph_filter, self_attention_rules
from recdistill.models.lightgcn import LightGCNConfig
from recdistill.models.matrix_factorisation import MatrixFactorisationConfig
from recdistill.models.registry import MODELS
from recdistill.models.self_attention import SelfAttentionConfig
from recdistill.models.two_tower import TwoTowerConfig
from recdistill.models.two_tower_rules import LogFacts, candidates, plan
from recdistill.registry import Registry, nearest
from recdistill.search.parameters import OneOf, Parameter, Real, Space, Whole, around, around_whole

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What a kind declares: its parameters, and what else it knows."""

    parameters: dict[str, Parameter]
    """By the setting's name; each one's default is the rule's value for this log."""
    candidates: tuple[Mapping[str, Any], ...] = ()
    """Other values that the model itself would try on valid, by the names that they change."""
    fixed: Mapping[str, Any] | None = None
    """Settings that keep a fit from choosing by itself."""


SPACES: Registry[Callable[[Any, Interactions], Searched]] = Registry("search space")
"""By kind; each takes the model's config, which holds what a person set, and the log."""


def space_of(kind: str, given: Mapping[str, Any], train: Interactions) -> Space:
    """What is searched of `kind` on this log where the settings `given` stand; refused where nothing is left."""
    model = MODELS[kind](**given)
    if kind not in SPACES:
        raise ConfigError(f"tune: no settings of {kind} are searched. {nearest(kind, SPACES)}")
    searched = SPACES[kind](model.config, train)
    parameters = {name: parameter for name, parameter in searched.parameters.items() if given.get(name) is None}
    if not parameters:
        raise ConfigError(f"tune: every setting of {kind} that is searched is set already; leave one of them out")
    rule = {name: parameter.default for name, parameter in parameters.items()}
    starts = [rule]
    for changes in searched.candidates:
        start = {**rule, **{name: value for name, value in changes.items() if name in parameters}}
        if start not in starts:
            starts.append(start)
    fixed = {**(searched.fixed or {}), **{name: value for name, value in given.items() if value is not None}}
    return Space(parameters=parameters, starts=tuple(starts), fixed=fixed)


def two_tower(config: TwoTowerConfig, train: Interactions) -> Searched:
    """What the rules set from the log; `dim` stays as it is, since more of it is mostly better and always dearer."""
    facts = LogFacts.of(train)
    tried = [
        {name: value for name, value in choice.items() if name != "label_share"}  # of a teacher's, of whom none is here
        for choice in candidates(config, facts)
    ]
    rule = plan(replace(config, **tried[0], epochs_share=1.0), facts, distilled=False)
    parameters: dict[str, Parameter] = {
        "tau": around(rule.tau, 3.0),
        "learning_rate": around(rule.learning_rate, 4.0),
        # steps decide, and their number grows with the users
        "epochs": around_whole(rule.epochs, 2.0, relative=True),
        "history_dropout": Real(default=rule.history_dropout, low=0.0, high=max(0.7, rule.history_dropout)),
        "user_weight": Real(default=rule.user_weight, low=0.0, high=1.0),
        "table": OneOf(default="tied" if rule.tied else "full", values=("tied", "full")),
    }
    if config.order:  # each person counts by one drawn moment
        del parameters["user_weight"]
    starts: list[dict[str, Any]] = tried[1:]
    if train.times is not None and config.order is None:
        parameters["order"] = OneOf(default=rule.order, values=(False, True))
        starts = [*starts, {"order": True, "table": "full"}]
    own_choice = {} if config.user_id else {"trials": 1}
    return Searched(parameters=parameters, candidates=tuple(starts), fixed=own_choice)


def ease_space(config: ease.EASEConfig, train: Interactions) -> Searched:
    grid = ease.regularizations(train)
    return Searched(
        parameters={"regularization": around(grid[len(grid) // 2], 8.0, relative=True)},
        candidates=tuple({"regularization": value} for value in grid),
    )


def als_space(config: als.ALSConfig, train: Interactions) -> Searched:
    alpha = als.default_alpha(train) if config.alpha is None else config.alpha
    grid = als.regularizations(train, alpha)
    return Searched(
        parameters={
            "dim": Whole(default=64, low=16, high=256),
            "regularization": around(grid[1], 8.0, relative=True),
            "alpha": around(alpha, 8.0),
            "iterations": Whole(default=15, low=5, high=45),
        },
        candidates=tuple({"regularization": value} for value in grid),
    )


def svd_space(config: Any, train: Interactions) -> Searched:
    most = max(64, min(512, train.n_users, train.n_items))
    return Searched(parameters={"dim": Whole(default=64, low=4, high=most)})


def embedding_space(config: MatrixFactorisationConfig | LightGCNConfig, train: Interactions) -> Searched:
    """Of models with a vector for every user and item; only what the loss of the config reads."""
    layers = config.layers if isinstance(config, LightGCNConfig) else 0
    rule = embedding_rules.plan(config, train, layers=layers)
    parameters: dict[str, Parameter] = {
        "learning_rate": around(rule.learning_rate, 4.0),
        "epochs": around_whole(rule.epochs, 2.0, relative=True),
    }
    if config.loss == "bpr":
        parameters["regularization"] = around(rule.regularization, 10.0)
    else:
        parameters["tau"] = around(rule.tau, 3.0)
        parameters["user_weight"] = Real(default=rule.user_weight, low=0.0, high=1.0)
    if layers:
        parameters["layers"] = Whole(default=config.layers, low=1, high=max(4, config.layers))  # type: ignore[union-attr]
    return Searched(parameters=parameters)


def gf_cf_space(config: graph_filter.GraphFilterConfig, train: Interactions) -> Searched:
    most = max(1, min(graph_filter.MOST_DIMENSIONS, train.n_users, train.n_items))
    rule = min(graph_filter.default_dim(train), most)
    return Searched(
        parameters={
            "alpha": Real(default=graph_filter.ALPHAS[0], low=0.0, high=3.0),
            "dim": Whole(default=rule, low=max(1, rule // 4), high=min(most, 4 * rule)),
        },
        candidates=tuple({"alpha": alpha} for alpha in graph_filter.ALPHAS),
    )


def self_attention_space(config: SelfAttentionConfig, train: Interactions) -> Searched:
    rule = self_attention_rules.plan(config, train)
    return Searched(
        parameters={
            "learning_rate": around(rule.learning_rate, 4.0),
            "epochs": around_whole(rule.epochs, 2.0, relative=True),
            "dropout": Real(default=rule.dropout, low=0.0, high=0.7),
            "tau": around(rule.tau, 3.0),
            "layers": Whole(default=rule.layers, low=1, high=max(4, rule.layers)),
        }
    )


SPACES.register("two_tower", two_tower)
SPACES.register("deep_tower", two_tower)  # its network follows the tables' learning rate
SPACES.register("mf", embedding_space)
SPACES.register("self_attention", self_attention_space)
SPACES.register("lightgcn", embedding_space)
SPACES.register("gf_cf", gf_cf_space)
SPACES.register("ease", ease_space)
SPACES.register("als", als_space)
SPACES.register("svd", svd_space)
