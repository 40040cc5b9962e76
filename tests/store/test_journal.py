"""The journal: read a block at a time, torn and damaged lines, metrics only when they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import storekit
from outlast.backends import Posix
from outlast.format.envelope import seal
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


def test_a_damaged_adoption_has_a_second_copy_s18(tmp_path: Path) -> None:
    path = tmp_path / "store"
    Attempt.begin(path).save(1)
    Attempt.begin(path, takeover=True)
    journal = path / "journal" / "a0002.jsonl"
    lines = journal.read_bytes().split(b"\n")
    assert [b'"adopt"' in line for line in lines] == [False, True, False, True, False]
    journal.write_bytes(b"\n".join([lines[0], b"x" + lines[1], *lines[2:]]))
    (log,) = [log for log in Store(path).attempts() if log.attempt == 2]
    assert list(log.first("adopt")["checkpoints"]) == ["step-000000001.a0001"]
    assert [event["event"] for event in log.events] == ["claim", "adopt"]
    assert log.damaged == 1


def test_of_very_many_events_the_first_and_the_last_are_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(journal, "_HALF_WEIGHT", 20_000)
    path = tmp_path / "store"
    attempt = Attempt.begin(path)
    for number in range(200):
        attempt.lease.journal.record("note", sync=False, text=str(number))
    attempt.lease.journal.record("metrics", sync=False, rows=[[1, {}]])
    attempt.lease.end("done")
    (log,) = Store(path).attempts()
    told = [event.get("text", event["event"]) for event in log.events]
    assert told[:4] == ["claim", "adopt", "0", "1"]
    assert told[-4:] == ["198", "199", "metrics", "ended"]
    assert 30 < len(told) < 100
    assert log.damaged == 0


@pytest.mark.parametrize(
    "change",
    [{"at": None}, {"event": 1}, {"step": "1"}, {"step": True}, {"rows": [[1]]}, {"checkpoint": []}, {"seq": 0}],
    ids=str,
)
def test_a_line_of_other_types_or_out_of_order_is_counted_s18(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "store"
    Attempt.begin(path).lease.journal.record("saved", checkpoint="step-000000001.a0001", step=1)
    journal = path / "journal" / "a0001.jsonl"
    *lines, last, _ = journal.read_bytes().split(b"\n")
    event = {key: value for key, value in json.loads(last).items() if key != "digest"}
    journal.write_bytes(b"\n".join(lines) + b"\n" + seal({**event, **change}))
    (log,) = Store(path).attempts()
    assert log.damaged == 1
    assert log.last("saved") is None


def test_a_journal_of_another_attempt_or_store_is_not_heard_s18(tmp_path: Path) -> None:
    for name in ("store", "other"):
        first = Attempt.begin(tmp_path / name)
        first.save(1)
        first.save(2)
        Attempt.begin(tmp_path / name, takeover=True)
    path = tmp_path / "store"
    whole = (path / "journal" / "a0002.jsonl").read_bytes()
    for wrong in (path / "journal" / "a0001.jsonl", tmp_path / "other" / "journal" / "a0002.jsonl"):
        (path / "journal" / "a0002.jsonl").write_bytes(wrong.read_bytes())
        assert storekit.counted_steps(path) == [2, 1]
        assert storekit.newest(path) == 2
    (path / "journal" / "a0002.jsonl").write_bytes(whole)
    (path / "outlast.json").write_bytes((tmp_path / "other" / "outlast.json").read_bytes())
    store = Store(path)
    assert "which is another store" in store.warnings[0]
    assert storekit.newest(path) == 2


def test_a_line_without_its_end_is_not_believed(path: Path) -> None:
    """Whole but for its newline: the append was cut, and what it says was never acknowledged."""
    file = path / journal_path(1)
    whole = file.read_bytes()
    attempt = Attempt.begin(path.with_name("other"))
    attempt.save(7)
    event = json.loads((path.with_name("other") / journal_path(1)).read_bytes().splitlines()[-1])
    assert event["event"] == "saved"
    del event["digest"]
    saved = seal({**event, "seq": 1000})
    file.write_bytes(whole + saved[:-1])
    (log,) = Store(path).attempts()
    assert (log.last("saved"), log.damaged) == (None, 0)
    file.write_bytes(whole + saved)
    assert Store(path).attempts()[0].last("saved")["step"] == 7
