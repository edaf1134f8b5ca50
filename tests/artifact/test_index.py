import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recdistill import artifact
from recdistill.artifact.index import add_index, items_of
from recdistill.cli.main import main
from recdistill.data.vocab import Vocab
from recdistill.errors import ArtifactError, ConfigError
from recdistill.retrieval.retriever import Retriever
from recdistill.serving.scorers import BagScorer, Histories, ItemScorer
from recdistill.tables.codecs import CodedTable

N = 1200


def scorer(codec: str = "fp32") -> BagScorer:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((12, 8))
    vectors = centres[rng.integers(0, 12, N)] + 0.5 * rng.standard_normal((N, 8))
    bias = rng.standard_normal(N).astype(np.float32)
    return BagScorer(item_table=CodedTable.of(vectors, codec), item_bias=bias, normalize=True, scale=5.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return artifact.save(
        tmp_path / "student", scorer(), Vocab(np.arange(N) + 100), kind="two_tower", name="student", trained_on={},
        titles=[f"Item {row}" for row in range(N)],
    )  # fmt: skip


@pytest.fixture
def indexed(folder: Path) -> Path:
    found = artifact.load(folder)
    queries = found.scorer.queries(Histories.from_lists([[row, row + 1] for row in range(100)]))
    items = items_of(found.scorer)
    retriever = Retriever.build(
        items.item_table, bias=items.item_bias, kind="ivf_sq8", queries=queries, k=5, recall=0.95, threads=1
    )
    return add_index(folder, retriever)


def test_an_index_over_four_bits_and_biases_of_eight_finds_what_the_model_says(tmp_path: Path) -> None:
    small = scorer().quantized("int4")
    items = items_of(small)
    bags = Histories.from_lists([[row, row + 1] for row in range(100)])
    retriever = Retriever.build(
        items.item_table, bias=items.item_bias, kind="ivf_sq8", queries=small.queries(bags), k=5, recall=0.95, threads=1
    )
    told: dict[str, Any] = {"kind": "two_tower", "name": "student", "trained_on": {}}
    add_index(artifact.save(tmp_path / "small", small, Vocab(range(N)), **told), retriever)
    Retriever(items).save(tmp_path / "alone")
    for found in (artifact.load(tmp_path / "small").retriever, Retriever.load(tmp_path / "alone")):
        assert found is not None
        rows, scores = found.search(small.queries(bags), 5)
        np.testing.assert_allclose(scores, np.take_along_axis(small.score(bags), rows, axis=1), rtol=1e-5, atol=1e-5)


def test_an_artifact_without_an_index_has_no_retriever(folder: Path) -> None:
    assert artifact.load(folder).retriever is None
    assert artifact.doctor(folder)["index_bytes"] == 0


def test_an_index_goes_with_its_artifact_and_finds_what_the_model_says(indexed: Path) -> None:
    found = artifact.load(indexed)
    retriever = found.retriever
    assert retriever is not None and retriever.kind == "ivf_sq8"
    assert retriever.items.item_table is found.scorer.item_table  # type: ignore[attr-defined]
    bags = Histories.from_lists([[7], [8, 9], [500]])
    rows, scores = retriever.search(found.scorer.queries(bags), 5, exclude=bags)
    want = np.take_along_axis(found.scorer.score(bags), rows, axis=1)
    np.testing.assert_allclose(scores, want, rtol=1e-5, atol=1e-5)
    told = artifact.doctor(indexed)
    assert told["index"] == "ivf_sq8" and told["index_bytes"] == retriever.nbytes > 0
    assert told["bytes"] == artifact.load(indexed).scorer.nbytes
    assert {"index/index.json", "index/index.faiss", "titles.safetensors"} <= set(told["files"])


def test_the_same_folder_may_be_indexed_again_and_copied(indexed: Path, tmp_path: Path) -> None:
    found = artifact.load(indexed)
    before = (indexed / "model.safetensors").read_bytes()
    add_index(indexed, Retriever(items_of(found.scorer)))
    assert artifact.load(indexed).retriever is None  # reading every row needs no index
    assert not (indexed / "index" / "index.faiss").exists() and (indexed / "model.safetensors").read_bytes() == before
    shutil.copytree(indexed, tmp_path / "copy")
    assert artifact.doctor(tmp_path / "copy")["index"] is None


def test_saving_the_model_again_leaves_no_old_index(indexed: Path) -> None:
    artifact.save(indexed, scorer("int8"), Vocab(np.arange(N)), kind="two_tower", name="student", trained_on={})
    assert artifact.load(indexed).retriever is None and not (indexed / "index").exists()


@pytest.mark.parametrize("name", ["index/index.json", "index/index.faiss"])
@pytest.mark.parametrize("place", [0, -1, 0.5])
def test_a_changed_byte_in_the_index_is_refused(indexed: Path, name: str, place: float) -> None:
    content = bytearray((indexed / name).read_bytes())
    at = int(len(content) * place) if place == 0.5 else int(place)
    content[at] ^= 1
    (indexed / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name}: changed since it was saved"):
        artifact.load(indexed)


@pytest.mark.parametrize("name", ["index/index.json", "index/index.faiss", "index"])
def test_an_index_that_is_not_whole_is_refused(indexed: Path, name: str) -> None:
    shutil.rmtree(indexed / name) if name == "index" else (indexed / name).unlink()
    with pytest.raises(ArtifactError, match="missing, so the artifact is not whole"):
        artifact.load(indexed)


def test_an_index_of_another_model_is_refused(indexed: Path, tmp_path: Path) -> None:
    small = BagScorer(item_table=CodedTable.of(np.eye(40, 8)))
    other = artifact.save(
        tmp_path / "other", small, Vocab(np.arange(40)), kind="two_tower", name="other", trained_on={}
    )
    retriever = artifact.load(indexed).retriever
    assert retriever is not None
    add_index(other, retriever)
    with pytest.raises(ArtifactError, match="an index of 1200 items, the model has 40"):
        artifact.load(other)


def test_a_model_without_item_vectors_has_nothing_to_index() -> None:
    item_to_item = ItemScorer(item_to_item=CodedTable.of(np.eye(5)))
    with pytest.raises(ConfigError, match="a model of the form 'item' has no item vectors"):
        items_of(item_to_item)


def test_the_verb_builds_an_index_and_says_what_was_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", str(folder), "--kind", "ivf_flat", "--recall", ".9", "--k", "5"]) == 0
    said = capsys.readouterr().out
    assert "ivf_flat (IVF16,Flat): recall@5" in said and "made up from the items" in said
    retriever = artifact.load(folder).retriever
    assert retriever is not None and retriever.measured is not None and retriever.measured.recall >= 0.9
    assert main(["index", str(folder), "--kind", "flat", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "flat"


def test_the_verb_measures_with_the_histories_of_a_log(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.csv"
    rows = [f"{user},{100 + (17 * user + 3 * step) % N}" for user in range(40) for step in range(4)]
    log.write_text("\n".join(["user_id,item_id", *rows, "40,5"]))
    assert main(["index", str(folder), "--kind", "ivf_flat", "--recall", ".9", "--log", str(log)]) == 0
    assert f"on 20 queries of people in {log}" in capsys.readouterr().out
    log.write_text("user_id,item_id\n1,5\n2,6\n")
    assert main(["index", str(folder), "--log", str(log)]) == 2
    assert "none of its items is in the artifact" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--kind", "ivff_flat"], "Did you mean 'ivf_flat'?"),
        (["--recall", "2"], "recall=2.0: must lie above 0"),
        (["--k", "0"], "k=0: must lie between 1"),
    ],
)
def test_the_verb_refuses_in_one_line(
    folder: Path, words: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(folder), *words]) == 2
    said = capsys.readouterr().err
    assert fault in said and said.count("\n") == 1
