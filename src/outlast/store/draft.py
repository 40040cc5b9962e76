"""What a checkpoint is made of on its way to the store: what is to be written, and what each rank has written of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from outlast.format.model import Leaf, LeafBytes, Node, Part
from outlast.store.files import Again, Staged


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that a checkpoint says, before it has a name and a place.

    Args:
        number: of the snapshot that the leaves are views of; 0 if they are of none.
        since: the number of the snapshot before it in the same memory; None if there was none of the same layout.
        changed: by leaf path, a byte for each chunk (of `chunk_bytes_of` the state): 0 where it is the same as in the
            snapshot `since`, compared byte by byte. One that is not in it may differ anywhere. Each path stands once.
        files: the state is these files, and there are no leaves.
    """

    step: int
    tree: dict[str, Node]
    leaves: Sequence[LeafBytes]
    position: Node = None
    metrics: dict[str, float] = field(default_factory=dict)
    done: bool = False
    number: int = 0
    since: int | None = None
    changed: Mapping[str, bytes] = field(default_factory=dict)
    files: Staged | Again | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one rank has written: its part, if it needed one, earlier ones whose bytes it names, and its leaves.

    Args:
        parts: those that the extents of `leaves` count.
        written_bytes: of the new part.
        chunk_bytes: how long the chunks are.
    """

    parts: tuple[Part, ...]
    leaves: tuple[Leaf, ...]
    written_bytes: int
    chunk_bytes: int


def joined(shares: Iterable[Share]) -> tuple[tuple[Part, ...], tuple[Leaf, ...]]:
    """Return the parts and leaves of all ranks as one table: no two ranks have a part in common."""
    parts: list[Part] = []
    leaves: list[Leaf] = []
    for share in shares:
        first = len(parts)
        parts.extend(share.parts)
        leaves.extend(share.leaves if not first else (_moved(leaf, first) for leaf in share.leaves))
    return tuple(parts), tuple(leaves)


def _moved(leaf: Leaf, first: int) -> Leaf:
    return replace(leaf, extents=tuple(replace(extent, part=extent.part + first) for extent in leaf.extents))
