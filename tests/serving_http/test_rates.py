from __future__ import annotations

import pytest

from recdistill.serving.http import rates
from recdistill.serving.http.rates import Rates
from recdistill.serving.http.refusal import Refusal


def test_a_second_may_be_spent_at_once_and_comes_back_evenly() -> None:
    bucket = Rates(4.0)
    for _ in range(4):
        bucket.take("a", 10.0)
    with pytest.raises(Refusal) as refused:
        bucket.take("a", 10.2)
    assert refused.value.status == 429
    bucket.take("a", 10.25)
    with pytest.raises(Refusal):
        bucket.take("a", 10.26)
    for _ in range(4):
        bucket.take("a", 100.0)
    with pytest.raises(Refusal):
        bucket.take("a", 100.0)


def test_addresses_are_forgotten_beyond_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "REMEMBERED", 100)
    bucket = Rates(1.0)
    for client in range(1000):
        bucket.take(str(client), 0.0)
    assert len(bucket._buckets) == 100
