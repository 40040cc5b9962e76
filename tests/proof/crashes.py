"""What a loss of power may leave: every state that POSIX allows after some calls, as far as `sync` does not forbid it.

The rules, as adversarial as they can be while a disk is still a disk:

- A file's bytes are durable by a sync of that file, a name by a sync of *its* directory. Nothing else is: neither does
  a file's sync keep its name, nor one directory's sync another's, nor age anything.
- Of what is not durable each piece may be there or not, whatever came before or after it. Of several changes to one
  name any may be the last.
- A write may be there whole, not at all, by half, but for its last byte, every second block of it, or as zeros. Direct
  I/O is no better: it ends in the disk's own cache. What was there before it, synced or not, has no claim to stay: a
  block that is overwritten is the old one or the new one.
- A rename is atomic (spec, section 2): the old name does not go unless the new one is there. Of a file both may
  be, as where two directories are written at different times; of a directory never.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from math import prod

from proof.disk import Change, Cut, Disk, Entry, Mark, Step, Sync, Write, cut, written

BLOCK_BYTES = 4096
LIMIT = 256  # all combinations up to here (eight pieces that are there or not), a sample above


def crash_states(base: Disk, steps: Sequence[Step], seed: str) -> Iterator[Disk]:
    """Yield each state that may be found after `steps` and a loss of power, no two alike.

    `base` is the disk before the steps; it has all their inodes, empty and without names.
    """
    cache = _Cache(base.copy())
    for step in steps:
        cache.take(step)
    seen = set()
    for chosen in _combinations(cache.choices(), seed):
        if not cache.is_sane(chosen):
            continue
        disk = cache.with_chosen(chosen)
        key = disk.key()
        if key not in seen:
            seen.add(key)
            yield disk


def promised(steps: Iterable[Step]) -> list[str]:
    """Return the promises that were made, in order."""
    return [one.text for step in steps for one in step if isinstance(one, Mark)]


_Slot = tuple[int, str | None]  # a name in a directory, or the bytes of a file
_Choices = dict[_Slot, list[int | bytes]]
_Chosen = dict[_Slot, int | bytes]


@dataclass(slots=True)
class _Cache:
    """What is durable, and what is pending by the name or file that it changes."""

    durable: Disk
    pending: dict[_Slot, list[Change]] = field(default_factory=dict)
    halves: dict[int, list[tuple[_Slot, Change]]] = field(default_factory=dict)  # of pending renames

    def take(self, step: Step) -> None:
        for one in step:
            if isinstance(one, Sync):
                self._sync(one.inode)
            elif not isinstance(one, Mark):
                self._defer(one)

    def _defer(self, change: Change) -> None:
        slot = (change.inode, change.name if isinstance(change, Entry) else None)
        self.pending.setdefault(slot, []).append(change)
        if isinstance(change, Entry) and change.pair:
            self.halves.setdefault(change.pair, []).append((slot, change))

    def _sync(self, inode: int) -> None:
        for slot in [slot for slot in self.pending if slot[0] == inode]:
            if slot in self.pending:  # not forced by the other half of a rename meanwhile
                self._force(slot, len(self.pending[slot]))

    def _force(self, slot: _Slot, count: int) -> None:
        """Make the first changes of a slot durable, and with an old name's end the new name."""
        forced, rest = self.pending[slot][:count], self.pending[slot][count:]
        if rest:
            self.pending[slot] = rest
        else:
            del self.pending[slot]
        for change in forced:
            if isinstance(change, Entry) and change.pair in self.halves:
                self._force_pair(slot, change)
            self.durable.apply(change)

    def _force_pair(self, slot: _Slot, change: Entry) -> None:
        for other, half in self.halves.pop(change.pair):
            if other != slot and (change.to is None or self._is_folder(change, half)) and other in self.pending:
                self._force(other, self.pending[other].index(half) + 1)

    def _is_folder(self, change: Change, half: Change) -> bool:
        return any(isinstance(one, Entry) and one.to in self.durable.folders for one in (change, half))

    def choices(self) -> _Choices:
        """Return what each slot may hold, the newest last: a file's bytes, or how many changes of a name are there."""
        return {
            slot: self._names(slot, changes) if slot[1] is not None else _contents(self.durable.files[slot[0]], changes)
            for slot, changes in self.pending.items()
        }

    def _names(self, slot: _Slot, changes: list[Change]) -> list[int | bytes]:
        """Return the numbers of changes that differ in their outcome; all of them where a rename is among them."""
        if any(isinstance(change, Entry) and change.pair for change in changes):
            return list(range(len(changes) + 1))
        outcomes = [self.durable.folders[slot[0]].get(str(slot[1])), *(change.to for change in changes)]
        newest = {to: count for count, to in enumerate(outcomes)}
        return sorted(newest.values())

    def is_sane(self, chosen: _Chosen) -> bool:
        """Say whether the renames are as they may be: no old name gone without the new one, no directory twice."""
        for halves in self.halves.values():
            (gone, change), (come, half) = halves
            is_gone, is_come = self._is_done(gone, change, chosen), self._is_done(come, half, chosen)
            if is_gone != is_come and (is_gone or self._is_folder(change, half)):
                return False
        return True

    def _is_done(self, slot: _Slot, change: Change, chosen: _Chosen) -> bool:
        if slot not in self.pending or change not in self.pending[slot]:
            return True
        count = chosen[slot]
        assert isinstance(count, int)
        return self.pending[slot].index(change) < count

    def with_chosen(self, chosen: _Chosen) -> Disk:
        disk = self.durable.copy()
        for slot, choice in chosen.items():
            if isinstance(choice, bytes):
                disk.files[slot[0]] = choice
            elif choice:
                disk.apply(self.pending[slot][choice - 1])
        return disk


