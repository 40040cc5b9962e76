"""The folder of examples, from which the tests' programs take their trainings."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parents[3] / "examples"


def example(name: str) -> ModuleType:
    """Import examples/NAME/train.py."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / name / "train.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
