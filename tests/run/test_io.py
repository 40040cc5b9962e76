"""`outlast.IO` in a run: blocks used again, a rate that is lifted in time, priorities, and what is no such value."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import outlast
from outlast.backends import Syscalls
from outlast.capture.pool import Pool
from outlast.run import run as running
from outlast.store import Store
from outlast.store.reading import Source

SIZE = 1 << 20  # items: 8 MiB, a large part


def state() -> dict[str, object]:
    return {"u": np.zeros(SIZE), "n": 0}


def test_a_run_uses_blocks_again_and_leaves_none_behind(tmp_path: Path) -> None:
    path = tmp_path / "s"
    live = state()
    inodes = []
    with outlast.Run(path, live, every=1, keep=1, io=outlast.IO(reuse=True)) as run:
        for step in run.steps(6):
            live["u"] += 1
            live["n"] = step
            if step:
                inodes.append(os.stat(next(path.glob(f"step-{run.wait().name.step:09d}*/part-*"))).st_ino)
    assert len(set(inodes)) < len(inodes)
    assert not [p.name for p in path.iterdir() if p.name.startswith(".tmp-")]
    again = state()
    with pytest.raises(SystemExit), outlast.Run(path, again):
        pass
    assert Store(path).load("u").sum() == 6 * SIZE


def test_a_rate_is_kept_and_lifted_when_the_run_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At this rate a save takes three hours; a notice in its midst must not wait for that."""
    began = threading.Event()

    def noticing(_calls, fd, data, at):
        began.set()
        return os.pwrite(fd, data, at)

    monkeypatch.setattr(Syscalls, "pwrite", noticing)
    live = state()
    run = outlast.Run(tmp_path / "s", live, every=10**9, io=outlast.IO(rate="800B", threads=1))
    with pytest.raises(outlast.Preempted), run:
        for step in run.steps(10**6):
            live["u"] += 1
            if step == 1:
                run.save()
            if began.is_set():
                run._notice.give("as asked")
    assert began.is_set()
    assert len(Store(tmp_path / "s").checkpoints()) == 2


def test_the_end_of_a_run_does_not_wait_for_the_rate_either(tmp_path: Path) -> None:
    live = state()
    with outlast.Run(tmp_path / "s", live, io=outlast.IO(rate="800B")) as run:
        for _ in run.steps(2):
            live["u"] += 1
    assert Store(tmp_path / "s").load("u")[0] == 2


def test_what_writes_beside_the_loop_gives_way_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    seen = set()

    def watching(_calls, fd, data, at):
        seen.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        time.sleep(0.01)  # so that more than one of them has something to do
        return os.pwrite(fd, data, at)

    monkeypatch.setattr(Syscalls, "pwrite", watching)
    live = {"u": np.zeros(8 * SIZE)}
    with outlast.Run(tmp_path / "s", live, every=10**9, io=outlast.IO(threads=3, nice=5)) as run:
        run.save()
    assert here + 5 in seen
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == here


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"threads": -1}, "threads=-1: expected 0 to 64"),
        ({"threads": 1.5}, "threads is 1.5, expected a whole number"),
        ({"nice": 20}, "nice=20: expected 0 to 19"),
        ({"rate": "0"}, "rate=0 would never end"),
        ({"rate": "fast"}, "'fast' is not a size"),
        ({"memory": "much"}, "'much' is not a size"),
    ],
)
def test_what_is_no_such_value_is_refused(value: dict[str, object], text: str) -> None:
    with pytest.raises(outlast.UsageError, match=text):
        outlast.IO(**value)


def test_the_options_are_those_of_the_page() -> None:
    """docs/reference/speed.md names each, with what it is unless it is set."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "speed.md").read_text()
    told = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    default = outlast.IO()
    assert set(told) == set(default.__slots__)
    for name in ("nice", "direct", "reuse", "compress"):
        assert told[name].rstrip(" |").endswith(str(getattr(default, name))), name
    assert default == running.DEFAULT


def test_the_memory_of_snapshots_is_made_ready_beside_the_loop_and_not_beside_a_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fill, prepare = Source.fill, Pool.prepare
    monkeypatch.setattr(Source, "fill", lambda *args: (order.append("filled"), fill(*args))[1])
    monkeypatch.setattr(Pool, "prepare", lambda *args: (order.append("prepared"), prepare(*args))[1])
    for expected in (["prepared"], ["filled", "prepared"]):
        order.clear()
        with pytest.raises(InterruptedError), outlast.Run(tmp_path / "s", state()) as run:
            assert order == expected
            run.due()
            run.save()
            raise InterruptedError