def _contents(durable: bytes, changes: list[Change]) -> list[int | bytes]:
    """Return what a file may hold if each of the changes may be there, torn, or not; with all of them last."""
    before = [durable]
    for change in changes:
        before = list(dict.fromkeys(after for data in before for after in _outcomes(data, change)))
        if len(before) > LIMIT:
            before = [*random.Random(len(before)).sample(before[:-1], LIMIT), before[-1]]
    return before


def _outcomes(data: bytes, change: Change) -> Iterator[bytes]:
    yield data
    if isinstance(change, Cut):
        yield cut(data, change.size_bytes)
    elif isinstance(change, Write):
        whole = change.data
        if len(whole) > BLOCK_BYTES:
            yield _every_second(data, change)
        for torn in (bytes(len(whole)), whole[: len(whole) // 2], whole[:-1], whole):
            yield written(data, change.at, torn)


def _every_second(data: bytes, change: Write) -> bytes:
    for at in range(0, len(change.data), 2 * BLOCK_BYTES):
        data = written(data, change.at + at, change.data[at : at + BLOCK_BYTES])
    return data


def _combinations(choices: _Choices, seed: str) -> Iterator[_Chosen]:
    """Yield all combinations, or, of too many, the extremes and a sample."""
    if prod(len(some) for some in choices.values()) <= LIMIT:
        for every in product(*choices.values()):
            yield dict(zip(choices, every, strict=True))
        return
    yield from _extremes(choices)
    rng = random.Random(seed)
    yield from islice(iter(lambda: {slot: rng.choice(some) for slot, some in choices.items()}, None), LIMIT)


def _extremes(choices: _Choices) -> Iterator[_Chosen]:
    """Yield nothing done, all done, and each single piece done alone or missing alone."""
    none, every = ({slot: some[at] for slot, some in choices.items()} for at in (0, -1))
    yield none
    yield every
    for slot, some in choices.items():
        for choice in some:
            yield none | {slot: choice}
            yield every | {slot: choice}
