"""What the catalogue says can be used as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recdistill.data.datasets.catalogue import CATALOGUE, DataSet

ENTRIES = [CATALOGUE[name] for name in CATALOGUE]


@pytest.mark.parametrize("entry", ENTRIES, ids=list(CATALOGUE))
def test_an_entry_is_complete(entry: DataSet) -> None:
    assert (
        entry.title
        and entry.citation
        and entry.terms
        and entry.licence.endswith(".")
        and entry.licence_url.startswith("https://")
    )
    assert entry.mirrors and all(url.endswith(f"/{entry.file}") for url in entry.mirrors)
    assert entry.holds if entry.zipped else entry.fields
    assert entry.sha256 is None or re.fullmatch("[0-9a-f]{64}", entry.sha256)
    assert set(entry.columns) <= {"user_id", "item_id", "rating", "timestamp"}


@pytest.mark.parametrize("entry", ENTRIES, ids=list(CATALOGUE))
def test_an_address_without_encryption_stands_only_where_a_sha256_is_known(entry: DataSet) -> None:
    assert entry.sha256 or all(url.startswith("https://") for url in entry.mirrors)
    assert entry.mirrors[0].startswith("https://")


def test_what_changes_over_time_has_no_fixed_checksum() -> None:
    assert [entry.name for entry in ENTRIES if entry.changes] == ["ml-latest"]
    assert all(entry.sha256 is None for entry in ENTRIES if entry.changes)


def test_files_have_names_of_their_own() -> None:
    assert len({entry.file for entry in ENTRIES}) == len(ENTRIES)


def test_the_readme_names_every_data_set() -> None:
    text = (Path(__file__).parents[3] / "data" / "README.md").read_text(encoding="utf-8")
    assert [entry.name for entry in ENTRIES if f"| `{entry.name}` |" not in text] == []
