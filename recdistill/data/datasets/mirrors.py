"""A data set from its mirrors: which are asked, in which order, and what makes their file acceptable."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from recdistill.data.datasets.catalogue import DataSet
from recdistill.data.datasets.checks import check_content, digests
from recdistill.data.datasets.download import Download, Failed, Patience, forget, open_url
from recdistill.data.datasets.place import read_record, record_path, settle
from recdistill.errors import ConfigError, DataError

MIRROR = "RECDISTILL_MIRROR"
Say = Callable[[str], None]


def addresses(entry: DataSet, mirrors: Sequence[str] | None) -> tuple[str, ...]:
    """Own mirrors (asked for, else set) go before the publisher's; those that are asked for stand alone."""
    bases = list(mirrors) if mirrors else [base for base in [os.environ.get(MIRROR)] if base]
    for base in bases:
        if not re.match(r"https?://[^/]", base):
            raise ConfigError(
                f"mirror {base!r}: an address begins with http:// or https://. A folder is given by --from."
            )
    own = tuple(f"{base.rstrip('/')}/{entry.file}" for base in bases)
    return own if mirrors else own + entry.mirrors


def from_mirrors(
    entry: DataSet,
    path: Path,
    urls: Sequence[str],
    patience: Patience,
    progress: Callable[[int, int | None], None] | None,
    say: Say,
) -> None:
    """The first mirror that gives a whole file; one whose file turns out wrong is asked once more, from its start."""
    part = path.with_name(path.name + ".part")
    failures = []
    for url in urls:
        load = Download(url, part, entry.bytes, entry.sha256 is not None, patience, progress, say)
        for again in (True, False):
            try:
                load.run()
                sums = digests(part)
                _check_sums(entry, path, part, sums, url, patience)
                check_content(part, entry)
            except Failed as fault:
                failures.append(f"{url}: {fault}")
                break
            except DataError as fault:
                forget(part)
                told = str(fault).removeprefix(f"{part}: ")
                if again:
                    say(f"{url}: {told}; once more from its beginning")
                else:
                    failures.append(f"{url}: {told}")
            else:
                if entry.sha256 is None and read_record(path) is None:
                    say(f"{entry.file}: no SHA-256 is published; that of this first download is held to from now on")
                settle(part, path, sums["sha256"], url)
                forget(part)
                return
        say(f"{failures[-1]}; giving this mirror up")
    raise DataError(
        f"data set {entry.name!r} could not be fetched: {'; '.join(failures)}. "
        f"Bring the file by hand: recdistill data fetch {entry.name} --from ZIP_OR_FOLDER; "
        f"or name a mirror: --mirror URL or {MIRROR}=URL"
    )


def _check_sums(entry: DataSet, path: Path, part: Path, sums: dict[str, str], url: str, patience: Patience) -> None:
    size = part.stat().st_size
    if entry.bytes is not None and size != entry.bytes:
        raise DataError(f"{part}: {size:,} bytes came, {entry.bytes:,} are published")
    if entry.sha256 is not None:
        if sums["sha256"] != entry.sha256:
            raise DataError(f"{part}: SHA-256 {sums['sha256'][:12]}… where {entry.sha256[:12]}… is published")
        return
    if entry.md5_beside and (published := _published_md5(url, patience)) not in (None, sums["md5"]):
        raise DataError(f"{part}: MD5 {sums['md5']} where {published} is published beside it")
    before = read_record(path)
    if before is not None and before.sha256 != sums["sha256"]:
        raise DataError(
            f"{part}: SHA-256 {sums['sha256'][:12]}… where {before.sha256[:12]}… was recorded at the first fetch on "
            f"{before.date[:10]}; to take what is published now, delete {record_path(entry, path.parent)}"
        )


def _published_md5(url: str, patience: Patience) -> str | None:
    """What FILE.md5 beside the file says; None where there is none to be had."""
    try:
        with open_url(f"{url}.md5", {"User-Agent": "recdistill"}, patience.stall) as answer:
            text = answer.read(4096).decode("ascii", "replace")
    except (OSError, ValueError):
        return None
    found = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    return found[0].lower() if found else None
