"""A data set from a zip or a folder that somebody brought, for a machine without a network."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from recdistill.data.datasets.catalogue import DataSet
from recdistill.data.datasets.checks import check_content, looks_like
from recdistill.errors import DataError


def bring(entry: DataSet, source: Path, part: Path) -> None:
    """Copy the published file, or pack the published folder, into `part`; refused where it is something else."""
    if not source.exists():
        raise DataError(f"--from {source}: no such file or folder")
    if source.is_file():
        check_content(source, entry)
        shutil.copyfile(source, part)
    elif (source / entry.file).is_file():
        bring(entry, source / entry.file, part)
    elif entry.zipped:
        _pack(entry, source, part)
    else:
        raise DataError(f"--from {source}: not {entry.name}: the folder holds no {entry.file}")


def _pack(entry: DataSet, source: Path, part: Path) -> None:
    """The files of a folder under the name that the publisher's zip gives them; what lies deeper is not looked at."""
    inner = source / entry.name
    folder = inner if inner.is_dir() else source
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not looks_like([path.name for path in files], entry):
        held = ", ".join(path.name for path in files[:6]) or "no files"
        raise DataError(
            f"--from {source}: not {entry.name}: {held} found where {', '.join(entry.holds)} should be; "
            f"give the unpacked folder or {entry.file}"
        )
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in files:
            if path.name not in entry.holds + entry.also:
                continue
            archive.write(path, f"{entry.name}/{path.name}")
