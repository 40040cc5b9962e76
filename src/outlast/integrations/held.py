"""A framework's own checkpoint data in a run's state: given at each save, kept at the restore until it is asked for.

The framework makes such data before there is anything to put it back into, or takes it back at a time of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Held:
    """A component of a run's state that is filled by `tell` at a save.

    Args:
        tell: returns the data, as dicts, lists, numbers, texts and arrays. Not called before `begin`.
    """

    def __init__(self, tell: Callable[[], dict[str, Any]]) -> None:
        self._tell = tell
        self._saved: dict[str, Any] = {}
        self._is_begun = self._is_taken = False

    def take(self) -> dict[str, Any]:
        """Return what was restored, once; an empty dict at a fresh start."""
        saved, self._saved, self._is_taken = self._saved, {}, True
        return saved

    def begin(self) -> None:
        """From now on `tell` is asked."""
        self._is_begun = True

    def state_dict(self) -> dict[str, Any]:
        return self._tell() if self._is_begun else {}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        if not self._is_taken and saved:  # what is put back on the way into a loop was taken long before
            self._saved = saved
