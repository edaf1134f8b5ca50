"""What was found out about an index when it was built, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Tried:
    kind: str
    factory: str
    recall: float | None
    """Mean over the queries that the setting was not chosen on; None where the kind could not be built."""
    microseconds: float | None
    """A query, in batches, on one thread."""
    nbytes: int
    why: str = ""
    """Why it was not taken."""


@dataclass(frozen=True)
class Measured:
    kind: str
    factory: str
    k: int
    asked: float
    recall: float
    """Of the k best, how many come: the mean over queries that the settings were not chosen on."""
    standard_error: float
    queries: int
    """How many those were."""
    source: str
    """Where the queries came from."""
    microseconds: float
    exact_microseconds: float
    nbytes: int
    tried: tuple[Tried, ...] = field(default_factory=tuple)

    def __str__(self) -> str:
        if self.kind == "flat":
            lines = [f"flat: exact, {self.microseconds:,.0f} µs a query, no bytes beside the table."]
        else:
            lines = [
                f"{self.kind} ({self.factory}): recall@{self.k} {self.recall:.4f} ± {self.standard_error:.4f} "
                f"(asked {self.asked:g}) on {self.queries} queries {self.source}; {self.microseconds:,.0f} µs a query "
                f"against {self.exact_microseconds:,.0f} exact; {self.nbytes / 1e6:,.2f} MB beside the table."
            ]
        lines += [f"{one.kind} ({one.factory}): {one.why}." for one in self.tried if one.why]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`. Raises TypeError or KeyError for anything else."""
        return cls(**{**value, "tried": tuple(Tried(**one) for one in value["tried"])})
