"""Taking a snapshot: describe the state, then copy its bytes into a pool."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from outlast.capture.behind import Behind
from outlast.capture.copying import Copying
from outlast.capture.forking import Child, Mappings, obstacle
from outlast.capture.kinds import Kinds
from outlast.capture.outline import Comparison, Outline, Watch
from outlast.capture.pending import Pending
from outlast.capture.placing import Placed, in_place, layout_of, leaf_bytes
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
        number: counts the snapshots into this pool, from 1.
        since: the number of the one before, if `changed` compares with it; None if the layout was another.
        changed: by leaf path, a byte for each chunk: 0 where it is the same as in the snapshot `since`.
        live_because: why it is no copy: the leaves are the live arrays' own memory, and nobody must go on before they
            are written. "" if it is one.
        alive: what keeps such memory.
        finish: returns when all bytes are there; to be called before they are read. It raises OutlastError if they
            cannot be: nothing of the snapshot is of use then.
        copied_because: why the loop's thread has copied, though a forked child was asked for; else "".
        changed_later: waits for that child and returns `changed`; None if there is none. See `finished`.
    """

    tree: dict[str, Node]
    leaves: tuple[LeafBytes, ...]
    size_bytes: int
    number: int = 0
    since: int | None = None
    changed: Mapping[str, bytes] = field(default_factory=dict)
    live_because: str = ""
    alive: object = None
    finish: Callable[[], None] = field(default=lambda: None)
    copied_because: str = ""
    changed_later: Callable[[], Mapping[str, bytes]] | None = None

    def finished(self) -> Snapshot:
        """Return the snapshot when all of it is there. Whatever thread may wait for that, once.

        Raises:
            OutlastError: it cannot be; nothing of it is of use.
        """
        self.finish()
        return replace(self, changed=self.changed_later()) if self.changed_later else self


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


def snapshot(
    state: Mapping[str, Any],
    pool: Pool,
    began: Outline | None = None,
    *,
    overlaps: bool = False,
    may_be_live: bool = False,
    by_fork: bool = False,
) -> Snapshot:
    """Copy the state into the pool. The pool's snapshot before is gone.

    Args:
        state: the live components.
        pool: the memory.
        began: how the state began: what a restart could not put back into that is refused.
        overlaps: whether what lies on devices may be copied while the program goes on, until its optimizer's next step.
            Then `finish` is to be called; without, all is there.
        may_be_live: where there is no memory for a copy, return the live memory itself.
        by_fork: let a forked child copy, where that is safe. Then the leaves are there when `finished` returns.

    Raises:
        CaptureError: a part cannot be captured, or not be restored; then that earlier snapshot still stands.
        MemoryError: there is no memory for it.
        OutlastError: a device gives no copies.
    """
    tree, walk = _walked(state, Comparison(began) if began else None)
    behind = Behind(walk.pending, pool, overlaps=overlaps)
    near = [leaf for leaf in walk.pending if leaf.far is None] if behind.leaves else walk.pending
    try:
        placed, since = _placed(near, pool)
    except MemoryError as e:
        if not may_be_live:
            raise
        return _live(tree, walk, behind, pool, str(e) or "memory ran out")
    if by_fork and pool.is_private:
        raise AssertionError("a forked child cannot write into memory that it does not have")
    mappings, refusal = _forkable(placed.size_bytes) if by_fork else (None, "")
    copying = placed.copying(near, mappings)
    placed.copy_others(near)
    compares = since is not None
    if mappings is not None:
        refusal = _left_to_child(copying, pool, compares=compares)
    if pool.child is None:
        copying.run(compares=compares)
    leaves, kept = placed.keep(near)
    if behind.leaves:
        since = None  # chunks are as long as the whole state wants them, and here is only a part of it
    behind.ready()
    number, child = pool.number, pool.child

    def changed() -> Mapping[str, bytes]:
        if child is not None:
            child.wait()
            pool.child = None
        assert pool.number == number, "another snapshot has taken the memory"
        pool.held_number = number
        return kept | placed.changed(copying.differs) if since is not None else {}

    return Snapshot(
        tree=tree,
        leaves=(*leaves, *behind.leaves) if behind.leaves else leaves,
        size_bytes=placed.size_bytes + behind.size_bytes,
        number=pool.number,
        since=since,
        changed={} if child else changed(),
        finish=behind.finish,
        copied_because=refusal,
        changed_later=changed if child else None,
    )


def _forkable(size_bytes: int) -> tuple[Mappings | None, str]:
    """Return what is mapped, if a forked child may copy so much; or why it may not."""
    mappings = Mappings()
    refusal = obstacle(mappings, size_bytes)
    return (None, refusal) if refusal else (mappings, "")


def _left_to_child(copying: Copying, pool: Pool, *, compares: bool) -> str:
    """Fork the child that copies; return why there is none, or ""."""
    pool.child = Child(copying)  # from here on the next snapshot waits for it
    try:
        pool.child.start(compares=compares)
    except OSError as e:
        pool.child = None
        return f"the system has refused it: {e.strerror}"
    return ""


def leave(pool: Pool) -> None:
    """Let go of what is kept for a pool outside of it: memory that devices write to."""
    for adapter in REGISTRY.leaf_adapters():
        adapter.leave(pool)


def _live(tree: dict[str, Node], walk: Walk, behind: Behind, pool: Pool, why: str) -> Snapshot:
    """Return the state where it lies; only what lies nowhere in its stored form is copied."""
    pool.clear()
    pool.number += 1
    near = [leaf for leaf in walk.pending if leaf.far is None]
    loose = [leaf for leaf in near if leaf.address is None]
    copies = dict(zip([leaf.path for leaf in loose], pool.divide([leaf.size_bytes for leaf in loose]), strict=True))
    for leaf in loose:
        leaf.copy(copies[leaf.path])
    leaves = [leaf_bytes(leaf, copies[leaf.path] if leaf.address is None else in_place(leaf)) for leaf in near]
    behind.ready()
    behind.finish()
    return Snapshot(
        tree=tree,
        leaves=(*leaves, *behind.leaves),
        size_bytes=sum(leaf.size_bytes for leaf in walk.pending),
        number=pool.number,
        live_because=why,
        alive=walk,
    )


def _placed(pending: list[Pending], pool: Pool) -> tuple[Placed, int | None]:
    """Return where the leaves go, and the number of the snapshot that lies there now, in the same places."""
    pool.enter()
    layout = layout_of(pending)
    placed: Placed | None = pool.placed
    if placed is None or not placed.fits(layout, pending):
        placed = Placed(pool, layout, pending)
        pool.placed = placed
    since, pool.held_number = pool.held_number, None  # until the copy is complete
    pool.number += 1
    return placed, since


def _walked(state: Mapping[str, Any], watch: Watch | None) -> tuple[dict[str, Node], Walk]:
    KINDS.refresh()
    walk = Walk(KINDS, watch)
    return walk.tree(state), walk
