"""Plans for ``same``: what was one object when it was saved is one object again, whatever the program began with.

Only inside the exact state of an object (a module's) the program's own ties count.
"""

from __future__ import annotations

from typing import Any

from outlast.capture.adapter import Adapter, LeafAdapter
from outlast.capture.plan import ABSENT, Bind, Place, Plan, Planned, Planner, node_kind
from outlast.capture.plan_leaves import identity
from outlast.capture.report import Row
from outlast.format.model import Node


def _same(planner: Planner, node: Node, place: Place) -> Bind:
    first = planner.first(node)
    known = planner.planned.get(id(first))
    if known is None or node_kind(first) == "fixed" or not _is_tied(planner, known, place):
        return planner.plan(first, place)
    if known.bind.is_kept:
        planner.rows.append(Row(place.path, "kept", f"tied to {known.place.path}"))
        return known.bind
    planner.restored(place)
    return Bind(lambda: _standing(planner, node, place, known.bind()))


def _is_tied(planner: Planner, first: Planned, here: Place) -> bool:
    """Whether the value made at the first place is to stand here too."""
    if first.bind.is_kept:
        return is_one(planner, first.place.live, here.live)
    if here.exact and not planner.kinds.of(here.live).is_rebound:
        return is_one(planner, first.place.live, here.live)
    is_copied = first.place.fresh and not here.fresh  # its owner was given a container made anew
    return not (is_copied and here.live is first.place.live and _is_container(planner, here.live))


def is_one(planner: Planner, one: Any, other: Any) -> bool:
    """Whether two values are the same object, or arrays of exactly the same memory."""
    if one is ABSENT or other is ABSENT:
        return False
    adapter = planner.kinds.of(one).adapter
    if isinstance(adapter, LeafAdapter) and planner.kinds.of(other).adapter is adapter:
        return identity(adapter, one) == identity(adapter, other)
    return one is other


def _is_container(planner: Planner, live: Any) -> bool:
    adapter = planner.kinds.of(live).adapter
    return not isinstance(adapter, (Adapter, LeafAdapter))


def _standing(planner: Planner, node: Node, place: Place, made: Any) -> Any:
    """Return the live value if it shows the very memory that was filled (a parameter in a list), else the made one."""
    if is_one(planner, place.live, made):
        return place.live
    adapter = planner.kinds.of(made).adapter
    return adapter.view(made) if isinstance(adapter, LeafAdapter) and node.get("view") is True else made


PLANS: dict[str, Plan] = {"same": _same}
