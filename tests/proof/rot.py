"""Rot: bits that turn, files cut, grown, lost, swapped, or replaced by an older version or another store's.

What restores is byte for byte what was saved at some step, the newest that the rot leaves whole; never one that was
fenced. And it is noticed: `outlast verify` says 3, wherever the file itself can tell. The oracle is what was saved.
"""

from __future__ import annotations

import functools
import io
import itertools
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import storekit
from largekit import Large
from outlast.cli import verify
from outlast.errors import DamageError, FencedError, OutlastError
from outlast.format.model import LeafBytes
from outlast.store import Draft, Found, Lease, Store
from proof import core
from proof.core import Harness
from storekit import Attempt

Rotten = Iterator[Mapping[str, bytes | None]]  # what to put in place of which files; None: gone

_SHARES = 24  # cases for the flips, and for the cuts, of one file
_LOOKS_BEFORE_LINK = 2
_ADOPTING = "journal/a0002.jsonl"
_STRIDE = 61  # prime: sampled bits of large parts fall on every bit and every alignment
FENCED = 33
DAMAGE = 3


def state(step: int) -> dict[str, bytes]:
    return {"w": b"%06d" % step * 4, "frozen": b"as it was" * 3, "empty": b""}


def save(attempt: Attempt, step: int) -> None:
    leaves = [LeafBytes(path=p, dtype="uint8", shape=(len(d),), data=memoryview(d)) for p, d in state(step).items()]
    tree = {"m": {path: {"$": "array", "leaf": path} for path in state(step)}, "step": step}
    attempt.writer.commit(Draft(step=step, tree=tree, leaves=leaves, metrics={"loss": step / 8}))


class _Late:
    """A lease whose holder is stopped after its last look before the link: the look that follows finds the fence."""

    def __init__(self, lease: Lease) -> None:
        self._lease, self._looks = lease, 0

    def check(self) -> None:
        self._looks += 1
        if self._looks > _LOOKS_BEFORE_LINK:
            self._lease.check()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lease, name)


def save_late(attempt: Attempt, step: int) -> None:
    """Publish what does not count, as a paused attempt may after it was taken over."""
    attempt.writer._lease = _Late(attempt.lease)
    with pytest.raises(FencedError):
        save(attempt, step)


def tiny(path: Path) -> None:
    """Two attempts; what the first published after the second had claimed does not count."""
    first = Attempt.begin(path)
    save(first, 1)
    save(first, 2)
    second = Attempt.begin(path, takeover=True)
    save_late(first, FENCED)
    save(second, 3)
    save(second, 4)
    second.lease.end("failed")


def adopted(path: Path) -> None:
    """The second attempt took stock and saved nothing: its adopt line alone tells what counts."""
    first = Attempt.begin(path)
    save(first, 1)
    save(first, 2)
    Attempt.begin(path, takeover=True)
    save_late(first, FENCED)


def shared(path: Path) -> None:
    """The newest checkpoint names bytes of the one before."""
    attempt = Attempt.begin(path)
    for step in (1, 2, 3, 4):
        attempt.save(step)
    attempt.lease.end("failed")


def chunks(path: Path) -> None:
    """Leaves that are put together from the parts of several checkpoints."""
    attempt = Large.begin(path, lean=3)
    for step in (1, 2, 3, 4):
        attempt.save(step)
    attempt.lease.end("failed")


SEEDS: dict[str, Callable[[Path], None]] = {"tiny": tiny, "adopted": adopted, "shared": shared, "chunks": chunks}


@dataclass(frozen=True)
class Seed:
    """A store, what each of its files held, and who needs a file.

    Args:
        needs: file -> the steps whose checkpoints are spoiled with it.
        steps: those that count, newest first.
    """

    files: MappingProxyType[str, bytes]
    needs: dict[str, set[int]]
    steps: list[int]


@functools.cache
def seed(name: str) -> Seed:
    return _made(name)


@functools.cache
def _other(name: str) -> Seed:
    """The same steps in another store."""
    return _made(name)


def _made(name: str) -> Seed:
    with core.folder() as folder:
        path = folder / "store"
        SEEDS[name](path)
        files = {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}
        needs: dict[str, set[int]] = {file: set() for file in files}
        store = Store(path)
        for one in store.checkpoints():
            needs[f"{one.format()}/manifest.json"].add(one.step)
            for part in store.manifest(one).parts:
                needs[part.path].add(one.step)
        return Seed(MappingProxyType(files), needs, storekit.counted_steps(path))


def _is_large(name: str, file: str) -> bool:
    return name == "chunks" or (name == "shared" and file.endswith(".safetensors"))


def cases() -> Iterator[str]:
    for name in SEEDS:
        files = list(seed(name).files)
        for file in files:
            yield from (f"flip:{name}:{file}:{share}" for share in range(_SHARES))
            yield from (f"cut:{name}:{file}:{share}" for share in range(_SHARES))
            yield from (f"{what}:{name}:{file}:" for what in ("grow", "lose", "foreign"))
        yield from (f"swap:{name}:{a}:{b}" for a, b in itertools.combinations(files, 2))
        yield from (f"replace:{name}:{a}:{b}" for a, b in itertools.permutations(files, 2))


def _places(name: str, file: str, share: str) -> range:
    """The bytes of one share of a file; of a large one a sample."""
    size = len(seed(name).files[file])
    step = _STRIDE if _is_large(name, file) else 1
    return range(int(share), size, step * _SHARES)


def flips(name: str, file: str, share: str) -> Rotten:
    whole = seed(name).files[file]
    for at in _places(name, file, share):
        for bit in [at % 8] if _is_large(name, file) else range(8):
            yield {file: whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]}


