"""What a plug-in implements to bring a type of object into checkpoints and back. Contracts only.

An `Adapter` lowers an object to simpler values and puts saved values back into the live object.
A `LeafAdapter` moves the bytes of an array type. A `GlobalRng` is one library's process-wide generator.
A plug-in module names its instances in a tuple, by an entry point of the group ``outlast.adapters``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from outlast.capture.pool import Pool
from outlast.format.model import Node

Shape = tuple[int, ...]


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

    def awaiting(self, value: Any, lowered: Any, state: Node, shapes: Callable[[str], Shape | None]) -> Any:  # noqa: ARG002
        """Return the lowered live object that a saved state is put into, with places for what it has not got yet.

        Args:
            value: the live object.
            lowered: it, lowered.
            state: the node of the saved one.
            shapes: gives the shape of a saved array by its leaf's path.
        """
        return lowered

    def compare(self, value: Any, state: Node) -> str:  # noqa: ARG002
        """Return in what the saved state does not fit the live object, as a phrase; "" if it fits."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafSpec:
    """What the manifest says of an array."""

    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


class Within(NamedTuple):
    """Where in a larger array an array lies, which is a box of it: one rank's.

    Args:
        shape: of the larger array.
        offset: where the box begins in it.
    """

    shape: tuple[int, ...]
    offset: tuple[int, ...]


class Target(ABC):
    """The place where the bytes of one leaf go. Used once, in this order: `own_bytes`, `open`, `close`, `value`."""

    def own_bytes(self, size_bytes: int) -> int:
        """Return how much memory `open` takes, and `close` gives back, for a leaf of that size; at most, if unknown."""
        return size_bytes

    @abstractmethod
    def open(self) -> memoryview:
        """Return a writable view of exactly the leaf's bytes: the live array's own memory where possible."""

    @abstractmethod
    def close(self) -> None:
        """Bring the bytes from a temporary into the live array, if there was one. Binds nothing."""

    @abstractmethod
    def value(self) -> Any:
        """Return what shall stand in the leaf's place."""


class Copies(ABC):
    """Copies of values that lie on a device, begun and going on beside the program.

    Attributes:
        views: their bytes in the stored form, in the order of the values. Good after `finish`, until the next `start`.
    """

    views: list[memoryview]

    @abstractmethod
    def ready(self) -> None:
        """Return when the program may go on: all is copied that it may change without our hearing of it before.

        Raises:
            OutlastError: a copy failed.
        """

    @abstractmethod
    def finish(self) -> None:
        """Return when all is copied. In whatever thread; before the views are read, and once.

        Raises:
            ChangedError: the program has changed a value meanwhile: the views are of no use.
            OutlastError: a copy failed.
        """


class Facts(NamedTuple):
    """What there is to know of several arrays, but for their contents.

    Args:
        told: equal ones mean that `describe`, `attributes`, and whether there is an `address`, are equal.
        addresses: where each array's memory begins.
    """

    told: tuple[list[Any], ...]
    addresses: list[int]


class Several(ABC):
    """Asks many arrays of a `LeafAdapter` at once what a walk would ask each of them: a few calls for thousands."""

    types: frozenset[type]  # exactly these

    @abstractmethod
    def suits(self, values: Sequence[Any]) -> bool:
        """Whether `facts` say all of these arrays, whatever is done to them. None is empty, none can be refused."""

    @abstractmethod
    def facts(self, values: Sequence[Any]) -> Facts | None:
        """Return what there is to know of the arrays; None if they are not of the usual kind."""

    @abstractmethod
    def identities(self, facts: Facts) -> list[Hashable]:
        """Return for each array what `LeafAdapter.identity` returns for it."""


class LeafAdapter(ABC):
    """Moves the bytes of one kind of array."""

    several: ClassVar[Several | None] = None
    kind: str  # the node's kind: "array", "scalar", "tensor"; a plug-in's has a dot in it
    types: tuple[type, ...] = ()
    exact_types: tuple[type, ...] = ()
    immutable: ClassVar[bool] = (
        False  # a new one takes the live one's place: that only says what is expected, and where
    )

    @abstractmethod
    def describe(self, value: Any) -> LeafSpec:
        """Return dtype, shape and size.

        Raises:
            Refused: this one cannot be captured.
        """

    def within(self, value: Any) -> Within | None:  # noqa: ARG002
        """Return what it is a box of, where `describe` and all else tell of the box; None if it is whole."""
        return None

    @abstractmethod
    def identity(self, value: Any) -> Hashable | None:
        """Return equal keys for views of exactly the same memory; None if it shares with nothing."""

    @abstractmethod
    def copy(self, value: Any, out: memoryview) -> None:
        """Copy the bytes, C order and little endian, to `out`, which has their size."""

    def address(self, value: Any) -> int | None:  # noqa: ARG002
        """Return where the bytes lie in memory, if they lie there as `copy` would write them; else None."""
        return None

    def owner(self, value: Any) -> Any:  # noqa: ARG002
        """Return what keeps the bytes at `address` in memory, if nobody ever changes them; else None.

        Then a snapshot holds on to that instead of copying them, until the next one.
        """
        return None

    def is_far(self, value: Any) -> bool:  # noqa: ARG002
        """Whether the bytes lie on a device, so that `start` copies them beside the program."""
        return False

    def start(self, paths: Sequence[str], values: Sequence[Any], *, pool: Pool, overlaps: bool) -> Copies:
        """Begin to copy values that are far, all of a snapshot in one call.

        Args:
            paths: their names, for messages.
            values: they.
            pool: the snapshot's. The views of the one before in the same pool are released.
            overlaps: whether some may be copied while the program computes; else all are there when `ready` returns.

        Raises:
            OutlastError: they cannot be copied.
            MemoryError: there is no room.
        """
        raise NotImplementedError

    def leave(self, pool: Pool) -> None:  # noqa: B027  (most keep nothing)
        """Let go of what `start` keeps for a pool; without pools, of all."""

    @abstractmethod
    def attributes(self, value: Any) -> dict[str, Node]:
        """Return what the node says besides the leaf.

        Raises:
            Refused: this one cannot be captured.
        """

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
        """Whether a live value can be filled in place; of an immutable one, whether it says where the new one goes."""

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
