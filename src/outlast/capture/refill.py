"""Restoring: compare first, read every byte, and only then change containers and objects."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any, Protocol

from outlast.capture import plan_containers, plan_leaves, plan_objects, plan_ties, plan_values
from outlast.capture.plan import OMIT, Planner
from outlast.capture.report import Report, mismatch
from outlast.capture.snapshots import KINDS, held
from outlast.format import nodes
from outlast.format.model import Leaf, Node

_PLANS = {
    **plan_values.PLANS,
    **plan_leaves.PLANS,
    **plan_containers.PLANS,
    **plan_objects.PLANS,
    **plan_ties.PLANS,
}


class Source(Protocol):
    """Where leaf bytes come from. It verifies them."""

    def read_into(self, path: str, view: memoryview) -> None:
        """Read a leaf, whole, into a writable view of its size.

        Raises:
            DamageError: the stored bytes are not what was written.
        """
        ...


def restore(
    state: MutableMapping[str, Any],
    tree: Mapping[str, Node],
    leaves: Mapping[str, Leaf],
    source: Source,
    *,
    allow: Collection[str] = (),
) -> Report:
    """Put a checkpoint back into the live objects of a state; return what was done.

    Arrays are filled in place, containers and objects keep their identity, immutable values are rebound.
    Generators come last. After an error of `source` only the contents of live arrays may have changed: call it
    again with another checkpoint.

    Args:
        state: the live components.
        tree: the manifest's tree.
        leaves: the manifest's leaves, by path.
        source: reads and verifies a leaf.
        allow: patterns of leaf paths that may differ (``model/head.*``); the live value stays.

    Raises:
        MismatchError: the checkpoint does not fit. Nothing was changed, unless an object itself refused its state.
        DamageError: from the source, or the manifest contradicts itself.
    """
    nodes.check(tree, leaves)
    KINDS.refresh()
    planner = Planner(
        tree,
        kinds=KINDS,
        leaves=leaves,
        allow=allow,
        plans=_PLANS,
        held=functools.cache(lambda: held(state)),
    )
    binds = planner.components(state)
    report = Report(rows=tuple(planner.rows))
    if report.problems:
        raise mismatch(report.problems)
    _read(planner, source)
    for name, bind in binds:
        value = bind()
        if value is not OMIT and value is not state[name]:
            state[name] = value
    for put in planner.last:
        put()
    return report


def _read(planner: Planner, source: Source) -> None:
    for path, size_bytes, target in planner.reads:
        view = target.open()
        if view.nbytes != size_bytes:
            raise AssertionError(f"{path}: a place of {view.nbytes} bytes for a leaf of {size_bytes}")
        if size_bytes:
            source.read_into(path, view)
        target.close()
