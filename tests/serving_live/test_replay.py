"""What people did while the service ran becomes a log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recdistill as rd
from recdistill.cli.main import main
from recdistill.errors import ConfigError, DataError
from recdistill.serving.events import Event, Events
from recdistill.serving.replay import export_events

NOON = 1_700_000_000.0


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "student.serving"


@pytest.fixture
def events(state: Path) -> Iterator[Events]:
    opened = Events(state / "events.sqlite")
    yield opened
    opened.close()


def append(events: Events, *given: tuple) -> None:
    asyncio.run(events.append([Event(*one) for one in given]))


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_events_are_read_as_a_log_while_the_service_runs(
    events: Events, state: Path, tmp_path: Path, ending: str
) -> None:
    append(events, (7, 10, NOON + 1), ("7", 20, NOON), (8, "10", NOON + 2))
    out = tmp_path / f"log{ending}"
    assert export_events(state, out) == {"events": 3}
    log = rd.read_interactions(out)
    assert log.users.ids(log.user_rows).tolist() == [7, 7, 8]
    assert log.items.ids(log.item_rows).tolist() == [20, 10, 10]
    assert log.times is not None and log.times.tolist() == [NOON, NOON + 1, NOON + 2] and log.values is None
    append(events, (8, 30, NOON + 3))
    assert export_events(state, out) == {"events": 4}, "also what has not left the write-ahead log"


def test_one_text_among_the_ids_makes_all_of_them_text(events: Events, state: Path, tmp_path: Path) -> None:
    append(events, (7, 10, NOON), ("ann", 20, NOON), ("07", 20, NOON))
    export_events(state, tmp_path / "log.parquet")
    found = pd.read_parquet(tmp_path / "log.parquet")
    assert found["user_id"].tolist() == ["7", "ann", "07"] and found["item_id"].tolist() == [10, 20, 20]


def test_values_are_ratings_and_missing_ones_are_filled_or_refused(events: Events, state: Path, tmp_path: Path) -> None:
    append(events, (7, 10, NOON, 4.5), (7, 20, NOON))
    with pytest.raises(DataError, match=r"1 of 2 events have no value, other rows have. Say --value"):
        export_events(state, tmp_path / "log.parquet")
    export_events(state, tmp_path / "log.parquet", value=3)
    assert pd.read_parquet(tmp_path / "log.parquet")["rating"].tolist() == [4.5, 3.0]


@pytest.mark.parametrize("text", [False, True])
def test_the_old_log_comes_before_the_events(events: Events, state: Path, tmp_path: Path, text: bool) -> None:
    old = pd.DataFrame({"user": [1, 2], "movieId": ["a", "b"] if text else [10, 20], "timestamp": [10**9, 10**9 + 1]})
    old.to_csv(tmp_path / "old.csv", index=False)
    append(events, (2, "10", NOON))
    assert export_events(state, tmp_path / "new.parquet", log=tmp_path / "old.csv") == {"log": 2, "events": 1}
    log = rd.read_interactions(tmp_path / "new.parquet")
    assert log.users.ids(log.user_rows).tolist() == [1, 2, 2]
    assert log.items.ids(log.item_rows).tolist() == (["a", "b", "10"] if text else [10, 20, 10])
    assert np.asarray(log.times).tolist() == [10**9, 10**9 + 1, NOON]


def test_events_and_an_old_log_share_their_ratings(events: Events, state: Path, tmp_path: Path) -> None:
    old = pd.DataFrame({"user_id": [1, 2], "item_id": [10, 20], "rating": [5.0, 4.0], "timestamp": 10**9})
    old.to_csv(tmp_path / "old.csv", index=False)
    append(events, (2, 10, NOON))
    with pytest.raises(DataError, match="1 of 1 events have no value"):
        export_events(state, tmp_path / "new.csv", log=tmp_path / "old.csv")
    export_events(state, tmp_path / "new.csv", log=tmp_path / "old.csv", value=1)
    assert rd.read_interactions(tmp_path / "new.csv").values.tolist() == [5.0, 4.0, 1.0]
    old.assign(timestamp=[1, 2]).to_csv(tmp_path / "old.csv", index=False)
    with pytest.raises(DataError, match="its times are an order, events have dates"):
        export_events(state, tmp_path / "new.csv", log=tmp_path / "old.csv")
    old.drop(columns="timestamp").to_csv(tmp_path / "old.csv", index=False)
    with pytest.raises(DataError, match="has no times, and events have"):
        export_events(state, tmp_path / "new.csv", log=tmp_path / "old.csv")


def test_the_command_line_finds_the_events_of_an_artifact(
    events: Events, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    append(events, (7, 10, NOON))
    out = tmp_path / "log.parquet"
    for place in (tmp_path / "student", state, state / "events.sqlite"):
        assert main(["events", "export", str(place), "--out", str(out)]) == 0
        assert capsys.readouterr().out == f"1 events written: recdistill run --log {out} --out runs/next\n"
    monkeypatch.chdir(state)
    assert main(["events", "export", ".", "--out", str(out)]) == 0
    assert main(["events", "export", "/", "--out", str(out)]) == 2
    capsys.readouterr()
    assert main(["events", "export", str(tmp_path / "other"), "--out", str(out)]) == 2
    assert "no events.sqlite in it nor beside it" in capsys.readouterr().err
    assert main(["events"]) == 2
    assert "say what to do: export" in capsys.readouterr().err


def test_what_cannot_be_exported_is_refused(events: Events, state: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no events yet"):
        export_events(state, tmp_path / "log.csv")
    with pytest.raises(ConfigError, match=r"log.xlsx: must end in .parquet or .csv"):
        export_events(state, tmp_path / "log.xlsx")
    (tmp_path / "text").write_text("no database")
    with pytest.raises(DataError, match="cannot be read as a file of events: file is not a database"):
        export_events(tmp_path / "text", tmp_path / "log.csv")
    assert not list(tmp_path.glob("*log*"))
