"""NumPy: what is saved and loaded, and the global generator's state taken and put back."""

from __future__ import annotations

import os
from typing import Any

from .core import Recorder
from .saves import Saves


def _numpy(recorder: Recorder, numpy: Any) -> None:
    saves, load = Saves(recorder), numpy.load
    saves.save(numpy, "save", what=1, to=0, suffix=".npy")
    saves.save(numpy, "savetxt", what=1, to=0)
    for name in ("savez", "savez_compressed"):
        saves.save(numpy, name, what=1, to=0, suffix=".npz", rest=True)

    def members(source: Any, result: Any) -> Any:
        if not hasattr(result, "files"):
            return result
        if not isinstance(source, (str, os.PathLike)):
            return {}
        with load(source) as archive:  # another one: the program's own reads each member when it asks for it
            return {name: archive[name] for name in archive.files}

    saves.load(numpy, "load", again=members)


def _random(recorder: Recorder, module: Any) -> None:
    for function, way in (("get_state", "asked"), ("set_state", "given")):
        recorder.around(module, function, _moved(recorder, way, "rng:numpy"))


def _python(recorder: Recorder, module: Any) -> None:
    for function, way in (("getstate", "asked"), ("setstate", "given")):
        recorder.around(module, function, _moved(recorder, way, "rng:python"))


def _moved(recorder: Recorder, way: str, name: str) -> Any:
    return lambda *_args, **_kwargs: recorder.log.tell(way, name=name, kind="rng")


LISTENERS = {"numpy": [_numpy], "numpy.random": [_random], "random": [_python]}
