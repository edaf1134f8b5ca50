"""Features and a log brought together: which ids have a row, and which rows are of others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recdistill.errors import DataError
from recdistill.features.reading import Of, read_features
from recdistill.features.table import Features

if TYPE_CHECKING:
    from recdistill.data.log import Log
    from recdistill.data.vocab import Vocab


def attach(log: Log, *, items: Any = None, users: Any = None) -> Log:
    """`log` with what is known of its items and users: paths, frames, tables, sources, or `Features`.

    What the log has already stays; a column of the same name is replaced. Rows of ids that the log does not have are
    kept, for those who come later. Refuses a table that has a row for none of the log's ids.
    """
    item_features, item_notes = _attached(log.item_features, items, log.items, "item")
    user_features, user_notes = _attached(log.user_features, users, log.users, "user")
    more = (note for note in (*item_notes, *user_notes) if note not in log.notes)
    notes = (*log.notes, *more)
    return replace(log, item_features=item_features, user_features=user_features, notes=notes)


def _attached(had: Features | None, given: Any, vocab: Vocab, of: Of) -> tuple[Features | None, tuple[str, ...]]:
    if given is None:
        return had, ()
    found = given if isinstance(given, Features) else read_features(given, of=of)
    covered = int((found.ids.rows(vocab.ids()) >= 0).sum())
    if not covered:
        raise DataError(
            f"{found.source}: no row is of any of the log's {len(vocab):,} {of}s; the log has {of}s such as "
            f"{vocab.ids().tolist()[0]!r}, the table {found.ids.ids().tolist()[0]!r}. Check which column is {of}_id."
        )
    note = f"{found.source}: {covered:,} of the log's {len(vocab):,} {of}s have a row"
    if others := len(found) - covered:
        note += f"; {others:,} rows are of {of}s that are not in the log"
    notes = [*found.notes, note]
    if had is not None:
        again = [name for name in found.columns if name in had.columns]
        same = had.source == found.source and again == list(had.columns)  # one that lies beside the log, named too
        if again and not same:
            notes.append(f"{found.source}: {', '.join(again)} replaces what {had.source} says")
        title = found.title or had.title
        found = replace(had.without(again).joined(found), title=title)
    return found, tuple(notes)
