"""What is written or read as a whole: pickle, json, and the seam for other libraries' functions that do that."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from .core import Recorder
from .leaves import Found

Write = Callable[..., object]  # (real function, arguments with another destination)


class Saves:
    """Wraps functions that save and load.

    Functions of one library call those of another: only the outermost call counts.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def save(self, owner: Any, name: str, *, what: int, to: int, suffix: str = "", rest: bool = False) -> None:
        """Listen to a function that saves its argument number `what` to its argument number `to`, a path or a file.

        Args:
            owner: the module.
            name: the function.
            what: the first that is saved; with `rest` all from there on, and those given by name.
            to: the destination.
            suffix: what the function adds to a path that does not end so.
            rest: see `what`.
        """
        real, recorder = getattr(owner, name), self._recorder
        how = f"{owner.__name__.partition('.')[0]}.{name}"

        @wraps(real)
        def call(*args: Any, **kwargs: Any) -> Any:
            with recorder.saving() as is_outermost:
                if recorder.is_deaf or len(args) <= to or not is_outermost:
                    return real(*args, **kwargs)
                if recorder.is_due("save"):
                    self._half(real, args, kwargs, to, suffix)
                saved = Found()
                about: dict[str, Any] = {"path": "", "how": how}
                with recorder.probing(f"before {how}"):
                    _saved(saved, args, kwargs, what, rest=rest)
                    about |= {"path": _path(args[to], suffix), "in_handler": _in_handler()}
                result = real(*args, **kwargs)
                with recorder.probing(f"after {how}"):
                    recorder.kinds(saved)
                    recorder.log.tell("save", leaves=saved.leaves, **about)
                return result

        setattr(owner, name, call)

    def load(self, owner: Any, name: str, *, again: Callable[[Any, Any], Any] | None = None) -> None:
        """Listen to a function that loads from its first argument, a path or a file.

        `again(source, result)` returns what stands there, if the result does not show it.
        """
        real, recorder = getattr(owner, name), self._recorder
        how = f"{owner.__name__.partition('.')[0]}.{name}"

        @wraps(real)
        def call(*args: Any, **kwargs: Any) -> Any:
            with recorder.saving() as is_outermost:
                if recorder.is_deaf or not args or not is_outermost:
                    return real(*args, **kwargs)
                try:
                    result = real(*args, **kwargs)
                except Exception as e:
                    error = f"{type(e).__name__}: {e}"[:300]
                    with recorder.probing(f"after {how}"):
                        recorder.log.tell("load", path=_path(args[0]), how=how, error=error)
                    raise
                with recorder.probing(f"after {how}"):
                    found = Found()
                    _add_all(found, again(args[0], result) if again else result)
                    recorder.kinds(found)
                    recorder.log.tell("load", path=_path(args[0]), how=how, leaves=found.leaves)
                return result

        setattr(owner, name, call)

    def _half(self, real: Write, args: tuple[Any, ...], kwargs: dict[str, Any], to: int, suffix: str) -> None:
        """Write half of what the function would write, and end the process."""
        recorder = self._recorder
        with recorder.probing("writing half of a save"):
            is_text = isinstance(args[to], io.TextIOBase)
            memory: Any = io.StringIO() if is_text else io.BytesIO()
            real(*args[:to], memory, *args[to + 1 :], **kwargs)
            whole = memory.getvalue()
            half = whole[: len(whole) // 2]
            if hasattr(args[to], "write"):
                args[to].write(half)
                args[to].flush()
            else:
                path = _path(args[to], suffix)
                recorder.log.tell("file", op="write", path=path, was=os.path.exists(path))
                with open(path, "wb") as file:
                    file.write(half)
            recorder.kill(f"half of {_path(args[to], suffix)}")


def _saved(found: Found, args: tuple[Any, ...], kwargs: dict[str, Any], what: int, *, rest: bool) -> None:
    """Add the leaves of what is saved."""
    if not rest:
        _add_all(found, args[what])
        return
    for number, value in enumerate(args[what:]):
        found.add(f"arr_{number}", value)
    for name, value in kwargs.items():
        found.add(name, value)


def _add_all(found: Found, value: Any) -> None:
    if isinstance(value, dict) and not {"bit_generator", "state"} <= value.keys():
        for name, held in value.items():
            found.add(str(name), held)
    else:
        found.add("", value)


def _path(to: Any, suffix: str = "") -> str:
    name = to if isinstance(to, (str, bytes, os.PathLike)) else getattr(to, "name", "")
    if not isinstance(name, (str, bytes, os.PathLike)):
        return ""
    path = os.path.abspath(os.fsdecode(name)) if name else ""
    is_bare = suffix and isinstance(to, (str, os.PathLike)) and not path.endswith(suffix)
    return f"{path}{suffix}" if is_bare else path


def _in_handler() -> bool:
    """Say whether a handler of a signal is being run."""
    handlers = map(signal.getsignal, (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT))
    codes = {getattr(getattr(handler, "__func__", handler), "__code__", None) for handler in handlers} - {None}
    frame = sys._getframe() if codes else None  # noqa: SLF001
    while frame is not None:
        if frame.f_code in codes:
            return True
        frame = frame.f_back
    return False


def _pickle(recorder: Recorder, pickle: Any) -> None:
    saves = Saves(recorder)
    saves.save(pickle, "dump", what=0, to=1)
    saves.load(pickle, "load")


def _json(recorder: Recorder, json: Any) -> None:
    saves = Saves(recorder)
    saves.save(json, "dump", what=0, to=1)
    saves.load(json, "load")


def _signal(recorder: Recorder, module: Any) -> None:
    def was_set(_: object, number: int, handler: object) -> None:
        name = getattr(handler, "__qualname__", None) or str(handler)
        recorder.log.tell("handler", signal=int(number), name=name)

    recorder.around(module, "signal", was_set)


LISTENERS = {"pickle": [_pickle], "json": [_json], "signal": [_signal]}
