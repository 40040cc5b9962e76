"""Parts of the program in a state: which ones are told whole by their name, so that comparing names is enough."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from outlast.capture import fixed
from outlast.capture.adapter import Refused
from outlast.capture.kinds import Kinds, is_array


def check_part(part: Any, kinds: Kinds, is_captured: Callable[[Any], bool], depth: int = 0) -> None:
    """Check that the name of a function, method, partial ... tells it whole; so for what a partial holds.

    Args:
        part: it.
        kinds: which type is captured how.
        is_captured: whether an object stands in the state before the part.
        depth: how deep in a partial.

    Raises:
        Refused: it holds something that is state.
    """
    kind = kinds.of(part)
    if kind.name == "function":
        _check_function(part)
    elif kind.name == "method":
        _check_method(part, is_captured)
    elif kind.name == "partial":
        _check_all((part.func, *part.args, *part.keywords.values()), kinds, is_captured, depth)
    elif kind.name in {"tuple", "namedtuple", "frozenset"}:
        _check_all(part, kinds, is_captured, depth)
    elif not kind.is_rebound or is_array(kind.saved):
        raise Refused(f"is a functools.partial that holds a {type(part).__name__}", "keep that as state of its own")


_DEEPEST = 50


def _check_all(parts: Any, kinds: Kinds, is_captured: Callable[[Any], bool], depth: int) -> None:
    if depth > _DEEPEST:
        raise Refused(
            f"is a functools.partial of more than {_DEEPEST} levels", "keep what it holds as state of its own"
        )
    for part in parts:
        check_part(part, kinds, is_captured, depth + 1)


def _check_function(value: Any) -> None:
    if value.__closure__ is not None:
        raise Refused(
            f"is the function {value.__qualname__} with captured variables (a closure)",
            "keep the variables as state and make the function anew, outside the state",
        )


def _check_method(value: Any, is_captured: Callable[[Any], bool]) -> None:
    owner = getattr(value, "__self__", None)
    if not (owner is None or isinstance(owner, (type, types.ModuleType)) or is_captured(owner)):
        raise Refused(
            f"is the method {fixed.name(value)} of an object that is not captured before it",
            "put the object itself into the state, before the method",
        )
