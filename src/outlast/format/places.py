"""Where the nodes of a tree stand: the path of each, and whether `same` points back to one that is complete.

Nothing but the tree decides that, so a manifest whose ties hold can be restored into any program that fits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from reprlib import repr as short
from typing import Any

from outlast.errors import DamageError
from outlast.format.model import Node
from outlast.format.paths import segment, segments

_LISTS = frozenset({"tuple", "deque"})
_FIELDS = frozenset({"dataclass", "namedtuple"})
MAX_PATHS_CHARS = 128 << 20
_INDEX_CHARS = 8
_NUMBER_CHARS = 24
_LONGEST_CHARS = 256  # of a segment: see `paths`
_PAIR = 2

Placed = tuple[str, Any]  # a path and the node there


def check_lengths(tree: Mapping[str, Node]) -> None:
    """Raise DamageError if the paths of a tree's nodes are too long all together to be made.

    Deep below long keys each of a million values would have a path of many KiB. Reckoned from above, without making
    one: a character may take three (S-41).
    """
    total = 0
    stack: list[tuple[list[Any], int]] = [([tree], 0)]
    while stack:
        group, length = stack.pop()
        for node in group:
            if isinstance(node, dict) and "$" in node and "leaf" in node:
                continue
            more, inside = _step(node)
            total += len(inside) * (length + more)
            deeper = [child for child in inside if child and isinstance(child, (dict, list, tuple))]
            if deeper:
                stack.append((deeper, length + more))
        if total > MAX_PATHS_CHARS:
            raise DamageError(f"the paths of the tree's values have more than {MAX_PATHS_CHARS} characters together")


def _step(node: Any) -> tuple[int, Collection[Any]]:
    """Return how much longer than a node's own path those of what is in it may be, and that."""
    if not isinstance(node, dict):
        return _INDEX_CHARS, node
    if node.get("$") == "dict":
        return max((_key_chars(key) for key, _ in node["items"]), default=0), [value for _, value in node["items"]]
    return min(3 * max(map(len, node), default=0), _LONGEST_CHARS), node.values()


def _key_chars(key: Node) -> int:
    if isinstance(key, (dict, list, tuple)):
        return _LONGEST_CHARS
    return min(3 * len(key), _LONGEST_CHARS) if isinstance(key, str) else _NUMBER_CHARS


def by_path(tree: Mapping[str, Node]) -> dict[str, Node]:
    """Return the nodes that a `same` refers to, by path. Of an owner and its state it is the owner.

    Args:
        tree: the components by name.

    Raises:
        DamageError: a `same` names no node that ended before it.
    """
    wanted = _wanted(tree)
    found: dict[str, Node] = {}
    ended: set[str] = set()
    stack: list[tuple[str, bool, Iterator[Placed]]] = [("", False, _components(tree))]
    while stack:
        owner, is_first, inside = stack[-1]
        placed = next(inside, None)
        if placed is None:
            stack.pop()
            if is_first:
                ended.add(owner)
            continue
        path, node = placed
        if not isinstance(node, (dict, list, tuple)):
            continue
        if isinstance(node, dict) and node.get("$") == "same":
            if node.get("path") not in ended:
                raise DamageError(f"{path[:200]} is the same as {short(node.get('path'))}, which no node before it is")
            continue
        is_first = path in wanted and found.setdefault(path, node) is node
        stack.append((path, is_first, iter(children(node, path))))
    return found


def _wanted(tree: Mapping[str, Node]) -> set[str]:
    """Return the paths that a `same` names: those of all nodes would take more memory than the tree."""
    wanted: set[str] = set()
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if node.get("$") == "same" and isinstance(node.get("path"), str):
                wanted.add(node["path"])
            node = node.values()
        stack.extend([child for child in node if isinstance(child, (dict, list, tuple))])
    return wanted


def _components(tree: Mapping[str, Node]) -> Iterator[Placed]:
    return ((segment(name), node) for name, node in tree.items())


def children(node: Node, path: str) -> Iterable[Placed]:
    """Return the nodes in a node with their paths; an owner's state has its owner's path. Keys have none."""
    if isinstance(node, (list, tuple)):
        return _items(node, path)
    kind = node.get("$")
    if kind is None:
        return ((f"{path}/{name}", child) for name, child in zip(segments(node), node.values(), strict=True))
    if kind == "dict":
        return _entries(node, path)
    if kind in _LISTS:
        return _items(node.get("items", ()), path)
    if kind in _FIELDS:
        return [(f"{path}/{segment(name)}", child) for name, child in node.get("fields", {}).items()]
    if kind == "adapter" and node.get("name") == "subclass":
        return _halves(node.get("state"), path)
    return [(path, node["state"])] if kind in ("object", "adapter") and "state" in node else []


def _items(items: Iterable[Node], path: str) -> Iterator[Placed]:
    return ((f"{path}/{index}", child) for index, child in enumerate(items))


def _entries(node: dict[str, Any], path: str) -> Iterator[Placed]:
    pairs = [pair for pair in node.get("items", ()) if isinstance(pair, (list, tuple)) and len(pair) == _PAIR]
    names = segments(key for key, _ in pairs)
    return ((f"{path}/{name}", child) for name, (_, child) in zip(names, pairs, strict=True))


def _halves(state: Node, path: str) -> list[Placed]:
    """Return a container's contents, which stand at its own path, and the attributes beside them."""
    items = state.get("items") if isinstance(state, dict) else None
    if not isinstance(items, (list, tuple)) or len(items) != _PAIR:
        return []
    return [(path, items[0]), (f"{path}/%attributes", items[1])]
