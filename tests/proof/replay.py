"""Loss of power at every storage call: an act replayed with all that was not synced dropped and reordered.

The act runs once, on a real disk, and its calls are written down. After each of them every state that a crash may
leave (`crashes`) is put on a disk in memory and judged by a reader: what was promised up to there must be there.
From some of the states the next attempt goes on.
"""

from __future__ import annotations

import functools
import pickle
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import storekit
from outlast.backends.publishing import TEMPORARY
from outlast.errors import DamageError, NothingError
from outlast.format.names import CheckpointName
from outlast.store import Lease, Store
from outlast.store.catalog import Found
from outlast.store.prune import SPARE
from outlast.testing import FakeClock
from proof import core
from proof.core import Harness
from proof.crashes import crash_states, promised
from proof.disk import Died, Disk, Memory, Recorder, Step
from proof.scenarios import SCENARIOS, Report, Scenario, prepared, saves, scenario
from storekit import Attempt

Act = Callable[[Path, Any, Report], None]
_EVERY = 8  # from one in so many states the next attempt goes on
_LEFT = re.compile(rf"/step-.*/{re.escape(TEMPORARY)}[^/]*$|/{re.escape(SPARE)}")
_AGES_S = (5.0, 3600.0)  # how long after the crash: listings of the last minute are not trusted


def new_parents(path: Path, calls: Any, report: Report) -> None:
    saves(3)(path / "of" / "runs", calls, report)


def lines_between(path: Path, calls: Any, report: Report) -> None:
    """Lines of the journal that need no sync stand before those that do."""
    attempt = Attempt.begin(path, calls=calls)
    for step in (3, 4):
        attempt.lease.journal.record("note", sync=False, text="x" * 100)
        attempt.lease.journal.record("metrics", sync=False, step=step, loss=0.5)
        attempt.save(step, keep=1)
        report(b"acknowledged %d\n" % step)
        attempt.lease.journal.record("metrics", sync=False, step=step, loss=0.25)
    attempt.lease.end("done")


def two_attempts(path: Path, calls: Any, report: Report) -> None:
    """The next attempt goes on at once, and adopts what this one saved."""
    for step in (3, 4):
        attempt = Attempt.begin(path, calls=calls)
        attempt.save(step, keep=1)
        report(b"acknowledged %d\n" % step)
        attempt.lease.end("failed")


def quarantine_and_prune(path: Path, calls: Any, report: Report) -> None:
    attempt = Attempt.begin(path, calls=calls)
    assert attempt.restore() == 1
    for step in (2, 3):
        attempt.save(step, keep=1)
        report(b"acknowledged %d\n" % step)


OWN = {
    "new-parents": scenario(new_parents, None, 3, seed=None),
    "lines-between": scenario(lines_between, 2, 3, 4),
    "two-attempts": scenario(two_attempts, 2, 3, 4),
    "two-attempts-new": scenario(two_attempts, None, 3, 4, seed=None),
    "quarantine-prune": scenario(quarantine_and_prune, 1, 2, 3, seed=SCENARIOS["quarantine"].seed),
}
ALL: dict[str, Scenario] = SCENARIOS | OWN
_WHERE = {"new-parents": "store/of/runs"}


@dataclass(frozen=True, kw_only=True)
class Record:
    """An act: the disk before it (with all its inodes), what its calls did, what was damaged from the beginning.

    Args:
        where: the store, relative to the disk's root.
        damaged: the checkpoints that the seed holds damaged.
        evidence: the bytes of their files, which nobody may throw away.
        kit: what goes on after the loss.
    """

    where: str
    base: Disk
    steps: list[Step]
    damaged: frozenset[str]
    evidence: frozenset[bytes]
    kit: type[Attempt]


@functools.cache
def recorded(name: str) -> Record:
    """Run an act in a process of its own, which is dead when its calls are judged."""
    return record(name)


