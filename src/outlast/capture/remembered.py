"""What the last walk found in containers of arrays, so that the next one need not ask each array again.

Nothing is believed: each time all facts are fetched again, from all arrays of a container at once, and compared. So no
array has to be kept alive either: whatever stands there now, equal facts are answered by the nodes that a walk would
make. Only containers are remembered that hold arrays of one adapter and nothing else.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from outlast.capture.adapter import Facts, LeafAdapter, Several
from outlast.capture.pending import Pending, copied_by, gone, standing_at
from outlast.format.model import Node


class _Tie(NamedTuple):
    """Two members show the same memory; they are one object, or two."""

    member: int
    first: int
    is_one: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The arrays of one container.

    Args:
        adapter: of all of them.
        types: theirs.
        keys: theirs in the dict; None for a sequence.
        in_place: the container's owner takes no arrays of another shape.
        facts: of all.
        places: the hashes of their identities.
        ties: which show the memory of an earlier one.
        node: of the container, or of its items.
        pending: the leaves, without references to the arrays.
        loose: (member, leaf) of those that only the adapter can copy.
    """

    adapter: LeafAdapter
    several: Several
    types: frozenset[type]
    keys: list[str] | None
    in_place: bool
    facts: Facts
    places: frozenset[int]
    ties: tuple[_Tie, ...]
    node: Node
    pending: list[Pending]
    loose: tuple[tuple[int, int], ...]

    def again(self, keys: list[Any] | None, values: Sequence[Any], *, in_place: bool) -> Group | None:
        """Return the group that these values are now; None if a walk must tell."""
        if not self._has_form(keys, values, in_place=in_place):
            return None
        facts = self.several.facts(values)
        if facts is None or facts.told != self.facts.told:
            return None
        if facts.addresses != self.facts.addresses:
            return self._moved(facts)
        return self if all((values[tie.member] is values[tie.first]) is tie.is_one for tie in self.ties) else None

    def _has_form(self, keys: list[Any] | None, values: Sequence[Any], *, in_place: bool) -> bool:
        is_named = keys is None or set(map(type, keys)) == {str}
        return in_place is self.in_place and is_named and keys == self.keys and self.types.issuperset(map(type, values))

    def _moved(self, facts: Facts) -> Group | None:
        """Return the group of arrays like the remembered ones, elsewhere in memory and all apart."""
        places = frozenset(map(hash, self.several.identities(facts)))
        if self.ties or len(places) != len(facts.addresses):
            return None
        pending = list(map(standing_at, self.pending, facts.addresses))
        for _, leaf in self.loose:
            pending[leaf] = self.pending[leaf]
        return replace(self, facts=facts, places=places, pending=pending)

    def identities(self) -> list[Hashable]:
        """Return the members' identities."""
        return self.several.identities(self.facts)

    def paths(self) -> list[str]:
        """Return the path of each member; of tied ones, that of the first."""
        return [one["path"] if one["$"] == "same" else one["leaf"] for one in _nodes(self.node)]

    def leaves(self, values: Sequence[Any]) -> list[Pending]:
        """Return the leaves to be copied."""
        if not self.loose:
            return self.pending
        pending = list(self.pending)
        for member, leaf in self.loose:
            pending[leaf] = copied_by(pending[leaf], self.adapter, values[member])
        return pending


class Remembered:
    """Groups by the path of their container: those that the last walk found."""

    def __init__(self) -> None:
        self._changes = -1
        self._last: dict[str, Group] = {}
        self._found: dict[str, Group] = {}

    def begin(self, changes: int) -> None:
        """A walk begins. `changes`: of the registry; with another one all is forgotten."""
        self._last, self._found = self._found if changes == self._changes else {}, {}
        self._changes = changes

    def get(self, path: str) -> Group | None:
        """Return what the last walk found at a path."""
        return self._last.get(path)

    def put(self, path: str, group: Group) -> None:
        """Remember what this walk found."""
        self._found[path] = group


def group_of(
    adapter: LeafAdapter,
    keys: list[Any] | None,
    values: Sequence[Any],
    node: Node,
    pending: Sequence[Pending],
    *,
    in_place: bool,
) -> Group | None:
    """Return what to remember of a container that a walk has just been through; None if it is not of that kind.

    Args:
        adapter: of all its values.
        keys: a dict's.
        values: its values.
        node: what it became.
        pending: the leaves that it brought.
        in_place: its owner takes no arrays of another shape.
    """
    several = adapter.several
    if several is None or not several.types.issuperset(map(type, values)):
        return None
    facts = several.facts(values) if several.suits(values) else None
    nodes = _nodes(node)
    members = {one["leaf"]: member for member, one in enumerate(nodes) if "leaf" in one}
    if facts is None or any(one["$"] == "same" and one["path"] not in members for one in nodes):
        return None
    firsts = [members[leaf.path] for leaf in pending]
    return Group(
        adapter=adapter,
        several=several,
        types=frozenset(map(type, values)),
        keys=keys,
        in_place=in_place,
        facts=facts,
        places=frozenset(map(hash, several.identities(facts))),
        ties=_ties(nodes, members, values),
        node=node,
        pending=[_bare(leaf) for leaf in pending],
        loose=tuple((member, leaf) for leaf, member in enumerate(firsts) if pending[leaf].address is None),
    )


def _nodes(node: Node) -> list[Node]:
    return list(node.values()) if isinstance(node, dict) else node


def _bare(leaf: Pending) -> Pending:
    """Return the leaf without a reference to its array."""
    return leaf._replace(copy=gone, far=None) if leaf.address is None else standing_at(leaf, leaf.address)


def _ties(nodes: Sequence[Mapping[str, Any]], members: Mapping[str, int], values: Sequence[Any]) -> tuple[_Tie, ...]:
    pairs = [(member, members[node["path"]]) for member, node in enumerate(nodes) if node["$"] == "same"]
    return tuple(_Tie(member, first, values[member] is values[first]) for member, first in pairs)
