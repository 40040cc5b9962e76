"""Containers of the standard library: their names in a manifest, and how one is refilled without losing identity."""

from __future__ import annotations

import collections
import copy
from collections.abc import Callable, Iterable
from typing import Any

NAMES: dict[type, str] = {
    collections.OrderedDict: "collections.OrderedDict",
    collections.Counter: "collections.Counter",
    collections.defaultdict: "collections.defaultdict",
}
MAKERS: dict[str, Callable[[], Any]] = {  # a defaultdict's factory is code: it needs a live counterpart
    "collections.OrderedDict": collections.OrderedDict,
    "collections.Counter": collections.Counter,
}


def refill(container: Any, contents: Any) -> Any:
    """Give a container the contents, (key, value) pairs for a dict; return it.

    A subclass's own methods are passed by, except those of OrderedDict, which keeps its order in them.
    """
    if isinstance(container, dict):
        _refill_dict(container, contents)
    elif isinstance(container, list):
        list.__setitem__(container, slice(None), list(contents))
    elif isinstance(container, set):
        set.clear(container)
        set.update(container, contents)
    else:
        collections.deque.clear(container)
        collections.deque.extend(container, contents)
    return container


def _refill_dict(container: dict[Any, Any], pairs: Iterable[tuple[Any, Any]]) -> None:
    base: Any = collections.OrderedDict if isinstance(container, collections.OrderedDict) else dict
    held = list(pairs)
    base.clear(container)
    for key, value in held:
        base.__setitem__(container, key, value)


def twin(container: Any) -> Any:
    """Return another container of the same type (and default factory, attributes ...), to be refilled."""
    return copy.copy(container)
