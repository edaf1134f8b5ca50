from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from recdistill.data.formats.raw import Raw
from recdistill.errors import DataError

TEXT = b"user_id,item_id\n" + b"".join(b"%d,%d\n" % (row, row * 7) for row in range(5_000))
WRAPPED = {
    "log.csv.gz": gzip.compress(TEXT),
    "log.csv.bz2": bz2.compress(TEXT),
    "log.csv.zst": pa.compress(TEXT, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("name", ["log.csv", *WRAPPED])
def test_the_bytes_are_the_same_however_they_are_wrapped(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(WRAPPED.get(name, TEXT))
    raw = Raw.of(path)
    assert raw.buffer().to_pybytes() == TEXT
    assert raw.head(20) == TEXT[:20]
    assert raw.head(1 << 20) == TEXT
    assert raw.ending == ".csv"
    assert bool(raw.notes) == (name != "log.csv")


def test_compression_is_seen_by_the_bytes_and_not_by_the_name(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(WRAPPED["log.csv.gz"])
    assert Raw.of(path).buffer().to_pybytes() == TEXT
    assert Raw.of(path).notes == ("compressed by gzip",)
    (tmp_path / "plain.csv.gz").write_bytes(TEXT)
    assert Raw.of(tmp_path / "plain.csv.gz").buffer().to_pybytes() == TEXT


def test_several_compressed_pieces_in_a_row_are_one_text(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:]))
    assert Raw.of(path).buffer().to_pybytes() == TEXT


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("kept", [10, 0.5, -3])
def test_a_compressed_file_that_is_cut_short_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    whole = WRAPPED[name]
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(DataError, match=r"cannot be unpacked .*cut short or damaged") as refused:
        Raw.of(path).buffer()
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_damaged_member_of_an_archive_is_refused() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log.csv", TEXT)
    damaged = bytearray(packed.getvalue())
    damaged[len(damaged) // 2] ^= 0xFF
    with zipfile.ZipFile(io.BytesIO(bytes(damaged))) as archive:
        raw = Raw("some.zip!log.csv", "log.csv", lambda: archive.open("log.csv"))
        with pytest.raises(DataError, match=r"some\.zip!log\.csv: cannot be unpacked"):
            raw.buffer()


def test_an_empty_file_has_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"")
    assert Raw.of(tmp_path / "log.csv").buffer().size == 0