def cuts(name: str, file: str, share: str) -> Rotten:
    whole = seed(name).files[file]
    for length in _places(name, file, share):
        yield {file: whole[:length]}
        yield {file: whole[:length].ljust(len(whole), b"\0")}  # the blocks were never written


def grown(name: str, file: str, _: str) -> Rotten:
    whole = seed(name).files[file]
    for more in (b"\0", b"\n", b" ", b"}", b"x\n", b"\0" * 4096, whole):
        yield {file: whole + more}
        yield {file: more + whole}


def lost(name: str, file: str, _: str) -> Rotten:
    yield {file: None}


def swapped(name: str, a: str, b: str) -> Rotten:
    files = seed(name).files
    yield {a: files[b], b: files[a]}


def replaced(name: str, a: str, b: str) -> Rotten:
    yield {a: seed(name).files[b]}


def foreign(name: str, file: str, _: str) -> Rotten:
    yield {file: _other(name).files[file]}


MAKE = {
    "flip": flips,
    "cut": cuts,
    "grow": grown,
    "lose": lost,
    "swap": swapped,
    "replace": replaced,
    "foreign": foreign,
}


def restored(path: Path) -> int | None:
    """Read the newest checkpoint that verifies, as a reader does, and compare it with what was saved."""
    store = Store(path)
    for found in store.scan():
        if not found.counts:
            continue
        try:
            return check(store, found)
        except DamageError:
            continue
    return None


def check(store: Store, found: Found) -> int:
    manifest, _ = store.read(found)
    with store.source(manifest) as source:
        source.check_parts()
        leaves = {path: bytes(source.read(path)) for path in source.leaves}
    saved = state(manifest.step), storekit.content(manifest.step), storekit.bands(manifest.step)
    assert leaves in saved, f"wrong bytes in {found.name.format()}"
    assert manifest.step == found.name.step
    return manifest.step


def verified(path: Path) -> int:
    """The status of `outlast verify`, without the parser, which would take most of the time."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            return verify.main(Namespace(store=str(path), checkpoint=None, json=False))
        except OutlastError as e:
            return e.exit_status


def put(path: Path, rotten: Mapping[str, bytes | None]) -> None:
    for file, data in rotten.items():
        if data is None:
            (path / file).unlink()
        else:
            (path / file).write_bytes(data)


def laid_out(name: str, path: Path) -> Path:
    for file in seed(name).files:
        (path / file).parent.mkdir(parents=True, exist_ok=True)
    put(path, seed(name).files)
    return path


def is_silent(files: Mapping[str, bytes], file: str, data: bytes | None) -> bool:
    """Whether a journal's lines are whole as they stand, so that nobody can tell: lines lost at its end (S-18)."""
    if not file.startswith("journal/"):
        return False
    *kept, torn = (data or b"").split(b"\n")
    whole = [line for line in files[file].split(b"\n") if line]
    return [line for line in kept if line] == whole[: len([line for line in kept if line])] and torn[:-1] not in whole


def is_removed(rotten: Mapping[str, bytes | None]) -> bool:
    """Whether a manifest is gone: that is how checkpoints are pruned."""
    return any(data is None and file.endswith("manifest.json") for file, data in rotten.items())


def _tells_what_counts(journal: bytes) -> bool:
    """Whether one copy of the adopt line is whole, in a file that is this journal."""
    copies = [line for line in seed("adopted").files[_ADOPTING].split(b"\n") if b'"adopt"' in line]
    assert len(copies) == 2, "the adopt line stands twice"
    return any(line in journal.split(b"\n")[:-1] for line in copies)


def judge(name: str, path: Path, rotten: Mapping[str, bytes | None]) -> None:
    one = seed(name)
    changed = [file for file, data in rotten.items() if data != one.files[file]]
    spoiled = set().union(*(one.needs[file] for file in changed))
    whole = [step for step in one.steps if step not in spoiled]
    found = restored(path)
    allowed = {whole[0] if whole else None} | spoiled  # a shared part may be hit where only an older one needs it
    if name == "adopted" and not _tells_what_counts(rotten.get(_ADOPTING, one.files[_ADOPTING]) or b""):
        allowed.add(FENCED)  # whoever had it fenced is not known any more
    assert found in allowed, f"restores {found}, expected one of {allowed}"
    if changed and not all(is_silent(one.files, file, rotten[file]) for file in changed) and not is_removed(rotten):
        assert verified(path) == DAMAGE, "not noticed"


def run(case: str, folder: Path) -> int:
    what, name, first, second = case.split(":")
    path = laid_out(name, folder / "store")
    count = 0
    for count, rotten in enumerate(MAKE[what](name, first, second), 1):  # noqa: B007
        put(path, rotten)
        try:
            judge(name, path, rotten)
        except Exception as e:
            raise AssertionError(f"{_said(name, rotten)}: {type(e).__name__}: {e}") from e
        put(path, {file: seed(name).files[file] for file in rotten})
    assert restored(path) == seed(name).steps[0], "not as it was after all"
    return count


def _said(name: str, rotten: Mapping[str, bytes | None]) -> str:
    """Where the first file differs from what it was, to find the state again."""
    file, data = next(iter(rotten.items()))
    if data is None:
        return f"without {file}"
    pairs = itertools.zip_longest(seed(name).files[file], data)
    at = next((at for at, (was, now) in enumerate(pairs) if was != now), len(data))
    return f"{file} of {len(data)} bytes, from byte {at}"


HARNESS = Harness(cases=cases, run=run, sample=32)
