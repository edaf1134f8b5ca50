"""The split that someone else has made: a column of the log, or a log for each part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recdistill.data.concatenate import concatenate
from recdistill.data.log import Log
from recdistill.data.split import Split
from recdistill.data.splitters.base import split_by
from recdistill.errors import DataError


def given(log: Log) -> Split:
    """The split that a column of the log names."""
    if log.split is None:
        raise DataError(f"{log.source}: no split column was read. Pass split_column=, or split by time or per user.")
    log = log.ordered()
    assert log.split is not None
    split = split_by(log, log.split, "given", "given by the split column of the log")
    return replace(split, notes=(*split.notes, *_repeated(split)))


def given_logs(train: Log, test: Log, valid: Log | None = None) -> Split:
    """The split of logs that were read one by one, with common vocabularies."""
    parts = {"train": train, "test": test} | ({} if valid is None else {"valid": valid})
    split = given(concatenate(parts))
    return replace(split, notes=("given by a log for each part", *split.notes[1:]))


def _repeated(split: Split) -> tuple[str, ...]:
    """Only where others have split may a test row stand in train too."""
    known = np.flatnonzero(split.test.user_rows >= 0)
    own = split.train.csr()[split.test.user_rows[known]]
    again = int(own.multiply(split.test.relevant[known]).nnz)
    rows = int(split.test.relevant_count.sum())
    what = f"of {rows:,} test rows are in train too; what train holds is not recommended, yet they count"
    return (f"{again:,} {what}",) if again else ()
