"""Items that training never saw, measured apart: ranked by their features among all items, against chance."""

from __future__ import annotations

from typing import Any

import numpy as np

from recdistill.data.split import Split
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.evaluation.ranking import hits_of, recall
from recdistill.serving.base import Scorer


def cold_items(scorer: Scorer, split: Split, n_known: int, k: int = 20) -> dict[str, Any]:
    """`cold_items` as it stands among the groups of report.json.

    `scorer` ranks the catalogue of `split`, which is widened: rows from `n_known` on are of items that train never saw.
    Recall@k counts a user's new relevant items alone, over the users who have such in the catalogue, while all items
    are ranked but those hidden; chance is the same of a random order. `with_new` are the metrics of all relevant rows
    of all users where new items are ranked among the others. A mean over no user is null. k is cut to the catalogue.
    """
    k = min(k, split.train.n_items)
    names = f"recall@{k}", f"ndcg@{k}"
    found = evaluate_scorer(scorer, split, metrics=names)
    held = split.test.take(found.held_index)
    new = held.relevant[:, n_known:]
    wanted = np.diff(new.indptr)
    some = np.flatnonzero(wanted)
    top = found.items[:, :k]
    hits = hits_of(top, held.relevant) & (top >= n_known)
    hidden = np.diff(split.excluded(split.test).indptr)[found.held_index]
    chance = k / np.maximum(split.train.n_items - hidden[some], k)
    reached = recall(hits[some], wanted[some], k)
    mean, expected = (float(one.mean()) if len(some) else None for one in (reached, chance))
    return {
        "items": split.train.n_items - n_known,
        "users": len(some),
        "relevant": int(wanted.sum()),
        "not_described": 0 if held.unseen is None else int(held.unseen.relevant.nnz),
        f"recall@{k}": mean,
        "chance": expected,
        "times_chance": None if mean is None or not expected else mean / expected,
        "share_of_relevant": float(wanted.sum() / held.relevant_count.sum()),
        "share_of_recommended": float((top >= n_known).sum() / max(np.count_nonzero(top >= 0), 1)),
        "with_new": {name: found.metrics[name] for name in names},
    }