def record(name: str, *, dies_at: int | None = None, then: Act | None = None) -> Record:
    """Run an act and write it down; where it is to die after some steps, then another one on what it left."""
    where = _WHERE.get(name, "store")
    with core.folder() as made:
        folder = made / "disk"
        folder.mkdir()
        path = prepared(name, folder) if name in SCENARIOS else _prepared_own(name, folder)
        base = Disk.load(folder)
        calls = Recorder(folder)
        calls.dies_at = dies_at
        calls = _in_process(ALL[name].act, path, calls)
        if then:
            calls = _in_process(then, folder / where, calls)
    damaged = frozenset(_damaged(base, where)) if base.at(where) is not None else frozenset()
    evidence = {data for file, data in base.reachable().items() if file.split("/")[-2] in damaged}
    _add_inodes(base, calls.now)
    kit = ALL[name].kit
    return Record(where=where, base=base, steps=calls.steps, damaged=damaged, evidence=frozenset(evidence), kit=kit)


def _prepared_own(name: str, folder: Path) -> Path:
    path = folder / "store"
    seed = ALL[name].seed
    if seed is not None:
        seed(path)
    return path


def _in_process(act: Act, path: Path, calls: Recorder) -> Recorder:
    kept = Path(f"{calls.base}.calls")
    status, told = storekit.in_child(lambda _: kept.write_bytes(pickle.dumps(_carried_out(act, path, calls))))
    assert status == 0, told
    return pickle.loads(kept.read_bytes())


def _carried_out(act: Act, path: Path, calls: Recorder) -> Recorder:
    """Run an act to its end or death. The promises that it does not report are noticed where they are made."""
    Store.claim = _marking(Store.claim, lambda lease: calls.mark(f"claimed {lease.attempt}"))  # type: ignore[method-assign]
    Lease.end = _marking(Lease.end, lambda _: calls.mark("ended"))  # type: ignore[method-assign]
    with suppress(Died):
        act(path, calls, lambda text: calls.mark(text.decode().strip()))
    assert Disk.load(Path(calls.base)).key() == calls.now.key(), "something was changed past the storage calls"
    return calls.handed_on()


def _marking(call: Callable, mark: Callable[[Any], None]) -> Callable:
    def marked(*args: Any, **more: Any) -> Any:
        got = call(*args, **more)
        mark(got)
        return got

    return marked


def _add_inodes(base: Disk, now: Disk) -> None:
    for inode in now.files.keys() - base.files.keys():
        base.files[inode] = b""
    for inode in now.folders.keys() - base.folders.keys():
        base.folders[inode] = {}


def _damaged(disk: Disk, where: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="outlast-") as folder:
        store = _store(disk, where, Path(folder))
        yield from (found.name.format() for found in store.scan() if found.committed and not _is_good(store, found))


def _is_good(store: Store, found: Found) -> bool:
    try:
        storekit.check(store, found.name)
    except (DamageError, NothingError):
        return False
    return True


def _store(disk: Disk, where: str, folder: Path, *, create: bool = False, age_s: float = 0.0) -> Store:
    """Open a store on a disk in memory. Whether a directory is there is asked of the real disk: so it is made there."""
    depth = 0
    names = where.split("/")
    while depth < len(names) and disk.at("/".join(names[: depth + 1])) is not None:
        depth += 1
    base = folder / f"base-{depth}"
    (base / "/".join(names[:depth])).mkdir(parents=True, exist_ok=True)
    return Store(base / where, create=create, calls=Memory(disk, base, age_s=age_s), clock=FakeClock())


def cases() -> Iterator[str]:
    for name in ALL:
        yield from (f"{name}:{at}" for at in range(1, len(recorded(name).steps) + 1))


def run(case: str, folder: Path) -> int:
    name, at = case.split(":")
    return judge_states(recorded(name), int(at), folder, case, ALL[name].allowed)


