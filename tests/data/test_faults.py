from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from recdistill.data.log import Log
from recdistill.data.readers import read_interactions
from recdistill.errors import DataError, RecdistillError
from tests.data.fault_kinds import FAULTS, N_ROWS, ROWS, text


def test_there_are_enough_kinds_and_the_valid_log_is_valid() -> None:
    assert len(FAULTS) >= 60
    assert len(set(ROWS)) == len({row[:2] for row in ROWS}) == N_ROWS


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_in_a_valid_log_gives_the_right_result_or_one_line(tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    path = fault.put(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    if fault.refused is not None:
        with pytest.raises(DataError, match=fault.refused) as refused:
            read_interactions(path, **fault.settings)
        assert str(refused.value).startswith(str(path).partition("!")[0])
        assert "\n" not in str(refused.value)
    else:
        log = read_interactions(path, **fault.settings).ordered()
        assert log.n_rows == fault.rows
        assert all(one in log.users.ids().tolist() or one in log.items.ids().tolist() for one in fault.holds)
        assert re.search(fault.said, "\n".join(log.notes))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("seed", range(200))
def test_a_changed_byte_never_gives_a_traceback(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    stored = bytearray(text(ROWS[:60]).encode())
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(stored))
        match draw.randrange(4):
            case 0:
                stored[place] = draw.randrange(256)
            case 1:
                del stored[place : place + draw.randint(1, 20)]
            case 2:
                stored[place:place] = draw.randbytes(draw.randint(1, 5))
            case _:
                del stored[max(place, 1) :]
    path = tmp_path / "log.csv"
    path.write_bytes(stored)
    log, said = outcome(path)
    if log is None:
        assert said.startswith(str(path))
        assert "\n" not in said
    else:
        headed = not any("no header" in note for note in log.notes)
        assert log.n_rows == sum(bool(line.strip()) for line in re.split(rb"[\r\n]+", bytes(stored))) - headed


@pytest.mark.parametrize("name", ["gzip", "zstd", "a zip with one log", "Parquet", "JSON lines", "SQLite"])
def test_changed_bytes_of_other_formats_never_give_a_traceback(tmp_path: Path, name: str) -> None:
    path = FAULTS[name].put(tmp_path)
    whole, draw = path.read_bytes(), random.Random(0)
    for _ in range(30):
        stored = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            stored[draw.randrange(len(stored))] ^= 1 << draw.randrange(8)
        path.write_bytes(stored[: draw.choice((len(stored), draw.randrange(1, len(stored))))])
        log, said = outcome(path)
        assert said.startswith(str(path)) if log is None else log.n_rows == N_ROWS
        assert "\n" not in said


def outcome(path: Path) -> tuple[Log | None, str]:
    try:
        return read_interactions(path), ""
    except RecdistillError as refused:
        return None, str(refused)
