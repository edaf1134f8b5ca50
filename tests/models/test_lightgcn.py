from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from recdistill.errors import ConfigError
from recdistill.models.embedding_training import Embeddings, propagated
from recdistill.models.lightgcn import LightGCN
from recdistill.models.matrix_factorisation import MatrixFactorisation
from recdistill.models.svd import normalise
from recdistill.serving.scorers import Histories
from recdistill.training.bags import Bags
from tests.models.conftest import N_ITEMS, N_USERS, draw_log

DIM = 3


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tables() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    users, items = (torch.randn(rows, DIM, generator=generator) for rows in (N_USERS, N_ITEMS))
    return users, items


def graph() -> Bags:
    return Bags.of(normalise(draw_log().csr()), torch.device("cpu"))


def adjacency() -> torch.Tensor:
    """Â of the paper, dense: D^-½ A D^-½ of users and, after them, items."""
    used = draw_log().csr().toarray().astype(np.float64)
    whole = np.block([[np.zeros((N_USERS, N_USERS)), used], [used.T, np.zeros((N_ITEMS, N_ITEMS))]])
    root = np.sqrt(np.maximum(whole.sum(axis=1), 1))
    return torch.from_numpy(whole / root[:, None] / root)


def mean_of_layers(users: torch.Tensor, items: torch.Tensor, layers: int) -> torch.Tensor:
    rows, total, step = torch.cat([users, items]).double(), 0.0, adjacency()
    for layer in range(layers + 1):
        total = total + torch.linalg.matrix_power(step, layer) @ rows
    return total / (layers + 1)  # type: ignore[return-value]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_vectors_are_the_mean_of_the_layers_of_the_paper(layers: int) -> None:
    users, items = tables()
    found = torch.cat(propagated(users, items, graph(), layers)).double()
    torch.testing.assert_close(found, mean_of_layers(users, items, layers), rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_the_dense_product() -> None:
    users, items = (table.requires_grad_() for table in tables())
    generator = torch.Generator().manual_seed(2)
    towards = torch.randn(N_USERS + N_ITEMS, DIM, generator=generator)
    (torch.cat(propagated(users, items, graph(), 3)) * towards).sum().backward()
    assert users.grad is not None and items.grad is not None
    found = torch.cat([users.grad, items.grad]).double()
    users.grad, items.grad = None, None
    (mean_of_layers(users, items, 3) * towards).sum().backward()
    torch.testing.assert_close(found, torch.cat([users.grad, items.grad]).double(), rtol=1e-4, atol=1e-5)


def test_a_history_is_made_of_the_layers_below_the_last() -> None:
    """What a user's own vector is spread from: E + ÂE + … of the items, one layer fewer."""
    users, items = tables()
    found = Embeddings(users, items, graph(), 2).used_items().double()
    rows = torch.cat([users, items]).double()
    want = (rows + adjacency() @ rows)[N_USERS:]
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(Embeddings(users, items).used_items(), items)


@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_the_spread_vectors_are_served(loss: str) -> None:
    """One small step from the start, so that the served rows are those of the start, spread."""
    train, settings = draw_log(), {"dim": 4, "loss": loss, "epochs": 1, "learning_rate": 1e-12}
    graph_model, plain = (model(**settings).fit(train, device="cpu") for model in (LightGCN, MatrixFactorisation))
    ask = Histories.empty(N_USERS), np.arange(N_USERS)
    rows = plain.scorer.user_table.matrix(), plain.item_vectors()  # type: ignore[attr-defined]
    assert not np.allclose(graph_model.score(*ask), plain.score(*ask), rtol=0.05)
    if loss == "bpr":
        users, items = propagated(*map(torch.from_numpy, rows), graph(), 3)
        np.testing.assert_allclose(graph_model.score(*ask), (users @ items.T).numpy(), rtol=1e-3, atol=1e-5)


def test_more_layers_change_the_model() -> None:
    train, ask = draw_log(), (Histories.empty(N_USERS), np.arange(N_USERS))
    one, three = (LightGCN(dim=4, layers=layers, epochs=3).fit(train, device="cpu").score(*ask) for layers in (1, 3))
    assert not np.allclose(one, three, rtol=0.05)


def test_bpr_is_repeatable_too() -> None:
    train, ask = draw_log(), (Histories.empty(N_USERS), np.arange(N_USERS))
    one, two = (LightGCN(dim=4, loss="bpr", epochs=3).fit(train, seed=5, device="cpu").score(*ask) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 0}, "lightgcn: layers = 0: give at least 1"),
        ({"learning_rate": 0.0}, "lightgcn: learning_rate = 0.0: give a number above 0"),
        ({"loss": "bsl"}, r"lightgcn\.loss = 'bsl': expected one of softmax, bpr"),
    ],
)
def test_settings_outside_their_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LightGCN(**settings)
