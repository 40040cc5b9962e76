"""outlast's own runs: a step at each boundary, with the leaves of the state and what lies outside of it."""

from __future__ import annotations

import sys
from typing import Any

from .core import Recorder
from .leaves import Found
from .variables import variables

_DEEPEST = 6
_OUTSIDE = "outside:"


def _run(recorder: Recorder, module: Any) -> None:
    boundaries = _Boundaries(recorder)
    recorder.around(module.Run, "_restore", boundaries.restored)
    recorder.around(module.Run, "_completed", boundaries.completed)
    recorder.around(module.Run, "due", boundaries.completed)
    recorder.around(module.Run, "_close", boundaries.closed)
    recorder.around(module.Saver, "start", boundaries.saved)


class _Boundaries:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._told = -1
        self._held: set[str] = set()

    def restored(self, _: object, run: Any, *_args: Any) -> None:
        self._recorder.run = run
        if run.step:
            self._recorder.log.tell("restored", step=run.step)
        self._told = run.step

    def completed(self, _: object, run: Any, *_args: Any) -> None:
        if run.step == self._told:  # an outer loop's pass
            return
        self._told = run.step
        found = Found()
        for name, value in run._state.items():  # noqa: SLF001
            found.add(name, value)
        inside = _identities(run._state)  # noqa: SLF001
        for name, value in variables(sys._getframe()).items():  # noqa: SLF001
            if id(value) not in inside and type(value) is not type(run):
                found.add(f"{_OUTSIDE}{name}", value)
        self._tell_held(found, run)
        self._recorder.step(run.step, "run", found)

    def saved(self, _: object, saver: Any, *_args: Any) -> None:
        self._recorder.log.tell("save", path=str(saver._store.path), how="outlast")  # noqa: SLF001

    def closed(self, *_: object) -> None:
        self._recorder.run = None

    def _tell_held(self, found: Found, run: Any) -> None:
        """Tell, once, which generators the state has; of the global ones whether outlast.RNG() stands for them."""
        is_marked = any(type(value).__name__ == "RNG" for value in run._state.values())  # noqa: SLF001
        rngs = {path: not path.startswith(_OUTSIDE) for path, kind in found.kinds.items() if kind == "rng"}
        for name, in_state in (rngs | {"the global generators": is_marked}).items():
            if name not in self._held:
                self._held.add(name)
                self._recorder.log.tell("held", name=name.removeprefix(_OUTSIDE), kind="rng", in_state=in_state)


def _identities(root: Any) -> set[int]:
    """Return the identities of the objects that a state holds."""
    found: set[int] = set()
    level = [root]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for value in level:
            if id(value) in found:
                continue
            found.add(id(value))
            if isinstance(value, dict):
                below += value.values()
            elif isinstance(value, (list, tuple)):
                below += value
            else:
                below += getattr(value, "__dict__", {}).values()
        level = below
    return found


LISTENERS = {"outlast.run.run": [_run]}
