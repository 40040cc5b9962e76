"""What a harness is, which there are, and how a case is run: in a folder of its own, failing with its own command."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

HARNESSES = (
    *("kills", "errors", "replay", "twice", "strace", "cuts", "uml"),
    *("notices", "supervised", "memory", "memory_run", "oom", "space", "space_ext4"),
    *("changes", "zombies", "races", "clocks", "stale", "twins", "people"),
    *("rot", "hostile"),
    *("octave", "octave_run"),
    *("savers",),
    *("r", "r_examples"),
)


@dataclass(frozen=True, kw_only=True)
class Harness:
    """One kind of fault.

    Args:
        cases: yields the names of all cases, each time in the same order. Endless where they are drawn from seeds.
        run: runs a case in an empty folder; raises if outlast broke a promise; returns how many states it looked at.
        sample: how many of them `make test` runs: spread evenly over finite ones, the first of endless ones.
        tools: commands that it needs (see tests/tools), with what they are for.
        needs: says what else it needs and does not find here; nothing if it has all.
        on_disk: needs a real file system; else memory (tmpfs) is used, which is faster.
    """

    cases: Callable[[], Iterable[str]]
    run: Callable[[str, Path], int | None]
    sample: int
    endless: bool = False
    tools: tuple[str, ...] = ()
    needs: Callable[[], str | None] = str
    on_disk: bool = False


class Broken(AssertionError):
    """A case that failed, with the command that runs it alone."""


def load(name: str) -> Harness:
    found = importlib.import_module(f"proof.{name}").HARNESS
    assert isinstance(found, Harness)
    return found


def missing_tools(harness: Harness) -> list[str]:
    """Return what the harness needs and is not here: commands, and whatever else it says."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [tool for tool in harness.tools if shutil.which(tool, path=path) is None]
    other = harness.needs()
    return [*missing, other] if other else missing


def sampled(harness: Harness) -> list[str]:
    """The cases that `make test` runs."""
    if harness.endless:
        return list(islice(harness.cases(), harness.sample))
    found = list(harness.cases())
    if len(found) <= harness.sample:
        return found
    return [found[i * len(found) // harness.sample] for i in range(harness.sample)]


def run_case(name: str, case: str) -> int:
    """Run one case; return how many states it looked at. Raises Broken."""
    harness = load(name)
    with folder(on_disk=harness.on_disk) as work:
        try:
            looked = harness.run(case, work)
        except Exception as e:
            command = f"make soak CASE='{name} {case}'"
            raise Broken(f"{name} {case}: {type(e).__name__}: {e}\n  again: {command}") from e
    return 1 if looked is None else looked


def folder(*, on_disk: bool = False) -> tempfile.TemporaryDirectory[str]:
    """A folder of a case's own, in memory where there is room: unsynced data is as safe there as on a disk."""
    fast = "/dev/shm"
    place = None if on_disk or not os.access(fast, os.W_OK) else fast
    return _Folder(prefix="outlast-", dir=place, ignore_cleanup_errors=True)


class _Folder(tempfile.TemporaryDirectory):
    def __enter__(self) -> Path:  # type: ignore[override]
        return Path(super().__enter__())


def slices(cases: list[str], count: int) -> Iterator[list[str]]:
    """Deal the cases out to `count` tests of about the same length."""
    for i in range(count):
        yield cases[i::count]
