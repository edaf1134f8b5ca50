"""What a service is asked to be, and how much it lets one request be."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from recdistill.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Beyond each of these a request is refused with a reason, and costs little."""

    max_body: int = 4 << 20
    """Bytes of a request's body; 413."""
    max_batch: int = 1024
    """People in one batch, and events in one request; 422."""
    max_k: int = 1000
    """Items in one answer; 422."""
    max_ids: int = 10_000
    """Ids in one history, `exclude` or `only`; 422."""
    max_running: int = 512
    """Requests of one worker that may be under way at once; 503."""
    rate: float = 0.0
    """Requests a second that one client address may send to one worker (bursts of one second); 0 for any; 429."""
    timeout: float = 10.0
    """Seconds that a request may take to come in (408), and that its answer may take (503)."""

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            value, low = getattr(self, one.name), 0 if one.name == "rate" else 1e-3 if one.name == "timeout" else 1
            if not low <= value < float("inf"):
                flag = one.name.replace("_", "-")
                raise ConfigError(f"--{flag}: must be at least {low:g}, found {value}. The default is {one.default}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    folder: Path
    """The artifact; a new one under the same name is taken up while the service runs."""
    state: Path
    """Where generations and events are kept."""
    host: str = "127.0.0.1"
    port: int = 8000
    """0 for any that is free."""
    workers: int = 1
    token: str | None = field(default=None, repr=False)
    """What `Authorization: Bearer …` must say; None lets anybody in."""
    access_log: bool = False
    grace: float = 10.0
    """Seconds that requests under way get to finish once the service is told to stop."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= 256:
            raise ConfigError(f"--workers: must be 1..256, found {self.workers}. One for each core is a good number.")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"--port: must be 0..65535, found {self.port}. 0 takes any that is free.")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and self.token.strip()):
            raise ConfigError("the token must be printable ASCII, and not empty. Set another, or unset the variable.")
