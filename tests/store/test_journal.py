"""The journal: read a block at a time, torn and damaged lines, metrics only when they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.backends import Posix
from outlast.store import Store, journal
from outlast.store.layout import journal_path
from outlast.testing import CountedCalls
from storekit import Attempt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    attempt = Attempt.begin(path)
    for number in range(50):
        attempt.lease.journal.record("metrics", sync=False, rows=[[number, {"loss": 1 / (number + 1)}]])
        if number % 10 == 0:
            attempt.lease.journal.record("note", sync=False, text=f"{number}")
    attempt.lease.end("failed")
    return path


def test_metrics_are_read_when_asked_for_and_else_the_last_line(path: Path) -> None:
    whole, brief = Store(path).attempts(metrics=True)[0], Store(path).attempts()[0]
    rows = [row for event in whole.events if event["event"] == "metrics" for row in event["rows"]]
    assert [row[0] for row in rows] == list(range(50))
    last = [event for event in brief.events if event["event"] == "metrics"]
    assert [event["rows"] for event in last] == [[rows[-1]]]
    assert [event["seq"] for event in brief.events] == sorted(event["seq"] for event in brief.events)
    others = [event["event"] for event in brief.events if event["event"] != "metrics"]
    assert others == ["claim", "adopt", *["note"] * 5, "ended"]


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1000])
def test_lines_across_blocks(path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    expected = Store(path).attempts(metrics=True)
    monkeypatch.setattr(journal, "_BLOCK_BYTES", block_bytes)
    assert Store(path).attempts(metrics=True) == expected


def test_a_large_journal_is_not_held_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read takes a block; what is not wanted goes with it."""
    monkeypatch.setattr(journal, "_BLOCK_BYTES", 512)
    calls = CountedCalls()
    size = (path / journal_path(1)).stat().st_size
    assert len(journal.read(Posix(path, calls=calls), 1).events) == 9
    assert calls.counts["read"] == -(-size // 512)


def test_a_torn_last_line_is_no_damage_and_a_changed_line_is(path: Path) -> None:
    file = path / journal_path(1)
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"seq":58,"at":"2026-')
    assert Store(path).attempts()[0].damaged == 0
    at = whole.index(b'"text":"20"')
    file.write_bytes(whole[:at] + b'"text":"21"' + whole[at + 11 :])
    assert Store(path).attempts()[0].damaged == 1
