"""Started by Python itself in each process of a drilled program: the recorder, then the one that ours hides."""

import importlib.machinery
import importlib.util
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _start() -> None:
    folder = os.path.join(os.path.dirname(_HERE), "recorder")
    spec = importlib.util.spec_from_file_location(
        "_outlast_trace", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no recorder in {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["_outlast_trace"] = module  # not by the name of our package: the program's Python may not have it
    spec.loader.exec_module(module)
    module.start(os.environ["OUTLAST_TRACE"])


def _go_on() -> None:
    """Run the `sitecustomize` that would have been found without ours."""
    elsewhere = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != _HERE]
    sys.path[:] = elsewhere  # the program sees the path that it would have seen; its children get ours by PYTHONPATH
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


try:
    if os.environ.get("OUTLAST_TRACE"):
        _start()
finally:
    _go_on()
