"""Putting the state back to where it was a moment ago, from memory: what code did to it in between is undone."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from outlast.capture.pool import Pool
from outlast.capture.refill import restore
from outlast.capture.snapshots import snapshot
from outlast.format.model import Leaf


class Rewind:
    """A copy of the state, to be put back once. It is let go of then.

    Args:
        state: the live components.

    Raises:
        CaptureError: the state cannot be captured.
    """

    def __init__(self, state: MutableMapping[str, Any]) -> None:
        self._state = state
        self._pool = Pool()
        self._taken = snapshot(state, self._pool)
        self._bytes = {leaf.path: leaf.data for leaf in self._taken.leaves}

    def put_back(self) -> None:
        """Give the live objects the contents that they had."""
        leaves = {
            leaf.path: Leaf(
                path=leaf.path,
                dtype=leaf.dtype,
                shape=leaf.shape,
                size_bytes=leaf.data.nbytes,
                extents=(),
                chunks=(),
            )
            for leaf in self._taken.leaves
        }
        restore(self._state, self._taken.tree, leaves, self)
        self._bytes.clear()
        self._pool.release()

    def read_into(self, path: str, view: memoryview) -> None:
        """Copy a leaf, as a `refill.Source` does."""
        view[:] = self._bytes[path]
