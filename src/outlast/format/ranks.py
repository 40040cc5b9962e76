"""A checkpoint of several ranks: what each of them holds, where that is not what rank 0 holds.

Leaves and nodes that are the same on all ranks stand once. A leaf that another rank holds with other bytes stands a
second time, under a path of that rank; a component, or the position, whose nodes differ is a table of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from reprlib import repr as short
from typing import Any

from outlast.errors import DamageError
from outlast.format.model import Leaf, Manifest, Node

RANKS = "ranks"  # the feature, and the kind of node
_MEMBERS = {"$", "of", "nodes"}
_OWN = re.compile(r"%rank(0|[1-9][0-9]{0,7})/(.+)", re.DOTALL)


def own_path(path: str, rank: int) -> str:
    """Return under which path a leaf stands that only this rank holds so. No component's path begins like that."""
    return f"%rank{rank}/{path}"


def owner(path: str) -> tuple[int, str] | None:
    """Return whose leaf it is, and the path that it has there; None for those of all ranks."""
    match = _OWN.fullmatch(path)
    return (int(match[1]), match[2]) if match else None


def used(leaves: Sequence[Leaf], tree: Node, position: Node) -> bool:
    """Say whether a manifest's ranks hold different things."""
    if any(leaf.path.startswith("%") and owner(leaf.path) for leaf in leaves):
        return True
    nodes = [*tree.values(), position] if isinstance(tree, dict) else [position]
    return any(is_table(node) for node in nodes)


def is_table(node: Node) -> bool:
    """Say whether a node holds one for each rank."""
    return isinstance(node, dict) and node.get("$") == RANKS


def table(nodes: Sequence[Node]) -> Node:
    """Return the node for those of all ranks, in their order: the node itself where they are equal."""
    texts: dict[str, int] = {}
    known: dict[int, str] = {}  # most are one object
    of = [texts.setdefault(known.setdefault(id(node), "") or _text(node, known), len(texts)) for node in nodes]
    if len(texts) == 1:
        return nodes[0]
    return {"$": RANKS, "of": of, "nodes": [nodes[of.index(number)] for number in range(len(texts))]}


def _text(node: Node, known: dict[int, str]) -> str:
    known[id(node)] = repr(node)
    return known[id(node)]


def flat(node: Node, ranks: int) -> Node:
    """Return a component's node, or a list of those that it holds for the ranks.

    Raises:
        DamageError: it is a table that does not give each rank one.
    """
    if not is_table(node):
        return node
    of, nodes = node.get("of"), node.get("nodes")
    if node.keys() != _MEMBERS or not isinstance(nodes, list) or not isinstance(of, list) or len(of) != ranks:
        raise DamageError(f"a node of kind {RANKS!r} has the members {short(node)}, of {ranks} ranks")
    if not all(type(number) is int for number in of) or set(of) != set(range(len(nodes))):
        raise DamageError(f"a node of kind {RANKS!r} does not say which of its {len(nodes)} nodes is whose")
    return nodes


def of_rank(node: Node, rank: int) -> Node:
    """Return what a rank holds there."""
    return node["nodes"][node["of"][rank]] if is_table(node) else node


def tree_of(tree: Mapping[str, Node], rank: int) -> dict[str, Any]:
    """Return the components of a rank."""
    return {name: of_rank(node, rank) for name, node in tree.items()}


def leaves_of(leaves: Mapping[str, Leaf], rank: int | None) -> dict[str, Leaf]:
    """Return the leaves of a rank by the paths that its nodes name; without a rank, those of any, for checks."""
    found = {path: leaf for path, leaf in leaves.items() if not path.startswith("%") or not owner(path)}
    for path, leaf in leaves.items():
        whose = owner(path) if path.startswith("%") else None
        if whose is None:
            continue
        if rank is None:
            found.setdefault(whose[1], leaf)
        elif whose[0] == rank:
            found[whose[1]] = leaf
    return found


def differing(manifest: Manifest) -> set[str]:
    """Return the components that the ranks do not all hold alike."""
    found = {name for name, node in manifest.tree.items() if is_table(node)}
    paths = (owner(leaf.path) for leaf in manifest.leaves if leaf.path.startswith("%"))
    return found | {path[1].partition("/")[0] for path in paths if path}
