"""The sequence model on a log whose next item follows from the last one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recdistill as rd
from recdistill.data.interactions import Interactions
from recdistill.errors import ConfigError
from recdistill.models.self_attention import SelfAttention, SelfAttentionConfig
from recdistill.models.self_attention_rules import default_length, plan
from recdistill.models.self_attention_training import SelfAttentive, groups
from recdistill.objectives.positives import Positives
from recdistill.serving.self_attention import SelfAttentionScorer
from recdistill.training import loop
from recdistill.training.checkpoint import Checkpoints

SMALL: dict[str, Any] = {"dim": 8, "epochs": 12, "batch_users": 50, "learning_rate": 0.02, "dropout": 0.1}
N_USERS, N_ITEMS = 150, 24


@pytest.fixture(scope="module")
def circle() -> Interactions:
    """Everyone walks up the circle of items, some steps from anywhere."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(2, 10, N_USERS)
    users, steps = np.repeat(np.arange(N_USERS), lengths), np.concatenate([np.arange(n) for n in lengths])
    items = (draw.integers(0, N_ITEMS, N_USERS)[users] + steps) % N_ITEMS
    return Interactions.from_ids(users, items, times=1_000 * steps + users)


@pytest.fixture(scope="module")
def walker(circle: Interactions) -> SelfAttention:
    return SelfAttention(**SMALL).fit(circle, seed=1, device="cpu")


def last_items(log: Interactions) -> np.ndarray:
    histories = log.histories(ordered=True)
    assert histories.places is not None
    last = np.empty(len(histories), np.int64)
    last[histories.users[histories.places == 0]] = histories.items[histories.places == 0]
    return last


def test_the_next_item_is_learned_from_the_order(walker: SelfAttention, circle: Interactions) -> None:
    first = walker.score(circle.histories(ordered=True)).argmax(1)
    assert (first == (last_items(circle) + 1) % N_ITEMS).mean() > 0.95


def test_it_matters_which_item_was_the_last(walker: SelfAttention, circle: Interactions) -> None:
    told = rd.Recommender(walker.scorer, circle.items)
    assert told.recommend([5, 6, 7], k=1) == [8]
    assert told.recommend([8, 7, 6, 2], k=1) == [3]


@pytest.mark.parametrize("settings", [{"table": "full"}, {"negatives": 6}, {"layers": 1, "heads": 4}, {"length": 1}])
def test_other_settings_learn_it_too(circle: Interactions, settings: dict[str, Any]) -> None:
    model = SelfAttention(**{**SMALL, **settings}).fit(circle, seed=1, device="cpu")
    first = model.score(circle.histories(ordered=True)).argmax(1)
    assert (first == (last_items(circle) + 1) % N_ITEMS).mean() > 0.9
    assert isinstance(model.scorer, SelfAttentionScorer)
    assert (model.scorer.history_table is not None) == (settings.get("table") == "full")


