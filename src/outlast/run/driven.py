"""A loop of a run that something else drives: the trainer of a framework, which owns its `for` statements.

Such a trainer asks for data in its own time, mostly one batch ahead, and says by a callback when a step is complete.
So what `Run.iterate` does in one place is here in three: `feed` gives the items, `advance` is the boundary, `close`
the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Self

from outlast.run.loader import WorkersGone
from outlast.run.position import Loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What a `Driven` loop asks of its run.

    Attributes:
        resumed: iterates over a source from where the loop is. Raises WorkersGone, MismatchError.
        completed: counts passes of the loop's body as one step: a boundary. Raises Preempted, or what failed.
        gone: leaves, for the loader's workers died of a notice; told whether a save is right now. Raises Preempted.
        remembering: remembers what breaks the loop off, whoever catches it.
    """

    resumed: Callable[[Iterable[Any], Loop], Iterator[Any]]
    completed: Callable[[Loop, int], None]
    gone: Callable[[bool], NoReturn]
    remembering: Callable[[], AbstractContextManager[None]]


class Driven:
    """A loop that is driven from outside, made by `Run.loop`. Close it, or use it as a context manager.

    Attributes:
        is_mid_pass: set it while a save would be wrong although an item is asked for (gradients are accumulating).
    """

    def __init__(self, driver: Driver, loop: Loop) -> None:
        self.is_mid_pass = False
        self._driver, self._loop = driver, loop
        self._items: Iterator[Any] = iter(())
        self._is_all = False

    @property
    def done(self) -> int:
        """Passes completed, over all attempts."""
        return self._loop.start if self._loop.is_over else self._loop.done

    @property
    def is_over(self) -> bool:
        """Whether it was over before the restart: there is nothing more to do in it."""
        return self._loop.is_over

    @property
    def was_restored(self) -> bool:
        """Whether the checkpoint was saved in this loop: it goes on."""
        return self._loop.was_restored

    def feed(self, source: Iterable[Any], *, ahead: bool = False) -> Iterator[Any]:
        """Give the items of `source` from pass `done` on: same order, nothing twice, nothing skipped.

        An item that is asked for completes nothing.

        Args:
            source: as for `Run.iterate`.
            ahead: whoever asks holds one item back, so that at a boundary one more was read than passes are complete.
        """
        self._loop.reads_ahead = ahead
        self._items = self._feed(source)
        return self._items

    def _feed(self, source: Iterable[Any]) -> Iterator[Any]:
        length = _length(source)
        given = self._loop.done
        with self._driver.remembering():
            items = self._driver.resumed(source, self._loop)
            while True:
                try:
                    item = next(items)
                except StopIteration:
                    return
                except WorkersGone:
                    self._driver.gone(not self.is_mid_pass)
                given += 1
                self._is_all = given == length
                yield item

    def advance(self, passes: int = 1) -> None:
        """Say that passes through the loop's body are complete, together one step: a boundary.

        Raises:
            Preempted: notice was given; the save is durable.
            OutlastError: the save before this one failed.
        """
        with self._driver.remembering():
            self._driver.completed(self._loop, passes)

    def count(self, passes: int = 1) -> None:
        """Say the same where a save would be wrong: the boundary of the loop around this one follows.

        Raises:
            UsageError: the loop is not open any more.
        """
        self._loop.advance(passes)

    def close(self) -> None:
        """The loop is over for this pass of the loop around it."""
        if (
            self._is_all
        ):  # who counts the items does not ask for their end: loaders that know where they are wait for it
            next(self._items, None)
        self._loop.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._loop.finish()


def _length(source: Iterable[Any]) -> int | None:
    try:
        return len(source) if isinstance(source, Sized) else None
    except TypeError:  # a loader of a stream has a length by its class, and none when it is asked
        return None
