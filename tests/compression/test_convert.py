import dataclasses

import numpy as np
import pytest

from recdistill.compression.convert import compress, converted
from recdistill.compression.rotation import rotation, turned
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError
from recdistill.models.base import TrainVocab
from recdistill.models.fitted import FittedRanker
from recdistill.runs.config import RunConfig
from recdistill.serving.histories import Histories
from recdistill.serving.scorers import BagScorer, ItemScorer
from recdistill.tables.codecs import CODECS, CodedTable

N, DIM = 400, 24
RNG = np.random.default_rng(0)
SIZES = 1.0 / np.arange(1, DIM + 1)
"""Of the dimensions: a few singular directions hold most."""
ASKED = Histories.from_lists([RNG.choice(N, 10, replace=False) for _ in range(40)])


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


TIED = BagScorer(
    item_table=CodedTable.of(normal(N, DIM) * SIZES), history_weight=normal(N) ** 2, item_bias=normal(N),
    normalize=True, history_power=0.5, scale=3.0,
)  # fmt: skip
THREE = dataclasses.replace(
    TIED, history_table=CodedTable.of(normal(N, DIM) * SIZES), user_table=CodedTable.of(normal(40, DIM) * SIZES),
)  # fmt: skip


def student(scorer: BagScorer) -> FittedRanker:
    return FittedRanker(
        scorer, TrainVocab(Vocab(np.arange(40)), Vocab(np.arange(N))), kind="two_tower", settings={}, trained_on={},
        softmax_scores=False,
    )  # fmt: skip


def loss(scorer: BagScorer, codec: str, *, rotated: bool) -> float:
    """The mean square error of scores."""
    small = converted(scorer, codec, seed=0).scorer if rotated else scorer.quantized(codec)
    return float(np.square(small.score(ASKED) - scorer.score(ASKED)).mean())


def test_a_rotation_is_orthogonal_and_the_same_for_the_same_seed() -> None:
    turn = rotation(7, np.random.default_rng(3))
    np.testing.assert_allclose(turn @ turn.T, np.eye(7), atol=1e-12)
    np.testing.assert_array_equal(turn, rotation(7, np.random.default_rng(3)))
    assert np.abs(turn - rotation(7, np.random.default_rng(4))).max() > 0.1


@pytest.mark.parametrize("scorer", [TIED, THREE], ids=["tied", "three tables"])
def test_all_tables_are_turned_together_so_that_no_score_changes(scorer: BagScorer) -> None:
    after = turned(scorer, rotation(DIM, np.random.default_rng(0)))
    rows = np.arange(len(ASKED)) - 1
    np.testing.assert_allclose(after.score(ASKED, rows), scorer.score(ASKED, rows), atol=1e-4)
    assert scorer.item_table is not None and after.item_table is not None
    before, now = (np.square(one.matrix()).sum(axis=0) for one in (scorer.item_table, after.item_table))
    assert now.max() / now.min() < 0.05 * before.max() / before.min()


@pytest.mark.parametrize("codec", ["int2", "int3_uniform", "int3_row"])
def test_dimensions_of_different_size_lose_less_when_they_are_turned(codec: str) -> None:
    assert loss(TIED, codec, rotated=True) < loss(TIED, codec, rotated=False)


def test_fewer_bits_lose_more() -> None:
    lost = [loss(TIED, codec, rotated=True) for codec in ("fp16", "int8", "int4", "int3", "int2", "binary")]
    assert lost == sorted(lost) and lost[0] > 0


@pytest.mark.parametrize("codec", ["fp16", "int8", "pq4", "svd4"])
def test_other_codecs_leave_the_directions_as_they_are(codec: str) -> None:
    assert converted(TIED, codec, seed=0).turn is None


def test_what_is_stored_so_already_keeps_its_codes() -> None:
    small = compress(student(TIED), codec="int4")
    again = compress(small, codec="int4")
    assert again.scorer.item_table is small.scorer.item_table  # type: ignore[attr-defined]


@pytest.mark.parametrize("codec", [*CODECS, *CODECS.examples])
def test_every_codec_is_open_to_a_finished_student_with_bytes_to_the_letter(codec: str) -> None:
    small = compress(student(THREE), codec=codec).scorer
    beside = N + 8 if CODECS[codec].short else 4 * N if codec == "fp32" else 2 * N
    assert small.nbytes == 2 * CODECS[codec].nbytes(N, DIM) + CODECS[codec].nbytes(40, DIM) + 2 * beside
    assert np.isfinite(small.score(ASKED)).all()


@pytest.mark.parametrize(("codec", "bytes_"), [("int8", 12_000), ("int4", 6_700), ("binary", 2_200)])
def test_a_budget_takes_the_most_precise_codec_that_fits(codec: str, bytes_: int) -> None:
    small = compress(student(TIED), budget=bytes_).scorer
    assert set(small.config()["codecs"].values()) == {codec} and small.nbytes <= bytes_
    names = list(CODECS)
    finer = compress(student(TIED), codec=names[names.index(codec) - 1]).scorer
    assert finer.nbytes > bytes_


def test_a_budget_below_the_smallest_names_the_smallest() -> None:
    with pytest.raises(ConfigError, match=r"budget 1kB: the smallest this student gets is 2 kB \(binary\)"):
        compress(student(TIED), budget="1kB")


def test_neither_or_both_of_codec_and_budget_are_refused() -> None:
    for given in ({}, {"codec": "int4", "budget": "1MB"}):
        with pytest.raises(ConfigError, match="give either codec='int8' or budget='100kB'"):
            compress(student(TIED), **given)  # type: ignore[arg-type]


def test_a_codec_that_is_not_known_names_the_nearest_of_a_family() -> None:
    with pytest.raises(ConfigError, match=r"no codec 'pq'. Did you mean 'pq8'\?"):
        compress(student(TIED), codec="pq")
    for name in ("int5_row", "int4_group0", "pq08", "svd", "binary_group"):
        with pytest.raises(ConfigError, match=f"no codec '{name}'"):
            compress(student(TIED), codec=name)


def test_a_run_may_name_any_codec() -> None:
    assert RunConfig(compress=("int4", "pq16", "int3_group8")).codecs == ("int4", "pq16", "int3_group8")
    with pytest.raises(ConfigError, match="no codec 'int5'"):
        RunConfig(compress=("int5",))


def test_an_item_to_item_map_is_coded_without_a_rotation() -> None:
    item = ItemScorer(item_to_item=CodedTable.of(normal(N, N)))
    small = converted(item, "sparse40", seed=0)
    assert small.turn is None and small.scorer.nbytes == CODECS["sparse40"].nbytes(N, N)
