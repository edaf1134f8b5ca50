"""Knowledge from a teacher that is not ours: vectors of users and items, as any library can give them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recdistill.data.given import check_train
from recdistill.data.interactions import HeldOut
from recdistill.data.vocab import Vocab
from recdistill.errors import KnowledgeError
from recdistill.files import fingerprint
from recdistill.knowledge.extract import fit_temperature, is_own, log_normalisers
from recdistill.knowledge.store import Knowledge
from recdistill.retrieval.exact import top_k as exact_top_k
from recdistill.serving.scorers import Histories, LinearFoldInScorer
from recdistill.tables.codecs import CodedTable

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions


class _Side(NamedTuple):
    """Vectors of the users, or the items, brought into the rows of a log."""

    vectors: np.ndarray
    """float32 (n, d); zeros where the teacher knows none"""
    source: np.ndarray
    """int64 (n,): row of the teacher's array, -1 where it knows none"""
    unknown_to_the_log: int

    @property
    def known(self) -> np.ndarray:
        return self.source >= 0


def from_vectors(
    users: Any,
    items: Any,
    train: Interactions,
    *,
    user_ids: Iterable[Any] | None = None,
    item_ids: Iterable[Any] | None = None,
    item_bias: Any = None,
    top_k: int = 200,
    temperature: float | None = None,
    valid: HeldOut | None = None,
) -> Knowledge:
    """A teacher whose score is user · item + bias, given as arrays or tensors (n, d); their rows are those of `train`,
    or stand for the external ids beside them.

    Users and items that `train` does not know are left out. Users of `train` without a vector (or with one of zeros)
    get an empty list and learn from their labels alone; an item without one counts as an average item, in nobody's
    list. All of these are counted in `Knowledge.teacher`. `temperature` divides the scores so that their softmax is a
    belief; None: fitted to `valid` where it is given, else 1. Raises KnowledgeError, of one line.
    """
    check_train(train, "knowledge")
    if temperature is not None and not 0 < temperature < np.inf:
        raise KnowledgeError(f"temperature {temperature} for a teacher's vectors: give a number above 0, or none")
    if top_k < 1:
        raise KnowledgeError(f"top_k {top_k} for a teacher's vectors: give at least 1")
    user_array, item_array = _matrix(users, "users"), _matrix(items, "items")
    if user_array.shape[1] != item_array.shape[1]:
        raise KnowledgeError(
            f"vectors: users have {user_array.shape[1]} columns, items {item_array.shape[1]}; give both of one model"
        )
    user_side = _placed(user_array, user_ids, train.users, "users")
    if item_bias is None:
        silent = user_side.known & ~user_side.vectors.any(axis=1)
        user_side = user_side._replace(source=np.where(silent, -1, user_side.source))
    item_side = _placed(item_array, item_ids, train.items, "items")
    bias = _bias(item_bias, len(item_array), item_side)
    return _told(user_side, item_side, bias, train, top_k, temperature, valid)


def _told(
    users: _Side,
    items: _Side,
    bias: np.ndarray | None,
    train: Interactions,
    top_k: int,
    temperature: float | None,
    valid: HeldOut | None,
) -> Knowledge:
    ranked = np.flatnonzero(items.known)
    whole = _as_average(items, bias)
    with np.errstate(over="ignore", invalid="ignore"):
        if temperature is None:
            temperature = _fitted(_scorer(users.vectors, *whole), users.known, train, valid)
        user_vectors, (item_vectors, item_bias) = users.vectors / np.float32(temperature), whole
        item_bias = None if item_bias is None else item_bias / np.float32(temperature)
        rows, nothing = np.flatnonzero(users.known), Histories.empty(int(users.known.sum()))
        listed = _scorer(user_vectors, item_vectors[ranked], None if item_bias is None else item_bias[ranked])
        places, logits = exact_top_k(listed, nothing, rows, min(top_k, len(ranked)), None)
        if not np.isfinite(logits).all():
            raise KnowledgeError("vectors: their products are too large for float32; divide one side by a number")
        log_z = log_normalisers(_scorer(user_vectors[rows], item_vectors, item_bias), nothing, 1.0)
    top_items = np.full((train.n_users, places.shape[1]), -1, np.int64)
    top_scores = np.zeros(top_items.shape, np.float32)
    tail = np.zeros(train.n_users, np.float32)
    top_items[rows], top_scores[rows] = ranked[places], logits
    if places.shape[1] < train.n_items:
        tail[rows] = np.clip(1.0 - np.exp(logits.astype(np.float64) - log_z[:, None]).sum(1), 0.0, 1.0)
    return Knowledge(
        top_items=top_items,
        top_scores=top_scores,
        top_own=is_own(train.csr(), top_items),
        tail_mass=tail,
        n_items=train.n_items,
        log_sha256=train.sha256(),
        teacher={
            "kind": "vectors",
            "settings": {
                "dim": int(user_vectors.shape[1]),
                "users_unknown_to_the_log": users.unknown_to_the_log,
                "items_unknown_to_the_log": items.unknown_to_the_log,
                "items_without_vector": int((~items.known).sum()),
            },
            "users_without_list": int((~users.known).sum()),
            "temperature": float(temperature),
            "sha256": fingerprint([float(part.sum(dtype=np.float64)) for part in (user_vectors, item_vectors, logits)]),
        },
        user_vectors=user_vectors,
        item_vectors=item_vectors,
        item_bias=item_bias,
    )


