"""Models from outside as teachers and students: trained, measured, saved, and what a service can have of them."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

import recdistill as rd
from recdistill.data.interactions import Interactions
from recdistill.errors import ConfigError
from recdistill.models.base import valid_ndcg
from recdistill.models.own_model import OwnHistories
from recdistill.models.wrapped import LABEL_SHARES
from recdistill.serving.bag import BagScorer
from recdistill.serving.histories import Histories
from tests.conftest import tiny_frame

DIM = 8
TAUGHT: dict[str, Any] = {
    "epochs": 60, "batch_users": 40, "learning_rate": 0.1, "user_id": True, "label_share": 0.1,
}  # fmt: skip
SHORT: dict[str, Any] = {"epochs": 30, "batch_users": 40, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def split() -> rd.Split:
    return rd.split.ratio(rd.read_interactions(tiny_frame()), valid=0.15, test=0.15)


@pytest.fixture(scope="module")
def train(split: rd.Split) -> Interactions:
    return split.train


class Bag(nn.Module):
    """A mean of the history."""

    def __init__(self, n_items: int, mode: str = "mean") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used, self.ranked = nn.EmbeddingBag(n_items, DIM, mode=mode), nn.Embedding(n_items, DIM)

    def user_vectors(self, users: Tensor, histories: OwnHistories) -> Tensor:
        return self.used(histories.items, histories.offsets)

    def item_vectors(self) -> Tensor:
        return self.ranked.weight


class Rooted(Bag):
    def user_vectors(self, users: Tensor, histories: OwnHistories) -> Tensor:
        lengths = torch.bincount(histories.users, minlength=len(histories)).clamp(min=1)
        summed = torch.zeros(len(histories), DIM).index_add(0, histories.users, self.used.weight[histories.items])
        return summed / lengths[:, None].sqrt()


class Cosine(Bag):
    def user_vectors(self, users: Tensor, histories: OwnHistories) -> Tensor:
        return normalize(super().user_vectors(users, histories), dim=1) / 0.15

    def item_vectors(self) -> Tensor:
        return normalize(self.ranked.weight, dim=1)


class Directions(Bag):
    """A sum of rows of one length: no cosine."""

    def user_vectors(self, users: Tensor, histories: OwnHistories) -> Tensor:
        rows = normalize(self.used.weight, dim=1)[histories.items] * histories.weights[:, None]
        return torch.zeros(len(histories), DIM).index_add(0, histories.users, rows)


class Tied(Bag):
    def item_vectors(self) -> Tensor:
        return self.used.weight

    def item_bias(self) -> Tensor:
        return self.ranked.weight[:, 0]


class Deep(Bag):
    """A bag with a network on top, which is no bag; its dropout draws from torch's own generator."""

    def __init__(self, n_items: int) -> None:
        super().__init__(n_items)
        self.top = nn.Sequential(nn.Linear(DIM, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, DIM))

    def user_vectors(self, users: Tensor, histories: OwnHistories) -> Tensor:
        return self.top(super().user_vectors(users, histories))


