"""Where data sets lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from recdistill.data.datasets.place import data_folder


def test_the_variable_goes_before_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert data_folder() == tmp_path / "data"
    monkeypatch.delenv("RECDISTILL_DATA")
    assert data_folder() == tmp_path / "xdg" / "recdistill"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert data_folder() == tmp_path / "home" / ".local" / "share" / "recdistill"
