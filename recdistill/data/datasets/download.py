"""One file from one address: resumed where it broke off, begun again where it changed, never waited for in vain.

The standard library's client: no dependency of this package resumes a download (fsspec and pooch do not), and what
there is to it is one header sent and four answers told apart.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BLOCK = 1 << 18
GONE = (400, 401, 403, 404, 405, 410, 451)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a mirror is waited for, and how often it is asked."""

    stall: float = 30.0
    """Seconds without a byte after which the connection is given up."""
    tries: int = 4
    """Attempts in a row that bring nothing new."""
    pause: float = 1.0
    """Seconds before the second attempt; doubled each time."""


class Failed(Exception):
    """This mirror cannot give the file; the text says why."""


class _Broken(Exception):
    """This attempt failed; another may not."""


@dataclass(frozen=True, slots=True)
class _State:
    """What FILE.part is a part of; it stands in FILE.part.json."""

    url: str
    validator: str
    """A strong ETag, or the date of last modification; empty where the server gives neither."""


@dataclass(frozen=True, slots=True)
class Download:
    """From `url` into `part`, which may hold the beginning from an earlier time."""

    url: str
    part: Path
    bytes: int | None = None
    """The published size; a server that announces another is refused before the download."""
    pinned: bool = False
    """The content is checked against a known SHA-256, so that another mirror's beginning may be continued."""
    patience: Patience = Patience()
    progress: Callable[[int, int | None], None] | None = None
    """Told bytes so far and bytes in all."""
    say: Callable[[str], None] = lambda line: None

    def run(self) -> None:
        """Returns when `part` is complete. Raises Failed."""
        idle, furthest = 0, self._held()
        while True:
            try:
                self._attempt()
                return
            except _Broken as fault:
                held = self._held()
                idle, furthest = (0, held) if held > furthest else (idle + 1, furthest)
                if idle >= self.patience.tries:
                    raise Failed(f"{fault} ({self.patience.tries} times in a row)") from None
                self.say(f"{self.url}: {fault}; trying again")
                time.sleep(self.patience.pause * 2 ** max(idle - 1, 0))

    def _held(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self) -> None:
        start, validator = self._beginning()
        headers = {"User-Agent": "recdistill", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if validator:
                headers["If-Range"] = validator
        try:
            with open_url(self.url, headers, self.patience.stall) as answer:
                self._receive(answer, start)
        except urllib.error.HTTPError as fault:
            fault.close()
            self._refused(fault, start)
        except TimeoutError:
            raise _Broken(f"no byte for {self.patience.stall:g} s") from None
        except urllib.error.URLError as fault:
            raise _lost(fault.reason) from None
        except (http.client.HTTPException, ConnectionError, ssl.SSLError) as fault:
            raise _Broken(f"connection lost ({_words(fault)})") from None

    def _beginning(self) -> tuple[int, str]:
        """How much of this very file is there, and what the server knows that file by."""
        held = self._held()
        state = self._state()
        if not held or (state.url != self.url and not self.pinned):
            return 0, ""
        validator = state.validator if state.url == self.url else ""
        return (held, validator) if validator or self.pinned else (0, "")

    def _receive(self, answer: Any, start: int) -> None:
        if self.url.startswith("https:") and not answer.url.startswith("https:") and not self.pinned:
            raise Failed(f"leads on to {answer.url}, which is not encrypted, and no SHA-256 is known to check it by")
        place, total = _range(answer) if answer.status == 206 else (0, _length(answer))
        if answer.status == 206 and place != start:
            forget(self.part)
            raise _Broken(f"sent bytes from {place} where those from {start} were asked for")
        if self.bytes is not None and total not in (None, self.bytes):
            raise Failed(f"serves {total:,} bytes, {self.bytes:,} are published")
        if start and not place:
            self.say(f"{self.url}: the file changed or its server cannot go on from the middle; begun again")
        self._remember(answer)
        with self.part.open("r+b" if place else "wb") as file:
            file.seek(place)
            file.truncate()
            while block := _read(answer):
                file.write(block)
                place += len(block)
                if self.progress:
                    self.progress(place, total)
        if total is not None and place != total:
            raise _Broken(f"cut off after {place:,} of {total:,} bytes")

    def _refused(self, fault: urllib.error.HTTPError, start: int) -> None:
        what = f"HTTP {fault.code} {fault.reason}"
        if fault.code == 416 and start:
            if fault.headers.get("Content-Range", "").endswith(f"/{start}"):
                return  # all of it is there already
            forget(self.part)
            raise _Broken(f"{what}: what was there is not a beginning of it; begun again") from None
        raise (Failed if fault.code in GONE else _Broken)(what) from None

    def _state(self) -> _State:
        try:
            return _State(**json.loads(_beside(self.part).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return _State("", "")

    def _remember(self, answer: Any) -> None:
        tag = answer.headers.get("ETag", "")
        validator = answer.headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
        _beside(self.part).write_text(json.dumps(asdict(_State(self.url, validator))), encoding="utf-8")


def forget(part: Path) -> None:
    """Remove a part and what is known of it."""
    part.unlink(missing_ok=True)
    _beside(part).unlink(missing_ok=True)


def open_url(url: str, headers: dict[str, str], seconds: float) -> Any:
    """The answer of a server; every wait for it, and for each block of it, ends after so many seconds."""
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=seconds)


def _read(answer: Any) -> bytes:
    """The next block; a fault of the network is told from one of the disk, which both are OSErrors."""
    try:
        block: bytes = answer.read1(BLOCK)
    except TimeoutError:
        raise
    except OSError as fault:
        raise _Broken(f"connection lost ({_words(fault)})") from None
    return block


def _beside(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _length(answer: Any) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _range(answer: Any) -> tuple[int, int | None]:
    """Where a part begins, and the size of the whole."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
    if found is None:
        return -1, None
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _lost(reason: object) -> Failed | _Broken:
    """A name that does not exist and a certificate that is not valid stay so; the rest may pass."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        return Failed(f"its certificate is not valid ({reason.verify_message})")
    if isinstance(reason, socket.gaierror):
        return Failed("the name is not known; is there a network?")
    if isinstance(reason, TimeoutError):
        return _Broken("no answer in time")
    return _Broken(f"no connection ({_words(reason)})")


def _words(fault: object) -> str:
    text = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
    return " ".join(str(text).split())[:120]
