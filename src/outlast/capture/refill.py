"""Restoring: compare first, read every byte, and only then change containers and objects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, MutableMapping
from typing import Any, Protocol

from outlast import collector
from outlast.capture import plan_containers, plan_leaves, plan_objects, plan_ties, plan_values
from outlast.capture.adapter import Target
from outlast.capture.plan import OMIT, Planner
from outlast.capture.report import Report, mismatch
from outlast.capture.snapshots import KINDS, held
from outlast.format import nodes
from outlast.format.model import Box, Leaf, Node

_PLANS = {
    **plan_values.PLANS,
    **plan_leaves.PLANS,
    **plan_containers.PLANS,
    **plan_objects.PLANS,
    **plan_ties.PLANS,
}


_TEMPORARY_BYTES = 64 << 20  # of targets that cannot be filled in place, while their bytes are read


def _no_matter() -> None:
    """Wait for nobody."""


class Source(Protocol):
    """Where leaf bytes come from. It verifies them.

    One that has a method `fill`, of pairs of a path and a view, is given many leaves at once.
    """

    def read_into(self, path: Any, view: memoryview) -> None:
        """Read a leaf, whole, or a `Box` of it into a writable view of its size.

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
    ready: Callable[[], None] = _no_matter,
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
        ready: called when all bytes are read and only the contents of arrays have changed. What it raises goes through.

    Raises:
        MismatchError: the checkpoint does not fit. Nothing was changed, unless an object itself refused its state.
        DamageError: from the source, or the manifest contradicts itself.
    """
    with collector.paused():
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
    ready()
    for name, bind in binds:
        value = bind()
        if value is not OMIT and value is not state[name]:
            state[name] = value
    for put in planner.last:
        put()
    return report


def _read(planner: Planner, source: Source) -> None:
    """Read all leaves, many at once: as many as their targets take no more memory for than a bound, or one."""
    group: list[tuple[str | Box, memoryview, Target]] = []
    held_bytes = 0
    for path, size_bytes, target in planner.reads:
        own_bytes = target.own_bytes(size_bytes)
        if group and own_bytes and held_bytes + own_bytes > _TEMPORARY_BYTES:
            _fill(source, group)
            group, held_bytes = [], 0
        view = target.open()
        if view.nbytes != size_bytes:
            raise AssertionError(f"{path}: a place of {view.nbytes} bytes for a leaf of {size_bytes}")
        group.append((path, view, target))
        held_bytes += own_bytes
    _fill(source, group)


def _fill(source: Source, group: list[tuple[str | Box, memoryview, Target]]) -> None:
    wanted = [(path, view) for path, view, _ in group if view.nbytes]
    fill = getattr(source, "fill", None)
    if fill:
        fill(wanted)
    else:
        for path, view in wanted:
            source.read_into(path, view)
    for _, _, target in group:
        target.close()
