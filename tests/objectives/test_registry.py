"""An objective from a config: strict names, strict settings, parameters from a generator."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge.store import Knowledge
from recdistill.objectives.base import NEEDS
from recdistill.objectives.registry import OBJECTIVES, build
from recdistill.objectives.vectors.de import gumbel_noise
from tests.objectives.examples import NAMES, example, run

DIMS = {"student_dim": 3, "teacher_dim": 4}


def owning(name: str, settings: dict[str, Any] | None = None, seed: int = 0) -> torch.nn.Module:
    return build(name, settings, **DIMS, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_kept_and_an_unknown_one_is_refused(name: str) -> None:
    loss_of = example(name).objective()
    kind = type(loss_of).config_type
    assert kind is None or isinstance(loss_of.config, kind)
    message = f"no setting '{name}.tauu'" if kind else f"{name}: has no settings, found tauu; leave them out"
    with pytest.raises(ConfigError, match=message):
        build(name, {"tauu": 2.0}, **DIMS, generator=torch.Generator())


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("softmax", {"tau": 0.0}, "softmax: tau must be above 0, found 0.0"),
    ("sampled_softmax", {"tau": -1.0}, "sampled_softmax: tau must be above 0"),
    ("bsl", {"tau_negative": 0.0}, "bsl: tau_negative must be above 0"),
    ("hard_labels_softmax", {"tau": 0.0}, "hard_labels_softmax: tau must be above 0"),
    ("soft_kl", {"tau": float("nan")}, "soft_kl: tau must be above 0, found nan"),
    ("soft_kl_topk", {"tau": 0.0}, "soft_kl_topk: tau must be above 0"),
    ("reverse_kl", {"tau": 0.0}, "reverse_kl: tau must be above 0"),
    ("js", {"tau": 0.0}, "js: tau must be above 0"),
    ("soft_bce", {"tau": 0.0}, "soft_bce: tau must be above 0"),
    ("rd", {"decay": 0.0}, "rd: decay must be above 0"),
    ("rd", {"item_count": 0}, "rd: item_count must be 1 or more, found 0"),
    ("cd", {"t1": 0.0}, "cd: t1 must be above 0"),
    ("ir_rrd", {"item_weight": -1.0}, "ir_rrd: item_weight must not be below 0, found -1.0"),
    ("dcd", {"item_weight": -1.0}, "dcd: item_weight must not be below 0"),
    ("margin_mse", {"teacher_scale": 0.0}, "margin_mse: teacher_scale must be above 0"),
    ("plackett_luce", {"k": 0}, "plackett_luce: k must be 1 or more, found 0"),
    ("rce_kd", {"beta": -1.0}, "rce_kd: beta must not be below 0"),
    ("hetcomp_ranking", {"cuts": [3, 0]}, "hetcomp: cuts must be 1 or more, found"),
    ("mutual_kl", {"teacher_weight": -1.0}, "mutual: teacher_weight must not be below 0"),
    ("fitnet", {"distance": "city"}, "expected one of squared, cosine"),
    ("de", {"experts": 0}, "de: experts and hidden must be 1 or more"),
    ("de", {"last_temperature": 0.0}, "de: last_temperature must be above 0"),
    ("htd", {"alpha": 1.5}, "htd: alpha must be from 0 to 1, found 1.5"),
    ("htd", {"choice": "all"}, "expected one of prototype_entity, prototype_prototype"),
    ("htd", {"groups": 0}, "experts and hidden must be 1 or more"),
    ("pckd_list", {"tau": 0.0}, "pckd_list: tau must be above 0"),
    ("pckd_pair", {"alpha": -1.0}, "pckd_pair: alpha must not be below 0"),
    ("freqd", {"alpha": 2.0}, "freqd: alpha must be from 0 to 1"),
]


@pytest.mark.parametrize(("name", "settings", "message"), REFUSED)
def test_a_value_that_makes_no_sense_is_refused(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(name, settings, **DIMS, generator=torch.Generator())


def test_an_unknown_objective_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no objective 'soft_kll'\. Did you mean 'soft_kl'"):
        build("soft_kll")


def test_an_objective_with_projectors_must_be_told_both_widths() -> None:
    with pytest.raises(ConfigError, match="fitnet: owns projectors; give student_dim, teacher_dim and a generator"):
        build("fitnet")
    with pytest.raises(ConfigError, match="FitNet: vectors of 0 "):
        build("fitnet", student_dim=0, teacher_dim=4, generator=torch.Generator())


def test_inputs_that_a_setting_asks_for_must_be_given() -> None:
    inputs = example("rd").inputs
    with pytest.raises(ConfigError, match="rd: dynamic weights need samples"):
        build("rd")(inputs["student"], inputs["top"])
    vectors = example("htd").inputs
    with pytest.raises(ConfigError, match="htd: at alpha = 1 there are no experts"):
        owning("htd", {"alpha": 1.0})(vectors["student"], vectors["teacher"])
    with pytest.raises(ConfigError, match="htd: below alpha = 1 the experts need noise"):
        owning("htd")(vectors["student"], vectors["teacher"], group=vectors["group"])
    lists = example("dcd").inputs
    with pytest.raises(ConfigError, match="dcd: student_item is given without both item lists"):
        build("dcd")(lists["student"], lists["underestimated"], lists["overestimated"], lists["student_item"])


@pytest.mark.parametrize("name", ["fitnet", "de", "htd", "pckd_pair", "freqd"])
def test_parameters_come_from_the_generator_alone(name: str) -> None:
    first, again, other = owning(name), owning(name), owning(name, seed=1)
    for (at, value), same, changed in zip(
        first.named_parameters(), again.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(value, same), at
        assert not torch.equal(value, changed), at


def test_a_schedule_is_saved_with_the_parameters() -> None:
    loss_of = example("de").objective()
    loss_of.advance(0.3)
    again = example("de").objective()
    again.load_state_dict(copy.deepcopy(loss_of.state_dict()))
    inputs = example("de").inputs
    torch.testing.assert_close(run(again, inputs)[0], run(loss_of, inputs)[0], rtol=0, atol=0)
    assert not torch.isclose(run(loss_of, inputs)[0], run(example("de").objective(), inputs)[0])


def test_gumbel_noise_has_the_mean_of_its_distribution() -> None:
    noise = gumbel_noise(20_000, 3, torch.Generator().manual_seed(0))
    assert noise.shape == (20_000, 3) and noise.isfinite().all()
    torch.testing.assert_close(noise.mean(0), torch.full((3,), 0.5772), rtol=0, atol=0.04)


def test_knowledge_speaks_the_words_of_the_objectives() -> None:
    lists = np.zeros((1, 2))
    users, items = np.zeros((1, 2)), np.zeros((3, 2))
    own = lists.astype(bool)
    known = Knowledge(lists, lists, own, np.zeros(1), 3, "", user_vectors=users, item_vectors=items)
    assert known.gives <= set(NEEDS)
    for name in ("rrd", "soft_kl_topk", "fitnet", "rce_kd"):
        known.require(OBJECTIVES[name].needs, name)
    with pytest.raises(KnowledgeError, match="ir_rrd needs the teacher's item_lists"):
        known.require(OBJECTIVES["ir_rrd"].needs, "ir_rrd")


def test_an_import_of_the_package_loads_neither_torch_nor_objectives() -> None:
    code = "import sys, recdistill; print(*[n for n in sys.modules if n == 'torch' or 'objectives' in n])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
