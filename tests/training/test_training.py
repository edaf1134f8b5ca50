"""Bags, batches, schedule, starts and the teacher's tiles."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.sparse import random as random_sparse

from recdistill.errors import ConfigError
from recdistill.knowledge.store import Knowledge
from recdistill.objectives.teacher_tile import FullTile
from recdistill.training.bags import Bags, bag_sum
from recdistill.training.batches import UserBatches
from recdistill.training.device import product_precision, resolve_device
from recdistill.training.loop import one_cycle
from recdistill.training.progress import NullProgress, TqdmProgress
from recdistill.training.start import from_log, from_teacher
from recdistill.training.teacher import CachedTeacher, ListTeacher, VectorTeacher, teacher_source

CPU = torch.device("cpu")


def sparse(rows: int, columns: int, density: float = 0.3) -> csr_matrix:
    found = random_sparse(rows, columns, density, format="csr", dtype=np.float32, random_state=np.random.default_rng(0))
    found.data[:] = 1.0
    found.sort_indices()
    return found


def test_bags_and_their_gradient_are_a_product_with_the_sparse_matrix() -> None:
    matrix = sparse(6, 9)
    matrix.data = np.random.default_rng(1).random(matrix.nnz).astype(np.float32)
    table = torch.randn(9, 3, requires_grad=True)
    sums = bag_sum(table, Bags.of(matrix, CPU))
    dense = torch.from_numpy(matrix.toarray())
    torch.testing.assert_close(sums, dense @ table.detach())
    upstream = torch.randn(6, 3)
    sums.backward(upstream)
    torch.testing.assert_close(table.grad, dense.T @ upstream)


def batches(matrix: csr_matrix, dropout: float = 0.0, seed: int = 0) -> UserBatches:
    return UserBatches(
        matrix, batch_users=4, history_power=0.5, history_dropout=dropout,
        generator=np.random.default_rng(seed), device=CPU,
    )  # fmt: skip


def test_an_epoch_shows_every_user_once_in_batches_of_like_size() -> None:
    shown = [batch.users for batch in batches(sparse(11, 9))]
    assert sorted(torch.cat(shown).tolist()) == list(range(11))
    assert [len(users) for users in shown] == [4, 4, 3]


def test_a_batch_holds_its_users_items_and_bags_divided_by_the_root_of_their_number() -> None:
    matrix = sparse(11, 9)
    for batch in batches(matrix):
        for place, user in enumerate(batch.users.tolist()):
            items = batch.positives.items[batch.positives.offsets[place] : batch.positives.offsets[place + 1]]
            assert items.tolist() == matrix[user].indices.tolist()
            assert (batch.positives.rows == place).sum() == len(items)
            start, stop = batch.bags.by_user.offsets[place : place + 2]
            weights = batch.bags.by_user.values[start:stop]
            torch.testing.assert_close(weights, torch.full_like(weights, max(len(items), 1) ** -0.5))


def test_dropout_hides_from_bags_but_not_from_labels_and_keeps_the_expected_sum() -> None:
    matrix = sparse(40, 200, 0.5)
    whole, kept = 0.0, 0.0
    for full, dropped in zip(batches(matrix), batches(matrix, dropout=0.25), strict=True):
        whole += float(full.bags.by_user.values.sum())
        kept += float(dropped.bags.by_user.values.sum())
        assert len(dropped.bags.by_user.columns) < len(full.bags.by_user.columns)
        assert len(dropped.positives.items) == int(matrix[dropped.users.numpy()].nnz)
    assert kept == pytest.approx(whole, rel=0.05)


def test_the_learning_rate_rises_for_a_tenth_and_falls_to_nearly_nothing() -> None:
    rates = [one_cycle(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 9
    assert rates[-1] < 1e-5
    assert all(0 < one_cycle(step, steps, 0.1) <= 1 for steps in (1, 2, 3) for step in range(steps))


def test_starts_are_wide_and_scaled_even_where_the_log_has_fewer_directions() -> None:
    start = from_log(sparse(5, 3, 0.9), 8, np.random.default_rng(0))
    assert start.users.shape == (5, 8)
    assert start.items.shape == (3, 8)
    assert np.sqrt(np.square(start.items).sum(1).mean()) == pytest.approx(0.1 * np.sqrt(8), rel=1e-4)


def known(users: int = 7, items: int = 12, k: int = 5) -> Knowledge:
    draw = np.random.default_rng(4)
    user_vectors = draw.standard_normal((users, 3)).astype(np.float32)
    item_vectors = draw.standard_normal((items, 3)).astype(np.float32)
    bias = draw.standard_normal(items).astype(np.float32)
    logits = user_vectors @ item_vectors.T + bias
    top = np.argsort(-logits, 1)[:, :k]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    tail = 1.0 - np.take_along_axis(p, top, 1).sum(1)
    return Knowledge(
        top, np.take_along_axis(logits, top, 1), np.zeros_like(top, bool), tail.astype(np.float32), items, "",
        {}, user_vectors, item_vectors, bias,
    )  # fmt: skip


def test_a_students_start_spans_what_the_teachers_items_differ_in() -> None:
    knowledge = known()
    assert knowledge.item_vectors is not None
    start = from_teacher(knowledge, 3, np.random.default_rng(0))
    ratio = (start @ start.T) / (knowledge.item_vectors @ knowledge.item_vectors.T)
    assert np.abs(ratio / np.median(ratio) - 1).mean() < 0.2


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_tiles_hold_the_softmax_of_the_teachers_logits(temperature: float) -> None:
    knowledge = known()
    users = torch.tensor([3, 0, 6])
    logits = torch.from_numpy(knowledge.user_vectors @ knowledge.item_vectors.T + knowledge.item_bias)  # type: ignore
    want = (logits / temperature).softmax(1)[users]
    live = VectorTeacher(knowledge, temperature, torch.float32, CPU)
    cached = CachedTeacher(live, 7, 12, CPU)
    torch.testing.assert_close(live.tile(users).probabilities, want)
    torch.testing.assert_close(cached.tile(users).probabilities.float(), want, atol=5e-3, rtol=1e-2)
    entropy = (want * want.log()).sum(1)
    torch.testing.assert_close(live.tile(users).negative_entropy, entropy)
    torch.testing.assert_close(cached.tile(users).negative_entropy, entropy)


def told() -> Knowledge:
    """The same teacher as one without vectors, that tells all its scores."""
    knowledge = known()
    logits = knowledge.user_vectors @ knowledge.item_vectors.T + knowledge.item_bias  # type: ignore[union-attr, operator]
    logits -= logits.max(1, keepdims=True)
    bare = {"user_vectors": None, "item_vectors": None, "item_bias": None}
    return dataclasses.replace(knowledge, logits=logits.astype(np.float16), **bare)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_all_scores_that_a_teacher_tells_are_its_softmax(temperature: float) -> None:
    users = torch.tensor([3, 0, 6])
    tile = teacher_source(told(), temperature=temperature, device=CPU).tile(users)
    assert isinstance(tile, FullTile)
    live = VectorTeacher(known(), temperature, torch.float32, CPU).tile(users)
    torch.testing.assert_close(tile.probabilities.float(), live.probabilities, atol=5e-3, rtol=1e-2)
    torch.testing.assert_close(tile.negative_entropy, live.negative_entropy, atol=1e-2, rtol=1e-2)


def test_a_start_from_all_scores_spans_what_users_differ_in() -> None:
    knowledge = known()
    assert knowledge.user_vectors is not None
    assert knowledge.item_vectors is not None
    start = from_teacher(told(), 3, np.random.default_rng(0))
    users, items = knowledge.user_vectors, knowledge.item_vectors
    differences = (users - users.mean(0)) @ (items - items.mean(0)).T
    left = differences - differences @ np.linalg.pinv(start.T) @ start.T
    assert np.square(left).sum() < 0.01 * np.square(differences).sum()


def test_lists_keep_the_teachers_probabilities_and_tail() -> None:
    knowledge = known()
    tile = ListTeacher(knowledge, 1.0, CPU).tile(torch.tensor([2]))
    logits = knowledge.user_vectors @ knowledge.item_vectors.T + knowledge.item_bias  # type: ignore[union-attr, operator]
    want = torch.from_numpy(logits).softmax(1)[2]
    torch.testing.assert_close(tile.probabilities, want[tile.items], atol=1e-5, rtol=1e-4)
    assert float(tile.tail + tile.probabilities.sum()) == pytest.approx(1.0, abs=1e-5)


def test_lists_of_the_whole_catalogue_soften_like_the_scores() -> None:
    knowledge = known(k=12)
    tile = ListTeacher(knowledge, 3.0, CPU).tile(torch.tensor([1]))
    logits = knowledge.user_vectors @ knowledge.item_vectors.T + knowledge.item_bias  # type: ignore[union-attr, operator]
    want = (torch.from_numpy(logits) / 3.0).softmax(1)[1]
    torch.testing.assert_close(tile.probabilities, want[tile.items], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_lists_lose_what_users_have_used_once_as_they_would_at_every_step(temperature: float) -> None:
    knowledge = known(k=5)
    knowledge.top_own[:, 1:3] = True
    users = torch.tensor([4, 0, 1])
    whole = ListTeacher(knowledge, temperature, CPU).tile(users)
    rows = np.repeat(np.arange(3), 2)
    at = torch.from_numpy(rows * knowledge.n_items + knowledge.top_items[users][:, 1:3].ravel().astype(np.int64))
    want, found = (
        whole.without(at, knowledge.n_items),
        ListTeacher(knowledge, temperature, CPU, unseen=True).tile(users),
    )
    assert found.items.tolist() == want.items.tolist()
    assert found.without(at, knowledge.n_items) is found
    torch.testing.assert_close(found.probabilities, want.probabilities)
    torch.testing.assert_close(found.tail, want.tail)
    assert not torch.isclose(found.tail, whole.tail).any()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_what_users_have_used_is_taken_once_out_of_probabilities_that_are_kept(temperature: float) -> None:
    used = csr_matrix(np.random.default_rng(1).random((7, 12)) < 0.3)
    users = torch.tensor([6, 0, 3])
    rows, items = used[users.numpy()].nonzero()
    at = torch.from_numpy(rows.astype(np.int64) * 12 + items)
    want = teacher_source(known(), temperature=temperature, device=CPU).tile(users).without(at, 12)
    found = teacher_source(known(), temperature=temperature, device=CPU, unseen=used).tile(users)
    assert isinstance(want, FullTile)
    assert isinstance(found, FullTile)
    assert found.without(at, 12) is found
    assert float(found.probabilities.view(-1)[at].abs().max()) == 0.0
    torch.testing.assert_close(found.probabilities.float(), want.probabilities.float(), atol=5e-3, rtol=2e-2)
    torch.testing.assert_close(found.negative_entropy, want.negative_entropy, atol=2e-2, rtol=2e-2)


def test_users_whose_list_is_empty_are_not_known() -> None:
    knowledge = known()
    knowledge.top_items[4] = -1
    knowledge.tail_mass[4] = 0.0
    source = ListTeacher(knowledge, 1.0, CPU)
    users = torch.tensor([4, 5])
    assert source.known(users).tolist() == [False, True]
    assert torch.isfinite(source.tile(users).tail).all()
    assert (source.tile(users).rows == 1).all()


def test_vectors_are_preferred_to_lists() -> None:
    knowledge = known()
    assert isinstance(teacher_source(knowledge, temperature=1.0, device=CPU), CachedTeacher)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="give auto, cpu or cuda"):
        resolve_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            resolve_device("cuda")


def test_small_products_stay_in_full_precision() -> None:
    assert product_precision(CPU, 32) is torch.float32


@pytest.mark.parametrize("progress", [NullProgress(), TqdmProgress()])
def test_progress_is_quiet_where_there_is_no_terminal(
    progress: NullProgress | TqdmProgress, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.named("teacher", 0).task("training", total=2) as bar:
        bar.advance(1)
        bar.advance(1, valid_ndcg=0.5)
    assert capsys.readouterr().err == ""
