"""Bad input is one clear line with the file and the fault, exit code 2, and nothing under the final name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recdistill.cli.main import main
from tests.conftest import tiny_frame, with_split

Capture = pytest.CaptureFixture[str]


def refused(words: list[str], capsys: Capture) -> str:
    """The one line that a refused command prints."""
    assert main(words) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def frame_with(change: Callable[[pd.DataFrame], object]) -> Callable[[], pd.DataFrame]:
    def build() -> pd.DataFrame:
        frame = with_split(tiny_frame())
        changed = change(frame)
        return frame if changed is None else changed  # type: ignore[return-value]

    return build


FAULTS: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "no such column": (frame_with(lambda f: f.rename(columns={"item_id": "thing"})), "no column 'item_id'"),
    "null ids": (frame_with(lambda f: f.assign(user_id=f.user_id.where(f.index != 7))), "user_id"),
    "a column of the wrong type": (frame_with(lambda f: f.assign(timestamp="yesterday")), "timestamp"),
    "ids that are fractions": (frame_with(lambda f: f.assign(item_id=np.arange(len(f)) + 0.5)), "item_id"),
    "an unknown split value": (frame_with(lambda f: f.assign(split=f.split.where(f.index != 7, "tset"))), "tset"),
    "a split column with no test": (frame_with(lambda f: f.assign(split="train")), "no test rows"),
    "one user": (frame_with(lambda f: f.assign(user_id="u1")), "only one user"),
    "one item": (frame_with(lambda f: f.assign(item_id="i1")), "only one item"),
    "no rows": (frame_with(lambda f: f.iloc[:0]), "no rows"),
}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_log_that_cannot_be_used_is_refused(fault: str, suffix: str, tmp_path: Path, capsys: Capture) -> None:
    build, message = FAULTS[fault]
    path = tmp_path / f"log.{suffix}"
    build().to_csv(path, index=False) if suffix == "csv" else build().to_parquet(path)
    line = refused(["run", "--log", str(path), "--split-column", "split", "--out", str(tmp_path / "out")], capsys)
    assert message in line
    assert path.name in line
    assert not (tmp_path / "out" / "report.json").exists()
    assert not list((tmp_path / "out").rglob("step.json"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"user_id,item_id\n1,2,3,4\n5,6\n", "log.csv"),
        (b"PAR1garbage", "log.csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    content: bytes | None, message: str, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "log.csv"
    if content is not None:
        path.write_bytes(content)
    assert message in refused(["run", "--log", str(path), "--out", str(tmp_path / "out")], capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "teacher.dimm=3"], "Did you mean 'dim'"),
        (["--set", "techer.dim=3"], "Did you mean 'teacher'"),
        (["--set", "teacher.kind=easy"], "Did you mean 'ease'"),
        (["--set", "baselines=ease,alss"], "Did you mean 'als'"),
        (["--set", "compress=int9"], "int8"),
        (["--set", "teacher.dim=many"], "expected a whole number"),
        (["--set", "student.user_id=true"], "people it has never seen"),
        (["--set", "student.kind=ease"], "only 'two_tower'"),
        (["--set", "dim"], "name=value"),
        (["--k", "5,1000"], "the catalogue has 48 items"),
        (["--k", "ten"], "whole numbers"),
        (["--seeds", "0"], "at least 1"),
        (["--minutes", "-1"], "above 0"),
        (["--memory", "lots"], "16GB"),
        (["--columns", "user_id"], "user_id=yours"),
        (["--columns", "usr_id=user_id"], "user_id"),
        (["--columns", "user_id=nope"], "'timestamp']. Name one of these."),
        (["--columns", "user_id=userid"], "Did you mean 'user_id'?"),
        (["--config", "none.toml"], "no such file"),
        (["--split-column", "part"], "no column 'part'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    words: list[str], message: str, tiny_log: Path, tmp_path: Path, capsys: Capture
) -> None:
    line = refused(["run", "--log", str(tiny_log), "--out", str(tmp_path / "out"), *words], capsys)
    assert message in line
    assert not (tmp_path / "out" / "report.json").exists()


ITEMS = [f"item {n}" for n in range(48)]
WITH_FEATURES = ["--set", "student.item_features=true", "--set", "teacher.kind=popularity"]


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"item_id": ITEMS, **columns})


TABLES: dict[str, tuple[pd.DataFrame, str]] = {
    "of other ids": (pd.DataFrame({"item_id": ["x", "y"], "size": [1, 2]}), "no row is of any of the log's 48 items"),
    "without ids": (pd.DataFrame({"name": ["x", "y"]}), "no column for item_id; found ['name']"),
    "without a column": (table(), "has no column beside 'item_id'"),
    "all missing": (table(size=np.nan), "no column can be used as a feature (column 'size' is empty: left out)"),
    "an empty text": (table(plot=" "), "no feature can be used ("),
    "constant": (table(size=3.5), "no feature can be used ("),
    "known of no item of the log": (
        pd.concat([table(size=np.nan), pd.DataFrame({"item_id": ["x"], "size": [1.0]})]), "no row that is fitted on"
    ),
    "two rows of an item that differ": (
        pd.concat([table(size=1.0), pd.DataFrame({"item_id": ["item 3"], "size": [2.0]})]),
        "differ in 'size' (1.0, 2.0)",
    ),
    "an infinite number": (table(size=[np.inf, *range(47)]), "column 'size' holds inf in data row 1"),
    "vectors of another length": (table(v=[[1.0, 2.0]] * 47 + [[1.0]]), "has 1 numbers in data row 48, 2 in rows"),
    "a vector with a hole": (table(v=[[1.0, 2.0]] * 47 + [[1.0, np.nan]]), "not finite in data row 48"),
}  # fmt: skip


@pytest.mark.parametrize("fault", TABLES)
def test_a_table_that_cannot_be_learned_from_is_refused_before_training(
    fault: str, tiny_split_log: Path, tmp_path: Path, capsys: Capture
) -> None:
    items, message = TABLES[fault]
    items.to_parquet(tmp_path / "items.parquet")
    words = ["--items", str(tmp_path / "items.parquet"), "--split-column", "split", *WITH_FEATURES]
    line = refused(["run", "--log", str(tiny_split_log), "--out", str(tmp_path / "out"), *words], capsys)
    assert message in line and "items.parquet" in line
    assert not (tmp_path / "out" / "steps" / "teacher").exists()


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_features_without_a_table_are_refused_before_training(
    role: str, tiny_split_log: Path, tmp_path: Path, capsys: Capture
) -> None:
    words = ["--split-column", "split", "--set", f"{role}.item_features=true"]
    line = refused(["run", "--log", str(tiny_split_log), "--out", str(tmp_path / "out"), *words], capsys)
    assert "item_features = true, and nothing is known of the items" in line and "data.items in a run" in line
    assert not (tmp_path / "out" / "steps" / "teacher").exists()


def test_an_unknown_verb_names_the_nearest(capsys: Capture) -> None:
    assert "Did you mean 'run'" in refused(["rum"], capsys)


@pytest.mark.parametrize(
    "words", [["run"], ["run", "--out", "x", "--frobnicate"], ["run", "--out", "x", "--device", "tpu"]]
)
def test_words_that_the_command_line_does_not_know_are_one_line(words: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main(words)
    assert exit_code.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_run_without_a_log_says_what_to_give(tmp_path: Path, capsys: Capture) -> None:
    assert "give --log FILE" in refused(["run", "--out", str(tmp_path / "out")], capsys)


@pytest.mark.parametrize("verb", ["doctor", "recommend", "report"])
def test_a_folder_that_is_not_what_the_verb_reads_is_refused(verb: str, tmp_path: Path, capsys: Capture) -> None:
    assert str(tmp_path) in refused([verb, str(tmp_path)], capsys)


def test_an_out_folder_that_holds_other_files_is_refused(tiny_log: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    line = refused(["run", "--log", str(tiny_log), "--out", str(tmp_path / "out")], capsys)
    assert "not of a run" in line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["letter.txt"]


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    from recdistill.errors import RecdistillError

    with pytest.raises(RecdistillError):
        main(["doctor", str(tmp_path), "--debug"])


def test_a_disk_that_is_full_is_one_line_and_leaves_nothing_half_written(
    tiny_log: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    from recdistill import files

    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(files, "save_file", full)
    line = refused(["run", "--log", str(tiny_log), "--out", str(tmp_path / "out")], capsys)
    assert "No space left on device" in line
    assert "free space" in line
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert not list((tmp_path / "out").rglob("step.json"))
