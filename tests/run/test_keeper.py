"""The keeper: what it hears, and what it does at once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from outlast.run.control import Control
from outlast.run.events import Events
from outlast.run.keeper import Keeper
from outlast.run.notice import AGAIN_AFTER_S, Notice
from outlast.store import Store


class Left(BaseException):
    """The process would be over."""


def test_a_second_notice_ends_the_process_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def leave(status: int) -> None:
        raise Left(status)

    monkeypatch.setattr(os, "_exit", leave)
    store = Store(tmp_path / "s", create=True)
    lease = store.claim()
    notice = Notice()
    keeper = Keeper(
        store=store,
        lease=lease,
        notice=notice,
        events=Events(store.clock),
        control=None,
        flush=lambda: None,
        moved=lambda _: None,
    )
    keeper._hear_signals()
    notice._note(signal.SIGTERM, earliest_s=0, latest_s=0.1)
    keeper._hear_signals()  # the first is for the loop
    assert notice.reason == "signal SIGTERM"
    notice._note(signal.SIGTERM, earliest_s=0.2 + AGAIN_AFTER_S, latest_s=0.4 + AGAIN_AFTER_S)
    with pytest.raises(Left, match="143"):
        keeper._hear_signals()
    assert "second signal: leaving at once" in capfd.readouterr().err
    lease.end("failed")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"deadline": 1234.5}', [1234.5]),
        ('{"deadline": null}', [None]),
        ('{"deadline": "soon"}', []),
        ('{"deadline"', []),
        ("[]", []),
    ],
)
def test_a_deadline_that_moved_is_passed_on_once(tmp_path: Path, text: str, told: list[float | None]) -> None:
    store = Store(tmp_path / "s", create=True)
    moved: list[float | None] = []
    keeper = Keeper(
        store=store,
        lease=store.claim(),
        notice=Notice(),
        events=Events(store.clock),
        control=Control(folder=str(tmp_path)),
        flush=lambda: None,
        moved=moved.append,
    )
    keeper._hear_supervisor()
    assert moved == []
    (tmp_path / "deadline").write_text(text)
    for _ in range(3):
        keeper._hear_supervisor()
    assert moved == told
