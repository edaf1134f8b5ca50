"""The deep tower: where it starts, what its network can and a bag cannot, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.data.interactions import Interactions
from recdistill.errors import ConfigError
from recdistill.knowledge.store import Knowledge
from recdistill.models.deep_tower import DeepTower
from recdistill.models.deep_tower_training import Residual
from recdistill.models.svd_cut import teacher_svd
from recdistill.models.two_tower import TwoTower
from recdistill.serving.scorers import BagScorer, DeepBagScorer, Histories
from tests.models.conftest import draw_log

QUICK = {"dim": 8, "epochs": 10, "learning_rate": 0.02}
DEEP = {**QUICK, "hidden": (12,)}


@pytest.fixture(scope="module")
def train() -> Interactions:
    return draw_log()


@pytest.fixture(scope="module")
def deep(train: Interactions) -> DeepTower:
    return DeepTower(**DEEP).fit(train)


def asked(train: Interactions) -> tuple[Histories, np.ndarray]:
    return Histories.from_csr(train.csr()), np.arange(train.n_users)


def test_it_starts_as_the_two_tower_does(train: Interactions) -> None:
    """With a learning rate of nearly nothing both are what they start as."""
    still = {"dim": 8, "epochs": 1, "learning_rate": 1e-12}
    deep, plain = DeepTower(**still).fit(train), TwoTower(**still).fit(train)
    np.testing.assert_allclose(deep.score(*asked(train)), plain.score(*asked(train)), rtol=1e-4, atol=1e-4)


def test_the_network_learns(deep: DeepTower, train: Interactions) -> None:
    assert isinstance(deep.scorer, DeepBagScorer)
    change = deep.user_vectors(*asked(train)) - deep.scorer.bag.user_vectors(*asked(train))
    assert np.linalg.norm(change, axis=1).mean() > 0.05


def test_the_serving_half_computes_what_the_torch_half_does() -> None:
    network = Residual(6, (9, 7), torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
        users = torch.nn.functional.normalize(torch.randn(5, 6, generator=torch.Generator().manual_seed(2)), dim=1)
        want = network(users).numpy()
    found = users.numpy() + network.export()(users.numpy() * np.float32(np.sqrt(6)))
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)


def test_a_residual_starts_as_nothing() -> None:
    users = torch.randn(5, 6, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(Residual(6, (9,), torch.Generator().manual_seed(0))(users), users)


def test_a_network_finds_what_no_bag_does() -> None:
    """One of a and A goes with one of b and B, in like letters to x, else to y: no sum of two rows tells the one from
    the other."""
    pairs, wanted = ("ab", "aB", "Ab", "AB"), "xyyx"
    log = Interactions.from_ids(
        np.repeat(np.arange(160), 3), [one for user in range(160) for one in pairs[user % 4] + wanted[user % 4]]
    )
    rows = dict(zip("aAbBxy", log.items.rows(list("aAbBxy")), strict=True))
    histories = Histories.from_lists([[rows[one] for one in pair] for pair in pairs])

    def least_margin(model: TwoTower) -> float:
        scores = model.fit(log).score(histories)
        return float(((scores[:, rows["x"]] - scores[:, rows["y"]]) * [1, -1, -1, 1]).min())

    settings = {"dim": 8, "user_id": False, "trials": 1, "epochs": 60, "learning_rate": 0.02, "history_dropout": 0.5}
    assert least_margin(DeepTower(hidden=(32,), **settings)) > 0.5
    assert least_margin(TwoTower(**settings)) < 0


def test_knowledge_and_its_student_come_of_its_vectors(deep: DeepTower, train: Interactions) -> None:
    known = Knowledge.extract(deep, train, top_k=5)
    assert {"vectors", "all_scores"} <= known.gives
    student = TwoTower(dim=4, user_id=False, epochs=3, trials=1).distil(train, known)
    assert np.isfinite(student.score(*asked(train))).all()


def test_its_cut_is_that_of_the_bag(deep: DeepTower, train: Interactions) -> None:
    cut = teacher_svd(deep, 3)
    assert type(cut) is BagScorer
    assert cut.dimension == 3
    assert np.isfinite(cut.score(asked(train)[0])).all()


def test_batches_against_a_sample_of_the_items_train_it_too(train: Interactions) -> None:
    model = DeepTower(**DEEP, negatives=6).fit(train)
    assert isinstance(model.scorer, DeepBagScorer)
    assert not np.allclose(model.scorer.network.arrays()["layer_1.values"], 0)


def test_memory_grows_with_what_it_trains() -> None:
    counts = {"n_items": 1000, "n_users": 2000, "n_rows": 50_000}
    small, wide = DeepTower(dim=16), DeepTower(dim=16, hidden=(512, 512))
    alone = DeepTower(dim=16, user_id=False)
    assert wide.memory_bytes(**counts) - small.memory_bytes(**counts) == 20 * 512 * 513
    assert small.memory_bytes(**counts) > alone.memory_bytes(**counts) > 20 * 16 * 1000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": ()}, r"deep_tower: hidden = \[\]: give the width of at least one layer"),
        ({"hidden": (64, 0)}, r"deep_tower: hidden = \[64, 0\]"),
        ({"tau": -1.0}, r"deep_tower: tau = -1.0: give a number above 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DeepTower(**settings)
