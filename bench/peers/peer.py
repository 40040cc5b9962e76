"""What every peer can be asked to do. The bench takes the time from outside."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from bench.states import State

_KEPT = 2


class Peer:
    """One way to save a state into a folder and to get it back.

    Attributes:
        needs: distributions whose versions belong to the figures.
        syncs: whether what was waited for is durable; if not, the bench syncs files and folders, in measured time.
        in_place: whether restoring fills the live arrays; if not, it makes new ones.
        is_lazy: whether the new arrays are a mapping of the file, which has not been read.
        has_own_arrays: whether what it saves are copies of the state's arrays, made by `refresh`.
        leaves_out: whether it writes only what changed.
        warm_ups: how many saves it takes to come to the steady state.
    """

    needs: ClassVar[tuple[str, ...]] = ("numpy",)
    syncs: bool = False
    in_place: ClassVar[bool] = False
    is_lazy: bool = False
    has_own_arrays: bool = False
    leaves_out: ClassVar[bool] = False
    warm_ups: int = 1

    def __init__(self, state: State, folder: str) -> None:
        self.state = state
        self.folder = folder
        self.number = 0

    def begin(self) -> None:
        """Get ready to save."""

    def refresh(self, names: Iterable[str]) -> None:
        """Bring what changed to the peer's own arrays, where these are not views of the state's. Not measured."""

    def save(self) -> Callable[[], float | None]:
        """Save. Returns when the loop may go on, with what waits for the end of the save.

        What waits returns how many seconds after `save` returned the bytes were durable, if the peer knows, else None.
        """
        self.number += 1
        path = self.place(self.number)
        os.mkdir(path)
        return self.write(path)

    def write(self, path: str) -> Callable[[], float | None]:
        """Write a checkpoint into the new folder `path`; see `save`."""
        raise NotImplementedError

    def restore(self) -> Mapping[str, Any]:
        """Restore the newest checkpoint and return the arrays by name: the live ones, or new ones."""
        newest = max(entry for entry in os.listdir(self.folder) if entry.isdecimal())
        return self.read(os.path.join(self.folder, newest))

    def read(self, path: str) -> Mapping[str, Any]:
        """Restore the checkpoint in `path`; see `restore`."""
        raise NotImplementedError

    def prune(self) -> None:
        """Remove all but the newest two checkpoints. Not measured: outlast does it behind the save, in its thread."""
        for number in range(1, self.number - _KEPT + 1):
            shutil.rmtree(self.place(number), ignore_errors=True)

    def end(self) -> None:
        """Close what `begin` or `restore` opened."""

    def place(self, number: int) -> str:
        return os.path.join(self.folder, f"{number:06d}")


def nothing() -> None:
    """Wait for a save that had ended when the loop went on."""
