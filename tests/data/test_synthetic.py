from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from recdistill.data import splits, synthetic
from recdistill.data.readers import read_interactions
from recdistill.data.synthetic import DemoLog, demo_log_path, generate

COMMITTED = Path(__file__).parents[2] / "data" / "sample" / "interactions.parquet"
TINY = DemoLog(users=60, items=80, mean_rows=12, makers=20)


def test_the_committed_log_is_what_the_generator_writes() -> None:
    assert parquet.read_table(COMMITTED).equals(generate())
    assert COMMITTED.stat().st_size <= 1_500_000
    assert demo_log_path() == COMMITTED


def test_the_seed_decides_the_log() -> None:
    assert generate(TINY).equals(generate(TINY))
    assert not generate(TINY).equals(generate(DemoLog(users=60, items=80, mean_rows=12, makers=20, seed=1)))


def test_nobody_sees_a_film_twice_or_before_it_is_out() -> None:
    log = parquet.read_table(COMMITTED).to_pandas()
    assert not log.duplicated(["user_id", "item_id"]).any()
    assert log["timestamp"].is_monotonic_increasing
    year = log["item_id"].str.extract(r"\((\d{4})\)$")[0].astype(int)
    assert (year <= 1970 + log["timestamp"] / (365.2425 * synthetic.DAY)).all()
    titles = log["item_id"].unique()
    assert len(set(titles)) == len({title[:-7] for title in titles})


def test_the_log_has_a_long_tail_sessions_and_enough_test_users() -> None:
    log = read_interactions(COMMITTED)
    draws = np.sort(np.bincount(log.item_rows))[::-1]
    assert draws[: len(draws) // 10].sum() > 0.25 * log.n_rows
    assert np.median(draws) < 0.2 * draws[0]
    table = parquet.read_table(COMMITTED).to_pandas().sort_values(["user_id", "timestamp"])
    gaps = table.groupby("user_id")["timestamp"].diff().dropna()
    assert (gaps < 3600).mean() > 0.5
    assert (gaps > synthetic.DAY).mean() > 0.1
    split = splits.global_time(log)
    assert (split.test.user_rows >= 0).sum() >= 400


def test_what_others_watched_tells_more_than_popularity() -> None:
    """Cosine neighbours against popularity, per-user split: recall@20 at least half as high again."""
    split = splits.per_user(read_interactions(COMMITTED))
    train, relevant = split.train.csr(), split.test.relevant.toarray()
    popularity = np.asarray(train.sum(axis=0)).ravel()
    alike = (train.T @ train).toarray() / np.sqrt(np.outer(popularity, popularity)).clip(1)
    np.fill_diagonal(alike, 0)
    seen = split.excluded(split.test).toarray() > 0

    def recall(scores: np.ndarray) -> float:
        top = np.argsort(-np.where(seen, -np.inf, scores), axis=1)[:, :20]
        return float((np.take_along_axis(relevant, top, 1).sum(1) / split.test.relevant_count).mean())

    assert recall(split.histories(split.test) @ alike) > 1.5 * recall(np.tile(popularity, (len(split.test), 1)))


def test_away_from_a_checkout_the_log_is_generated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(synthetic, "__file__", str(tmp_path / "a" / "b" / "c" / "synthetic.py"))
    monkeypatch.setattr(synthetic, "generate", lambda settings=None: generate(TINY))
    path = demo_log_path()
    assert path != COMMITTED
    assert read_interactions(path).n_users == 60


def test_the_command_writes_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(synthetic, "generate", lambda settings=None: generate(TINY))
    monkeypatch.setattr("sys.argv", ["synthetic", "--out", str(tmp_path / "new" / "log.parquet")])
    synthetic.main()
    assert parquet.read_table(tmp_path / "new" / "log.parquet").equals(generate(TINY))
