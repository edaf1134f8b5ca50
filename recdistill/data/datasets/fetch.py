"""A data set onto this machine: from its mirrors in order, or from a file brought by hand; whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from recdistill.data.datasets.bring import bring
from recdistill.data.datasets.catalogue import CATALOGUE, DataSet
from recdistill.data.datasets.checks import check_content, digests
from recdistill.data.datasets.download import Patience
from recdistill.data.datasets.mirrors import Say, addresses, from_mirrors
from recdistill.data.datasets.place import VARIABLE, data_folder, read_record, record_of, settle
from recdistill.errors import DataError


def fetch(
    name: str | DataSet,
    *,
    source: Path | None = None,
    folder: Path | None = None,
    mirrors: Sequence[str] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    say: Say = lambda line: None,
    patience: Patience | None = None,
) -> Path:
    """The path of the data set's file; nothing is asked of the network where it is whole already.

    `source`: a file or folder that holds what is published, in the place of the network. `mirrors`: base addresses
    to ask in the place of the publisher's. Raises DataError that names every mirror tried and why it failed.
    """
    entry = CATALOGUE[name] if isinstance(name, str) else name
    folder = Path(folder) if folder is not None else data_folder()
    urls = addresses(entry, mirrors)
    path = folder / entry.file
    if source is None and _is_whole(entry, path):
        return path
    with _alone(path, say):
        if source is not None:
            _by_hand(entry, path, Path(source))
        elif not _is_whole(entry, path):
            from_mirrors(entry, path, urls, patience or Patience(), progress, say)
    return path


def open_dataset(name: str | DataSet, *, folder: Path | None = None) -> Path:
    """The file of a data set that was fetched before, or put in its place by hand, as `read_interactions` takes it."""
    entry = CATALOGUE[name] if isinstance(name, str) else name
    path = (Path(folder) if folder is not None else data_folder()) / entry.file
    cure = f"Run: recdistill data fetch {entry.name}"
    if not path.exists():
        raise DataError(f"data set {entry.name!r} is not in {path.parent}. {cure}")
    record = read_record(path)
    if record is None:
        _adopt(entry, path)
    elif not record.fits(path):
        when = f"changed since it was fetched on {record.date[:10]} (its SHA-256 was {record.sha256[:12]}…)"
        raise DataError(f"{path}: {when}. {cure}")
    return Path(f"{path}!{entry.log}") if entry.log else path


def is_fetched(entry: DataSet, folder: Path | None = None) -> bool:
    """Whether a file of that name lies in the folder; it is not looked into."""
    return ((folder if folder is not None else data_folder()) / entry.file).exists()


def _is_whole(entry: DataSet, path: Path) -> bool:
    try:
        open_dataset(entry, folder=path.parent)
    except DataError:
        return False
    return True


def _adopt(entry: DataSet, path: Path) -> None:
    """A file that was put there by hand is looked at once, and from then on held to what it was."""
    check_content(path, entry)
    with suppress(OSError):  # a place that is shared may be closed to us; the file is looked at again next time
        record_of(path, digests(path)["sha256"], "put there by hand").write(path)


@contextmanager
def _alone(path: Path, say: Say) -> Iterator[None]:
    """One process at a time; who comes second waits and finds the file there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):  # a lock would be waited for where no file can be made
            pass
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"{path}: another process is fetching it; waiting")
            lock.acquire()
    except OSError as fault:
        raise _unwritable(path.parent, fault) from None
    try:
        yield
    except OSError as fault:
        raise _unwritable(path.parent, fault) from None
    finally:
        lock.release()


def _unwritable(folder: Path, fault: OSError) -> DataError:
    return DataError(
        f"{fault.filename or folder}: {fault.strerror or fault}. Free space, or name another place: "
        f"--folder FOLDER or {VARIABLE}=FOLDER"
    )


def _by_hand(entry: DataSet, path: Path, source: Path) -> None:
    """What was brought need not be the published file byte for byte: somebody may have packed it again."""
    part = path.with_name(f".{path.name}.brought")
    try:
        bring(entry, source, part)
        settle(part, path, digests(part)["sha256"], str(source))
    finally:
        part.unlink(missing_ok=True)
