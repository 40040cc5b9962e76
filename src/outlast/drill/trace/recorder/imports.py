"""Hear when the program imports a library: nothing is imported for it."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from .core import Recorder

Listen = Callable[[Recorder, Any], None]
Waiting = Mapping[str, Sequence[tuple[Recorder, Listen]]]


class _Finder:
    """Finds what the other finders find, and has their loader tell when the module is there."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._waiting:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                self._tap(fullname, spec.loader)
                return spec
        return None

    def _tap(self, name: str, loader: Any) -> None:
        real = getattr(loader, "exec_module", None)
        if real is None or isinstance(loader, type):
            return

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            real(module)
            _tell(module, self._waiting[name])

        loader.exec_module = exec_module


def when_imported(waiting: Waiting) -> None:
    """Call each listener with its module, once that is imported."""
    for name, listeners in waiting.items():
        if name in sys.modules:
            _tell(sys.modules[name], listeners)
    sys.meta_path.insert(0, _Finder({name: each for name, each in waiting.items() if name not in sys.modules}))


def _tell(module: ModuleType, listeners: Sequence[tuple[Recorder, Listen]]) -> None:
    for recorder, listen in listeners:
        with recorder.probing(f"listening to {module.__name__}"):
            listen(recorder, module)
