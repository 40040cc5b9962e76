"""`scipy.optimize`, resumed: its functions keep their state to themselves, so what they have asked is remembered.

A deterministic optimiser that begins again asks the same questions. Those that were answered in an attempt before are
answered from the checkpoint, at no cost; so it comes to where it was, and goes on.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from outlast.errors import MismatchError
from outlast.run import Run
from outlast.run.driven import Driven


class Evaluations:
    """A component of the run: all values of a function, in the order in which they were asked for.

    Put it into the state, and let the optimiser call `of(run, function)`. Each evaluation ends in a boundary. The
    function returns a number, an array, or a tuple of these (a value and its gradient); always the same shapes.
    """

    def __init__(self) -> None:
        self._marks: list[int] = []
        self._rows: list[np.ndarray[Any, Any]] = []
        self._shapes: list[tuple[int, ...] | None] | None = None
        self._is_tuple = False
        self._asked = 0
        self._loop: Driven | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def of(self, run: Run, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, with a memory.

        The one that is returned raises MismatchError where another question is asked than before, and Preempted after
        a notice, when the save is durable.
        """
        loop = self._loop = run.loop("evaluation")

        def asked(x: Any, *arguments: Any) -> Any:
            mark = zlib.crc32(np.asarray(x).tobytes())
            at, self._asked = self._asked, self._asked + 1
            if at < len(self._rows):
                self._check(mark, at)
                return self._told(self._rows[at])
            found = function(x, *arguments)
            self._note(mark, found)
            loop.advance()
            return found

        return asked

    def state_dict(self) -> dict[str, Any]:
        rows = np.array(self._rows) if self._rows else np.zeros((0, 0))
        return {
            "marks": np.array(self._marks, np.uint32),
            "rows": rows,
            "shapes": self._shapes,
            "tuple": self._is_tuple,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self._marks = [int(mark) for mark in saved["marks"]]
        self._rows = list(saved["rows"])
        self._shapes, self._is_tuple = saved["shapes"], saved["tuple"]
        self._asked = 0

    def _check(self, mark: int, at: int) -> None:
        if mark != self._marks[at]:
            raise MismatchError(
                f"evaluation {at} is at another place than before: the optimiser does not go the same way again",
                hint="begin with the same x0 and options, and give it a seed (rng=7)",
            )

    def _note(self, mark: int, found: Any) -> None:
        parts = found if isinstance(found, tuple) else (found,)
        shapes = [None if np.ndim(part) == 0 else tuple(np.shape(part)) for part in parts]
        if self._shapes is None:
            self._shapes, self._is_tuple = shapes, isinstance(found, tuple)
        elif shapes != self._shapes:
            raise ValueError(f"the function gave {shapes}, before it gave {self._shapes}: expected the same shapes")
        self._marks.append(mark)
        self._rows.append(np.concatenate([np.ravel(np.asarray(part, np.float64)) for part in parts]))

    def _told(self, row: np.ndarray[Any, Any]) -> Any:
        parts: list[Any] = []
        begin = 0
        for shape in self._shapes or ():
            size = 1 if shape is None else int(np.prod(shape))
            part = row[begin : begin + size]
            parts.append(float(part[0]) if shape is None else part.reshape(shape).copy())
            begin += size
        return tuple(parts) if self._is_tuple else parts[0]
