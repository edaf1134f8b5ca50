import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from recdistill import artifact, files
from recdistill.artifact.layout import CARD, CHECKED, CHECKSUMS, CONFIG, MODEL, TITLES, VOCAB
from recdistill.data.vocab import Vocab
from recdistill.errors import ArtifactError, ConfigError
from recdistill.serving.scorers import BagScorer, FoldInScorer, Histories, ItemScorer, Scorer
from recdistill.tables.codecs import CODECS, CodedTable

N_ITEMS, N_USERS = 30, 4
ITEMS, USERS = Vocab([f"Títle | {i}" for i in range(N_ITEMS)]), Vocab(np.arange(N_USERS) + 7)
RNG = np.random.default_rng(0)


def matrix(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


SCORERS: dict[str, Scorer] = {
    "student": BagScorer(item_table=CodedTable.of(matrix(N_ITEMS, 8)), item_bias=matrix(N_ITEMS), scale=6.5),
    "teacher": BagScorer(item_table=CodedTable.of(matrix(N_ITEMS, 8)), user_table=CodedTable.of(matrix(N_USERS, 8))),
    "popularity": BagScorer(item_bias=matrix(N_ITEMS)),
    "ease": ItemScorer(item_to_item=CodedTable.of(matrix(N_ITEMS, N_ITEMS))),
    "ials": FoldInScorer(item_table=CodedTable.of(matrix(N_ITEMS, 8)), gram=np.eye(8, dtype=np.float32),
                         user_table=CodedTable.of(matrix(N_USERS, 8)), regularization=2.0),
}  # fmt: skip


def write(folder: Path, scorer: Scorer = SCORERS["student"], **changes: Any) -> Path:
    told: dict[str, Any] = {
        "kind": "two_tower",
        "name": "student",
        "trained_on": {"rows": np.int64(812), "source": Path("ratings.csv")},
        "metrics": {"ndcg@20": np.float32(0.25), "auc": float("nan")},
        "settings": {"dim": 8, "rates": (0.1, 0.2)},
    }
    return artifact.save(folder, scorer, ITEMS, USERS, **{**told, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "artifacts" / "student")


def rewrite(folder: Path, **parts: Any) -> None:
    """Change the config, and the checksums with it, as a hand that means it would."""
    config = json.loads((folder / CONFIG).read_text())
    files.write_json(folder / CONFIG, {**config, **parts})
    seal(folder)


def seal(folder: Path) -> None:
    files.write_json(folder / CHECKSUMS, {name: files.sha256_of(folder / name) for name in CHECKED})


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(ArtifactError) as caught:
        artifact.load(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("codec", tuple(CODECS))
@pytest.mark.parametrize("name", SCORERS)
def test_what_is_loaded_answers_as_what_was_saved(tmp_path: Path, name: str, codec: str) -> None:
    scorer = SCORERS[name].quantized(codec)
    found = artifact.load(write(tmp_path / name, scorer))
    bags = Histories.from_lists([[1, 5, 9], [], [29]])
    rows = np.array([0, 3, -1])
    np.testing.assert_array_equal(found.scorer.score(bags, rows), scorer.score(bags, rows))
    assert found.items == ITEMS
    assert found.users == (USERS if name in ("teacher", "ials") else None)
    assert found.config["bytes"] == scorer.nbytes


def test_the_folder_holds_what_it_should_and_json_can_say_it(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted([CONFIG, MODEL, VOCAB, CARD, CHECKSUMS])
    config = artifact.load(folder).config
    assert config["trained_on"] == {"rows": 812, "source": "ratings.csv"}
    assert config["metrics"] == {"ndcg@20": 0.25, "auc": None}
    assert config["settings"] == {"dim": 8, "rates": [0.1, 0.2]}
    assert [path.name for path in folder.parent.iterdir()] == ["student"]


def test_the_same_model_is_saved_in_the_same_bytes(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one"), write(tmp_path / "two")
    assert (one / CHECKSUMS).read_bytes() == (two / CHECKSUMS).read_bytes()


def test_the_card_tells_name_metrics_bytes_and_how_to_load(folder: Path) -> None:
    card = (folder / CARD).read_text()
    assert card.startswith("# student\n")
    for line in ("| bytes in memory | 1,080 |", "| ndcg@20 | 0.25 |", "| rows | 812 |", "| source | ratings.csv |",
                 'recommender = Recommender.load("path/to/this/folder")'):  # fmt: skip
        assert line in card


def test_a_name_cannot_break_the_card(tmp_path: Path) -> None:
    folder = write(tmp_path / "odd", name="a\n# b", settings={"x|y": "1\n2"})
    assert (folder / CARD).read_text().startswith("# a # b\n")
    assert "| x\\|y | 1 2 |" in (folder / CARD).read_text()


@pytest.mark.parametrize("name", [CONFIG, MODEL, VOCAB, CARD, CHECKSUMS])
def test_a_file_with_any_byte_flipped_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    for place in {*range(0, len(whole), max(1, len(whole) // 60)), len(whole) - 1}:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert str(folder) in refusal(folder)
    path.write_bytes(whole)
    artifact.load(folder)


@pytest.mark.parametrize("name", [CONFIG, MODEL, VOCAB, CARD, CHECKSUMS])
def test_a_file_that_is_missing_or_cut_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])
    assert name in refusal(folder)
    path.unlink()
    assert name in refusal(folder)


def test_what_is_not_an_artifact_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    (tmp_path / "file").write_text("hello")
    assert "is a file" in refusal(tmp_path / "file")
    assert "not an artifact: no config.json" in refusal(tmp_path)
    (tmp_path / CONFIG).write_text("[]")
    assert CONFIG in refusal(tmp_path)
    (tmp_path / CONFIG).write_text("{}")
    assert "no schema_version" in refusal(tmp_path)


@pytest.mark.parametrize("version", [2, 0, "1", None, True])
def test_a_schema_version_that_is_not_known_is_refused(folder: Path, version: Any) -> None:
    rewrite(folder, schema_version=version)
    assert f"schema_version {version!r}; this version of recdistill reads 1" in refusal(folder)


@pytest.mark.parametrize("name", [MODEL, VOCAB])
@pytest.mark.parametrize("garbage", [b"", b"hello", b"\xff" * 64, b"\x08" + b"\0" * 7 + b"{not so}"])
def test_a_garbled_header_is_refused_with_and_without_checksums(folder: Path, name: str, garbage: bytes) -> None:
    (folder / name).write_bytes(garbage)
    assert name in refusal(folder)
    assert f"{name}: cannot be read" in refusal(folder, verify=False)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (None, "'scorer' must be an object"),
        ({"form": "tree"}, "no scorer form 'tree'"),
        ({**SCORERS["student"].config(), "codecs": {"item_table": "int8"}}, "needs the arrays"),
        ({**SCORERS["student"].config(), "normalize": "exit()"}, "'normalize' must be true or false"),
        ({**SCORERS["student"].config(), "extra": 1}, "no setting 'extra'"),
    ],
)
def test_a_config_that_does_not_fit_the_arrays_is_refused(folder: Path, scorer: Any, message: str) -> None:
    rewrite(folder, scorer=scorer)
    assert message in refusal(folder)


def test_arrays_that_do_not_fit_the_config_are_refused(folder: Path) -> None:
    arrays = load_file(folder / MODEL)
    save_file({**arrays, "item_bias": arrays["item_bias"][:-1]}, folder / MODEL)
    seal(folder)
    assert "item_bias must have the shape (30,), found (29,)" in refusal(folder)


def test_a_vocabulary_that_does_not_fit_the_model_is_refused(folder: Path) -> None:
    vocab = {f"items.{name}": array for name, array in Vocab(np.arange(3)).arrays().items()}
    save_file(vocab, folder / VOCAB)
    seal(folder)
    assert "3 ids for a model of 30 items" in refusal(folder)
    save_file({"items.other": np.arange(3)}, folder / VOCAB)
    seal(folder)
    assert "the items cannot be read" in refusal(folder)


def test_checksums_that_leave_a_file_out_are_refused(folder: Path) -> None:
    sums = json.loads((folder / CHECKSUMS).read_text())
    del sums[MODEL]
    files.write_json(folder / CHECKSUMS, sums)
    assert "not as it was written" in refusal(folder)


def test_a_newer_save_takes_the_place_of_the_older(folder: Path) -> None:
    write(folder, SCORERS["ease"], name="newer")
    found = artifact.load(folder)
    assert found.config["name"] == "newer"
    assert isinstance(found.scorer, ItemScorer)
    assert [path.name for path in folder.parent.iterdir()] == ["student"]


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of an array is written, then the disk is full, and the library says so in its own way."""

    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(files, "save_file", full)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, small_disk: None) -> None:
    with pytest.raises(ArtifactError, match=rf"{tmp_path / 'student'}: cannot be written.*free space") as caught:
        write(tmp_path / "student", SCORERS["ease"])
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_older_artifact_as_it_was(folder: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("small_disk")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write(folder, SCORERS["ease"])
    assert isinstance(artifact.load(folder).scorer, BagScorer)
    assert [path.name for path in folder.parent.iterdir()] == ["student"]


@pytest.mark.parametrize("late", [CHECKSUMS, CARD])
def test_an_interruption_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str) -> None:
    write_text = Path.write_text

    def interrupted(path: Path, *given: Any, **named: Any) -> int:
        if path.name == late:
            raise KeyboardInterrupt
        return write_text(path, *given, **named)

    monkeypatch.setattr(Path, "write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "student")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    with pytest.raises(ArtifactError, match="exists and is not an artifact, so it is left alone"):
        write(tmp_path / "photos")
    with pytest.raises(ArtifactError, match="exists and is not an artifact"):
        write(tmp_path / "photos" / "cat.jpg")
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "meow"


def test_vocabularies_that_do_not_fit_are_not_saved(tmp_path: Path) -> None:
    told: dict[str, Any] = {"kind": "two_tower", "name": "x", "trained_on": {}}
    with pytest.raises(ConfigError, match="4 item ids for a model of 30 items"):
        artifact.save(tmp_path / "x", SCORERS["student"], USERS, **told)
    with pytest.raises(ConfigError, match="30 user ids for a user table of 4 rows"):
        artifact.save(tmp_path / "x", SCORERS["teacher"], ITEMS, ITEMS, **told)
    with pytest.raises(ConfigError, match="user table of 4 rows, but no user ids were given"):
        artifact.save(tmp_path / "x", SCORERS["teacher"], ITEMS, None, **told)
    assert list(tmp_path.iterdir()) == []


TITLES_OF_ITEMS = [None if i == 4 else f"Fílm {i} | (19{i:02})" for i in range(N_ITEMS)]


@pytest.fixture
def titled(tmp_path: Path) -> Path:
    features = {"items": {"genre|s": {"kind": "list", "missing": 3, "levels": 18}}, "users": {}}
    return write(tmp_path / "titled", titles=TITLES_OF_ITEMS, features=features)


def test_titles_travel_with_a_model_and_are_no_part_of_its_bytes(titled: Path, folder: Path) -> None:
    found = artifact.load(titled)
    assert found.titles is not None and list(found.titles) == TITLES_OF_ITEMS
    assert found.config["bytes"] == artifact.load(folder).config["bytes"] == artifact.doctor(titled)["bytes"]
    assert list(json.loads((titled / CHECKSUMS).read_text())) == [*CHECKED, TITLES]
    assert artifact.doctor(titled)["titles"] == N_ITEMS - 1 and TITLES in artifact.doctor(titled)["files"]
    again = write(titled.parent / "again", titles=found.titles)
    assert (again / TITLES).read_bytes() == (titled / TITLES).read_bytes()


def test_an_artifact_without_titles_has_none(folder: Path) -> None:
    assert not (folder / TITLES).exists()
    assert artifact.load(folder).titles is None and artifact.doctor(folder)["titles"] is None
    assert "What else was known" not in (folder / CARD).read_text()


def test_the_card_tells_what_else_was_known_and_how_much_is_missing(titled: Path) -> None:
    card = (titled / CARD).read_text()
    assert "| of items | kind | missing | |\n|---|---|---|---|\n| genre\\|s | list | 3 | 18 levels |" in card
    assert "of users" not in card


def test_titles_that_were_changed_or_taken_away_are_refused(titled: Path) -> None:
    path = titled / TITLES
    whole = path.read_bytes()
    for place in {*range(0, len(whole), max(1, len(whole) // 60)), len(whole) - 1}:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert TITLES in refusal(titled)
    path.unlink()
    assert f"{TITLES}: missing" in refusal(titled)
    path.write_bytes(whole)
    seal(titled)  # leaves the titles out
    assert "not as it was written" in refusal(titled)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"bytes": np.zeros(0, np.uint8), "offsets": np.zeros(3, np.int64)}, "2 titles for 30 items"),
        ({"bytes": np.zeros(0, np.uint8), "offsets": np.zeros(0, np.int64)}, "the offsets do not fit the bytes"),
        ({"bytes": np.zeros(4, np.uint8), "offsets": np.array([0, 5, 4])}, "the offsets do not fit the bytes"),
        ({"bytes": np.zeros(4, np.uint8), "offsets": np.array([0, 3])}, "the offsets do not fit the bytes"),
        ({"bytes": np.zeros(4, np.float32), "offsets": np.array([0, 4])}, "the offsets do not fit the bytes"),
        ({"bytes": np.full(4, 0xFF, np.uint8), "offsets": np.array([0, 4])}, "the bytes are not UTF-8"),
        ({"bytes": np.frombuffer("é".encode(), np.uint8), "offsets": np.array([0, 1, 2])}, "lies within a letter"),
        ({"text": np.zeros(4, np.uint8)}, "stored as 'bytes' and 'offsets'; found"),
    ],
)
def test_titles_that_are_none_are_refused(titled: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    save_file(arrays, titled / TITLES)
    found = refusal(titled, verify=False)
    assert TITLES in found and message in found


def test_titles_that_do_not_fit_the_items_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2 titles for 30 items; give one for each, or None for it"):
        write(tmp_path / "x", titles=["a", "b"])
    assert list(tmp_path.iterdir()) == []


def test_doctor_counts_bytes_from_the_arrays(folder: Path) -> None:
    found = artifact.doctor(folder)
    assert found["bytes"] == found["bytes_claimed"] == N_ITEMS * (8 + 1) * 4
    assert found["codecs"] == {"item_table": "fp32"}
    assert found["files"][MODEL] == (folder / MODEL).stat().st_size


@pytest.mark.parametrize(("off", "fine"), [(4_000, True), (4_001, False), (-1_080, True)])
def test_doctor_fails_where_the_claim_is_off_by_more_than_four_kilobytes(folder: Path, off: int, fine: bool) -> None:
    rewrite(folder, bytes=1_080 + off)
    if fine:
        assert artifact.doctor(folder)["bytes_claimed"] == 1_080 + off
        return
    with pytest.raises(ArtifactError, match=r"claims 5081 bytes, its arrays hold 1080"):
        artifact.doctor(folder)


def test_doctor_refuses_a_claim_that_is_no_number(folder: Path) -> None:
    rewrite(folder, bytes="few")
    with pytest.raises(ArtifactError, match="claims 'few' bytes"):
        artifact.doctor(folder)
