"""What is saved: named arrays as programs have them, and which of their elements change between two saves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import xxhash

Shapes = dict[str, tuple[int, ...]]
ALL = slice(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Live arrays by name.

    Attributes:
        arrays: contiguous; changed in place.
        changing: the rows of each array that change between two saves; an array that is not in it is frozen.
        is_torch: a program with this state holds it in tensors.
    """

    arrays: dict[str, np.ndarray]
    changing: dict[str, slice]
    is_torch: bool = False

    @property
    def size_bytes(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())

    @property
    def changing_bytes(self) -> int:
        return sum(self.arrays[name][rows].nbytes for name, rows in self.changing.items())

    def change(self) -> Iterable[str]:
        """Do what a step does: every element that can change does. Returns the names of the arrays."""
        for name, rows in self.changing.items():
            self.arrays[name][rows] += 1
        return self.changing

    def change_all(self) -> Iterable[str]:
        """Change every element of all arrays and return their names."""
        for array in self.arrays.values():
            np.add(array, 1, out=array)
        return self.arrays

    def digest(self) -> str:
        return digest(self.arrays)


def _all(shapes: Shapes) -> dict[str, slice]:
    return dict.fromkeys(shapes, ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a state is made. `shapes` takes the scale: 1 is the full size."""

    says: str
    shapes: Callable[[float], Shapes]
    dtype: str = "float32"
    is_torch: bool = False
    changing: Callable[[Shapes], dict[str, slice]] = _all


def digest(arrays: dict[str, np.ndarray]) -> str:
    """Return one digest of names and contents."""
    total = xxhash.xxh3_128()
    for name in sorted(arrays):
        total.update(name.encode())
        total.update(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8))
    return total.hexdigest()


def build(name: str, scale: float) -> State:
    """Make a state with contents that do not compress."""
    rng = np.random.default_rng(7)
    return _make(name, scale, rng.random)


def blank(name: str, scale: float) -> State:
    """Make the same arrays with other contents, every page touched: what a restart has before it restores."""
    return _make(name, scale, lambda shape, dtype: np.full(shape, -1, dtype))


def _make(name: str, scale: float, fill: Callable[[tuple[int, ...], type], np.ndarray]) -> State:
    recipe = RECIPES[name]
    shapes = recipe.shapes(scale)
    dtype = np.dtype(recipe.dtype).type
    arrays = {leaf: fill(shape, dtype) for leaf, shape in shapes.items()}
    return State(arrays=arrays, changing=recipe.changing(shapes), is_torch=recipe.is_torch)


# -- shapes ------------------------------------------------------------------------------------------------------


def resnet50(scale: float) -> Shapes:
    """ResNet-50's 161 parameters and 106 running statistics, and Adam's two moments: 589 leaves, 307 MB."""
    parameters, statistics = dict(_parameters()), dict(_statistics())
    moments = {f"adam.{kind}.{name}": shape for name, shape in parameters.items() for kind in ("exp_avg", "exp_avg_sq")}
    return {name: _scaled(shape, scale) for name, shape in (parameters | statistics | moments).items()}


def _convolutions() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield each convolution, the batch norm behind it, and the convolution's shape."""
    yield "conv1", "bn1", (64, 3, 7, 7)
    width_in = 64
    for layer, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            yield f"{at}.conv1", f"{at}.bn1", (width, width_in, 1, 1)
            yield f"{at}.conv2", f"{at}.bn2", (width, width, 3, 3)
            yield f"{at}.conv3", f"{at}.bn3", (4 * width, width, 1, 1)
            if block == 0:
                yield f"{at}.downsample.0", f"{at}.downsample.1", (4 * width, width_in, 1, 1)
            width_in = 4 * width


def _parameters() -> Iterator[tuple[str, tuple[int, ...]]]:
    for convolution, norm, shape in _convolutions():
        yield f"{convolution}.weight", shape
        yield f"{norm}.weight", shape[:1]
        yield f"{norm}.bias", shape[:1]
    yield "fc.weight", (1000, 2048)
    yield "fc.bias", (1000,)


def _statistics() -> Iterator[tuple[str, tuple[int, ...]]]:
    for _, norm, shape in _convolutions():
        yield f"{norm}.running_mean", shape[:1]
        yield f"{norm}.running_var", shape[:1]


def _scaled(shape: tuple[int, ...], scale: float) -> tuple[int, ...]:
    return (max(1, int(shape[0] * scale)), *shape[1:])


def _equal(prefix: str, leaves: int, size_bytes: int) -> Shapes:
    """Return float32 leaves of equal size that make `size_bytes` together."""
    return {f"{prefix}.{index}": (max(1, size_bytes // (4 * leaves)),) for index in range(leaves)}


def _field(side: int, scale: float) -> tuple[int, int]:
    return max(100, int(side * scale)), side


# -- the recipes -------------------------------------------------------------------------------------------------

_GIB = 1 << 30
RECIPES = {
    "S": Recipe(says="ResNet-50 with Adam: 307 MB in 589 leaves", shapes=resnet50, is_torch=True),
    "L": Recipe(says="2 GiB in 200 leaves", shapes=lambda scale: _equal("leaf", 200, int(2 * _GIB * scale))),
    "M": Recipe(
        says="20,000 leaves of 4 KB: 82 MB",
        shapes=lambda scale: {f"leaf.{index}": (1024,) for index in range(max(100, int(20_000 * scale)))},
    ),
    "N": Recipe(
        says="three fields of 512 MB, float64",
        shapes=lambda scale: {name: _field(8192, scale) for name in ("u", "v", "p")},
        dtype="float64",
    ),
    "F": Recipe(
        says="2 GiB in 200 frozen leaves and 20 trained ones, which are 1 %",
        shapes=lambda scale: _equal("base", 200, int(2 * _GIB * scale)) | _equal("lora", 20, int(0.02 * _GIB * scale)),
        is_torch=True,
        changing=lambda shapes: {name: ALL for name in shapes if name.startswith("lora")},
    ),
    "W": Recipe(
        says="a field of 512 MB, float64, of which a band of 1 % changes",
        shapes=lambda scale: {"u": _field(8192, scale)},
        dtype="float64",
        changing=lambda shapes: {"u": slice(0, shapes["u"][0] // 100)},
    ),
}
