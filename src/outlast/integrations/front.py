"""What the fronts of trainers have in common: a run, and what they put into the trainer while its block is open."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from outlast.errors import UsageError
from outlast.integrations.options import Options
from outlast.run import Run
from outlast.store import Committed


class Front:
    """A run whose state is somebody else's objects and the program's own.

    Args:
        store, state, options: as for `outlast.Run`.
        own: the components that the front adds to the state.
        whose: these are, for an error.

    Attributes:
        run: the `outlast.Run`.

    Raises:
        UsageError: the state has one of these names already.
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        state: MutableMapping[str, Any] | None,
        options: Options,
        own: Mapping[str, Any],
        whose: str,
    ) -> None:
        state = {} if state is None else state
        taken = sorted(own.keys() & state.keys())
        if taken:
            raise UsageError(f"the state's names {taken} are the {whose}'s own: choose others")
        state.update(own)
        self.run = Run(store, state, **options)
        self._undo = ExitStack()

    @property
    def step(self) -> int:
        """Optimizer steps completed so far, over all attempts."""
        return self.run.step

    def save(self) -> None:
        """Save as soon as the step under way is complete: see `outlast.Run.save`."""
        self.run.save()

    def wait(self) -> Committed | None:
        """Wait until the last started save is durable: see `outlast.Run.wait`."""
        return self.run.wait()

    def _prepare(self, undo: ExitStack) -> None:
        """Do what comes before the restore. What `undo` is told is undone when the block has ended."""

    def _install(self, undo: ExitStack) -> None:
        """Do what follows on the restore. What `undo` is told is undone before the run ends."""

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._prepare(undo)
            undo.enter_context(self.run)
            self._install(undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.__exit__(kind, error, trace)