def test_what_is_served_is_what_was_trained(circle: Interactions) -> None:
    config = SelfAttentionConfig(dim=8, layers=2, heads=2, dropout=0.0, length=5)
    model = SelfAttentive(torch.randn(N_ITEMS, 8), plan(config, circle), torch.Generator().manual_seed(2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
        histories = circle.histories(ordered=True)
        assert histories.places is not None
        short = np.flatnonzero(histories.lengths <= 5)
        histories = histories.take(short)
        order = np.lexsort((-histories.places, histories.users))
        # a last item that nothing is made of, so that the moment before it is the end of the history
        longer = [
            np.append(histories.items[order][start:stop], 0)
            for start, stop in zip(histories.indptr[:-1], histories.indptr[1:], strict=True)
        ]
        offsets = torch.from_numpy(np.cumsum([0, *map(len, longer)]))
        sequences = Positives(offsets, torch.from_numpy(np.concatenate(longer)), torch.zeros(0))
        users, following = model(sequences)
        items, bias = model.items(None)
        at = {int(place): moment for moment, place in enumerate(following)}
        ends = [at[int(end) - 1] for end in offsets[1:]]
        scores = users[ends] @ items.T + bias
    scorer = model.scorer()
    np.testing.assert_allclose(scorer.queries(histories), users[ends].numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scorer.score(histories), scores.numpy(), rtol=1e-4, atol=1e-3)


def test_moments_are_grouped_by_length_and_none_is_lost() -> None:
    counts = [2, 7, 3, 1, 40]
    offsets = torch.tensor(np.cumsum([0, *counts]))
    found = groups(Positives(offsets, torch.arange(sum(counts)), torch.zeros(0)))
    assert sum(int((one[:, 1:] >= 0).sum()) for one in found) == sum(count - 1 for count in counts)
    assert sorted(one.shape[1] - 1 for one in found) == [4, 8, 64]


def test_what_comes_later_changes_no_earlier_moment(circle: Interactions) -> None:
    model = SelfAttentive(
        torch.randn(N_ITEMS, 8), plan(SelfAttentionConfig(dim=8, dropout=0.0), circle), torch.Generator()
    )
    with torch.no_grad():
        one, two = (
            model(Positives(torch.tensor([0, 5]), torch.tensor(items), torch.zeros(0)))[0]
            for items in ([3, 1, 4, 1, 5], [3, 1, 4, 9, 2])
        )
    torch.testing.assert_close(one[:3], two[:3])
    assert not torch.allclose(one[3], two[3])


def test_a_log_without_times_is_refused(circle: Interactions) -> None:
    with pytest.raises(ConfigError, match=r"self_attention: the log has no times.*--columns timestamp="):
        SelfAttention().fit(replace(circle, times=None))


def test_a_log_in_which_nothing_follows_is_refused() -> None:
    log = Interactions.from_ids([1, 2, 3], [7, 8, 7], times=[1, 2, 3])
    with pytest.raises(ConfigError, match="self_attention: nobody has used two items"):
        SelfAttention().fit(log)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"dim": 10, "heads": 4}, "heads = 4 with dim = 10: give a divisor of dim"),
        ({"dropout": 1.0}, "dropout = 1.0: give a number from 0 to below 1"),
        ({"layers": 0}, "layers = 0: give at least 1"),
        ({"tau": 0.0}, "tau = 0.0: give a number above 0"),
        ({"negatives": -1}, "negatives = -1: give 0 for all items"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=f"self_attention: {fault}"):
        SelfAttention(**settings)


def test_the_length_follows_from_the_histories() -> None:
    assert default_length(np.array([3, 8, 12])) == 50
    assert default_length(np.arange(100, 151)) == 145
    assert default_length(np.full(9, 900)) == 200


def test_it_teaches_what_comes_next(walker: SelfAttention, circle: Interactions) -> None:
    known = rd.Knowledge.extract(walker, circle, top_k=5)
    assert (known.top_items[:, 0] == (last_items(circle) + 1) % N_ITEMS).mean() > 0.95
    assert known.user_vectors is not None


def test_more_items_take_more_memory(walker: SelfAttention) -> None:
    few, many = (walker.memory_bytes(n_items=items, n_users=1_000, n_rows=9_000) for items in (1_000, 100_000))
    assert few < many


class StoppedError(Exception):
    pass


def test_a_training_that_was_stopped_ends_with_the_same_bits(
    walker: SelfAttention, circle: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, left = loop.one_cycle, [17]

    def counted(step: int, total: int, warm_up: float) -> float:
        left[0] -= 1
        if not left[0]:
            raise StoppedError
        return plain(step, total, warm_up)

    monkeypatch.setattr(loop, "one_cycle", counted)
    with pytest.raises(StoppedError), Checkpoints(tmp_path / "kept", every=0):
        SelfAttention(**SMALL).fit(circle, seed=1, device="cpu")
    with Checkpoints(tmp_path / "kept", every=0):
        again = SelfAttention(**SMALL).fit(circle, seed=1, device="cpu")
    assert left[0] < 0
    for name, array in again.scorer.arrays().items():
        assert array.tobytes() == walker.scorer.arrays()[name].tobytes(), name
