"""What stands beside a distilled student at equal bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recdistill.compression.rivals import RIVALS, Sources, pruned
from recdistill.data.interactions import Interactions
from recdistill.models.ease import EASE
from recdistill.models.popularity import Popularity
from recdistill.models.two_tower import TwoTower
from recdistill.serving.bag import BagScorer
from recdistill.serving.ensemble import EnsembleScorer
from recdistill.serving.histories import Histories
from recdistill.tables.codec_names import MIXED
from recdistill.tables.codecs import CodedTable
from tests.models.conftest import N_ITEMS, draw_log


@pytest.fixture(scope="module")
def log() -> Interactions:
    return draw_log()


@pytest.fixture(scope="module")
def sources(log: Interactions) -> Sources:
    teacher = TwoTower(dim=32, epochs=5).fit(log).scorer
    student, wide = (TwoTower(dim=dim, user_id=False, epochs=5, table="tied").fit(log).scorer for dim in (8, 16))
    return Sources(teacher, student, wide)


@pytest.mark.parametrize("way", list(RIVALS))
@pytest.mark.parametrize("limit", [400, 700, 2_000, 20_000])
def test_every_model_of_a_way_is_within_the_budget_and_answers_whom_training_never_saw(
    way: str, limit: int, sources: Sources, log: Interactions
) -> None:
    found = list(RIVALS[way](sources, limit))
    assert len({rival.what for rival in found}) == len(found)
    for rival in found:
        assert rival.scorer.nbytes <= limit
        assert rival.scorer.table_rows("user_table") == 0
        scores = rival.scorer.score(Histories.from_csr(log.csr()))
        assert scores.shape == (log.n_users, N_ITEMS) and np.isfinite(scores).all()


@pytest.mark.parametrize("way", list(RIVALS))
def test_a_way_gives_more_where_it_may_be_larger_and_nothing_where_nothing_fits(way: str, sources: Sources) -> None:
    assert not list(RIVALS[way](sources, 60))
    assert list(RIVALS[way](sources, 20_000))


def test_the_teacher_is_cast_without_its_users_in_the_most_bits_that_fit(sources: Sources) -> None:
    whats = [next(RIVALS["teacher_cast"](sources, limit)).what for limit in (20_000, 1_000, 600)]
    assert whats == ["d=32, fp16", "d=32, int8", "d=32, int4"]
    assert not list(RIVALS["teacher_cast"](sources, 150))


def test_of_an_ensemble_the_member_with_vectors_is_cast(log: Interactions, sources: Sources) -> None:
    tower, ease = TwoTower(dim=32, epochs=5).fit(log).scorer, EASE().fit(log).scorer
    both = EnsembleScorer(members=(ease, tower), weights=np.ones((1, 2), np.float32), popularity=ease.popularity)
    own = replace(sources, teacher=both).history_only
    assert own is not None and own.user_table is None and own.popularity is both.popularity
    assert own.dimension == 32
    assert next(RIVALS["teacher_cast"](replace(sources, teacher=both), 1_000)).what == "d=32, int8"


def test_a_teacher_without_vectors_is_cut_and_cannot_be_cast(log: Interactions, sources: Sources) -> None:
    ease = replace(sources, teacher=EASE().fit(log).scorer)
    assert list(RIVALS["svd"](ease, 20_000))
    assert not list(RIVALS["teacher_cast"](ease, 20_000))
    nothing = replace(sources, teacher=Popularity().fit(log).scorer)
    assert not list(RIVALS["svd"](nothing, 20_000))


def test_pruning_keeps_the_dimensions_that_carry_the_scores() -> None:
    draw = np.random.default_rng(0)
    strength = np.array([1e-3, 2.0, 1e-3, 1.0], np.float32)
    items = draw.normal(size=(20, 4)).astype(np.float32) * strength
    whole = BagScorer(item_table=CodedTable.of(items), history_weight=np.ones(20, np.float32))
    small = pruned(whole, 2)
    assert small.item_table is not None
    np.testing.assert_array_equal(small.item_table.matrix(), items[:, [1, 3]])
    history = Histories.from_pairs(np.array([0, 0]), np.array([3, 5]), 1)
    np.testing.assert_allclose(small.score(history), whole.score(history), atol=1e-3)


def test_a_student_that_casts_well_is_a_source_of_every_way_that_casts(log: Interactions, sources: Sources) -> None:
    castable = TwoTower(dim=12, user_id=False, epochs=5, table="tied").fit(log).scorer
    more = replace(sources, castable=castable)
    for way, said in (
        ("student_cast", "one table, d=12, "),
        ("product", "student, one table, d=12, pq"),
        ("pruned_values", "student, one table, d=12, "),
    ):
        assert not any(rival.what.startswith(said) for rival in RIVALS[way](sources, 20_000))
        assert any(rival.what.startswith(said) for rival in RIVALS[way](more, 20_000))
    twin = replace(sources, castable=sources.student)  # as wide as the run's own
    for way in RIVALS:
        whats = [rival.what for rival in RIVALS[way](twin, 20_000)]
        assert len(set(whats)) == len(whats)


def test_casts_may_give_popular_items_more_bits(sources: Sources) -> None:
    whats = [rival.what for rival in RIVALS["teacher_cast"](sources, 20_000)]
    assert whats == ["d=32, fp16", f"d=32, {MIXED[0]}"]
    few = list(RIVALS["teacher_cast"](sources, 430))
    assert [rival.what for rival in few] == ["d=32, int2", "d=32, mixed20_4_1"]


def test_pruned_rows_are_those_of_the_least_popular(sources: Sources, log: Interactions) -> None:
    found = {rival.what: rival.scorer for rival in RIVALS["pruned_rows"](sources, 20_000)}
    assert {"teacher, d=32, fp16_dims75_0", "student, d=16, fp16_dims25_0"} <= set(found)
    small = found["student, d=16, fp16_dims25_0"]
    assert isinstance(small, BagScorer) and small.item_table is not None
    left = np.flatnonzero(small.item_table.matrix().any(axis=1))
    counts = np.bincount(log.csr().indices, minlength=N_ITEMS)
    assert len(left) == -(-N_ITEMS // 4) and counts[left].min() >= np.delete(counts, left).max()
