"""The global random generators: digests of their states. Looking does not move them."""

from __future__ import annotations

import sys
from typing import Any

from .digests import of_rng


def states() -> dict[str, str]:
    """Return name -> digest for the generators of the libraries that the program has imported."""
    found = {}
    python, numpy, torch = (sys.modules.get(name) for name in ("random", "numpy.random", "torch"))
    if python is not None and hasattr(python, "_inst"):
        found["python"] = of_rng(_inst(python).getstate())
    if numpy is not None and hasattr(numpy, "mtrand"):
        found["numpy"] = of_rng(numpy.mtrand._rand.get_state(legacy=False))  # noqa: SLF001
    if torch is not None and hasattr(torch, "default_generator"):
        found["torch"] = of_rng(torch.default_generator.get_state())
        found |= _cuda(torch)
    return found


def _inst(python: Any) -> Any:
    """Return the generator behind the functions of `random`."""
    return python._inst  # noqa: SLF001


def _cuda(torch: Any) -> dict[str, str]:
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return {}
    return {f"cuda:{i}": of_rng(each.get_state()) for i, each in enumerate(cuda.default_generators)}
