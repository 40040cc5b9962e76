"""What a store goes through while a fault strikes: seeds and acts, each with what may be there afterwards.

An act reports each step that was acknowledged; the oracle lies outside of the store.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import storekit
from fileskit import Files
from largekit import Crowd, Large, Reusing, ReusingLeant
from outlast.testing import CountedCalls
from proof import core
from storekit import Attempt

Report = Callable[[bytes], None]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A seed and what is done to it.

    Args:
        seed: makes the store that the act begins with; None: there is none.
        act: what the fault strikes.
        allowed: the steps one of which is restorable at any instant (None: nothing yet).
        final: the newest step after an undisturbed act.
        damaged: the checkpoint that the seed holds damaged.
        kit: what goes on after the fault: attempts of the same kind as the act's.
    """

    seed: Callable[[Path], None] | None
    act: Callable[[Path, CountedCalls, Report], None]
    allowed: frozenset[int | None]
    final: int
    damaged: str = ""
    kit: type[Attempt] = Attempt


def flip(path: Path, at: int = -1, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def seed_two(path: Path) -> None:
    attempt = Attempt.begin(path)
    attempt.save(1)
    attempt.save(2)
    attempt.lease.end("failed")


def seed_three(path: Path) -> None:
    attempt = Attempt.begin(path)
    for step in (1, 2, 3):
        attempt.save(step)
    attempt.lease.end("failed")


def seed_leftovers(path: Path) -> None:
    """As `seed_two`, with what a killed save leaves: a directory without a manifest, a temporary file; and trash."""
    seed_two(path)
    torn = path / "step-000000003.a0001"
    torn.mkdir()
    (torn / ".tmp-0011").write_bytes(b"half")
    trash = path / ".trash-0022"
    trash.mkdir()
    (trash / "part-00000.safetensors").write_bytes(b"old")


def seed_damaged(path: Path) -> None:
    """The newest checkpoint is damaged in a leaf of its own."""
    attempt = Attempt.begin(path, lean=0)
    attempt.save(1)
    attempt.save(2)
    attempt.lease.end("failed")
    flip(path / "step-000000002.a0001" / "part-00000.safetensors")


def seed_damaged_manifest(path: Path) -> None:
    """The newest checkpoint's manifest is damaged; it names bytes of the one before, but nobody can tell."""
    attempt = Attempt.begin(path)
    attempt.save(1)
    attempt.save(2)
    attempt.lease.end("failed")
    flip(path / "step-000000002.a0001" / "manifest.json", 100)


def saves(*steps: int, keep: int | None = None, frozen: bool = True) -> Callable[[Path, CountedCalls, Report], None]:
    def act(path: Path, calls: CountedCalls, report: Report) -> None:
        attempt = Attempt.begin(path, calls=calls)
        for step in steps:
            attempt.save(step, keep=keep, frozen=frozen)
            report(b"acknowledged %d\n" % step)

    return act


def seed_large(path: Path) -> None:
    attempt = Large.begin(path, lean=0)
    attempt.save(1)
    attempt.save(2)
    attempt.lease.end("failed")


def runs(kit: type[Attempt], *steps: int, keep: int) -> Callable[[Path, CountedCalls, Report], None]:
    """All of a run: restore, save and prune, end."""

    def act(path: Path, calls: CountedCalls, report: Report) -> None:
        attempt = kit.begin(path, calls=calls)
        for step in steps:
            attempt.save(step, keep=keep)
            report(b"acknowledged %d\n" % step)
        attempt.writer.close()
        attempt.lease.end("done")

    return act


def seed_files(path: Path) -> None:
    attempt = Files.begin(path)
    attempt.save(1)
    attempt.save(2)
    attempt.custody.close("failed")


def files_done(path: Path, calls: CountedCalls, report: Report) -> None:
    """The end of a program that saves files: the last checkpoint names the files of the one before."""
    attempt = Files.begin(path, calls=calls)
    attempt.save(3)
    report(b"acknowledged 3\n")
    attempt.custody.finish()
    report(b"acknowledged 3\n")
    attempt.custody.close("done")


def long_journal(path: Path, calls: CountedCalls, report: Report) -> None:
    """A save whose acknowledgement begins a new page of the journal."""
    attempt = Attempt.begin(path, calls=calls)
    journal = attempt.lease.journal
    journal.record("note", text="")
    size_bytes = journal._appender._size_bytes  # a look at the file would be one more call
    journal.record("note", text=" " * (4096 - 150 - size_bytes))
    attempt.save(3)
    report(b"acknowledged 3\n")


def prune_alone(path: Path, calls: CountedCalls, report: Report) -> None:
    Attempt.begin(path, calls=calls).prune(1)


def takeover(path: Path, calls: CountedCalls, report: Report) -> None:
    attempt = Attempt.begin(path, calls=calls, takeover=True)
    attempt.pruner.remove([])
    attempt.lease.end("done")


def restore_with_quarantine(path: Path, calls: CountedCalls, report: Report) -> None:
    attempt = Attempt.begin(path, calls=calls)
    found = attempt.restore()
    if found != 1:
        raise AssertionError(f"restored {found}")
    attempt.save(2, frozen=False)
    report(b"acknowledged 2\n")


def same_step_again(path: Path, calls: CountedCalls, report: Report) -> None:
    """A step is saved twice (a revision), then pruned to one."""
    attempt = Attempt.begin(path, calls=calls)
    attempt.save(3)
    report(b"acknowledged 3\n")
    attempt.save(3, frozen=False, keep=1)
    report(b"acknowledged 3\n")


def last_save(path: Path, calls: CountedCalls, report: Report) -> None:
    """What a run does as it ends: a checkpoint marked done, retention, the end in the journal."""
    attempt = Attempt.begin(path, calls=calls)
    attempt.save(3, done=True, keep=2)
    report(b"acknowledged 3\n")
    attempt.lease.end("done")


def read_all(path: Path, calls: CountedCalls, report: Report) -> None:
    """A reader beside the writers: changes nothing, whatever strikes."""
    from outlast.store import Store

    store = Store(path, calls=calls)
    for found in store.scan():
        storekit.check(store, found.name)
    store.attempts()


def scenario(
    act: Callable,
    *allowed: int | None,
    seed: Callable | None = seed_two,
    damaged: str = "",
    kit: type[Attempt] = Attempt,
) -> Scenario:
    final = max(step for step in allowed if step is not None)
    return Scenario(seed=seed, act=act, allowed=frozenset(allowed), final=final, damaged=damaged, kit=kit)


SCENARIOS = {
    "first-save": scenario(saves(3), None, 3, seed=None),
    "later-save": scenario(saves(3, 4), 2, 3, 4),  # incremental: 4 shares the frozen leaf with 3
    "incremental-chain": scenario(saves(3, 4, 5, 6), 2, 3, 4, 5, 6),  # `lean` is reached: 6 is whole again
    "keep-1": scenario(saves(3, 4, keep=1), 2, 3, 4),  # 4 names bytes of 3, whose manifest goes and whose part stays
    "keep-1-whole": scenario(saves(3, 4, keep=1, frozen=False), 2, 3, 4),
    "keep-3": scenario(saves(3, 4, 5, keep=3), 2, 3, 4, 5),
    "long-journal": scenario(long_journal, 2, 3),
    "prune": scenario(prune_alone, 2),
    "prune-three": scenario(prune_alone, 3, seed=seed_three),
    "takeover": scenario(takeover, 2, seed=seed_leftovers),
    "quarantine": scenario(restore_with_quarantine, 1, 2, seed=seed_damaged, damaged="step-000000002.a0001"),
    "quarantine-manifest": scenario(
        restore_with_quarantine, 1, 2, seed=seed_damaged_manifest, damaged="step-000000002.a0001"
    ),
    "same-step": scenario(same_step_again, 2, 3),
    "last-save": scenario(last_save, 2, 3),
    "read": scenario(read_all, 2),
    "large": scenario(runs(Large, 3, 4, 5, keep=2), None, 3, 4, 5, seed=None, kit=Large),
    "reuse": scenario(runs(Reusing, 3, 4, 5, keep=1), 2, 3, 4, 5, seed=seed_large, kit=Reusing),
    "reuse-3": scenario(runs(ReusingLeant, 3, 4, 5, 6, 7, keep=3), *range(2, 8), seed=seed_large, kit=ReusingLeant),
    "files": scenario(runs(Files, 3, 4, 5, keep=1), 2, 3, 4, 5, seed=seed_files, kit=Files),
    "files-first": scenario(runs(Files, 3, 4, keep=2), None, 3, 4, seed=None, kit=Files),
    "files-done": scenario(files_done, 2, 3, seed=seed_files, kit=Files),
    # The same calls, in an order that nobody knows:
    "crowd": scenario(runs(Crowd, 3, 4, 5, keep=1), 2, 3, 4, 5, seed=seed_large, kit=Crowd),
}


@functools.cache
def _seed(make: Callable[[Path], None]) -> tuple[tuple[str, bytes | None], ...]:
    """The names of a seed and their contents (None: a directory): kept in memory, so that nothing is left behind."""
    with core.folder() as folder:
        make(folder / "store")
        found = sorted((folder / "store").rglob("*"))
        return tuple(
            (str(path.relative_to(folder / "store")), None if path.is_dir() else path.read_bytes()) for path in found
        )


def prepared(name: str, folder: Path) -> Path:
    """The scenario's seed in `folder`, ready to be acted upon; not there if the scenario begins with none.

    It is as if just made: of an old one journals are not asked, which takes fewer calls.
    """
    path = folder / "store"
    make = SCENARIOS[name].seed
    if make is not None:
        path.mkdir(mode=0o700)
        for inner, data in _seed(make):
            if data is None:
                (path / inner).mkdir(mode=0o700)
            else:
                (path / inner).touch(mode=0o600)
                (path / inner).write_bytes(data)
    return path


@functools.cache
def calls_of(name: str) -> tuple[str, ...]:
    """The storage calls of an undisturbed act, by name, in order."""
    with core.folder() as folder:  # where the cases run: it is the storage that allows direct I/O, or does not
        path = prepared(name, folder)

        def act(report: Report) -> None:
            calls = CountedCalls()
            SCENARIOS[name].act(path, calls, lambda _: None)
            report(" ".join(calls.log).encode())

        status, told = storekit.in_child(act)
    assert status == 0, told
    return tuple(told.decode().split())
