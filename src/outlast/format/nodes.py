"""The nodes of a manifest's tree: which kinds there are, and what each must have. What they mean is capture's.

The walk is a loop, not a recursion, so that no depth of a hostile tree matters here.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from reprlib import repr as short
from typing import Any

from outlast.errors import DamageError
from outlast.format.model import Leaf, Node

EXACT_INT = 2**53
MAX_TEXT_BYTES = 64 << 10
MAX_INLINE_BYTES = 4 << 10
_SURE_CHARS = MAX_TEXT_BYTES // 4  # so many characters fit, whatever they are
_INT = re.compile(r"0|-?[1-9][0-9]{0,4095}")
_HEX = re.compile(r"[0-9a-f]*")
_PAIR = 2
_PLAIN_KEYS = (str, int)  # not true and 1.0, which are equal to 1 and other keys

Leaves = Mapping[str, Leaf]
Check = Callable[[dict[str, Any], Leaves], Iterable[Node]]  # checks a node's members, returns the nodes in it


def check(root: Node, leaves: Leaves) -> bool:
    """Check every node under `root`; say whether one of them is of the kind `same` (`places` checks where it points).

    Args:
        root: the tree, or a single node.
        leaves: by path.

    Raises:
        DamageError: a node is none of the specification's, or names a leaf that is not there.
    """
    stack: list[Any] = [root]
    has_ties = False
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            has_ties = has_ties or node.get("$") == "same"
            stack.extend(_children(node, leaves))
        elif isinstance(node, (list, tuple)):
            stack.extend(node)
        else:
            _check_plain(node)
    return has_ties


def _children(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:
    if "$" not in node:
        for key in node:
            _check_text(key)
            if key.startswith("$"):
                raise DamageError(f"a dict's key {short(key)} begins with $: expected the form with items")
        return node.values()
    name = node["$"]
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is not None:
        if node.keys() - kind.optional != kind.required:
            raise DamageError(f"a node of kind {name!r} has the members {sorted(node)}")
        return kind.check(node, leaves)
    if not isinstance(name, str) or "." not in name or "leaf" not in node:
        raise DamageError(f"a node of the unknown kind {short(name)}")
    _leaf(node, leaves)  # a plug-in's kind of array
    return [value for key, value in node.items() if key not in ("$", "leaf")]


def _check_plain(value: Any) -> None:
    if value is None or isinstance(value, (bool, float)):
        return  # the table's reader refuses floats that are not finite
    if isinstance(value, str):
        _check_text(value)
    elif not isinstance(value, int) or not -EXACT_INT <= value <= EXACT_INT:
        raise DamageError(f"{short(value)} stands plain in the tree, beyond 2**53 or of no type of JSON")


def _check_text(value: Any) -> None:
    if not isinstance(value, str):
        raise DamageError(f"{short(value)} stands where a string is expected")
    if is_long(value):
        raise DamageError(f"the string {short(value)} is longer than {MAX_TEXT_BYTES} bytes")


def is_long(text: str) -> bool:
    """Whether a string is longer than the format allows, in UTF-8."""
    return len(text) > _SURE_CHARS and len(text.encode(errors="replace")) > MAX_TEXT_BYTES


def _texts(*names: str) -> Check:
    def check_texts(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:  # noqa: ARG001
        for name in names:
            _check_text(node[name])
        if "fold" in node and (type(node["fold"]) is not int or node["fold"] not in (0, 1)):
            raise DamageError(f"fold is {short(node['fold'])}, expected 0 or 1")
        return ()

    return check_texts


def _matching(member: str, pattern: re.Pattern[str], chars: int = 0) -> Check:
    def check_match(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:  # noqa: ARG001
        text = node[member]
        if not isinstance(text, str) or not pattern.fullmatch(text) or (chars and len(text) != chars):
            raise DamageError(f"a node of kind {node['$']!r} has the {member} {short(text)}")
        return ()

    return check_match


def _leaf(node: dict[str, Any], leaves: Leaves) -> Leaf:
    path = node["leaf"]
    leaf = leaves.get(path) if isinstance(path, str) else None
    if leaf is None:
        raise DamageError(f"the tree names leaf {short(path)}, which is not there")
    return leaf


def _array(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:
    leaf = _leaf(node, leaves)
    if leaf.dtype in ("bytes", "utf8"):
        raise DamageError(f"leaf {leaf.path} of dtype {leaf.dtype} stands as a node of kind {node['$']!r}")
    if node["$"] == "scalar" and leaf.shape:
        raise DamageError(f"leaf {leaf.path} of shape {list(leaf.shape)} stands as a scalar")
    if not isinstance(node.get("requires_grad", False), bool):
        raise DamageError(f"leaf {leaf.path}: requires_grad is neither true nor false")
    if node.get("resized", True) is not True:
        raise DamageError(f"leaf {leaf.path}: resized is {short(node['resized'])}, expected true or no such member")
    if "order" in node:
        _check_order(node["order"], leaf)
    return ()


def _check_order(axes: Any, leaf: Leaf) -> None:
    are_numbers = isinstance(axes, (list, tuple)) and all(type(axis) is int for axis in axes)
    if not are_numbers or sorted(axes) != list(range(len(leaf.shape))):
        raise DamageError(f"leaf {leaf.path}: order {short(axes)} does not name each of {len(leaf.shape)} axes once")


def _str(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:
    if _leaf(node, leaves).dtype != "utf8":
        raise DamageError(f"leaf {node['leaf'][:80]} stands as a string, its dtype is not utf8")
    return ()


def _bytes(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:
    if ("leaf" in node) == ("base64" in node):
        raise DamageError(f"a node of kind {node['$']!r} has both leaf and base64, or neither")
    if "leaf" in node:
        if _leaf(node, leaves).dtype != "bytes":
            raise DamageError(f"leaf {node['leaf'][:80]} stands as bytes, its dtype is not bytes")
        return ()
    try:
        size = len(binascii.a2b_base64(node["base64"], strict_mode=True))
    except (TypeError, ValueError):
        raise DamageError(f"{short(node['base64'])} is not base64") from None
    if size > MAX_INLINE_BYTES:
        raise DamageError(f"{size} bytes stand in the tree, the limit is {MAX_INLINE_BYTES}")
    return ()


def _items(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:  # noqa: ARG001
    items = node["items"]
    if not isinstance(items, (list, tuple)):
        raise DamageError(f"a node of kind {node['$']!r} has no list of items")
    longest = node.get("maxlen")
    if longest is not None and (type(longest) is not int or not len(items) <= longest < 1 << 63):
        raise DamageError(f"a deque of {len(items)} items has the maxlen {short(longest)}")
    return items


def _pairs(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:
    pairs = list(_items(node, leaves))
    if not all(isinstance(pair, (list, tuple)) and len(pair) == _PAIR for pair in pairs):
        raise DamageError("a dict's items are not pairs of a key and a value")
    for key, _ in pairs:
        _check_key(key)
    if len({key if type(key) in _PLAIN_KEYS else (repr(key),) for key, _ in pairs}) != len(pairs):
        raise DamageError("a key of a dict stands twice")
    return pairs


def _check_key(key: Node) -> None:
    """Refuse keys with dicts in them: no such key can be, and each level would look at all that are deeper."""
    stack = [key] if isinstance(key, (dict, list, tuple)) else []
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if node.get("$") == "dict":
                raise DamageError("a key of a dict holds a dict")
            stack.extend(node.values())
        elif isinstance(node, (list, tuple)):
            stack.extend(node)


def _duration(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:  # noqa: ARG001
    if not all(type(node[name]) is int for name in ("days", "seconds", "microseconds")):
        raise DamageError("a timedelta is not made of whole numbers")
    return ()


def _state(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:
    _TEXTS[node["$"]](node, leaves)
    return (node["state"],)


def _fields(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:  # noqa: ARG001
    _check_text(node["class"])
    fields = node["fields"]
    if not isinstance(fields, dict) or "$" in fields:
        raise DamageError(f"a node of kind {node['$']!r} has no fields by name")
    return (fields,)


def _same(node: dict[str, Any], leaves: Leaves) -> Iterable[Node]:  # noqa: ARG001
    _check_text(node["path"])
    if not node["path"]:
        raise DamageError("a node of kind 'same' names no path")
    if node.get("view", True) is not True:
        raise DamageError(f"view is {short(node['view'])}, expected true or no such member")
    return ()


@dataclass(frozen=True, slots=True)
class _Kind:
    required: frozenset[str]
    optional: frozenset[str]
    check: Check


def _kind(check_members: Check, members: str, optional: str = "") -> _Kind:
    return _Kind(frozenset(["$", *members.split()]), frozenset(optional.split()), check_members)


_TEXTS = {"object": _texts("class"), "adapter": _texts("name", "class")}
_KINDS = {
    "int": _kind(_matching("value", _INT), "value"),
    "float": _kind(_matching("bits", _HEX, 16), "bits"),
    "complex": _kind(_matching("bits", _HEX, 32), "bits"),
    "str": _kind(_str, "leaf"),
    "bytes": _kind(_bytes, "", "leaf base64"),
    "bytearray": _kind(_bytes, "", "leaf base64"),
    "dict": _kind(_pairs, "items"),
    "tuple": _kind(_items, "items"),
    "set": _kind(_items, "items"),
    "frozenset": _kind(_items, "items"),
    "deque": _kind(_items, "items maxlen"),
    "array": _kind(_array, "leaf", "resized order"),
    "scalar": _kind(_array, "leaf"),
    "tensor": _kind(_array, "leaf requires_grad", "resized order"),
    "date": _kind(_texts("iso"), "iso"),
    "datetime": _kind(_texts("iso"), "iso", "fold"),
    "time": _kind(_texts("iso"), "iso", "fold"),
    "timedelta": _kind(_duration, "days seconds microseconds"),
    "path": _kind(_texts("value"), "value"),
    "enum": _kind(_texts("class", "name"), "class name"),
    "fixed": _kind(_texts("name"), "name"),
    "object": _kind(_state, "class state"),
    "dataclass": _kind(_fields, "class fields"),
    "namedtuple": _kind(_fields, "class fields"),
    "adapter": _kind(_state, "name class state"),
    "same": _kind(_same, "path", "view"),
}
