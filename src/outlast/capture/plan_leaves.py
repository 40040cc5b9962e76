"""Plans for arrays, tensors and scalars: compare shape and dtype, and find the memory to read into."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from outlast.capture.adapter import LeafAdapter, LeafSpec, Refused, Within
from outlast.capture.plan import Bind, Place, Plan, Planner, live_name, saved_name
from outlast.format.model import Box, Leaf, Node


def _array(planner: Planner, node: Node, place: Place) -> Bind:
    adapter = planner.kinds.registry.leaf(node["$"])
    leaf = planner.leaf(node, place)
    if adapter is None:
        return planner.problem(place, "dtype", f"saved as {saved_name(node)}; import its library before restoring")
    spec = LeafSpec(dtype=leaf.dtype, shape=leaf.shape, size_bytes=leaf.size_bytes)
    try:
        live = _live(planner, node, adapter, place)
        found = None if live is None else adapter.describe(live)
        within = None if live is None or leaf.offset is not None else adapter.within(live)
        if within is not None and found is not None and live is not None:
            return _box(planner, node, leaf, adapter, place, live=live, found=found, within=within)
        if node.get("resized") is True and found != spec and not place.exact:
            live, found = None, None  # the run itself did that: a new one takes its place
        if found is not None and found.size_bytes and _difference(spec, found):
            return planner.problem(place, _difference(spec, found), _versus(spec, found))
        usable = found == spec and adapter.fillable(live)
        return _into(planner, node, leaf, adapter, place, spec=spec, usable=usable)
    except (Refused, ValueError) as error:
        return planner.problem(place, "dtype", f"saved as {leaf.dtype}{list(leaf.shape)}; {error}")


def _into(
    planner: Planner, node: Node, leaf: Leaf, adapter: LeafAdapter, place: Place, *, spec: LeafSpec, usable: bool
) -> Bind:
    """Read into the live array if it is usable and not taken, else into a new one."""
    live = place.live if usable else None
    if live is not None and not adapter.immutable and not planner.claim(identity(adapter, live), place):
        other = planner.claimed[identity(adapter, live)]
        if place.exact and _holds_other_bytes(planner, other, leaf):
            return planner.problem(place, "extra", f"saved apart from {other}, but tied to it in the program")
        live = None
    target = adapter.target(live, spec, node)
    planner.read(leaf.path, leaf.size_bytes, target)
    planner.filled[place.path] = leaf
    planner.restored(place)
    return Bind(target.value)


def _box(
    planner: Planner,
    node: Node,
    leaf: Leaf,
    adapter: LeafAdapter,
    place: Place,
    *,
    live: Any,
    found: LeafSpec,
    within: Within,
) -> Bind:
    """Read into a live array that is one rank's box of a larger one, which is saved whole, or in boxes of any ranks."""
    saved = LeafSpec(dtype=leaf.dtype, shape=leaf.shape, size_bytes=leaf.size_bytes)
    whole = LeafSpec(dtype=found.dtype, shape=within.shape, size_bytes=leaf.size_bytes)
    if _difference(saved, whole):
        return planner.problem(place, _difference(saved, whole), _versus(saved, whole))
    if not planner.claim(identity(adapter, live), place) or not adapter.fillable(live):
        return planner.problem(place, "extra", "a box of an array that other ranks hold too cannot be made anew")
    target = adapter.target(live, found, node)
    planner.read(Box(leaf.path, within.offset, found.shape), found.size_bytes, target)
    planner.filled[place.path] = leaf
    planner.restored(place)
    return Bind(target.value)


def identity(adapter: LeafAdapter, live: Any) -> Hashable:
    """Return what is equal for views of exactly the same memory."""
    return adapter.identity(live) or id(live)


def _live(planner: Planner, node: Node, adapter: LeafAdapter, place: Place) -> Any | None:
    """Return the live array; None where there is none, or where a scalar would replace it anyway.

    Raises:
        Refused: another library's array stands there.
    """
    kind = planner.kinds.of(place.live)
    if kind.adapter is adapter and adapter.kind != "scalar":
        return place.live
    if not isinstance(kind.adapter, LeafAdapter) or "scalar" in (adapter.kind, kind.adapter.kind):
        return None
    if kind.adapter is not adapter and node.get("resized") is True:
        return None
    if kind.adapter is not adapter:
        raise Refused(f"the program has {live_name(place.live)}", "")
    return place.live


def _holds_other_bytes(planner: Planner, path: str, leaf: Leaf) -> bool:
    known = planner.filled.get(path)
    return known is None or not leaf.chunks or known.chunks != leaf.chunks


def _difference(saved: LeafSpec, live: LeafSpec) -> str:
    if saved.shape != live.shape:
        return "shape"
    return "dtype" if saved.dtype != live.dtype else ""


def _versus(saved: LeafSpec, live: LeafSpec) -> str:
    return f"saved as {saved.dtype}{list(saved.shape)}, the program has {live.dtype}{list(live.shape)}"


PLANS: dict[str, Plan] = dict.fromkeys(("array", "scalar", "tensor"), _array)  # a plug-in's: as "array"
