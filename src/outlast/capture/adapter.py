"""What a plug-in implements to bring a type of object into checkpoints and back. Contracts only.

An `Adapter` lowers an object to simpler values and puts saved values back into the live object.
A `LeafAdapter` moves the bytes of an array type. A `GlobalRng` is one library's process-wide generator.
A plug-in module names its instances in a tuple, by an entry point of the group ``outlast.adapters``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from outlast.format.model import Node


class Refused(Exception):  # noqa: N818  (a verdict; the walk turns it into a CaptureError with the path)
    """A value cannot be captured.

    Args:
        reason: what it is, e.g. "is a sparse tensor".
        remedy: what the user can do.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Fixed:
    """What `Adapter.lower` returns for a value that is part of the program, not of the state.

    Args:
        name: how the manifest names it; compared at restore, never rebuilt.
    """

    name: str


class Adapter(ABC):
    """Lowers objects of some types to simpler values, and puts saved values back."""

    name: str
    types: tuple[type, ...] = ()  # with their subclasses
    exact_types: tuple[type, ...] = ()  # without
    exact_keys: ClassVar[bool] = False  # the lowered dict's keys must be the live ones: a mismatch otherwise
    may_grow: ClassVar[bool] = False  # those keys may become more while the program runs
    in_place: ClassVar[bool] = False  # the lowered arrays cannot take another shape
    same_class: ClassVar[bool] = False  # the live object's class must have the saved one's name
    restored_last: ClassVar[bool] = False  # generators: anything restored after them might draw from them
    buildable: ClassVar[bool] = False  # `build` works

    @abstractmethod
    def lower(self, value: Any) -> Any:
        """Return the state as simpler values (or `Fixed`); views of live arrays are welcome. Changes nothing.

        Raises:
            Refused: this one cannot be captured.
        """

    @abstractmethod
    def restore(self, value: Any, saved: Any) -> Any:
        """Put the saved values back into the live object; return what shall stand in its place (mostly it)."""

    def build(self, saved: Any) -> Any:
        """Make a value where the program has none. Called only if `buildable`."""
        raise NotImplementedError

    def compare(self, value: Any, state: Node) -> str:  # noqa: ARG002
        """Return in what the saved state does not fit the live object, as a phrase; "" if it fits."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafSpec:
    """What the manifest says of an array."""

    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


class Target(ABC):
    """The place where the bytes of one leaf go. Used once, in this order: `open`, `close`, `value`."""

    @abstractmethod
    def open(self) -> memoryview:
        """Return a writable view of exactly the leaf's bytes: the live array's own memory where possible."""

    @abstractmethod
    def close(self) -> None:
        """Bring the bytes from a temporary into the live array, if there was one. Binds nothing."""

    @abstractmethod
    def value(self) -> Any:
        """Return what shall stand in the leaf's place."""


class LeafAdapter(ABC):
    """Moves the bytes of one kind of array."""

    kind: str  # the node's kind: "array", "scalar", "tensor"
    types: tuple[type, ...] = ()
    exact_types: tuple[type, ...] = ()

    @abstractmethod
    def describe(self, value: Any) -> LeafSpec:
        """Return dtype, shape and size.

        Raises:
            Refused: this one cannot be captured.
        """

    @abstractmethod
    def identity(self, value: Any) -> Hashable | None:
        """Return equal keys for views of exactly the same memory; None if it shares with nothing."""

    @abstractmethod
    def copy(self, value: Any, out: memoryview) -> None:
        """Copy the bytes, C order and little endian, to `out`, which has their size."""

    @abstractmethod
    def attributes(self, value: Any) -> dict[str, Node]:
        """Return what the node says besides the leaf."""

    def view(self, value: Any) -> Any:
        """Return another array of the same memory; the value itself if the library has no such thing."""
        return value

    def key(self, value: Any) -> Node:
        """Return a node without a leaf, for a value that is a dict's key.

        Raises:
            Refused: such values are no keys.
        """
        raise Refused(f"has a key of the type {type(value).__name__}", "use strings or numbers as keys")

    @abstractmethod
    def fillable(self, value: Any) -> bool:
        """Whether a live value can be filled in place."""

    @abstractmethod
    def target(self, live: Any | None, spec: LeafSpec, node: Node) -> Target:
        """Return where the bytes go: into `live`, which has this spec, or into a new value.

        Raises:
            ValueError: no value of that dtype can be made in this process.
        """


class GlobalRng(ABC):
    """One library's process-wide random state, part of `outlast.RNG`."""

    name: str

    @abstractmethod
    def capture(self) -> Any:
        """Return the state as simple values."""

    @abstractmethod
    def restore(self, saved: Any) -> None:
        """Put it back."""


PlugIn = Adapter | LeafAdapter | GlobalRng
