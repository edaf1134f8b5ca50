"""The one log among several files, of a folder or of an archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from recdistill.data.formats.base import Source
from recdistill.data.formats.grouplens import LAYOUTS, log_of_layout
from recdistill.data.formats.raw import Raw
from recdistill.data.names import find_role
from recdistill.errors import DataError

PAPERS = ("readme", "license", "licence", "copying", "notice", "changelog", "citation", "checksum", "sha256", "md5")
SHOWN = 12


def one_log(
    files: Mapping[str, Raw], where: str, endings: frozenset[str], open_file: Callable[[str], Source], cure: str
) -> Source:
    """Found by its layout, or the only readable file, or the only one with users and items.

    `files` are named by their path inside; `cure` ends the error where none or several could be meant.
    """
    found = _by_layout(files, open_file)
    if not found:
        readable = [name for name, raw in files.items() if raw.ending in endings and not _is_paper(name)]
        found = {name: open_file(name) for name in readable} if len(readable) == 1 else _logs(readable, open_file)
        if not found:
            listed = ", ".join(sorted(files)[:SHOWN]) or "nothing"
            what = "none of the files in it has columns of users and items" if readable else "no log in it"
            raise DataError(f"{where}: {what}; it holds {listed}. {cure}")
    if len(found) > 1:
        names = sorted(found)
        raise DataError(f"{where}: {len(names)} logs in it, {', '.join(names[:SHOWN])}. {cure}")
    name, source = next(iter(found.items()))
    if len(files) > 1 or source.where != where:
        source.notes = (*source.notes, f"read from {name}")
    return source


def _by_layout(files: Mapping[str, Raw], open_file: Callable[[str], Source]) -> dict[str, Source]:
    """By name of the log: a MovieLens layout or atomic files in any of the folders inside."""
    folders: dict[str, dict[str, Raw]] = {}
    for name, raw in files.items():
        folders.setdefault(str(PurePosixPath(name).parent), {})[PurePosixPath(name).name] = raw
    found: dict[str, Source] = {}
    for folder, beside in folders.items():
        for name, raw in beside.items():
            full = name if folder == "." else f"{folder}/{name}"
            source = log_of_layout(beside, name) if name in LAYOUTS else None
            if source is not None:
                found[full] = source
            elif raw.ending == ".inter":
                found[full] = open_file(full)
    return found


def _logs(readable: list[str], open_file: Callable[[str], Source]) -> dict[str, Source]:
    """Those with columns of users and of items, by their names."""
    found = {}
    for name in readable:
        try:
            source = open_file(name)
            roles = [source.roles.get(role) or find_role(source.names, role) for role in ("user_id", "item_id")]
        except DataError:
            continue
        if all(roles):
            found[name] = source
    return found


def _is_paper(name: str) -> bool:
    return PurePosixPath(name).name.lower().startswith(PAPERS)
