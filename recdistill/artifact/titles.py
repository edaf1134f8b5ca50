"""What people call the items: UTF-8 bytes and offsets, one title after the other, read with numpy alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import numpy as np

from recdistill.errors import DataError


class Titles:
    """One title for each row of an item vocabulary; an empty one is not known, and comes back as None."""

    def __init__(self, blob: bytes, offsets: np.ndarray) -> None:
        self._blob, self._offsets = blob, offsets

    @classmethod
    def of(cls, titles: Iterable[str | None]) -> Titles:
        encoded = [(one or "").encode("utf-8", "replace") for one in titles]
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(one) for one in encoded], out=offsets[1:])
        return cls(b"".join(encoded), offsets)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Titles:
        """The inverse of `arrays`; raises DataError where they are not what it wrote."""
        if set(arrays) != {"bytes", "offsets"}:
            raise DataError(f"titles: stored as 'bytes' and 'offsets'; found {sorted(arrays)}.")
        raw, offsets = arrays["bytes"], arrays["offsets"]
        whole = raw.dtype == np.uint8 and offsets.dtype == np.int64 and raw.ndim == offsets.ndim == 1 and len(offsets)
        if not whole or offsets[0] != 0 or offsets[-1] != len(raw) or (np.diff(offsets) < 0).any():
            raise DataError("titles: the offsets do not fit the bytes; the file was changed or cut.")
        blob = raw.tobytes()
        try:
            blob.decode()
        except UnicodeDecodeError as fault:
            raise DataError(f"titles: the bytes are not UTF-8 ({fault.reason}); the file was changed.") from None
        inside = offsets[offsets < len(raw)]
        if ((raw[inside] & 0xC0) == 0x80).any():
            raise DataError("titles: an offset lies within a letter; the file was changed.")
        return cls(blob, offsets)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"bytes": np.frombuffer(self._blob, dtype=np.uint8), "offsets": self._offsets}

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> str | None:
        return self._blob[self._offsets[row] : self._offsets[row + 1]].decode() or None

    def __iter__(self) -> Iterator[str | None]:
        return (self[row] for row in range(len(self)))

    def rows(self, title: str) -> list[int]:
        """The rows of exactly this title: none, one, or several where items share it."""
        return self._rows_of.get(title, [])

    def holding(self, text: str) -> list[int]:
        """The rows whose title holds `text`, whatever the case: the same title first, then those that begin with it."""
        text = text.casefold().strip()
        found = [(row, (one or "").casefold()) for row, one in enumerate(self)]
        hits = [(one != text, not one.startswith(text), row) for row, one in found if one and text in one]
        return [row for *_, row in sorted(hits)]

    @cached_property
    def _rows_of(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row, one in enumerate(self):
            if one is not None:
                found.setdefault(one, []).append(row)
        return found
