from __future__ import annotations

from pathlib import Path

import pytest

from recdistill.cli import log_options
from recdistill.cli.main import build_parser
from recdistill.data.log import Log
from recdistill.data.splits import SPLITS
from recdistill.errors import ConfigError, DataError
from recdistill.runs import inputs
from recdistill.runs.config import RunConfig
from tests.conftest import tiny_frame


def configured(*words: str) -> RunConfig:
    return RunConfig.from_options(build_parser().parse_args(["run", "--out", "x", "--no-cache", *words]))


def read_log(config: RunConfig) -> Log:
    return inputs.read_log(config.data, config.filter)


def test_every_split_can_be_asked_for() -> None:
    assert {name.replace("-", "_") for name in log_options.SPLITS} == set(SPLITS)


def test_an_option_is_the_setting_that_it_names(tmp_path: Path) -> None:
    config = configured("--log", "a.csv", "--split", "user-folds", "--min-rating", "4", "--core", "5", "--drop-null")
    assert (config.data.log, config.data.drop_null, config.data.cache) == ("a.csv", True, False)
    assert config.split.name == "user-folds"
    assert config.filter.settings() == {"min_rating": 4.0, "core": 5}


def test_the_filters_come_before_the_split(tiny_log: Path) -> None:
    frame = tiny_frame()
    since = int(frame["timestamp"].quantile(0.3))
    log = read_log(configured("--log", str(tiny_log), "--set", f"filter.since={since}"))
    assert log.times is not None
    assert log.times.min() >= since
    assert log.n_rows == (frame["timestamp"] >= since).sum()


def test_a_date_may_be_set_like_any_setting() -> None:
    assert configured("--log", "a.csv", "--set", "filter.since=2015-01-31").filter.since == "2015-01-31"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ((), "global_time"),
        (("--split", "ratio"), "ratio"),
        (("--split", "leave-last-n", "--set", "split.n=2", "--set", "split.n_valid=1"), "leave_last_n"),
        (("--split", "user-folds", "--set", "split.folds=4"), "user_folds"),
    ],
)
def test_the_split_is_the_one_that_the_settings_name(tiny_log: Path, words: tuple[str, ...], name: str) -> None:
    config = configured("--log", str(tiny_log), *words)
    split = inputs.make_split(read_log(config), config)
    assert split.name == name
    assert (split.history == "train+valid") == (name == "leave_last_n")


def test_history_and_exclude_go_before_what_the_split_has(tiny_log: Path) -> None:
    config = configured("--log", str(tiny_log), "--split", "leave-last-n", "--history", "train")
    split = inputs.make_split(read_log(config), config)
    assert (split.history, split.exclude) == ("train", "train+valid")


def test_a_setting_of_another_split_is_refused(tiny_log: Path) -> None:
    config = configured("--log", str(tiny_log), "--split", "global-time", "--set", "split.folds=3")
    with pytest.raises(ConfigError, match=r"split\.folds: the split global_time has no such setting"):
        inputs.make_split(read_log(config), config)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--log", "a.csv", "--dataset", "ml-1m"), "give one of them"),
        (("--log", "a.csv", "--valid", "b.csv"), "give the test rows' file too"),
        (("--log", "a.csv", "--test", "b.csv", "--split-column", "split"), "leave the column out"),
        (("--log", "a.csv", "--set", "split.folds=3"), "name it by --split"),
        (("--log", "a.csv", "--split-column", "fold", "--split", "ratio"), "a log is split in one way"),
        (("--log", "a.csv", "--test", "b.csv", "--split", "ratio"), "a log is split in one way"),
        (("--log", "a.csv", "--set", "split.name=ratoi"), "Did you mean 'ratio'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(words: tuple[str, ...], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        configured(*words)


def test_no_log_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="no log: give --log FILE or --dataset NAME"):
        read_log(configured())


def test_three_files_are_the_parts_of_a_split(tmp_path: Path) -> None:
    frame = tiny_frame()
    parts = {"train": frame.iloc[::2], "valid": frame.iloc[1::4], "test": frame.iloc[3::4]}
    for part, rows in parts.items():
        rows.to_csv(tmp_path / f"{part}.csv", index=False)
    words = ("--log", "train.csv", "--valid", "valid.csv", "--test", "test.csv")
    config = configured(*(str(tmp_path / word) if word.endswith(".csv") else word for word in words))
    split = inputs.make_split(read_log(config), config)
    assert split.name == "given"
    assert split.train.n_rows == len(parts["train"].drop_duplicates(["user_id", "item_id"]))
    assert split.valid is not None
    assert set(split.test.user_ids.tolist()) == set(parts["test"]["user_id"])


def test_the_fingerprint_is_of_what_is_in_the_files(tmp_path: Path) -> None:
    tiny_frame().to_csv(tmp_path / "a.csv", index=False)
    tiny_frame().to_csv(tmp_path / "b.csv", index=False)
    keep = tmp_path / "keep.txt"
    keep.write_text("1\n2\n")
    one = inputs.fingerprints(configured("--log", str(tmp_path / "a.csv"), "--set", f"filter.items={keep}"))
    two = inputs.fingerprints(configured("--log", str(tmp_path / "b.csv"), "--set", f"filter.items={keep}"))
    assert one == two
    keep.write_text("1\n3\n")
    assert inputs.fingerprints(configured("--log", str(tmp_path / "b.csv"), "--set", f"filter.items={keep}")) != two


def test_a_list_that_is_not_there_is_refused(tiny_log: Path) -> None:
    with pytest.raises(DataError, match="one id in each line"):
        inputs.fingerprints(configured("--log", str(tiny_log), "--set", "filter.users=nowhere.txt"))


def test_a_name_given_to_the_logs_items_counts_for_the_table_of_items_too(tmp_path: Path) -> None:
    frame = tiny_frame().rename(columns={"item_id": "Artikel"})
    frame.to_csv(tmp_path / "log.csv", index=False)
    names = frame["Artikel"].drop_duplicates()
    names.to_frame().assign(title=names.str.upper()).to_csv(tmp_path / "goods.csv", index=False)
    words = ("--log", str(tmp_path / "log.csv"), "--items", str(tmp_path / "goods.csv"), "--columns", "item_id=Artikel")
    log = read_log(configured(*words))
    assert log.item_features is not None
    assert log.item_features.titles(log.items)[0] == log.items.ids()[0].upper()  # type: ignore[index]