def _matrix(given: Any, what: str) -> np.ndarray:
    """A finite float32 copy (n, d) of an array, or of a tensor on any device."""
    array = _plain(given, what)
    if array.ndim != 2 or not all(array.shape):
        raise KnowledgeError(f"vectors of {what}: an array of shape {array.shape}; give one row for each, (n, d)")
    return _finite(array, what)


def _plain(given: Any, what: str) -> np.ndarray:
    if hasattr(given, "detach"):  # a torch tensor, without importing torch
        given = given.detach().cpu()
        given = given.float() if given.is_floating_point() else given
    try:
        array = np.asarray(given)
    except (TypeError, ValueError):
        array = np.empty(0, object)
    if array.dtype.kind not in "fiu":
        found = type(given).__name__ if array.dtype.kind == "O" else array.dtype
        raise KnowledgeError(f"vectors of {what}: {found}, not numbers; give a float array (n, d)")
    return array


def _finite(array: np.ndarray, what: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        narrow = np.array(array, np.float32, order="C")
    wrong = ~np.isfinite(narrow.reshape(len(narrow), -1)).all(axis=1)
    if wrong.any():
        raise KnowledgeError(
            f"vectors of {what}: {int(wrong.sum())} of {len(narrow)} rows hold NaN, infinity or more than float32 can "
            f"(the first is row {int(wrong.argmax())}); leave these rows and their ids out"
        )
    return narrow


def _placed(array: np.ndarray, ids: Iterable[Any] | None, vocab: Vocab, what: str) -> _Side:
    if ids is None:
        if len(array) != len(vocab):
            raise KnowledgeError(
                f"vectors of {what}: {len(array)} rows without ids, the log has {len(vocab)} {what}; give the ids that "
                f"the rows stand for: {what[:-1]}_ids=[…]"
            )
        return _Side(array, np.arange(len(array)), 0)
    rows = _rows(ids, len(array), vocab, what)
    known = np.flatnonzero(rows >= 0)
    if not len(known):
        raise KnowledgeError(
            f"vectors of {what}: none of the {len(rows)} ids is in the log, such as {vocab.ids([0]).tolist()[0]!r}; "
            "are they ids of the same kind, not rows?"
        )
    source = np.full(len(vocab), -1, np.int64)
    source[rows[known]] = known
    vectors = np.zeros((len(vocab), array.shape[1]), np.float32)
    vectors[rows[known]] = array[known]
    return _Side(vectors, source, len(rows) - len(known))


def _rows(ids: Iterable[Any], expected: int, vocab: Vocab, what: str) -> np.ndarray:
    given = ids if isinstance(ids, np.ndarray) else np.array([*ids], dtype=object)
    if given.shape != (expected,):
        raise KnowledgeError(f"vectors of {what}: {expected} rows and {len(given)} ids; give one id for each row")
    rows = vocab.rows(given)
    known = rows[rows >= 0]
    if len(np.unique(known)) < len(known):
        repeated = vocab.ids([int(np.flatnonzero(np.bincount(known) > 1)[0])]).tolist()[0]
        raise KnowledgeError(f"vectors of {what}: the id {repeated!r} stands for several rows; give each id once")
    return rows


def _bias(given: Any, expected: int, items: _Side) -> np.ndarray | None:
    if given is None:
        return None
    array = _plain(given, "item_bias")
    if array.shape != (expected,):
        raise KnowledgeError(
            f"item_bias: an array of shape {array.shape} for {expected} items; give one number for each"
        )
    return np.where(items.known, _finite(array, "item_bias")[items.source], np.float32(0))


def _as_average(items: _Side, bias: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Items without a vector get the mean one, and bias: every user's average score."""
    if items.known.all():
        return items.vectors, bias
    vectors = np.where(items.known[:, None], items.vectors, items.vectors[items.known].mean(axis=0))
    return vectors, None if bias is None else np.where(items.known, bias, bias[items.known].mean())


def _scorer(users: np.ndarray, items: np.ndarray, bias: np.ndarray | None) -> LinearFoldInScorer:
    return LinearFoldInScorer(item_table=CodedTable.of(items), user_table=CodedTable.of(users), item_bias=bias)


def _fitted(scorer: LinearFoldInScorer, known: np.ndarray, train: Interactions, valid: HeldOut | None) -> float:
    """To the valid items of the users with a vector."""
    if valid is None:
        return 1.0
    kept = np.flatnonzero((valid.user_rows >= 0) & known[valid.user_rows])
    part = HeldOut(valid.user_ids[kept], valid.user_rows[kept], valid.relevant[kept], valid.relevant_count[kept])
    return fit_temperature(scorer, train, part)
