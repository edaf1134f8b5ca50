"""Events made into a log that `recdistill run` reads, alone or after the log that the model was trained on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recdistill.errors import ConfigError, DataError
from recdistill.files import whole_file
from recdistill.serving.events import FILE, LEAST_TIME, same
from recdistill.serving.generation_store import state_of

if TYPE_CHECKING:
    import pyarrow as pa

    from recdistill.data.log import Log

ENDINGS = (".parquet", ".csv")
BATCH = 100_000
ROWS = "select user_id, item_id, timestamp, rating from events order by timestamp, id"


def find_events(place: str | Path) -> Path:
    """The file of events of a state folder, of the artifact that is served, or the file itself."""
    place = Path(place)
    whole = place.absolute()
    for path in (whole, whole / FILE, state_of(whole) / FILE):
        if path.is_file():
            return path
    raise DataError(f"{place}: no {FILE} in it nor beside it. Give the service's state, FOLDER.serving by default.")


def export_events(
    place: str | Path, out: str | Path, *, log: str | Path | None = None, value: float | None = None
) -> dict[str, int]:
    """Write Parquet or CSV of user_id, item_id, timestamp and, where there are such, rating; rows by their source.

    Events are taken as they are at one moment, in the order of time, while the service goes on. Ids are integers where
    all of them are, or spell one; else they are text. With `log`, its rows come first. `value` is the rating of events
    that have none, where others have; without it a mixture is refused. Raises DataError, ConfigError.
    """
    out = Path(out)
    if out.suffix not in ENDINGS:
        raise ConfigError(f"{out}: must end in {' or '.join(ENDINGS)}.")
    before = _read_log(log)
    path = find_events(place)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as events:
            events.execute("begin")  # one moment, whatever is appended meanwhile
            count, rated = events.execute("select count(*), count(rating) from events").fetchone()
            if not count:
                raise DataError(f"{path}: holds no events yet.")
            filled = _filling(path, count, rated, value, before)
            schema = _schema(events, before, rated=filled is not None)
            tables = _tables(events, schema, filled)
            with whole_file(out) as unfinished:
                _write(unfinished, out.suffix, schema, _log_tables(before, schema), tables)
    except sqlite3.Error as fault:
        raise DataError(f"{path}: cannot be read as a file of events: {fault}.") from fault
    return {"events": count} if before is None else {"log": before.n_rows, "events": count}


def _read_log(log: str | Path | None) -> Log | None:
    if log is None:
        return None
    from recdistill.data.readers import read_interactions

    found = read_interactions(log)
    if found.times is None:
        raise DataError(f"{log}: has no times, and events have; write the events alone, without a log.")
    if found.times.max() < LEAST_TIME:
        raise DataError(f"{log}: its times are an order, events have dates; write the events alone, without a log.")
    return found


def _filling(path: Path, count: int, rated: int, value: float | None, before: Log | None) -> float | None:
    """The rating of events that have none; None where the log is to have no ratings."""
    wanted = rated > 0 if before is None else before.values is not None
    if not wanted:
        return None
    if value is None and rated < count:
        raise DataError(f"{path}: {count - rated:,} of {count:,} events have no value, other rows have. Say --value.")
    return 0.0 if value is None else value


def _schema(events: sqlite3.Connection, before: Log | None, *, rated: bool) -> pa.Schema:
    import pyarrow as pa

    fields = []
    for name in ("user_id", "item_id"):
        vocab = None if before is None else before.users if name == "user_id" else before.items
        whole = vocab is None or vocab.kind == "int64"
        distinct = events.execute(f"select distinct {name} from events")
        integers = whole and all(isinstance(same(one), int) for (one,) in distinct)
        fields.append((name, pa.int64() if integers else pa.string()))
    fields.append(("timestamp", pa.float64()))
    return pa.schema(fields + ([("rating", pa.float32())] if rated else []))


def _tables(events: sqlite3.Connection, schema: pa.Schema, filled: float | None) -> Iterator[pa.RecordBatch]:
    cursor = events.execute(ROWS)
    while rows := cursor.fetchmany(BATCH):
        users, items, times, values = zip(*rows, strict=True)
        columns = [_ids(users, schema.field("user_id")), _ids(items, schema.field("item_id")), times]
        if filled is not None:
            columns.append([filled if one is None else one for one in values])
        yield _batch(columns, schema)


def _log_tables(before: Log | None, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    if before is None or before.times is None:
        return
    for start in range(0, before.n_rows, BATCH):
        part = slice(start, start + BATCH)
        columns: list[Any] = [
            _ids(before.users.ids(before.user_rows[part]).tolist(), schema.field("user_id")),
            _ids(before.items.ids(before.item_rows[part]).tolist(), schema.field("item_id")),
            before.times[part].astype(np.float64),
        ]
        if before.values is not None:
            columns.append(before.values[part])
        yield _batch(columns, schema)


def _ids(given: Any, field: pa.Field) -> list[Any]:
    import pyarrow as pa

    return list(map(same, given)) if pa.types.is_integer(field.type) else list(map(str, given))


def _batch(columns: list[Any], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _write(path: Path, ending: str, schema: pa.Schema, *parts: Iterator[pa.RecordBatch]) -> None:
    if ending == ".csv":
        from pyarrow.csv import CSVWriter as Writer
    else:
        from pyarrow.parquet import ParquetWriter as Writer
    with Writer(str(path), schema) as writer:
        for part in parts:
            for batch in part:
                writer.write_batch(batch)
