"""Where the nodes of a tree stand: the path of each, and whether `same` points back to one that is complete.

Nothing but the tree decides that, so a manifest whose ties hold can be restored into any program that fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from reprlib import repr as short
from typing import Any

from outlast.errors import DamageError
from outlast.format.model import Node
from outlast.format.paths import segment, segments

_LISTS = frozenset({"tuple", "deque"})
_FIELDS = frozenset({"dataclass", "namedtuple"})
_PAIR = 2

Placed = tuple[str, Any]  # a path and the node there


def by_path(tree: Mapping[str, Node]) -> dict[str, Node]:
    """Return the nodes that `same` may refer to, by path. Of an owner and its state it is the owner.

    Args:
        tree: the components by name.

    Raises:
        DamageError: a `same` names no node that ended before it.
    """
    found: dict[str, Node] = {}
    ended: set[str] = set()
    stack: list[tuple[str, Any, bool]] = [(path, node, False) for path, node in reversed(list(_components(tree)))]
    while stack:
        path, node, is_end = stack.pop()
        if is_end:
            ended.add(path)
        elif isinstance(node, dict) and node.get("$") == "same":
            if node.get("path") not in ended:
                raise DamageError(f"{path[:200]} is the same as {short(node.get('path'))}, which no node before it is")
        elif isinstance(node, (dict, list, tuple)):
            if found.setdefault(path, node) is node:
                stack.append((path, node, True))
            stack.extend((place, child, False) for place, child in reversed(list(children(node, path))))
    return found


def _components(tree: Mapping[str, Node]) -> Iterator[Placed]:
    return ((segment(name), node) for name, node in tree.items())


def children(node: Node, path: str) -> Iterable[Placed]:
    """Return the nodes in a node with their paths; an owner's state has its owner's path. Keys have none."""
    if isinstance(node, (list, tuple)):
        return _items(node, path)
    kind = node.get("$")
    if kind is None:
        return zip([f"{path}/{name}" for name in segments(node)], node.values(), strict=True)
    if kind == "dict":
        return _entries(node, path)
    if kind in _LISTS:
        return _items(node.get("items", ()), path)
    if kind in _FIELDS:
        return [(f"{path}/{segment(name)}", child) for name, child in node.get("fields", {}).items()]
    if kind == "adapter" and node.get("name") == "subclass":
        return _halves(node.get("state"), path)
    return [(path, node["state"])] if kind in ("object", "adapter") and "state" in node else []


def _items(items: Iterable[Node], path: str) -> list[Placed]:
    return [(f"{path}/{index}", child) for index, child in enumerate(items)]


def _entries(node: dict[str, Any], path: str) -> list[Placed]:
    pairs = [pair for pair in node.get("items", ()) if isinstance(pair, (list, tuple)) and len(pair) == _PAIR]
    names = segments(key for key, _ in pairs)
    return [(f"{path}/{name}", child) for name, (_, child) in zip(names, pairs, strict=True)]


def _halves(state: Node, path: str) -> list[Placed]:
    """Return a container's contents, which stand at its own path, and the attributes beside them."""
    items = state.get("items") if isinstance(state, dict) else None
    if not isinstance(items, (list, tuple)) or len(items) != _PAIR:
        return []
    return [(path, items[0]), (f"{path}/%attributes", items[1])]
