"""The bytes of a table, whatever they are wrapped in: a plain file, gzip, zstd, bz2, or a member of an archive."""

from __future__ import annotations

import errno
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from recdistill.errors import DataError

MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
ENDINGS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}
STEP = 1 << 24


@dataclass(frozen=True, eq=False)
class Raw:
    """One table's bytes, opened anew at each call and unwrapped where they are compressed."""

    where: str
    """How errors call it."""
    name: str
    """The file's own name, such as ratings.csv.gz; `ending` looks behind what only says how it is wrapped."""
    open: Callable[[], Any]
    """A binary file of the bytes as they are stored."""
    path: Path | None = None
    """Where they lie as a file of their own, so that they can be mapped into memory."""

    @classmethod
    def of(cls, path: Path, where: str | None = None) -> Raw:
        return cls(where or str(path), path.name, lambda: path.open("rb"), path)

    @property
    def ending(self) -> str:
        """In lower case, without what says that the file is compressed: .csv for ratings.CSV.gz."""
        name = Path(self.name.lower())
        return name.with_suffix("").suffix if name.suffix in ENDINGS else name.suffix

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"compressed by {self.compression}",) if self.compression else ()

    @cached_property
    def compression(self) -> str | None:
        """gzip, zstd or bz2, by the first bytes; the name of the file plays no part."""
        with self._faults(), self.open() as stored:
            first = stored.read(4)
        return next((codec for magic, codec in MAGIC.items() if first.startswith(magic)), None)

    def head(self, size: int) -> bytes:
        """The first `size` bytes, or all where there are fewer."""
        with self._faults(), self._stream() as stream:
            return b"".join(_parts(stream, size))

    def buffer(self) -> pa.Buffer:
        """All bytes; mapped where they lie plain in a file, so that they need no memory of their own."""
        with self._faults():
            if self.path is not None and self.compression is None:
                if self.path.stat().st_size == 0:
                    return pa.py_buffer(b"")
                with pa.memory_map(str(self.path)) as mapped:
                    return mapped.read_buffer()
            grown = pa.BufferOutputStream()
            with self._stream() as stream:
                for part in _parts(stream):
                    grown.write(part)
            return grown.getvalue()

    def _stream(self) -> Any:
        stored = self.open()
        return pa.CompressedInputStream(pa.PythonFile(stored, "r"), self.compression) if self.compression else stored

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, pa.ArrowException) as bad:
            raise self._broken(bad) from None
        except OSError as bad:
            if bad.errno not in (None, errno.EINVAL):  # a seek to where nothing is
                raise  # the disk's fault, not the file's
            raise self._broken(bad) from None

    def _broken(self, fault: Exception) -> DataError:
        what = " ".join(str(fault).split())[:200] or type(fault).__name__
        return DataError(f"{self.where}: cannot be unpacked ({what}); the file is cut short or damaged. Get it again.")


def _parts(stream: Any, size: int | None = None) -> Iterator[bytes]:
    """What is read piece by piece, up to `size` bytes."""
    while size is None or size > 0:
        part = stream.read(STEP if size is None else min(size, STEP))
        if not part:
            return
        yield part
        size = None if size is None else size - len(part)
