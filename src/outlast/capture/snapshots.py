"""Taking a snapshot: describe the state, then copy its bytes into a pool."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from outlast.capture.kinds import Kinds
from outlast.capture.outline import Comparison, Outline, Watch
from outlast.capture.pool import Pool
from outlast.capture.registry import REGISTRY
from outlast.capture.rng import PythonRng, RandomAdapter, RngAdapter
from outlast.capture.walk import Walk
from outlast.errors import CaptureError
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


def outline(state: Mapping[str, Any], allow: Collection[str] = ()) -> Outline:
    """Walk the state without copying it; return what later snapshots are compared with, and their size.

    Args:
        state: as a restart will find it: before anything is restored.
        allow: patterns of paths that a restore lets differ.

    Raises:
        CaptureError: a part cannot be captured. It names the path and the remedy.
    """
    seen = Outline(allow, REGISTRY.declared)
    _, walk = _walked(state, seen)
    seen.size_bytes = sum(leaf.size_bytes for leaf in walk.pending)
    return seen


def check(state: Mapping[str, Any]) -> int:
    """Return the bytes that a snapshot of the state would hold. Raises as `outline` does."""
    return outline(state).size_bytes


def held(state: Mapping[str, Any]) -> Outline:
    """Return the outline of a live state as far as it can be captured: what a restore may make more of."""
    seen = Outline((), REGISTRY.declared)
    with contextlib.suppress(CaptureError):  # a run has checked its state before; here those found so far will do
        _walked(state, seen)
    return seen


def snapshot(state: Mapping[str, Any], pool: Pool, began: Outline | None = None) -> Snapshot:
    """Copy the state into the pool. The pool's snapshot before is gone.

    Args:
        state: the live components.
        pool: the memory.
        began: how the state began: what a restart could not put back into that is refused.

    Raises:
        CaptureError: a part cannot be captured, or not be restored; then that earlier snapshot still stands.
    """
    tree, walk = _walked(state, Comparison(began) if began else None)
    views = pool.divide([leaf.size_bytes for leaf in walk.pending])
    leaves = []
    for leaf, view in zip(walk.pending, views, strict=True):
        leaf.copy(view)
        leaves.append(LeafBytes(path=leaf.path, dtype=leaf.dtype, shape=leaf.shape, data=view))
    return Snapshot(tree=tree, leaves=tuple(leaves), size_bytes=sum(view.nbytes for view in views))


def _walked(state: Mapping[str, Any], watch: Watch | None) -> tuple[dict[str, Node], Walk]:
    KINDS.refresh()
    walk = Walk(KINDS, watch)
    return walk.tree(state), walk
