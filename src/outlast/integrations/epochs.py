"""The epochs and batches of a trainer that owns its loops, as loops of a run.

The trainer iterates over its data once an epoch. Where it asks for the next step's batches, the step before is complete
with all that belongs to it (logging, validation), and nothing is drawn yet for the next one: that is the boundary. The
end of an epoch is seen when the next one begins, for a trainer that counts its batches does not ask for their end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from outlast.errors import MismatchError, UsageError
from outlast.run import Run
from outlast.run.driven import Driven


class Epochs:
    """Two nested loops, "epoch" and "batch", while something else drives them.

    Args:
        run: theirs.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._epochs: Driven | None = None
        self._batches: Driven | None = None
        self._given = 0  # batches of the step under way
        self._has_begun = False

    def begin(self) -> None:
        """The training begins. Raises UsageError if it did before: a second one could not be told from the first."""
        if self._has_begun:
            raise UsageError("a training was begun before in this run: one training, one store")
        self._has_begun = True

    def begin_epoch(self) -> None:
        """An epoch begins: the one before is complete, with its validation. A boundary, if there was one."""
        if self._epochs is None:
            self._epochs = self._run.loop("epoch")
        else:
            self._end_batches()
            self._epochs.advance()

    def batches(
        self, items: Callable[[Driven], Iterator[Any]], *, group: int, skipped: int | None = None
    ) -> Iterator[Any]:
        """Give the epoch's batches.

        Args:
            items: given the loop, returns its items.
            group: so many batches make one step.
            skipped: how many batches the trainer believes to be done; None if it does not say.

        Raises:
            MismatchError: it believes what is not so.
        """
        assert self._epochs is not None, "an epoch is begun before its batches are asked for"
        loop = self._batches = self._run.loop("batch")
        if skipped is not None and loop.done != skipped:
            raise MismatchError(
                f"the trainer skips {skipped} batches of this epoch, but {loop.done} were done at the save",
                hint="start it with the data, the batch size and the accumulation that it had",
            )
        for batch in items(loop):
            self._given += 1
            yield batch
            if self._given == group:
                self._given = 0
                loop.advance(group)

    def end(self) -> None:
        """The training is over."""
        self._end_batches()
        if self._epochs is not None:
            self._epochs.count()
            self._epochs.close()

    def _end_batches(self) -> None:
        if self._batches is not None:
            if self._given:
                self._batches.count(self._given)
            self._batches.close()
        self._batches, self._given = None, 0


def replace(undo: ExitStack, owner: Any, name: str, value: object) -> None:
    """Set an attribute of an object or a module; when `undo` is closed, it is what it was."""
    held = vars(owner)
    if name in held:
        undo.callback(setattr, owner, name, held[name])
    else:
        undo.callback(delattr, owner, name)
    setattr(owner, name, value)