class Rows(nn.Module):
    """A vector for every user and item."""

    def __init__(self, n_users: int, n_items: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.users, self.items = nn.Embedding(n_users, DIM), nn.Embedding(n_items, DIM)

    def user_vectors(self, users: Tensor, histories: OwnHistories) -> Tensor:
        return self.users(users)

    def item_vectors(self) -> Tensor:
        return self.items.weight


class RowsAndBag(Rows):
    def user_vectors(self, users: Tensor, histories: OwnHistories) -> Tensor:
        bag = torch.zeros(len(histories), DIM).index_add(0, histories.users, self.items.weight[histories.items])
        return self.users(users) + bag


class Scores(nn.Module):
    """Scores of pairs by a small network."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used, self.ranked = nn.EmbeddingBag(n_items, DIM, mode="sum"), nn.Embedding(n_items, DIM)
        self.top = nn.Sequential(nn.Linear(DIM, 4), nn.ReLU(), nn.Linear(4, 1))

    def score(self, users: Tensor, histories: OwnHistories, items: Tensor) -> Tensor:
        people = self.used(histories.items, histories.offsets)
        products = people[:, None] * self.ranked(items)[None]
        return self.top(products)[..., 0] + products.sum(-1)


def ndcg(model: Any, split: rd.Split) -> float:
    return rd.evaluate({"model": model}, split, ["ndcg@10"]).metrics["model"]["ndcg@10"]


def by_hand(model: Any, histories: Histories, rows: np.ndarray) -> np.ndarray:
    """The module asked directly, a user at a time."""
    found = []
    with torch.no_grad():
        for place, row in enumerate(rows):
            items = torch.from_numpy(histories.items[histories.indptr[place] : histories.indptr[place + 1]].astype(int))
            told = OwnHistories(
                items, torch.tensor([0]), torch.zeros(len(items), dtype=torch.long), torch.ones(len(items))
            )
            found.append(model.user_vectors(torch.tensor([row]), told) @ model.item_vectors().T)
    return torch.cat(found).numpy()


@pytest.mark.parametrize("module", [Bag, Rooted, Cosine, Directions, Tied, lambda n: Bag(n, "sum")])
def test_a_module_that_is_a_bag_is_trained_and_served_without_torch(
    module: Any, split: rd.Split, tmp_path: Path
) -> None:
    given = module(split.train.n_items)
    before = [one.detach().clone() for one in given.parameters()]
    model = rd.Ranker.wrap(given, **SHORT).fit(split.train, device="cpu")
    assert ndcg(model, split) > 1.6 * ndcg(rd.Popularity().fit(split.train), split)
    assert all(torch.equal(a, b) for a, b in zip(before, given.parameters(), strict=True)), "a copy was trained"
    assert model.notes == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(tmp_path / "own")
    served = rd.Recommender.load(tmp_path / "own")
    assert served.scorer.form == "bag"
    rows = np.arange(0, split.train.n_users, 7)
    histories = split.train.histories(rows)
    want = by_hand(model.model, histories, np.full(len(rows), -1))
    want = want if not hasattr(given, "item_bias") else want + model.model.item_bias().detach().numpy()
    np.testing.assert_allclose(served.scorer.score(histories), want, rtol=1e-3, atol=1e-3)
    history = split.train.items.ids(histories.items[: histories.indptr[1]]).tolist()
    assert len(served.recommend(history, k=5)) == 5


def test_rows_shared_by_both_sides_are_stored_once(train: Interactions) -> None:
    model = rd.Ranker.wrap(Tied(train.n_items), epochs=1).fit(train, device="cpu")
    assert set(model.scorer.arrays()) == {"item_table.values", "item_bias", "popularity"}


def test_a_module_refits_to_the_same_bits_and_draws_nothing_from_the_world(train: Interactions) -> None:
    model = rd.Ranker.wrap(Deep(train.n_items), epochs=3)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = model.fit(train, seed=4, device="cpu").item_vectors()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12)
    np.testing.assert_array_equal(model.fit(train, seed=4, device="cpu").item_vectors(), first)
    assert not np.array_equal(model.fit(train, seed=5, device="cpu").item_vectors(), first)


def test_what_is_no_bag_is_measured_live_and_saved_with_the_users_it_knew(split: rd.Split, tmp_path: Path) -> None:
    train = split.train
    model = rd.Ranker.wrap(Deep(train.n_items), **SHORT).fit(train, device="cpu")
    rows = np.arange(10)
    histories = train.histories(rows)
    np.testing.assert_allclose(
        model.score(histories, rows), by_hand(model.model, histories, rows), rtol=1e-4, atol=1e-4
    )
    assert ndcg(model, split) > 1.6 * ndcg(rd.Popularity().fit(train), split)
    says = f"user vectors are code that is no bag of the history: a service has those of the {train.n_users} users"
    with pytest.warns(UserWarning, match=says):
        model.save(tmp_path / "own")
    assert says in " ".join((tmp_path / "own" / "README.md").read_text().split())
    served = rd.Recommender.load(tmp_path / "own")
    known = served.scorer.user_vectors(Histories.empty(10), rows)
    np.testing.assert_allclose(known, model.user_vectors(histories, rows), rtol=1e-5)
    assert ndcg(model.served(), split) > 0.8 * ndcg(model, split)
    with pytest.raises(ConfigError, match=r"compress what is served of it: rd\.compress\(model\.served\(\)"):
        rd.compress(model, codec="int8")
    assert rd.compress(model.served(), codec="int8").scorer.nbytes < served.scorer.nbytes


def test_a_table_of_users_is_served_whole_and_places_others(split: rd.Split, tmp_path: Path) -> None:
    train = split.train
    model = rd.Ranker.wrap(Rows(train.n_users, train.n_items), user_id=True, **SHORT).fit(train, device="cpu")
    assert model.notes == ()
    model.save(tmp_path / "own")
    served = rd.Recommender.load(tmp_path / "own")
    rows = np.arange(10)
    want = by_hand(model.model, train.histories(rows), rows)
    np.testing.assert_allclose(served.scorer.score(Histories.empty(10), rows), want, rtol=1e-4, atol=1e-4)
    history = train.items.ids(train.csr()[3].indices).tolist()
    assert len(served.recommend(history, k=5)) == 5


def test_people_without_a_row_are_never_told_to_a_model_of_rows(train: Interactions) -> None:
    model = rd.Ranker.wrap(RowsAndBag(train.n_users, train.n_items), user_id=True, epochs=2).fit(train, device="cpu")
    assert "as they were" in model.notes[0]
    scores = model.score(train.histories(np.array([1, 2, 3])), np.array([1, -1, -1]))
    assert np.isfinite(scores).all()
    popular = model.score(Histories.empty(2), np.array([-1, 2]))
    counts = np.bincount(train.item_rows, minlength=train.n_items)
    assert counts[popular[0].argmax()] == counts.max()
    assert not np.array_equal(popular[0], popular[1])


def test_a_model_of_scores_is_trained_taught_and_asked_but_not_served(split: rd.Split, tmp_path: Path) -> None:
    train = split.train
    alone = rd.Ranker.wrap(Scores(train.n_items), **SHORT).fit(train, device="cpu")
    assert ndcg(alone, split) > 1.6 * ndcg(rd.Popularity().fit(train), split)
    with pytest.raises(ConfigError, match=r"no vectors, so a service without torch.*distil it into rd\.TwoTower"):
        alone.save(tmp_path / "own")
    known = rd.Knowledge.extract(alone, train, valid=split.valid)
    assert known.gives == {"top_k", "scores", "all_scores"}
    assert known.teacher["temperature"] == 1.0, "it was trained by a softmax"
    student = rd.distill(known, student=rd.TwoTower(dim=DIM, user_id=False, epochs=20), on=train, device="cpu")
    assert ndcg(student, split) > 1.3 * ndcg(rd.Popularity().fit(train), split)


@pytest.fixture(scope="module")
def known(train: Interactions) -> rd.Knowledge:
    """A teacher of tastes that the log does not tell: whose are the items, one half or the other."""
    return rd.Knowledge.from_vectors(*made_up(train), train, temperature=0.2)


def made_up(train: Interactions) -> tuple[np.ndarray, np.ndarray]:
    half = np.where(np.arange(train.n_items) % 2 == 0, 1.0, -1.0)
    return np.where(np.arange(train.n_users) % 2 == 0, 1.0, -1.0)[:, None], half[:, None]


def follows(model: Any, train: Interactions) -> float:
    """Share of the best ten that a made-up taste would want; chance is a half."""
    rows = np.arange(train.n_users)
    best = np.argsort(-model.score(train.histories(rows), rows), axis=1)[:, :10]
    return float((best % 2 == rows[:, None] % 2).mean())


@pytest.mark.parametrize("method", [None, "rrd"])
def test_a_module_of_rows_learns_what_a_teacher_says(train: Interactions, known: rd.Knowledge, method: Any) -> None:
    student, again = (rd.Ranker.wrap(Rows(train.n_users, train.n_items), **TAUGHT) for _ in range(2))
    alone = follows(again.fit(train, device="cpu"), train)
    taught = rd.distill(known, student=student, on=train, device="cpu", method=method)
    assert alone < 0.6
    assert follows(taught, train) > (0.9 if method is None else 0.75)


@pytest.mark.parametrize("lists", [False, True])
def test_a_module_of_scores_learns_what_a_teacher_says(train: Interactions, known: rd.Knowledge, lists: bool) -> None:
    class Pairs(Rows):
        user_vectors = None  # type: ignore[assignment]

        def score(self, users: Tensor, histories: OwnHistories, items: Tensor) -> Tensor:
            return self.users(users) @ self.items(items).T

    if lists:
        rows = np.repeat(np.arange(train.n_users), 10)
        table = {"user_id": train.users.ids(rows), "item_id": train.items.ids(known.top_items[:, :10].ravel())}
        import pandas as pd

        known = rd.Knowledge.from_table(pd.DataFrame({**table, "score": 0.0}), train)
    student = rd.Ranker.wrap(Pairs(train.n_users, train.n_items), **TAUGHT)
    assert follows(rd.distill(known, student=student, on=train, device="cpu"), train) > 0.9
    with pytest.raises(ConfigError, match="gives scores and no vectors; methods need"):
        rd.distill(known, student=student, on=train, device="cpu", method="rrd")


class Arrays:
    """What another library might be wrapped as: no torch, trained already."""

    def __init__(self, users: np.ndarray, items: np.ndarray) -> None:
        self.users, self.items = users, items

    def user_vectors(self, users: np.ndarray, histories: OwnHistories) -> np.ndarray:
        return self.users[users]

    def item_vectors(self) -> np.ndarray:
        return self.items


def test_an_object_that_is_trained_already_teaches(train: Interactions) -> None:
    teacher = rd.Ranker.wrap(Arrays(*made_up(train)), on=train, user_id=True)
    known = rd.Knowledge.extract(teacher, train, temperature=0.2)
    direct = rd.Knowledge.from_vectors(*made_up(train), train, temperature=0.2)
    np.testing.assert_array_equal(known.top_items, direct.top_items)
    np.testing.assert_allclose(known.top_scores, direct.top_scores, rtol=1e-6)
    with pytest.raises(ConfigError, match=r"no torch module and has no fit\(train\).*wrap\(model, on=train\)"):
        rd.Ranker.wrap(Arrays(*made_up(train))).fit(train)
    with pytest.raises(ConfigError, match="no torch module, so nothing can be distilled into it"):
        rd.distill(known, student=rd.Ranker.wrap(Arrays(*made_up(train))), on=train)


def test_an_object_with_a_training_of_its_own_is_trained_by_it(train: Interactions) -> None:
    class Counting:
        def fit(self, log: Interactions) -> None:
            self.counts = np.bincount(log.item_rows, minlength=log.n_items).astype(float)

        def score(self, users: np.ndarray, histories: OwnHistories, items: np.ndarray) -> np.ndarray:
            return np.tile(self.counts[items], (len(users), 1))

    model = rd.Ranker.wrap(Counting()).fit(train)
    best, _ = model.top_k(train.histories(np.arange(3)), 1, np.arange(3))
    assert (np.bincount(train.item_rows)[best] == np.bincount(train.item_rows).max()).all()


class Last(Bag):
    """The last item of the history."""

    def user_vectors(self, users: Tensor, histories: OwnHistories) -> Tensor:
        last = histories.padded(2, fill=0)
        assert last.shape == (len(histories), 2)
        return self.used.weight[last[:, -1]]


def test_a_model_of_order_is_told_the_places_and_refuses_a_log_without(train: Interactions) -> None:
    module = Last(train.n_items)
    model = rd.Ranker.wrap(module, on=train, ordered=True)
    rows = np.arange(train.n_users)
    histories = train.histories(rows, ordered=True)
    last = [
        histories.items[start:stop][histories.places[start:stop].argmin()]  # type: ignore[index]
        for start, stop in zip(histories.indptr, histories.indptr[1:], strict=False)
    ]
    want = module.used.weight.detach().numpy()[last]
    np.testing.assert_allclose(model.user_vectors(histories, rows), want, rtol=1e-6)
    assert "no bag" in model.notes[0]
    without = Interactions.from_rows(train.users, train.items, train.user_rows, train.item_rows)
    with pytest.raises(ConfigError, match="looks at the order of a history, which is not known here"):
        rd.Ranker.wrap(module, on=without, ordered=True)
    with pytest.raises(ConfigError, match="a model of order trains itself"):
        rd.Ranker.wrap(module, ordered=True).fit(train)


def test_padded_histories_are_the_same_for_tensors_and_arrays() -> None:
    offsets, items, users = np.array([0, 3, 3]), np.array([5, 6, 7, 9]), np.array([0, 0, 0, 2])
    plain = OwnHistories(items, offsets, users, np.ones(4), np.array([1, 0, 2, 0]))
    np.testing.assert_array_equal(plain.padded(2), [[5, 6], [-1, -1], [-1, 9]])
    tensors = OwnHistories(*(torch.from_numpy(one) for one in (items, offsets, users)), torch.ones(4))
    np.testing.assert_array_equal(tensors.padded(2, fill=0), [[6, 7], [0, 0], [0, 9]])


def wrong(**methods: Any) -> Any:
    return type("Wrong", (Bag,), methods)(48)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (object(), r"own model object: needs user_vectors.*, or score.*; has none of them"),
        (type("Half", (), {"item_vectors": lambda self: 0})(), "has only item_vectors"),
        (wrong(item_vectors=lambda self: torch.ones(7, DIM)), r"item_vectors gives the shape \(7, 8\).*\(48, d\)"),
        (wrong(item_bias=lambda self: torch.ones(48, 1)), r"item_bias gives the shape \(48, 1\); it has to be \(48,\)"),
        (wrong(item_vectors=lambda self: torch.ones(48, 3)), "user_vectors have 8 columns, item_vectors 3"),
        (wrong(user_vectors=lambda self, u, h: torch.ones(DIM)), r"user_vectors gives the shape \(8,\)"),
        (wrong(user_vectors=lambda self, u, h: torch.ones(len(u), DIM).long()), "gives torch.int64; give floating"),
        (wrong(user_vectors=lambda self, u, h: np.ones((len(u), DIM))), "gives a ndarray; a torch module has to give"),
        (wrong(item_vectors=lambda self: torch.ones(48, DIM, device="meta")), "is on meta, the parameters on cpu"),
        (wrong(user_vectors=lambda self, u, h: torch.ones(len(u), DIM) / 0), r"NaN or infinity in \d+ of \d+ rows"),
        (wrong(user_vectors=lambda self, u, h: self.ranked(u)), "users are told as -1 unless.*user_id=True"),
    ],
)
def test_a_model_that_answers_wrongly_is_refused_in_one_line_before_training(
    model: Any, message: str, train: Interactions, known: rd.Knowledge
) -> None:
    for use in (lambda: rd.Ranker.wrap(model, on=train), lambda: rd.Ranker.wrap(model).fit(train, device="cpu"),
                lambda: rd.distill(known, student=rd.Ranker.wrap(model), on=train, device="cpu")):  # fmt: skip
        with pytest.raises(ConfigError, match=message) as refused:
            use()
        assert "\n" not in str(refused.value)


def test_an_empty_history_that_gives_nan_is_named_before_training(train: Interactions) -> None:
    def mean(self: Bag, users: Tensor, histories: OwnHistories) -> Tensor:
        summed = torch.zeros(len(histories), DIM).index_add(0, histories.users, self.used.weight[histories.items])
        return summed / torch.bincount(histories.users, minlength=len(histories))[:, None]

    with pytest.raises(ConfigError, match=r"in 1 of 3 rows;.*divide by the length of an empty history"):
        rd.Ranker.wrap(wrong(user_vectors=mean)).fit(train, device="cpu")


def test_a_training_that_runs_off_is_stopped_in_one_line(train: Interactions) -> None:
    class Off(Bag):
        def user_vectors(self, users: Tensor, histories: OwnHistories) -> Tensor:
            return super().user_vectors(users, histories).exp()

    with pytest.raises(ConfigError, match=r"holds NaN or infinity in training; lower learning_rate"):
        rd.Ranker.wrap(Off(train.n_items), learning_rate=1e3, epochs=5).fit(train, device="cpu")


def test_a_module_without_parameters_cannot_be_trained(train: Interactions) -> None:
    frozen = Bag(train.n_items).requires_grad_(False)
    with pytest.raises(ConfigError, match=r"has no parameters that can be trained.*on=train"):
        rd.Ranker.wrap(frozen).fit(train, device="cpu")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs = 0: give at least 1"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"label_share": 2.0}, "from 0 to 1"),
        ({"history_dropout": 1.0}, "from 0 to below 1"),
        ({"epoch": 3}, "no setting 'own.epoch'. Did you mean 'epochs'"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rd.Ranker.wrap(Bag(3), **settings)


def test_a_model_that_is_asked_is_left_in_training_mode_as_it_was(train: Interactions) -> None:
    module = Deep(train.n_items).train()
    teacher = rd.Ranker.wrap(module, on=train)
    rows = np.arange(5)
    first = teacher.score(train.histories(rows), rows)
    np.testing.assert_array_equal(teacher.score(train.histories(rows), rows), first)
    assert module.training


def test_a_wrapped_training_goes_on_where_it_was_stopped(
    train: Interactions, known: rd.Knowledge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own dropout, too, which draws from torch's generator."""
    from recdistill.training import loop

    def run() -> bytes:
        student = rd.Ranker.wrap(Deep(train.n_items), epochs=4, batch_users=40, history_dropout=0.2)
        taught = rd.distill(known, student=student, on=train, seed=3, device="cpu")
        return b"".join(one.detach().numpy().tobytes() for one in taught.model.parameters())

    whole, left, plain = run(), [sys.maxsize], loop.one_cycle

    def counted(step: int, total: int, warm_up: float) -> float:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return plain(step, total, warm_up)

    monkeypatch.setattr(loop, "one_cycle", counted)
    for steps in (4, 5):
        left[0] = steps
        with pytest.raises(KeyboardInterrupt), rd.Checkpoints(tmp_path / "kept", every=0):
            run()
    left[0] = sys.maxsize
    torch.manual_seed(99)
    with rd.Checkpoints(tmp_path / "kept", every=0):
        assert run() == whole


@pytest.mark.parametrize("method", [None, "rrd"])
def test_valid_chooses_how_much_the_labels_count(split: rd.Split, method: str | None) -> None:
    train, valid = split.train, split.valid
    assert valid is not None
    known = rd.Knowledge.extract(rd.Popularity().fit(train), train, top_k=10)

    def student(**settings: Any) -> rd.Ranker:
        return rd.Ranker.wrap(Rows(train.n_users, train.n_items), **{**TAUGHT, "label_share": None, **settings})

    told: dict[str, Any] = {"on": train, "device": "cpu", "method": method}
    reached = {}
    for share in LABEL_SHARES:
        one = rd.distill(known, student=student(label_share=share), **told)
        reached[share] = valid_ndcg(one.scorer, train, valid)
    chosen = rd.distill(known, student=student(), valid=valid, **told)
    assert len(set(reached.values())) > 1
    assert chosen.settings()["label_share"] == max(reached, key=lambda share: reached[share])
    assert valid_ndcg(chosen.scorer, train, valid) == max(reached.values())
    assert rd.distill(known, student=student(), **told).settings()["label_share"] == LABEL_SHARES[0]


def test_a_module_that_is_told_users_and_does_not_listen_is_served_as_a_bag(train: Interactions) -> None:
    made = rd.Ranker.wrap(Bag(train.n_items), user_id=True, **SHORT).fit(train, device="cpu")
    assert not made.notes
    scorer = made.served().scorer
    assert isinstance(scorer, BagScorer) and scorer.user_table is None