def judge_states(record: Record, at: int, folder: Path, seed: str, allowed: frozenset[int | None]) -> int:
    """Judge every state that a loss of power may leave after so many steps; return how many there are."""
    steps = record.steps[:at]
    looked = 0
    for looked, disk in enumerate(crash_states(record.base, steps, seed), 1):
        try:
            found = look(disk, folder, record, promised(steps), allowed)
            if looked % _EVERY == 1:
                go_on(disk, folder, record, found, _AGES_S[looked // _EVERY % 2])
        except Exception as e:
            raise AssertionError(f"after {steps[-1]!r:.200}, state {looked}: {type(e).__name__}: {e}") from e
    return looked


def look(disk: Disk, folder: Path, record: Record, promises: list[str], allowed: frozenset[int | None]) -> int | None:
    """Judge a state as a reader does; return the step that would be restored."""
    try:
        store = _store(disk, record.where, folder)
    except NothingError:
        assert not promises, f"{promises[-1]}, and there is no store"
        found = None
    else:
        found = _newest(store, record.damaged)
        _check_journals(store, promises)
    assert found in allowed, f"restores {found}, expected one of {set(allowed)}"
    known = max((int(text.split()[1]) for text in promises if text.startswith("ack")), default=None)
    assert known is None or (found is not None and found >= known), f"acknowledged {known}, restores {found}"
    lost = record.evidence - set(disk.reachable().values())
    assert not lost, f"{len(lost)} files of the damaged checkpoint are gone"
    return found


def _newest(store: Store, damaged: frozenset[str]) -> int | None:
    """Check everything that is visible and counts; return the newest step."""
    steps = []
    for found in store.scan():
        if found.counts and found.name.format() not in damaged:
            steps.append(storekit.check(store, found.name))
    return steps[0] if steps else None


def _check_journals(store: Store, promises: list[str]) -> None:
    """The journals say what was promised, and what they say of quarantine is so."""
    logs = {log.attempt: log for log in store.attempts()}
    attempt = 0
    for text in promises:
        what, _, number = text.partition(" ")
        if what == "claimed":
            attempt = int(number)
            assert attempt in logs, f"{text}, and its journal is gone"
            assert logs[attempt].first("adopt"), f"{text}, and its journal does not say what it adopted"
        elif what == "acknowledged":
            saved = [event["step"] for event in logs[attempt].events if event["event"] == "saved"]
            assert int(number) in saved, f"{text}, and its journal does not say so"
        else:
            assert logs[attempt].last("ended"), f"attempt {attempt} ended, and its journal does not say so"
    for log in logs.values():
        for event in log.events:
            if event["event"] == "quarantined":
                _check_moved(store, event["checkpoint"], event["to"])


def _check_moved(store: Store, name: str, to: str) -> None:
    assert any(entry.name == "manifest.json" for entry in store.backend.list(to)), f"{to} has no manifest"
    there = [found.name.format() for found in store.scan() if found.committed]
    assert name not in there, f"{name} is in quarantine, and in its place too"


def go_on(disk: Disk, folder: Path, record: Record, found: int | None, age_s: float) -> None:
    """The next attempt restores the same, saves, and prunes as soon as listings are to be trusted."""
    newest = max(_numbers(disk, record.where), default=0)
    store = _store(disk, record.where, folder, create=True, age_s=age_s)
    lease = store.claim()
    assert lease.attempt > newest, f"attempt {lease.attempt} after {newest}"
    again = record.kit.of(store, lease)
    before = again.restore()
    assert before == found, f"the next attempt restores {before}, a reader {found}"
    step = (found or 0) + 1
    again.save(step, frozen=False)
    store.clock.sleep(61)
    again.prune(1)
    again.writer.close()
    again.lease.end("done")
    assert _newest(store, frozenset()) == step, "the next save is not the newest"
    left = [path for path in disk.reachable() if _LEFT.search(path)]
    assert not left, f"left behind: {left}"
    lost = record.evidence - set(disk.reachable().values())
    assert not lost, f"the next attempt threw {len(lost)} files of the damaged checkpoint away"


def _numbers(disk: Disk, where: str) -> list[int]:
    root = disk.at(where)
    names = map(CheckpointName.parse, disk.folders[root]) if root is not None else ()
    return [name.attempt for name in names if name]


HARNESS = Harness(cases=cases, run=run, sample=80)
