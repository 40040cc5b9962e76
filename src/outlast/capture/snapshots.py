"""Taking a snapshot: describe the state, then copy its bytes into a pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outlast.capture.kinds import Kinds
from outlast.capture.pool import Pool
from outlast.capture.registry import REGISTRY
from outlast.capture.rng import PythonRng, RandomAdapter, RngAdapter
from outlast.capture.walk import Walk
from outlast.format.model import LeafBytes, Node

REGISTRY.plug((RngAdapter(REGISTRY), RandomAdapter(), PythonRng()))
KINDS = Kinds(REGISTRY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A consistent copy of the state, in memory.

    Args:
        tree: a node for each component.
        leaves: the arrays' bytes, one behind the other in the pool.
        size_bytes: of all leaves.
    """

    tree: dict[str, Node]
    leaves: tuple[LeafBytes, ...]
    size_bytes: int


def check(state: Mapping[str, Any]) -> int:
    """Walk the state without copying it; return the bytes that a snapshot would hold.

    Raises:
        CaptureError: a part cannot be captured. It names the path and the remedy.
    """
    return sum(leaf.size_bytes for leaf in _walked(state)[1].pending)


def snapshot(state: Mapping[str, Any], pool: Pool) -> Snapshot:
    """Copy the state into the pool. The pool's snapshot before is gone.

    Raises:
        CaptureError: a part cannot be captured; then that earlier snapshot still stands.
    """
    tree, walk = _walked(state)
    views = pool.divide([leaf.size_bytes for leaf in walk.pending])
    leaves = []
    for leaf, view in zip(walk.pending, views, strict=True):
        leaf.copy(view)
        leaves.append(LeafBytes(path=leaf.path, dtype=leaf.dtype, shape=leaf.shape, data=view))
    return Snapshot(tree=tree, leaves=tuple(leaves), size_bytes=sum(view.nbytes for view in views))


def _walked(state: Mapping[str, Any]) -> tuple[dict[str, Node], Walk]:
    KINDS.refresh()
    walk = Walk(KINDS)
    return walk.tree(state), walk
