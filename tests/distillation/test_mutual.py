"""Two models that learn from each other."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.distillation.mutual import Exchange, train_together
from recdistill.errors import ConfigError
from recdistill.models.base import valid_ndcg
from recdistill.models.two_tower import TwoTower
from recdistill.serving.histories import Histories

QUICK = {"epochs": 20, "learning_rate": 0.02}


def pair() -> tuple[TwoTower, TwoTower]:
    return TwoTower(dim=8, **QUICK), TwoTower(dim=4, user_id=False, **QUICK)


@pytest.mark.parametrize("method", ["mutual_bce", "mutual_kl"])
def test_both_learn_and_come_nearer_to_each_other(log: tuple[Interactions, HeldOut], method: str) -> None:
    train, held = log
    histories, unseen = Histories.from_csr(train.csr()), train.csr().toarray() == 0

    def apart(share: float) -> float:
        """Mean difference of the two models' scores of a user's unseen items, each less its mean."""
        together = train_together(*pair(), train, method=method, label_share=share, device="cpu")
        assert valid_ndcg(together.student.scorer, train, held, 4) > 0.85
        assert valid_ndcg(together.teacher.scorer, train, held, 4) > 0.75
        one, two = (model.score(histories, np.arange(train.n_users)) for model in together)
        means = [(s * unseen).sum(1, keepdims=True) / unseen.sum(1, keepdims=True) for s in (one, two)]
        return float(np.abs(one - means[0] - two + means[1])[unseen].mean())

    assert apart(0.3) < 0.8 * apart(1.0)  # of labels alone, nothing is exchanged


def test_a_course_of_two_is_repeated_bit_by_bit(log: tuple[Interactions, HeldOut]) -> None:
    one, two = (train_together(*pair(), log[0], log[1], seed=2, device="cpu") for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert all(np.array_equal(value, b.scorer.arrays()[name]) for name, value in a.scorer.arrays().items())


def test_a_course_of_two_refuses_what_it_cannot_do(log: tuple[Interactions, HeldOut]) -> None:
    with pytest.raises(ConfigError, match="by mutual_bce or mutual_kl"):
        train_together(*pair(), log[0], method="rrd")
    with pytest.raises(ConfigError, match=r"label_share = 1\.5"):
        train_together(*pair(), log[0], label_share=1.5)
    with pytest.raises(ConfigError, match="n = 0"):
        Exchange(n=0)
