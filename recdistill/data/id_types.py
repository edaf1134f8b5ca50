"""Id columns of unusual types, made into the integers and strings that ids are: UUIDs, bytes, large decimals."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.errors import DataError


def plain_ids(column: pa.ChunkedArray, at: str) -> pa.ChunkedArray:
    """The column as it is, unless its type is one of those above."""
    kind = column.type
    if isinstance(kind, pa.ExtensionType | pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return _spelled_uuids(pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type))
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        return plain_ids(column, at)
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        return _spelled_uuids(column)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _text(column, at)
    if pa.types.is_decimal(kind) and kind.scale == 0:
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:  # larger than 64 bits
            return column.cast(pa.string())
    return column


def _spelled_uuids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    encoded = column.dictionary_encode().unify_dictionaries()
    if not encoded.num_chunks:
        return pa.chunked_array([], pa.string())
    spelled = pa.array([str(uuid.UUID(bytes=one)) for one in encoded.chunk(0).dictionary.to_pylist()], pa.string())
    return pa.chunked_array([spelled.take(chunk.indices) for chunk in encoded.chunks])


def _text(column: pa.ChunkedArray, at: str) -> pa.ChunkedArray:
    if pa.types.is_fixed_size_binary(column.type):
        column = column.cast(pa.binary())
    try:
        return column.cast(pa.large_string())
    except (pa.ArrowInvalid, UnicodeDecodeError):
        lengths = f"such as {column[0].as_py()[:20]!r}" if pc.is_valid(column[0]).as_py() else ""
        raise DataError(f"{at} holds bytes that are no UTF-8 text {lengths}; ids are integers or strings.") from None
