"""How often one client may ask: a bucket of tokens for each address."""

from __future__ import annotations

from collections import OrderedDict

from recdistill.serving.http.refusal import Refusal

REMEMBERED = 10_000
"""Addresses; the one that was silent longest is forgotten first, when its bucket is full again anyway."""


class Rates:
    """`rate` requests a second in the long run, and one second's worth at once."""

    def __init__(self, rate: float) -> None:
        self.rate, self.burst = rate, max(rate, 1.0)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now: float) -> None:
        """Raises the refusal of a client whose bucket is empty; `now` in seconds of a clock that never goes back."""
        left, since = self._buckets.get(client, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.rate)
        allowed = left >= 1
        self._buckets[client] = (left - 1 if allowed else left, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = (1 - left) / self.rate
            reason = f"more than {self.rate:g} requests a second from {client}. Wait {wait:.2f} s, or send batches."
            raise Refusal(429, "too_many_requests", reason, (b"retry-after", b"%d" % (int(wait) + 1)))
