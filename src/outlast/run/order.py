"""The order of a loader's batches: drawn once by its own sampler, drawn again after a restart, and compared.

`Order` stands in the place of the loader's sampler. Undisturbed it passes on what that sampler gives, when it
gives it, so that every generator moves as it would without us. After a restart the generators are set to where
they were when the epoch began; the sampler draws again what it had drawn by the time of the save (workers are
ahead of the loop), a checksum says whether that is the same; what the loop had seen is dropped, and the
generators are put to where the restored state left them.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

from outlast.errors import MismatchError
from outlast.run import draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What to draw again.

    Attributes:
        done: batches that the loop is through with.
        drawn: index lists that the sampler had given.
        checksum: of these.
        exhausted: the sampler had nothing more to give.
        present: the generators' states to put back afterwards.
        before: their states just before the batch under way was read, if the save was inside of its pass.
    """

    done: int
    drawn: int
    checksum: int
    exhausted: bool
    present: draws.States
    before: draws.States | None


class Order:
    """A sampler that keeps count of another one.

    Attributes:
        drawn, checksum, exhausted: see `Replay`.
        before: the generators' states before the newest batch was read in this process.
        problem: set if what was drawn again is not what was drawn before.
    """

    def __init__(self) -> None:
        self.problem: MismatchError | None = None
        self.sampler: Any = ()
        self._source: Iterator[Any] | None = None

    @property
    def is_begun(self) -> bool:
        """Whether torch has asked for an iterator."""
        return self._source is not None

    def begin(
        self,
        sampler: Any,
        *,
        seed: int,
        sources: draws.Sources,
        in_workers: bool,
        replay: Replay | None,
        wants_before: Callable[[], bool],
    ) -> None:
        """Begin an epoch.

        Args:
            sampler: the loader's own: it gives index lists, or single indices.
            seed: of the epoch; each batch's own is made of it and the batch's number.
            sources: the generators that the order may be drawn from.
            in_workers: the indices go to worker processes, which seed themselves as they arrive.
            replay: what to draw again first.
            wants_before: asked at each batch that is read in this process, whether to keep `before`.
        """
        self.sampler = sampler
        self.drawn = self.checksum = 0
        self.exhausted = False
        self.before: draws.States | None = None
        self._seed, self._sources, self._in_workers = seed, sources, in_workers
        self._replay, self._wants_before = replay, wants_before
        self._rereads: Replay | None = None
        self._again: deque[Any] = deque()
        self._number = replay.done if replay else 0
        self._source = None

    def __iter__(self) -> Self:
        self._source = iter(self.sampler)
        return self

    def __len__(self) -> int:
        return len(self.sampler)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "sampler":
            raise AttributeError(name)
        return getattr(self.sampler, name)

    def __next__(self) -> Any:
        self.catch_up()
        index = self._again.popleft() if self._again else self._draw()
        number, self._number = self._number, self._number + 1
        if self._in_workers:
            return Sent(index, batch_seed(self._seed, number))
        if self._rereads is None:
            self.before = draws.take(self._sources) if self._wants_before() else None
        else:
            self.before = self._rereads.before
            draws.put_back(self._sources, self._rereads.before or {})
        return index

    def catch_up(self) -> None:
        """Draw again what was drawn before the save, once."""
        replay, self._replay = self._replay, None
        if replay is None:
            return
        self._again.extend(self._draw_again(replay)[replay.done :])
        draws.put_back(self._sources, replay.present)
        if replay.before is not None:
            self._rereads = replay

    def settle(self) -> None:
        """A batch was read: if it was one that had been read before the save, undo what that drew."""
        replay, self._rereads = self._rereads, None
        if replay is not None:
            draws.put_back(self._sources, replay.present)

    def _draw_again(self, replay: Replay) -> list[Any]:
        try:
            drawn = [self._draw() for _ in range(replay.drawn)]
        except StopIteration:
            self._differs(f"it gives {self.drawn} batches, it gave {replay.drawn}")
            return []
        if self.checksum != replay.checksum:
            self._differs("it gives other indices")
            return []
        if replay.exhausted:
            for _ in self._source or ():
                self._differs(f"it gives more than {replay.drawn} batches")
            self.exhausted = True
        return drawn

    def _draw(self) -> Any:
        assert self._source is not None, "a sampler is iterated before it is drawn from"
        if self.exhausted:
            raise StopIteration
        try:
            index = next(self._source)
        except StopIteration:
            self.exhausted = True
            raise
        self.drawn += 1
        self.checksum = zlib.crc32(_bytes(index), self.checksum)
        return index

    def _differs(self, how: str) -> None:
        self.exhausted = True
        self._again.clear()
        self.problem = MismatchError(
            f"the sampler {type(self.sampler).__name__} does not give the order again that it gave before the "
            f"save: {how}",
            hint="let it draw from a generator that it holds or from the global ones; the data must not change",
        )


class Sent:
    """Indices on their way to a worker: as they are unpickled there, the worker's generators are seeded.

    So the random choices made for a batch depend on the epoch and the batch alone, not on which worker makes
    them nor on what it made before.
    """

    __slots__ = ("index", "seed")

    def __init__(self, index: Any, seed: int) -> None:
        self.index, self.seed = index, seed

    def __reduce__(self) -> tuple[Any, ...]:
        return arrive, (self.index, self.seed)


def arrive(index: Any, seed: int) -> Any:
    """Seed the worker's generators, and those that its dataset holds, and return the indices."""
    torch = sys.modules.get("torch")
    info = torch.utils.data.get_worker_info() if torch is not None else None
    if info is not None:
        for source in draws.shared().values():
            source.seed(seed)
        for number, source in enumerate(_owned_by(info.dataset)):
            source.seed(batch_seed(seed, number))
    return index


_known: list[draws.Source] = []


def _owned_by(dataset: Any) -> list[draws.Source]:
    """Return the generators that a worker's dataset holds. Looked up once: a worker has one dataset."""
    if not _is_known:
        _is_known.append(True)
        _known.extend(draws.owned(dataset, "dataset").values())
    return _known


_is_known: list[bool] = []


def batch_seed(seed: int, number: int) -> int:
    """Return a seed of 63 bits for a batch of an epoch."""
    return int.from_bytes(blake2b(f"{seed}/{number}".encode(), digest_size=8).digest()) >> 1


def _bytes(index: Any) -> bytes:
    if type(index) is list:
        try:
            return array("q", index).tobytes()
        except (TypeError, OverflowError):
            return repr(index).encode(errors="replace")
    return repr(index).encode(errors="replace")
