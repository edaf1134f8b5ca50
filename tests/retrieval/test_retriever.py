import threading
import tracemalloc
from pathlib import Path

import faiss
import numpy as np
import pytest

from recdistill.errors import ArtifactError, ConfigError, DataError
from recdistill.retrieval import faiss_index
from recdistill.retrieval.exact import top_k
from recdistill.retrieval.faiss_index import FaissIndex
from recdistill.retrieval.items import Items, Queries
from recdistill.retrieval.kinds import KINDS, recipe
from recdistill.retrieval.retriever import Retriever, Settings
from recdistill.retrieval.rows import PRODUCTS, decoded, products
from recdistill.serving.histories import Histories
from recdistill.tables.codecs import CodedTable

N, DIM, USERS, K = 4000, 13, 60, 10
NAMED = [*KINDS, "PQ8x4fs", "RR16,IVF32,SQ8", "HNSW16,SQ8"]


def world(seed: int = 0, users: int = USERS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Items in groups, of very different lengths, and people near to a group."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((30, DIM))
    vectors = centres[rng.integers(0, 30, N)] + 0.5 * rng.standard_normal((N, DIM))
    vectors *= rng.lognormal(0, 0.7, (N, 1))
    queries = 3 * (centres[rng.integers(0, 30, users)] + rng.standard_normal((users, DIM)))
    return vectors.astype(np.float32), rng.standard_normal(N).astype(np.float32), queries.astype(np.float32)


VECTORS, BIAS, QUERIES = world()
ITEMS = Items(item_table=CodedTable.of(VECTORS), item_bias=BIAS)
SEEN = Histories.from_lists([np.random.default_rng(user).choice(N, 3 * user, replace=False) for user in range(USERS)])


@pytest.fixture(scope="module", params=NAMED)
def retriever(request: pytest.FixtureRequest) -> Retriever:
    how = recipe(request.param, N, 16)
    index = FaissIndex.build(how.factory, ITEMS, query_length=9.0, threads=1)
    effort = None if index.effort_most is None else 150 if "HNSW" in how.factory else 20
    return Retriever(ITEMS, index, Settings(effort, 8), kind=request.param, threads=1)


def recall(rows: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([np.isin(true[true >= 0], row).mean() for row, true in zip(rows, truth, strict=True)]))


def check(
    retriever: Retriever, exclude: Histories | None, allowed: np.ndarray, rows: np.ndarray, found: np.ndarray
) -> None:
    """As many as there can be, none forbidden, none twice, the scores exact and falling."""
    for user, (row, scores) in enumerate(zip(rows, found, strict=True)):
        free = allowed.copy()
        if exclude is not None:
            free[exclude.items[exclude.indptr[user] : exclude.indptr[user + 1]]] = False
        got = row[row >= 0]
        assert len(got) == len(set(got.tolist())) == min(rows.shape[1], int(free.sum()))
        assert free[got].all() and (row[len(got) :] == -1).all() and (scores[len(got) :] == -np.inf).all()
        want = VECTORS[got].astype(float) @ QUERIES[user].astype(float) + BIAS[got]
        np.testing.assert_allclose(scores[: len(got)], want, rtol=1e-6, atol=1e-6)
        assert (np.diff(scores[: len(got)]) <= 0).all()


def test_every_kind_finds_nearly_all_of_the_best_with_their_exact_scores(retriever: Retriever) -> None:
    rows, found = retriever.search(QUERIES, K)
    check(retriever, None, np.ones(N, bool), rows, found)
    truth, _ = top_k(ITEMS, Queries(QUERIES), None, K)
    assert recall(rows, truth) > 0.9


@pytest.mark.parametrize("share", [None, 0.001, 0.01, 0.2, 0.5])
def test_with_exclusions_and_filters_there_are_always_as_many_as_can_be(
    retriever: Retriever, share: float | None
) -> None:
    allowed = np.random.default_rng(3).random(N) < (1.0 if share is None else share)
    only = None if share is None else allowed
    rows, found = retriever.search(QUERIES, K, exclude=SEEN, only=only)
    check(retriever, SEEN, allowed, rows, found)
    truth, _ = top_k(ITEMS, Queries(QUERIES), None, K, SEEN, only=None if only is None else np.flatnonzero(allowed))
    assert recall(rows, truth) > 0.85


def test_who_has_seen_all_but_a_few_gets_these(retriever: Retriever) -> None:
    lists = [np.delete(np.arange(N), np.arange(user, user + 3)) for user in range(4)]
    rows, found = retriever.search(QUERIES[:4], K, exclude=Histories.from_lists(lists))
    assert [sorted(row[row >= 0].tolist()) for row in rows] == [[user, user + 1, user + 2] for user in range(4)]
    assert np.isfinite(found[:, :3]).all() and (found[:, 3:] == -np.inf).all()


def test_a_search_that_looks_at_too_little_is_filled_from_the_whole_catalogue() -> None:
    index = FaissIndex.build("IVF64,Flat", ITEMS, query_length=9.0, threads=1)
    retriever = Retriever(ITEMS, index, Settings(1, 1))
    assert (index.candidates(QUERIES, 600, 1) < 0).any()
    rows, found = retriever.search(QUERIES, 600)
    check(retriever, None, np.ones(N, bool), rows, found)


def test_one_alone_gets_what_she_gets_among_others(retriever: Retriever) -> None:
    rows, found = retriever.search(QUERIES, K, exclude=SEEN)
    for user in (0, 7, 59):
        alone = retriever.search(QUERIES[user : user + 1], K, exclude=SEEN.take(slice(user, user + 1)))
        shared = set(alone[0][0].tolist()) & set(rows[user].tolist())
        assert len(shared) >= K - 1  # histories of a batch that are longer make the search look a little further
        values = dict(zip(rows[user].tolist(), found[user].tolist(), strict=True))
        assert all(values[row] == score for row, score in zip(*map(np.ravel, alone), strict=True) if row in shared)


def test_threads_share_a_retriever_and_leave_the_number_of_faiss_threads_alone(retriever: Retriever) -> None:
    before = faiss.omp_get_max_threads()
    want, _ = retriever.search(QUERIES, K, exclude=SEEN)
    got: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: got.append(retriever.search(QUERIES, K, exclude=SEEN)[0])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4 and all((one == want).all() for one in got)
    assert faiss.omp_get_max_threads() == before


@pytest.mark.parametrize("mmap", [True, False])
def test_what_was_saved_answers_the_same(retriever: Retriever, mmap: bool, tmp_path: Path) -> None:
    retriever.remove([5])
    try:
        retriever.save(tmp_path / "index")
        again = Retriever.load(tmp_path / "index", mmap=mmap)
        assert again.kind == retriever.kind and again.nbytes == retriever.nbytes and again.removed.tolist() == [5]
        for one, other in zip(retriever.search(QUERIES, K), again.search(QUERIES, K), strict=True):
            np.testing.assert_array_equal(one, other)
    finally:
        retriever.__init__(ITEMS, retriever.index, retriever.settings, kind=retriever.kind)  # type: ignore[misc]


@pytest.mark.parametrize("codec", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("bias", [BIAS, None])
def test_flat_is_the_exact_search_ties_included(codec: str, bias: np.ndarray | None) -> None:
    vectors = np.rint(VECTORS)
    vectors[1::5] = vectors[0]
    table = CodedTable.of(vectors, codec)
    retriever = Retriever.build(table, bias=bias, kind="flat", queries=QUERIES, threads=1)
    assert retriever.nbytes == 0 and retriever.items.item_table is table
    rows, found = retriever.search(QUERIES, K, exclude=SEEN)
    want = top_k(Items(item_table=table, item_bias=bias), Queries(QUERIES), None, K, SEEN)
    np.testing.assert_array_equal(rows, want[0])
    np.testing.assert_array_equal(found, want[1])


@pytest.mark.parametrize("factory", ["HNSW16,Flat", "IVF64,Flat"])
def test_vectors_of_unequal_lengths_are_found_as_well(factory: str) -> None:
    vectors, _, queries = world(users=300)
    vectors *= np.where(np.arange(N) % 10 == 0, 0.02, 1)[:, None]
    items = Items(item_table=CodedTable.of(vectors))
    truth, _ = top_k(items, Queries(queries), None, K)
    index = FaissIndex.build(factory, items, threads=1)
    assert recall(Retriever(items, index, Settings(24, 1)).search(queries, K)[0], truth) > 0.95
    if factory.startswith("IVF"):  # without centres of length 1 one list holds many times its share, as here
        plain = faiss.index_factory(DIM, factory, faiss.METRIC_INNER_PRODUCT)
        plain.cp.spherical = False
        plain.train(vectors)
        plain.add(vectors)
        assert index.index.invlists.imbalance_factor() < 2 < plain.invlists.imbalance_factor()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_wherever_it_comes_in(bad: float) -> None:
    queries, vectors = QUERIES.copy(), VECTORS.copy()
    queries[3, 2] = bad
    vectors[7, 1] = bad
    with pytest.raises(DataError, match="queries: row 3 holds what is not a finite number"):
        Retriever(ITEMS).search(queries, K)
    with pytest.raises(DataError, match="row 7 holds"):
        Retriever.build(vectors, kind="ivf_flat", queries=QUERIES, threads=1)
    with pytest.raises(DataError, match="item row 7: holds what is not a finite number"):
        FaissIndex.build("IVF16,Flat", Items(item_table=CodedTable("fp32", {"values": vectors})))
    with pytest.raises(DataError, match="bias: holds what is not a finite number"):
        Retriever.build(VECTORS, bias=np.full(N, bad), kind="flat", threads=1)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("IVF500,Flat", "500 lists need 19500 items to be found from, there are 4000. Use at most IVF102"),
        ("IVF64,SQ8,RFlat", "leave RFlat off"),
        ("IDMap,Flat", "leave IDMap off"),
        ("IVF64,Flt", "FAISS refuses it"),
        ("ivf_flatt", "no kind of index 'ivf_flatt'. Did you mean 'ivf_flat'?"),
    ],
)
def test_an_index_that_cannot_be_is_refused_in_one_line(kind: str, fault: str) -> None:
    with pytest.raises(ConfigError) as error:
        Retriever.build(VECTORS, kind=kind, queries=QUERIES, threads=1)
    assert fault in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"k": 0}, "k=0: must lie between 1 and the catalogue's 4000 items"),
        ({"k": 5000}, "k=5000: must lie between 1"),
        ({"recall": 0.0}, "recall=0.0: must lie above 0"),
        ({"recall": 1.5}, "recall=1.5: must lie above 0"),
        ({"queries": QUERIES[:3]}, "queries: 3 say too little"),
        ({"queries": QUERIES[:, :5]}, r"queries must be of the shape \(batch, 13\)"),
        ({"bias": BIAS[:9]}, "bias must have the shape"),
        (
            {"kind": "PQ1x4fs", "recall": 1.0},
            "index PQ1x4fs: recall@20 reaches .* at most, 1 was asked for. Ask for less",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: dict[str, object], fault: str) -> None:
    with pytest.raises((ConfigError, DataError), match=fault):
        Retriever.build(VECTORS, **({"kind": "ivf_flat", "queries": QUERIES, "threads": 1} | arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"k": N + 1}, "k=4001: must lie"),
        ({"exclude": Histories.empty(3)}, "exclude is of 3 users for 60 queries"),
        ({"exclude": Histories.from_lists([[N]] * USERS)}, "exclude: item row 4000 is outside"),
        ({"only": [N]}, r"item rows must lie in 0..3999, found 4000..4000"),
        ({"only": [-1]}, "item rows must lie in 0..3999"),
        ({"only": np.ones(7, bool)}, r"a mask must have the shape \(4000,\)"),
        ({"only": np.array([0.5])}, "whole numbers"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(arguments: dict[str, object], fault: str) -> None:
    with pytest.raises((ConfigError, DataError), match=fault):
        Retriever(ITEMS).search(QUERIES, **({"k": K} | arguments))  # type: ignore[arg-type]


def test_an_index_is_padded_to_what_its_codes_need() -> None:
    assert (
        FaissIndex.build("IVF16,SQ8", ITEMS, threads=1).space.width == 16
    )  # 13 and the bias; other than by 8 it is slow
    assert FaissIndex.build("IVF16,PQ5x4", ITEMS, threads=1).space.width == 40
    assert FaissIndex.build("HNSW8,Flat", ITEMS, threads=1).space.width == 16


def test_a_named_kind_is_set_to_hold_the_recall_on_people_it_has_not_seen() -> None:
    vectors, bias, queries = world(users=400)
    for kind in ("ivf_pq", "hnsw"):
        retriever = Retriever.build(vectors, bias=bias, kind=kind, queries=queries[:200], k=K, recall=0.95, threads=1)
        truth, _ = top_k(retriever.items, Queries(queries[200:]), None, K)
        measured = retriever.measured
        assert measured is not None and measured.kind == kind and measured.recall >= 0.95
        assert recall(retriever.search(queries[200:], K)[0], truth) > 0.92
        assert f"recall@10 {measured.recall:.4f}" in str(measured) and "on 100 queries given" in str(measured)


def test_auto_takes_the_quickest_that_holds_and_says_why_not_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from recdistill.retrieval import auto

    times = {"flat": 50.0, "sq8": 40.0, "ivf_flat": 10.0, "ivf_sq8": 10.4, "ivf_pq": 30.0, "hnsw": 60.0}
    monkeypatch.setattr(auto, "_microseconds", lambda retriever, queries, k: times[_name(retriever)])
    retriever = Retriever.build(VECTORS, bias=BIAS, queries=QUERIES, k=K, recall=0.9, threads=1)
    assert retriever.kind == "ivf_sq8"  # as quick as ivf_flat, and smaller
    said = str(retriever.measured)
    assert said.startswith("ivf_sq8 (IVF64,SQ8): recall@10 ") and "10 µs a query against 50 exact" in said
    assert "ivf_flat (IVF64,Flat): holds " in said and "flat (none): exact, but takes 50 µs" in said
    times |= dict.fromkeys(times, 100.0) | {"flat": 95.0}
    assert Retriever.build(VECTORS, bias=BIAS, queries=QUERIES, k=K, recall=0.9, threads=1).kind == "flat"


def _name(retriever: Retriever) -> str:
    if retriever.index is None:
        return "flat"
    return next(kind for kind in KINDS if recipe(kind, N, 16).factory == retriever.index.factory)


def test_auto_leaves_out_what_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    from recdistill.retrieval import auto, kinds

    monkeypatch.setattr(kinds, "KINDS", coarse := type(KINDS)("kind of index"))
    monkeypatch.setattr(auto, "KINDS", coarse)
    coarse.register("ivf_pq", lambda n_items, width: kinds.Recipe("IVF4,PQ1x4fs", (1,)))
    retriever = Retriever.build(VECTORS, queries=QUERIES, k=K, recall=0.99, threads=1)
    assert retriever.kind == "flat" and len(retriever.search(QUERIES, K)[0]) == USERS
    assert "ivf_pq (IVF4,PQ1x4fs): recall@10 reaches 0." in str(retriever.measured)


def test_without_queries_they_are_made_up_and_the_words_say_so() -> None:
    retriever = Retriever.build(VECTORS, kind="ivf_flat", k=K, recall=0.9, threads=1)
    assert retriever.measured is not None and "made up from the items" in str(retriever.measured)


@pytest.mark.parametrize("codec", ["fp32", "int8"])
def test_items_come_and_go(codec: str) -> None:
    table = CodedTable.of(VECTORS, codec)
    items = Items(item_table=table, item_bias=BIAS)
    index = FaissIndex.build("IVF64,SQ8", items, query_length=9.0, threads=1)
    retriever = Retriever(items, index, Settings(32, 4))
    before = retriever.copy()
    new = retriever.add(QUERIES[:2] * 100, bias=np.array([1.0, 2.0]))
    assert new.tolist() == [N, N + 1] and len(retriever) == N + 2 and len(before) == N
    rows, found = retriever.search(QUERIES[:2], K)
    assert rows[0, 0] == N and rows[1, 0] == N + 1
    np.testing.assert_allclose(found[0, 0], 100 * QUERIES[0] @ QUERIES[0] + 1, rtol=0.01)
    assert (before.search(QUERIES[:2], K)[0] < N).all()
    retriever.remove([N, *rows[0, 1:4]])
    again, _ = retriever.search(QUERIES[:2], K)
    assert not np.isin(again, [N, *rows[0, 1:4]]).any() and (again >= 0).all() and len(retriever) == N - 2
    only, _ = retriever.search(QUERIES[:1], 3, only=[N, N + 1])
    assert only.tolist() == [[N + 1, -1, -1]]
    half, _ = retriever.search(QUERIES[:2], K, only=np.arange(N + 2) % 2 == 0)
    assert (half % 2 == 0).all() and not np.isin(half, [N, *rows[0, 1:4]]).any()


def test_what_cannot_be_added_or_removed_is_refused() -> None:
    retriever = Retriever(ITEMS)
    with pytest.raises(DataError, match=r"vectors to add must be of the shape \(some, 13\), found \(2, 4\)"):
        retriever.add(np.ones((2, 4)))
    with pytest.raises(DataError, match=r"item rows must lie in 0\.\.3999"):
        retriever.remove([N])
    prepared = retriever.subset([1, 2])
    retriever.add(np.ones((1, DIM)))
    with pytest.raises(DataError, match="prepared for 4000 items, there are 4001"):
        retriever.search(QUERIES, 1, only=prepared)


def test_an_integer_table_is_searched_as_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    table = CodedTable.of(rng.standard_normal((60_000, 64)), "int8")
    items = Items(item_table=table)
    index = FaissIndex.build("IVF64,PQ16x4fsr", items, threads=1)
    retriever = Retriever(items, index, Settings(4, 5))
    queries = rng.standard_normal((8, 64)).astype(np.float32)
    retriever.search(queries, K)
    monkeypatch.setattr(CodedTable, "matrix", None)
    tracemalloc.start()
    _, found = retriever.search(queries, K)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60_000 * 64  # a float copy is four times that
    assert np.isfinite(found).all()


@pytest.mark.parametrize("codec", ["fp32", "fp16", "int8"])
def test_products_with_stored_rows_are_those_of_the_decoded_table(codec: str) -> None:
    table = CodedTable.of(VECTORS, codec)
    rows = np.random.default_rng(1).integers(-1, N, (USERS, 7))
    want = np.einsum("bmd,bd->bm", table.matrix()[rows], QUERIES)
    want[rows < 0] = -np.inf
    np.testing.assert_allclose(products(table, QUERIES, rows), want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(decoded(table, QUERIES, rows), want, rtol=1e-4, atol=1e-4)


def test_another_codec_may_bring_its_own_way_of_being_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def own(table: CodedTable, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        asked.append(rows.shape)
        return decoded(table, queries, rows)

    monkeypatch.setitem(PRODUCTS._entries, "fp16", own)
    items = Items(item_table=CodedTable.of(VECTORS, "fp16"))
    Retriever(items, FaissIndex.build("IVF16,Flat", items, threads=1), Settings(4, 1)).search(QUERIES, K)
    assert asked == [(USERS, K + 4 + 1)]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("index.json", b"{", "cannot be read as JSON"),
        ("index.json", b"{}", "version None; this recdistill reads 1"),
        ("index.json", b'{"version": 1}', "not an index as it was written"),
        ("index.faiss", b"IwFl", "cannot be read as an index"),
        ("index.faiss", None, "missing, so the index is not whole"),
        ("vectors.safetensors", None, "is loaded with the artifact"),
        ("vectors.safetensors", b"12345678901", "not an index as it was written"),
    ],
)
def test_a_folder_that_is_no_whole_index_is_refused(
    name: str, content: bytes | None, fault: str, tmp_path: Path
) -> None:
    folder = Retriever(ITEMS, FaissIndex.build("IVF16,Flat", ITEMS, threads=1), Settings(4, 1)).save(tmp_path / "index")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=fault) as error:
        Retriever.load(folder)
    assert "\n" not in str(error.value)


def test_an_index_is_not_saved_over_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="exists and is not an index"):
        Retriever(ITEMS).save(tmp_path)


def test_a_graph_or_list_is_asked_without_changing_it() -> None:
    index = FaissIndex.build("IVF64,Flat", ITEMS, threads=1)
    before = index.index.nprobe
    index.candidates(QUERIES, K, 30)
    assert index.index.nprobe == before
    with faiss_index.faiss_threads(3):
        assert faiss.omp_get_max_threads() == 3
