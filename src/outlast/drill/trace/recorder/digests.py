"""Values -> short texts: numbers as they are written, arrays by a digest of their bytes."""

from __future__ import annotations

import sys
from array import array
from hashlib import blake2b
from typing import Any

_LONGEST = 60
_WHOLE_BYTES = 1 << 20  # larger ones by a sample: what training changes, it changes everywhere
_BLOCKS = 64
_BLOCK_BYTES = 4096
_WORDS = 625


def of_plain(value: object) -> str:
    """Return a number or text as Python writes it, a long one as a digest."""
    text = repr(value)
    return text if len(text) <= _LONGEST else of_bytes(text.encode("utf-8", "backslashreplace"))


def of_bytes(data: Any, about: str = "") -> str:
    """Return `#` and a digest of bytes; of a sample, with `~`, where there are many."""
    view = memoryview(data).cast("B")
    digest = blake2b(about.encode(), digest_size=8)
    if view.nbytes <= _WHOLE_BYTES:
        digest.update(view)
        return f"#{digest.hexdigest()}"
    stride = (view.nbytes - _BLOCK_BYTES) // (_BLOCKS - 1)
    for k in range(_BLOCKS):
        digest.update(view[k * stride : k * stride + _BLOCK_BYTES])
    return f"~{digest.hexdigest()}"


def of_array(value: Any) -> str:
    """Return the digest of a NumPy array."""
    if value.dtype.hasobject:
        return of_plain(value.tolist())
    if value.ndim == 0:
        return of_plain(value.item())
    numpy: Any = sys.modules["numpy"]
    flat = numpy.ascontiguousarray(value).reshape(-1)
    return of_bytes(flat.view(numpy.uint8) if flat.size else b"", f"{value.dtype}{value.shape}")


def of_tensor(value: Any) -> str:
    """Return the digest of a tensor's values, wherever it lies."""
    torch: Any = sys.modules["torch"]
    if value.layout != torch.strided or value.is_meta:
        return f"{value.layout} {tuple(value.shape)}"
    about = f"{value.dtype}{tuple(value.shape)}"
    if not value.numel():
        return of_bytes(b"", about)
    data = value.detach().contiguous().reshape(-1).view(torch.uint8)
    if data.numel() <= _WHOLE_BYTES:
        return of_bytes(data.cpu().numpy(), about)
    stride = (data.numel() - _BLOCK_BYTES) // (_BLOCKS - 1)  # where it lies: not all of it comes from a GPU
    sample = torch.cat([data[k * stride : k * stride + _BLOCK_BYTES] for k in range(_BLOCKS)])
    return "~" + of_bytes(sample.cpu().numpy(), about)[1:]


def of_rng(state: Any) -> str:
    """Return the digest of a generator's state in one of the forms that generators give and take."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(state, torch.Tensor):
        return of_tensor(state)
    if is_python_rng(state):
        return of_bytes(array("I", state[1]).tobytes(), repr(state[2]))
    if isinstance(state, tuple):  # NumPy's legacy form
        state = {"bit_generator": state[0], "state": {"key": state[1], "pos": state[2]}}
    return of_bytes(_canonical(state).encode())


def is_python_rng(state: object) -> bool:
    """Say whether this is what `random.getstate()` gives (a list of lists, once it has been through JSON)."""
    is_three = isinstance(state, (tuple, list)) and len(state) == 3  # noqa: PLR2004
    return is_three and isinstance(state[1], (tuple, list)) and len(state[1]) == _WORDS  # type: ignore[index]


def is_numpy_rng(state: object) -> bool:
    """Say whether this is the state of a NumPy generator, in its old form or in the new one."""
    if isinstance(state, dict):
        return "bit_generator" in state and "state" in state
    return isinstance(state, tuple) and len(state) > 2 and state[0] == "MT19937"  # noqa: PLR2004


def _canonical(state: Any) -> str:
    if isinstance(state, dict):
        kept = sorted(name for name in state if name not in ("has_gauss", "gauss"))
        return "{" + ",".join(f"{name}:{_canonical(state[name])}" for name in kept) + "}"
    tolist = getattr(state, "tolist", None)
    return repr(tolist() if tolist else state)
