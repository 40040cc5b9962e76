"""The values that a checkpoint is made of, as frozen data. Bytes and JSON are the neighbours' business."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

Node = Any  # a JSON value as spec/store-v1.md, "Nodes", defines it


class Box(NamedTuple):
    """A box of the array that a leaf, or the boxes of a path, make up."""

    path: str
    offset: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafBytes:
    """A leaf as captured: what the store is given to write.

    Args:
        path: the leaf's name, e.g. ``model/conv1.weight``.
        dtype: a dtype name of the specification, e.g. ``float32``.
        shape: the array's shape; ``()`` for a scalar.
        data: the bytes, C order, little endian; exactly what dtype and shape call for.
        global_shape: the larger array's shape, if this leaf is a box of one.
        offset: where the box begins in the larger array, an index for each dimension.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    data: memoryview
    global_shape: tuple[int, ...] | None = None
    offset: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """A range of a part file that holds a range of a leaf, in order.

    Args:
        part: index into the manifest's parts.
        at: offset in the part file, bytes from the file's beginning.
        size_bytes: length.
    """

    part: int
    at: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """How the chunks of a leaf are stored: each by itself, one behind the other.

    Args:
        name: of the compression, `zstd`.
        width: the bytes of items so long were regrouped before; 1: they were not.
        sizes: the stored length of each chunk. Its own length: it is stored as it is.
    """

    name: str
    width: int
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A leaf as the manifest records it. Chunk k covers the leaf's bytes [k, k+1) * chunk_bytes.

    Args:
        size_bytes: of what was saved.
        extents: where what is stored of it lies: itself, or what `codec` made of it.
        chunks: the digests of what was saved.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    extents: tuple[Extent, ...]
    chunks: tuple[str, ...]
    rank: int = 0
    global_shape: tuple[int, ...] | None = None
    offset: tuple[int, ...] | None = None
    codec: Codec | None = None

    @property
    def stored_bytes(self) -> int:
        """Return how many bytes are stored of it."""
        return self.size_bytes if self.codec is None else sum(self.codec.sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A safetensors file. `path` is relative to the store and may lie in an older checkpoint's directory."""

    path: str
    rank: int
    size_bytes: int
    header_bytes: int
    header_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a component that is files, kept as it is. `at` is its place relative to the store."""

    component: str
    path: str
    at: str
    size_bytes: int
    chunks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The table of a checkpoint; publishing it is the commit.

    Args:
        requires: the features that a reader must know (`features`).
        is_signed: it was read from a file that carries a signature. What is written is signed by who writes it.
    """

    store: str
    step: int
    attempt: int
    revision: int
    done: bool
    created: str
    chunk_bytes: int
    parts: tuple[Part, ...]
    leaves: tuple[Leaf, ...]
    tree: Node
    position: Node = None
    metrics: dict[str, float] = field(default_factory=dict)
    files: tuple[StoredFile, ...] = ()
    writer: dict[str, str] = field(default_factory=dict)
    ranks: int = 1
    digest: str = "xxh3-128"
    requires: tuple[str, ...] = ()
    is_signed: bool = field(default=False, compare=False)
