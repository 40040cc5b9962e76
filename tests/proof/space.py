"""The disk fills up at every page, the inodes run out at every file, a file grows to every size that it may have.

A full disk is a tmpfs of a case's own with so many pages or inodes free. A save succeeds or says that there is no
space; what was there stays; nothing is left behind; `outlast prune` works where not a byte is free, and the next save
once there is room. `space_ext4` does the same on ext4.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import mounting
import storekit
from outlast.cli.main import main as cli
from outlast.errors import DAMAGE, FAILED, NOTHING, DamageError, SpaceError
from outlast.format.model import Part
from outlast.format.names import CheckpointName
from outlast.store import Store, lease
from outlast.testing import CountedCalls
from proof import core, program
from proof.core import Harness
from proof.judge import acknowledged, judge
from proof.scenarios import SCENARIOS, Report, Scenario, calls_of, prepared

PAGE_BYTES = 4096
_ROOMY = "size=64m,nr_inodes=4000"
_PROGRAM_PAGES, _PROGRAM_INODES = 140, 24
_PRUNE_INODES = 3  # for its claim: a temporary file, and on tmpfs a link counts too; and one to ask for the time
_FINE_BYTES = 512


def missing() -> str | None:
    """Why this cannot be tested here; None if it can."""

    def probe(report: Report) -> None:
        mounting.enter()
        mounting.tmpfs(Path(tempfile.gettempdir()), "size=1m")
        report(b"mounted")

    return None if storekit.in_child(probe)[1] == b"mounted" else "root, or user namespaces, to mount a tmpfs"


@functools.cache
def needs_of(name: str) -> tuple[int, int, int]:
    """The pages and inodes that an act takes at most, and the size of its largest file: what it writes in all."""
    with core.folder() as folder:
        path = prepared(name, folder)

        def act(report: Report) -> None:
            calls = CountedCalls()
            SCENARIOS[name].act(path, calls, lambda _: None)
            files = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
            report(b"%d %d" % (calls.written_bytes, max(files, default=0)))

        status, told = storekit.in_child(act)
    assert status == 0, told
    written, largest = map(int, told.split())
    made = [call for call in calls_of(name) if call in ("create", "mkdir", "link")]
    return -(-written // PAGE_BYTES) + len(made), len(made), largest


def cases() -> Iterator[str]:
    for name in SCENARIOS:
        pages, inodes, largest = needs_of(name)
        yield from (f"{name}:pages:{free}" for free in range(pages))
        yield from (f"{name}:inodes:{free}" for free in range(inodes))
        yield from (f"{name}:fsize:{size}" for size in range(0, 4 * PAGE_BYTES, _FINE_BYTES))
        yield from (f"{name}:fsize:{size}" for size in range(4 * PAGE_BYTES, largest, PAGE_BYTES))
    for on_error in ("stop", "warn"):
        yield from (f"program-{on_error}:pages:{free}" for free in range(_PROGRAM_PAGES))
        yield from (f"program-{on_error}:inodes:{free}" for free in range(_PROGRAM_INODES))


class Disk(Protocol):
    """A small file system whose room is set as one likes."""

    path: Path

    def leave(self, *, pages: int | None = None, inodes: int | None = None) -> None:
        """Leave so many pages and inodes free; None: plenty."""


class Tmpfs:
    """A disk in memory, remounted with another size."""

    def __init__(self, path: Path) -> None:
        self.path = path
        mounting.tmpfs(path, _ROOMY)

    def leave(self, *, pages: int | None = None, inodes: int | None = None) -> None:
        about = os.statvfs(self.path)
        used_pages, used_inodes = about.f_blocks - about.f_bfree, about.f_files - about.f_ffree
        size = "64m" if pages is None else str((used_pages + pages) * PAGE_BYTES or 1)
        mounting.remount(self.path, f"size={size},nr_inodes={4000 if inodes is None else used_inodes + inodes}")


def run(case: str, folder: Path) -> int:
    return run_on(Tmpfs, case, folder)


def run_on(make: Callable[[Path], Disk], case: str, folder: Path) -> int:
    """Run a case on a small file system that `make` mounts."""
    name, what, free = case.split(":")

    def work(report: Report) -> None:
        _watch_briefly()
        if what != "fsize":
            mounting.enter()
        disk = make(folder / "disk") if what != "fsize" else None
        place = disk.path if disk else folder
        if name.startswith("program"):
            report(b"%d" % _program(name.removeprefix("program-"), what, int(free), place, disk))
        else:
            report(b"%d" % _scenario(name, what, int(free), place, disk))

    status, told = storekit.in_child(work)
    assert status == 0, told.decode()
    return int(told)


def _watch_briefly() -> None:
    """A prune that found no room for its claim, and made none, is watched for a minute by the next attempt."""
    lease.SILENT_S, lease._POLL_S = 0.05, 0.01  # type: ignore[misc]


def _limit(what: str, free: int, disk: Disk | None) -> None:
    if disk is None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (free, free))  # Python ignores SIGXFSZ: the error is EFBIG
    else:
        disk.leave(**{what: free})


def _scenario(name: str, what: str, free: int, place: Path, disk: Disk | None) -> int:
    scenario, path = SCENARIOS[name], prepared(name, place)
    before = _leftovers(path)
    if disk:
        _limit(what, free, disk)

    def act(report: Report) -> None:
        if disk is None:
            _limit(what, free, disk)
        scenario.act(path, CountedCalls(), report)

    status, told = storekit.in_child(act)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        seen = acknowledged(told)
        assert seen is None or seen == scenario.final, f"ended well, but acknowledged only {seen}"
    else:
        assert code == SpaceError.exit_status, f"ended with {code}: {told!r}"
        assert b"error:SpaceError" in told, f"no space was taken for something else: {told!r}"
    looked = 1 + _look_on_full(path, told, scenario, before)
    if disk:
        _prune_on_full(path, scenario, disk)
        disk.leave()
    judge(path, told, scenario)
    return looked + 1


def _look_on_full(path: Path, told: bytes, scenario: Scenario, before: set[str]) -> int:
    """What a reader finds while nothing can be written: the last good one, and no leftovers."""
    if not (path / "outlast.json").exists():
        return 0
    found, known = storekit.newest(path), acknowledged(told)
    assert found in scenario.allowed, f"restores {found}, expected one of {set(scenario.allowed)}"
    assert known is None or (found or 0) >= known, f"acknowledged {known}, restores {found}"
    left = _leftovers(path) - before
    assert not left, f"left behind {left}"
    return 1


def _leftovers(path: Path) -> set[str]:
    """What failed saves leave: temporary files, and directories without a manifest in which nothing is named."""
    if not path.exists():
        return set()
    store = Store(path)
    named = {part.path.partition("/")[0] for name in store.checkpoints() for part in _parts(store, name)}
    torn = {p.name for p in path.glob("step-*") if not (p / "manifest.json").exists()} - named
    return torn | {str(p) for p in path.rglob(".tmp-*")}


def _parts(store: Store, name: CheckpointName) -> tuple[Part, ...]:
    with contextlib.suppress(DamageError):  # the seeds' own
        return store.manifest(name).parts
    return ()


def _prune_on_full(path: Path, scenario: Scenario, disk: Disk) -> None:
    """Prune down to one while not a byte is free. It needs a file or three for its claim: those it gets."""
    if not (path / "outlast.json").exists():
        return
    found = storekit.newest(path)
    disk.leave(pages=0, inodes=_PRUNE_INODES)
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        code = cli(["prune", str(path), "--keep", "1"])
    # Where nothing was saved there is nothing to prune, and perhaps not even room to claim: that is said.
    allowed = (0, DAMAGE) if scenario.damaged else (0, NOTHING, FAILED) if found is None else (0,)
    assert code in allowed, f"prune on the full disk ended with {code}: {out.getvalue()}"
    assert storekit.newest(path) == found, "prune took the newest"
    if code == 0 and found is not None and not scenario.damaged:
        assert storekit.counted_steps(path) == [found], "prune made no room"


def _program(on_error: str, what: str, free: int, place: Path, disk: Disk | None) -> int:
    """A whole program on a disk with too little room; then there is room, and it is started again."""
    folder = place.parent  # what it tells is not to be cut short
    (place / "store").mkdir()
    (folder / "store").symlink_to(place / "store")
    if disk:
        disk.leave(**{what: free})

    def work() -> None:
        program.compute(folder, waits="quietly", on_error=on_error)  # type: ignore[arg-type]

    code = os.waitstatus_to_exitcode(program.forked(folder, work))
    told = program.told_in(folder)
    is_done = any(line.startswith("result") for line in told.lines)
    assert code in (0, SpaceError.exit_status), f"ended with {code}: {program.said(folder)}"
    assert code == 0 or "error SpaceError" in told.lines, f"no space was taken for something else: {told.lines}"
    assert code != 0 or (is_done and program.newest(folder) == program.STEPS), "ended with 0, and is not done"
    if code != 0 and on_error == "stop" and program.newest(folder) == 0:
        assert len(told.steps) <= program.EVERY + 1, f"the first save failed, and {len(told.steps)} steps were done"
    if code != 0 and on_error == "warn" and program.newest(folder) == 0 and told.steps:
        assert "a save failed, the run goes on" in program.said(folder), "a failed save was not said"
    if on_error == "warn" and told.steps:
        assert len(told.steps) == program.STEPS, f"stopped after {len(told.steps)} steps, though told to warn"
    if disk:
        disk.leave()
    return program.finish(folder)


HARNESS = Harness(cases=cases, run=run, sample=100, needs=missing)
