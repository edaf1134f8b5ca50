"""What a local server cannot show: certificates, unknown names, a way out of encryption."""

from __future__ import annotations

import io
import socket
import ssl
import urllib.error
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recdistill.data.datasets import download
from recdistill.data.datasets.download import Download, Failed
from tests.data.datasets.conftest import QUICK

URL = "https://example.org/tiny.zip"


def run_with(answer: Any, part: Path, monkeypatch: pytest.MonkeyPatch, *, pinned: bool = False) -> int:
    """How often the mirror was asked, after a download for which it answers (or raises) this."""
    asked = []

    def open_url(url: str, headers: dict[str, str], seconds: float) -> Any:
        asked.append(url)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(download, "open_url", open_url)
    try:
        Download(URL, part, pinned=pinned, patience=QUICK).run()
    finally:
        counts = len(asked)
    return counts


def answer_from(url: str) -> Any:
    class Answer(SimpleNamespace):
        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            return None

    body = io.BytesIO(b"content")
    return Answer(url=url, status=200, headers={"Content-Length": "7"}, read1=body.read1)


def test_a_certificate_that_is_not_valid_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = ssl.SSLCertVerificationError(1, "certificate verify failed")
    fault.verify_message = "certificate has expired"
    with pytest.raises(Failed, match=r"certificate is not valid \(certificate has expired\)"):
        run_with(urllib.error.URLError(fault), tmp_path / "part", monkeypatch)


def test_a_name_that_is_not_known_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="is there a network"):
        run_with(urllib.error.URLError(socket.gaierror(-2, "unknown")), tmp_path / "part", monkeypatch)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (urllib.error.URLError(TimeoutError()), "no answer in time"),
        (urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (ConnectionResetError(104, "Connection reset by peer"), "connection lost"),
    ],
)
def test_what_may_pass_is_tried_again(
    fault: Exception, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Failed, match=rf"{message}.*3 times in a row"):
        run_with(fault, tmp_path / "part", monkeypatch)


def test_a_way_out_of_encryption_is_followed_only_where_a_sha256_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Failed, match="which is not encrypted"):
        run_with(answer_from("http://example.org/tiny.zip"), tmp_path / "part", monkeypatch)
    assert run_with(answer_from("http://example.org/tiny.zip"), tmp_path / "part", monkeypatch, pinned=True) == 1
    assert (tmp_path / "part").read_bytes() == b"content"


def test_a_network_that_goes_away_in_the_middle_is_not_taken_for_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(size: int) -> bytes:
        raise OSError(113, "No route to host")

    answer = answer_from(URL)
    answer.read1 = unreachable
    with pytest.raises(Failed, match="No route to host"):
        run_with(answer, tmp_path / "part", monkeypatch)
