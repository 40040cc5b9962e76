"""One process for all that is tried here: it has imported the frameworks."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from frameworks.kit import Zygote

_FRAMEWORKS = ("numpy", "scipy", "sklearn", "tensorflow", "jax", "torch")


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    found = Zygote([name for name in _FRAMEWORKS if importlib.util.find_spec(name)])
    yield found
    found.close()
