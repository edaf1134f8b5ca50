"""Parquet: a file, or a folder of files, partitioned (`year=2020/…`) or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import dataset, parquet

from recdistill.data.chunks import BATCH, HasNulls, Numbers, gathered
from recdistill.data.formats.base import Source
from recdistill.data.formats.raw import Raw
from recdistill.errors import DataError

T = TypeVar("T")
ENDINGS = (".parquet", ".pq")


class Parquet(Source):
    """One file; only the columns that are wanted are read."""

    columnar = True

    def __init__(self, raw: Raw) -> None:
        self.raw, self.where, self.notes = raw, raw.where, raw.notes
        self.names = _whole(self.where, lambda: parquet.ParquetFile(self._file()).schema_arrow).names

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        table = _whole(self.where, lambda: self._read(list(dict.fromkeys(wanted.values()))))
        return {role: table[name] for role, name in wanted.items()}

    def numbers(self, name: str, kinds: Mapping[str, Any]) -> Numbers | None:
        return _whole(self.where, lambda: self._gathered(name, kinds))

    def _gathered(self, name: str, kinds: Mapping[str, Any]) -> Numbers | None:
        file = self._open()
        dtype = _wanted(file.schema_arrow.field(name).type, kinds)
        if dtype is None:
            return None
        batches = file.iter_batches(BATCH, columns=[name], use_threads=False)
        try:
            return gathered((batch.column(0) for batch in batches), file.metadata.num_rows, dtype)
        except HasNulls:
            return None

    def _open(self) -> parquet.ParquetFile:
        return parquet.ParquetFile(self._file(), page_checksum_verification=True)

    def _file(self) -> Path | pa.BufferReader:
        plain = self.raw.path is not None and self.raw.compression is None
        return self.raw.path if plain else pa.BufferReader(self.raw.buffer())

    def _read(self, names: list[str]) -> pa.Table:
        """A single column by this thread alone: others read the other columns meanwhile."""
        table = self._open().read(columns=names, use_threads=len(names) > 1)
        table.validate()
        return table


class ParquetFolder(Source):
    """Files with the same columns, in the order of their names; the partitions' columns come from the folders."""

    columnar = True

    def __init__(self, path: Path, files: Sequence[Path]) -> None:
        self.path, self.where = path, str(path)
        self.schema = self._one_schema(files)
        self.dataset = _whole(self.where, lambda: self._dataset(files))
        self.names = self.dataset.schema.names
        self.notes = (f"{len(files):,} Parquet {'file' if len(files) == 1 else 'files'}",)

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        table = _whole(self.where, lambda: self.dataset.to_table(columns=list(dict.fromkeys(wanted.values()))))
        return {role: table[name] for role, name in wanted.items()}

    def _dataset(self, files: Sequence[Path]) -> dataset.Dataset:
        """Partition columns are those of the folders; the files' own win where both have one."""
        parts = dataset.partitioning(flavor="hive")
        found = dataset.dataset([str(file) for file in files], format="parquet", partitioning=parts)
        folders = [field for field in found.schema if field.name not in self.schema.names]
        schema = pa.schema([*self.schema, *folders])
        return dataset.dataset([str(file) for file in files], schema=schema, format="parquet", partitioning=parts)

    def _one_schema(self, files: Sequence[Path]) -> pa.Schema:
        schemas = {file: _schema(file) for file in files}
        first, one = next(iter(schemas.items()))
        for file, other in schemas.items():
            if set(other.names) != set(one.names):
                odd = sorted(set(other.names) ^ set(one.names))
                raise DataError(
                    f"{self.where}: its files have different columns: {odd[0]!r} is in one of {first.name} and "
                    f"{file.name} alone. Give one of the files, or write them again with the same columns."
                )
        try:
            plain = [schema.remove_metadata() for schema in schemas.values()]
            return pa.unify_schemas(plain, promote_options="permissive")
        except pa.ArrowException as fault:
            what = " ".join(str(fault).split())
            raise DataError(
                f"{self.where}: its files have columns of different types: {what[:200]}. Write them with one type."
            ) from None


def _wanted(kind: pa.DataType, kinds: Mapping[str, Any]) -> Any:
    """The type that plain numbers of this kind are wanted in; None for all else."""
    plain = pa.types.is_int32(kind) or pa.types.is_int64(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    return kinds.get(kind.to_pandas_dtype()().dtype.kind) if plain else None


def parquet_files(folder: Path) -> list[Path]:
    """Those in `folder` and below, by name; what begins with `.` or `_` is left alone, as everywhere."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    return sorted(path for path in found if not any(part[0] in "._" for part in path.relative_to(folder).parts))


def are_one(files: Sequence[Path]) -> bool:
    """Whether files are meant as one table: parts in folders, or all with the same columns."""
    beside = len({file.parent for file in files}) == 1
    return not beside or len({frozenset(_schema(file).names) for file in files}) == 1


def _schema(file: Path) -> pa.Schema:
    return _whole(str(file), lambda: parquet.read_schema(file))


def _whole(where: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (pa.ArrowException, OSError, ValueError) as fault:
        if isinstance(fault, OSError) and fault.errno:
            raise  # the disk's fault, not the file's
        what = " ".join(str(fault).split())
        raise DataError(f"{where}: not a whole Parquet file: {what[:200]}. Write it again.") from None
