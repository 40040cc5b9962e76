"""SIGKILL at every storage call of a first save, a later save, a prune, a takeover and a restore with quarantine.

Each case is a real process that kills itself before a call (which is after the one before it), after the last one,
or when half of a write is done.
After it, exactly the previous or the new checkpoint restores, the new one if it was acknowledged; whatever is
visible is whole; the same step can be saved again.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import storekit
from outlast.store import Store
from outlast.testing import CountedCalls, Fault
from storekit import Attempt


def _flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def seed_empty(path: Path) -> None:
    del path


def seed_two(path: Path) -> None:
    attempt = Attempt.begin(path)
    attempt.save(1)
    attempt.save(2)
    attempt.lease.end("failed")


def seed_leftovers(path: Path) -> None:
    """As `seed_two`, with what a killed save leaves: a directory without a manifest, a temporary file."""
    seed_two(path)
    torn = path / "step-000000003.a0001"
    torn.mkdir()
    (torn / ".tmp-0011").write_bytes(b"half")


def seed_damaged(path: Path) -> None:
    """The newest checkpoint is damaged in a leaf of its own."""
    attempt = Attempt.begin(path, lean=0)
    attempt.save(1)
    attempt.save(2)
    attempt.lease.end("failed")
    _flip(path / "step-000000002.a0001" / "part-00000.safetensors")


def first_save(path: Path, calls: CountedCalls, report) -> None:
    Attempt.begin(path, calls=calls).save(3)
    report(b"acknowledged 3\n")


def later_save(path: Path, calls: CountedCalls, report) -> None:
    attempt = Attempt.begin(path, calls=calls)
    attempt.save(3)
    report(b"acknowledged 3\n")
    attempt.save(4)  # shares the frozen leaf with 3
    report(b"acknowledged 4\n")


def save_keeping_one(path: Path, calls: CountedCalls, report) -> None:
    attempt = Attempt.begin(path, calls=calls)
    attempt.save(3, keep=1)
    report(b"acknowledged 3\n")
    attempt.save(4, keep=1)  # names bytes of 3, whose manifest goes and whose part stays
    report(b"acknowledged 4\n")


def save_keeping_three(path: Path, calls: CountedCalls, report) -> None:
    attempt = Attempt.begin(path, calls=calls)
    for step in (3, 4, 5):
        attempt.save(step, keep=3)
        report(b"acknowledged %d\n" % step)


def prune_alone(path: Path, calls: CountedCalls, report) -> None:
    Attempt.begin(path, calls=calls).prune(1)


def takeover(path: Path, calls: CountedCalls, report) -> None:
    attempt = Attempt.begin(path, calls=calls, takeover=True)
    attempt.pruner.remove([])
    attempt.lease.end("done")


def restore_with_quarantine(path: Path, calls: CountedCalls, report) -> None:
    attempt = Attempt.begin(path, calls=calls)
    assert attempt.restore() == 1
    attempt.save(2, frozen=False)
    report(b"acknowledged 2\n")


SCENARIOS = {
    "first save": (seed_empty, first_save, {None, 3}),
    "later save": (seed_two, later_save, {2, 3, 4}),
    "save, keep=1": (seed_two, save_keeping_one, {2, 3, 4}),
    "save, keep=3": (seed_two, save_keeping_three, {2, 3, 4, 5}),
    "prune": (seed_two, prune_alone, {2}),
    "takeover with leftovers": (seed_leftovers, takeover, {2}),
    "restore with quarantine": (seed_damaged, restore_with_quarantine, {1, 2}),
}


def calls_of(seed: Path, work: Path, scenario) -> list[str]:
    """Run the scenario undisturbed and return the storage calls that it makes, by name."""
    path = storekit.copy(seed, work) if seed.exists() else work

    def run(report) -> None:
        calls = CountedCalls()
        scenario(path, calls, lambda _: None)
        report(" ".join(calls.log).encode())

    status, told = storekit.in_child(run)
    assert status == 0, told
    return told.decode().split()


def points(calls: list[str]) -> list[tuple[int, str]]:
    """Every state that a kill can leave: before each call, after the last, within each write."""
    found = [(at, "before") for at in range(1, len(calls) + 1)] + [(len(calls), "after")]
    return found + [(at, "torn") for at, name in enumerate(calls, 1) if name == "write"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_kill(name: str, tmp_path: Path) -> None:
    make_seed, scenario, allowed = SCENARIOS[name]
    seed, work = tmp_path / "seed", tmp_path / "work"
    make_seed(seed)
    names = calls_of(seed, tmp_path / "count", scenario)
    assert {"write", "fsync", "link", "unlink"} <= set(names) or name == "prune"
    for at, when in points(names):
        case = f"{name}: SIGKILL {when} call {at} of {len(names)} ({names[at - 1]})"
        path = storekit.copy(seed, work) if seed.exists() else work
        if not seed.exists() and path.exists():
            storekit.shutil.rmtree(path)
        calls = CountedCalls(Fault(at=at, signal=signal.SIGKILL, when=when))
        status, told = storekit.in_child(lambda report, path=path, calls=calls: scenario(path, calls, report))
        assert os.WIFSIGNALED(status), f"{case}: not killed, {told!r}"
        judge(path, told, allowed, case)


def judge(path: Path, told: bytes, allowed: set, case: str) -> None:
    acknowledged = max((int(line.split()[1]) for line in told.splitlines()), default=None)
    damaged_seed = allowed == {1, 2}
    found = storekit.newest(path) if (path / "outlast.json").exists() else None
    assert found in allowed, f"{case}: restores {found}"
    if acknowledged is not None:
        assert found is not None, f"{case}: acknowledged {acknowledged}, nothing restores"
        assert found >= acknowledged, f"{case}: acknowledged {acknowledged}, restores {found}"
    if not damaged_seed and path.exists() and (path / "outlast.json").exists():
        storekit.all_good(path)
    again = Attempt.begin(path)
    before = again.restore()
    assert before == found, f"{case}: the next attempt restores {before}, a reader {found}"
    step = (found or 0) + 1
    again.save(step, frozen=False, keep=2)
    assert storekit.newest(path) == step, f"{case}: the next save is not the newest"
    storekit.all_good(path)
    again.lease.end("done")
    left = [p for p in path.rglob(".tmp-*") if p.parent not in (path, path / "journal")]
    assert not left, f"{case}: left behind {left}"


def test_the_harness_sees_a_store_that_publishes_too_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest before its part: the kill must find it, or the tests above prove nothing."""
    from outlast.store import commit

    def early(self, name, manifest):
        return 0

    real = commit.Writer._write_part

    def part_after_manifest(self, name, draft):
        from outlast.format import manifest as manifests

        created = self._backend.create
        self._backend.create = lambda path, blocks: sum(memoryview(b).nbytes for b in blocks)
        try:
            manifest, size = real(self, name, draft)
        finally:
            self._backend.create = created
        created(f"{name.format()}/manifest.json", [manifests.encode(manifest)])
        real(self, name, draft)
        return manifest, size

    monkeypatch.setattr(commit.Writer, "_write_part", part_after_manifest)
    monkeypatch.setattr(commit.Writer, "_publish", early)
    seed, work = tmp_path / "seed", tmp_path / "work"
    seed_two(seed)
    names = calls_of(seed, tmp_path / "count", later_save)
    bad = 0
    for at in range(1, len(names) + 1):
        path = storekit.copy(seed, work)
        calls = CountedCalls(Fault(at=at, signal=signal.SIGKILL, when="before"))
        storekit.in_child(lambda report, path=path, calls=calls: later_save(path, calls, report))
        try:
            storekit.all_good(path)
        except Exception:
            bad += 1
    assert bad > 0


def test_claims_are_numbered_without_gaps(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        attempt = Attempt.begin(tmp_path / "s")
        assert attempt.lease.attempt == expected
        attempt.lease.end("failed")
    assert [log.attempt for log in Store(tmp_path / "s").attempts()] == [1, 2, 3]
