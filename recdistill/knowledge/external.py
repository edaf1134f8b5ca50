"""Knowledge from a teacher that is not ours: a table of user_id, item_id, score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recdistill.data.given import check_train
from recdistill.errors import DataError, KnowledgeError
from recdistill.files import fingerprint
from recdistill.knowledge.extract import is_own
from recdistill.knowledge.store import Knowledge

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from recdistill.data.interactions import Interactions

COLUMNS = ("user_id", "item_id", "score")


def from_table(
    table: str | Path | pd.DataFrame | pa.Table, train: Interactions, *, top_k: int = 200, temperature: float = 1.0
) -> Knowledge:
    """The best `top_k` scored items of each user of `train`; `temperature` divides the scores.

    Users or items that `train` does not know are left out and counted in the manifest; users of `train` that the table
    does not name get an empty list, and learn from their labels alone. Raises DataError where the table cannot be
    read, KnowledgeError where it shares no user and item with the log.
    """
    check_train(train, "knowledge")
    if not temperature > 0:
        raise KnowledgeError(f"temperature {temperature} for a table of scores: give a number above 0")
    frame = _frame(table)
    name = Path(table).name if isinstance(table, str | Path) else "table"
    user_rows = train.users.rows(frame["user_id"].to_numpy())
    item_rows = train.items.rows(frame["item_id"].to_numpy())
    scores = frame["score"].to_numpy(np.float32) / np.float32(temperature)
    if not np.isfinite(scores).all():
        raise DataError(
            f"{name}: {int((~np.isfinite(scores)).sum())} scores are not finite numbers; drop or mend these rows"
        )
    known = (user_rows >= 0) & (item_rows >= 0)
    if not known.any():
        raise KnowledgeError(
            f"{name}: none of its rows names a user and an item of this log; are the ids of the same kind?"
        )
    items, logits = _best(user_rows[known], item_rows[known], scores[known], train.n_users, min(top_k, train.n_items))
    return Knowledge(
        top_items=items,
        top_scores=logits,
        top_own=is_own(train.csr(), items),
        tail_mass=np.zeros(train.n_users, np.float32),
        n_items=train.n_items,
        log_sha256=train.sha256(),
        teacher={
            "kind": "table",
            "settings": {"source": name, "rows": len(frame), "rows_unknown_to_the_log": int((~known).sum())},
            "users_without_list": int((items[:, 0] < 0).sum()),
            "temperature": float(temperature),
            "sha256": fingerprint([user_rows.tolist()[:1000], float(scores.sum(dtype=np.float64)), len(frame)]),
        },
    )


def _frame(table: str | Path | pd.DataFrame | pa.Table) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    if isinstance(table, str | Path):
        path = Path(table)
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        try:
            frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(
                f"{path}: cannot be read as {'CSV' if path.suffix == '.csv' else 'Parquet'} ({reason})"
            ) from None
    else:
        frame = table.to_pandas() if isinstance(table, pa.Table) else table
    for column in COLUMNS:
        if column not in frame.columns:
            raise DataError(
                f"table of scores: no column {column!r}; found {list(frame.columns)}; it needs {list(COLUMNS)}"
            )
    if frame[list(COLUMNS)].isna().any().any():
        raise DataError("table of scores: some of user_id, item_id, score are empty; drop these rows")
    if not pd.api.types.is_numeric_dtype(frame["score"]):
        raise DataError(f"table of scores: column 'score' holds {frame['score'].dtype}, not numbers")
    return frame


def _best(
    users: np.ndarray, items: np.ndarray, scores: np.ndarray, n_users: int, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Each user's k best distinct items, best first, padded with -1."""
    order = np.lexsort((items, -scores, users))
    users, items, scores = users[order], items[order], scores[order]
    _, first = np.unique(users * (items.max() + 1) + items, return_index=True)
    keep = np.zeros(len(users), bool)
    keep[first] = True  # np.unique gives the first occurrence: the best score of a repeated pair
    users, items, scores = users[keep], items[keep], scores[keep]
    starts = np.searchsorted(users, np.arange(n_users))
    place = np.arange(len(users)) - starts[users]
    inside = place < k
    top_items = np.full((n_users, k), -1, np.int64)
    top_scores = np.zeros((n_users, k), np.float32)
    top_items[users[inside], place[inside]] = items[inside]
    top_scores[users[inside], place[inside]] = scores[inside]
    return top_items, top_scores
