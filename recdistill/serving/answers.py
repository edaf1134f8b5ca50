"""What a recommender takes and gives beside plain ids: prepared filters, scored answers, tables of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.retrieval.subset import Subset

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Output = Literal["lists", "arrow", "pandas"]
OUTPUTS = ("lists", "arrow", "pandas")


class Recommendation(NamedTuple):
    item_id: Any
    score: float
    rank: int
    """From 1."""
    title: str | None = None
    """Where the artifact knows one."""


class ItemFilter:
    """Items that alone may be recommended, prepared once by `Recommender.filter`; threads may share one."""

    def __init__(self, rows: np.ndarray, items: Vocab) -> None:
        """`rows` of `items`, sorted and distinct."""
        self.subset, self.items = Subset(rows, len(items)), items

    def __len__(self) -> int:
        return len(self.subset)

    def __repr__(self) -> str:
        return f"ItemFilter({len(self)} of {len(self.items)} items)"

    def of(self, items: Vocab) -> Subset:
        """The rows, for the recommender of these items alone."""
        if items is not self.items:
            raise DataError(
                "only: this filter was prepared by another recommender. Prepare it again with .filter(ids)."
            )
        return self.subset


def check_output(output: str, with_scores: bool) -> None:
    if output not in OUTPUTS:
        raise ConfigError(f"output={output!r}: must be one of {', '.join(map(repr, OUTPUTS))}.")
    if output != "lists" and with_scores:
        raise ConfigError(f"output={output!r} has scores and ranks already; leave with_scores out.")


def table(
    rows: np.ndarray,
    scores: np.ndarray,
    items: Vocab,
    users: Sequence[Any] | None,
    title_of: Callable[[int], str | None] | None,
    output: Output,
) -> pa.Table | pd.DataFrame:
    """One line for each answer: `history` (which one of the batch, from 0), `user_id` where users were given,
    `item_id`, `score`, `rank` from 1, `title` where there are titles. `rows` and `scores` are (batch, k), -1 where
    nothing is."""
    histories, ranks = np.nonzero(rows >= 0)
    found = rows[histories, ranks]
    columns: dict[str, Any] = {"history": histories}
    if users is not None:
        columns["user_id"] = [users[place] for place in histories.tolist()]
    columns |= {"item_id": items.ids(found), "score": scores[histories, ranks], "rank": ranks + 1}
    if title_of is not None:
        columns["title"] = [title_of(row) for row in found.tolist()]
    if output == "pandas":
        import pandas as pd

        return pd.DataFrame(columns)
    import pyarrow as pa

    if items.kind == "utf8":
        columns["item_id"] = pa.array(columns["item_id"], pa.string())
    return pa.table(columns)
