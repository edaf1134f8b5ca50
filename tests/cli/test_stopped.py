"""A verb that is told to stop says so in one line, and that the same command goes on."""

from __future__ import annotations

import os
import signal
import time

import pytest

from recdistill.cli import report
from recdistill.cli.main import main


@pytest.mark.parametrize(("told", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_verb_ends_in_one_line(
    told: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_options: object) -> None:
        os.kill(os.getpid(), told)
        time.sleep(60)

    monkeypatch.setattr(report, "main", stopped)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["report", "runs/mine"]) == code
    assert capsys.readouterr().err == (
        "recdistill report: error: stopped; the same command goes on from what is done\n"
    )
    assert signal.getsignal(signal.SIGTERM) is before
