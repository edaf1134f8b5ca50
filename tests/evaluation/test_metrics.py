"""Names of metrics: what they mean and what is refused."""

from __future__ import annotations

import pytest

from recdistill.errors import ConfigError
from recdistill.evaluation.metrics import DEFAULT_METRICS, Metric, parse_metric, parse_metrics


@pytest.mark.parametrize("text", ["recall@20", "ndcg@1", "map@7", "coverage@10", "auc"])
def test_a_name_and_its_metric_are_one_to_one(text: str) -> None:
    assert str(parse_metric(text)) == text


def test_only_what_looks_at_all_lists_together_is_over_lists() -> None:
    assert [m.name for m in parse_metrics(["gini@5", "recall@5", "auc"], n_items=5) if m.over_lists] == ["gini"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recal@20", r"no metric 'recal@20'\. Did you mean 'recall@20'\?"),
        ("ncdg@10", r"no metric 'ncdg@10'\. Did you mean 'ndcg@10'\?"),
        ("recall20", r"no metric 'recall20'\. Did you mean 'recall@20'\?"),
        ("happiness", r"no metric 'happiness'\. Known: auc, coverage@20, f1@20"),
        ("recall", r"'recall' needs a cut-off of at least 1\. Write 'recall@20'"),
        ("recall@0", "needs a cut-off"),
        ("recall@ten", "needs a cut-off"),
        ("recall@-3", "needs a cut-off"),
        ("auc@10", "auc has no cut-off"),
    ],
)
def test_a_name_that_means_nothing_is_refused_with_its_cure(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_metric(text)


def test_a_cut_off_above_the_catalogue_is_refused_and_the_whole_catalogue_is_not() -> None:
    assert parse_metrics(["recall@8"], n_items=8) == [Metric("recall", 8)]
    with pytest.raises(ConfigError, match="'recall@9': k is above the catalogue of 8 items"):
        parse_metrics(["recall@9"], n_items=8)


def test_a_repeated_name_is_measured_once_and_none_is_refused() -> None:
    assert len(parse_metrics(["hit@5", "hit@5"], n_items=8)) == 1
    with pytest.raises(ConfigError, match="no metric to measure"):
        parse_metrics([], n_items=8)


def test_the_default_is_six_metrics_at_10_and_20() -> None:
    assert len(parse_metrics(DEFAULT_METRICS, n_items=100)) == 12
