"""The variables of the user's own code, as seen from one of its frames outwards."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType
from typing import Any

_OWN = os.path.dirname(os.path.abspath(__file__))
LIBRARIES = (os.path.dirname(os.path.abspath(os.__file__)),)
_NOT_STATE = (ModuleType, FunctionType, BuiltinFunctionType, type)
_DEEPEST = 50


@lru_cache(maxsize=512)
def is_users(filename: str) -> bool:
    """Say whether code is the user's: not Python's, not a library's, not ours."""
    if filename.startswith("<") and filename not in ("<string>", "<stdin>"):
        return False
    path = os.path.abspath(filename)
    ours = getattr(sys.modules.get("outlast"), "__file__", None)
    libraries = [*LIBRARIES, _OWN, *([os.path.dirname(os.path.abspath(ours))] if ours else [])]
    return not is_in_library(path) and not any(path.startswith(folder + os.sep) for folder in libraries)


def is_in_library(path: str) -> bool:
    """Say whether an absolute path is one of Python's own or of an installed package."""
    return path.startswith(LIBRARIES) or any(f"/{name}-packages/" in path for name in ("site", "dist"))


def variables(frame: FrameType | None) -> dict[str, Any]:
    """Return name -> value for the user's frames from here outwards, the innermost one's first, then the program's."""
    found: dict[str, Any] = {}
    for _ in range(_DEEPEST):
        if frame is None:
            break
        if is_users(frame.f_code.co_filename):
            for name, value in frame.f_locals.items():
                found.setdefault(name, value)
        frame = frame.f_back
    for name, value in vars(sys.modules["__main__"]).items():
        found.setdefault(name, value)
    return {name: value for name, value in found.items() if not name.startswith("_") and not _is_code(value)}


def name_of(value: object, frame: FrameType | None) -> str:
    """Return the variable that holds an object; its class's name if none does."""
    named = (name for name, held in variables(frame).items() if held is value)
    return next(named, type(value).__name__)


def _is_code(value: object) -> bool:
    return isinstance(value, _NOT_STATE)
