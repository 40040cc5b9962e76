"""Which kind of node a Python type becomes: the one order of precedence, for capture and restore alike.

Adapters (the user's, then plug-ins) > ``state_dict``/``load_state_dict`` > built-in kinds > plain objects.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import logging
import re
import types
from collections import deque
from dataclasses import dataclass
from typing import Any

from outlast.capture import objects, values
from outlast.capture.adapter import Adapter, LeafAdapter
from outlast.capture.registry import Registry
from outlast.capture.stateful import STATE_DICT

_CONTAINERS: dict[type, str] = {
    dict: "dict",
    list: "list",
    tuple: "tuple",
    set: "set",
    frozenset: "frozenset",
    deque: "deque",
}
_TEXTS: dict[type, str] = {str: "str", bytes: "bytes", bytearray: "bytearray"}
_FUNCTIONS = (types.FunctionType,)
_METHODS = (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)
_FIXED = (
    type,
    types.ModuleType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GenericAlias,
    logging.Logger,
    re.Pattern,
)
_SUBCLASSED = (dict, list, set, deque)
_FAMILIES = {
    "object": ("object", "dataclass"),
    "dataclass": ("dataclass", "object"),
    "adapter": ("adapter", "subclass", "dict"),
}
_SAVED = {"subclass": "adapter", "function": "fixed", "method": "fixed", "partial": "fixed"}
_IMMUTABLE = frozenset({"value", "enum", "tuple", "frozenset", "namedtuple", "str", "bytes", "fixed", "function"})


@dataclass(frozen=True, slots=True)
class Kind:
    """How a type is captured.

    Args:
        name: value, enum, str, dict, ..., leaf, adapter, object, refused.
        adapter: for leaf and adapter.
    """

    name: str
    adapter: Adapter | LeafAdapter | None = None

    @property
    def is_rebound(self) -> bool:
        """Whether such a value has no identity worth keeping: the saved one takes its place."""
        return self.name in _IMMUTABLE or (isinstance(self.adapter, LeafAdapter) and self.adapter.immutable)

    @property
    def saved(self) -> str:
        """The kind of node that such a value becomes."""
        if isinstance(self.adapter, LeafAdapter):
            return self.adapter.kind
        return _SAVED.get(self.name, self.name)


def is_array(saved: str) -> bool:
    """Whether that kind of node is an array: of the specification, or a plug-in's, which has a dot in its name."""
    return saved in {"array", "tensor"} or "." in saved


def fits(saved: str, live: Kind, *, is_dict: bool) -> bool:
    """Whether a live component with an identity is of the kind that a node of the kind `saved` restores into."""
    if isinstance(live.adapter, LeafAdapter):
        return is_array(saved)
    if saved == "dict":
        return is_dict
    if saved == "fixed":
        return live.name in {"method", "partial", "adapter"}
    return live.name in _FAMILIES.get(saved, (saved,))


class Kinds:
    """Kinds by type, remembered until the registry changes."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._known: dict[type, Kind] = {}
        self._changes = registry.changes

    def of(self, value: Any) -> Kind:
        """Return the kind of a value."""
        cls = type(value)
        kind = self._known.get(cls)
        if kind is None:
            kind = self._known[cls] = self._decide(cls)
        return kind

    def refresh(self) -> None:
        """Take notice of new adapters."""
        self.registry.refresh()
        if self._changes != self.registry.changes:
            self._changes = self.registry.changes
            self._known.clear()

    def _decide(self, cls: type) -> Kind:
        adapter = self.registry.find(cls)
        if isinstance(adapter, LeafAdapter):
            return Kind("leaf", adapter)
        if adapter is not None:
            return Kind("adapter", adapter)
        if not issubclass(cls, type) and hasattr(cls, "state_dict") and hasattr(cls, "load_state_dict"):
            return Kind("adapter", STATE_DICT)
        return Kind(_built_in(cls) or _object(cls))


def _built_in(cls: type) -> str:
    if cls in values.ENCODERS:
        return "value"
    if issubclass(cls, enum.Enum):
        return "enum"
    return _TEXTS.get(cls) or _CONTAINERS.get(cls) or _callable(cls) or _derived(cls)


def _callable(cls: type) -> str:
    if issubclass(cls, _FUNCTIONS):
        return "function"
    if issubclass(cls, _METHODS):
        return "method"
    if issubclass(cls, functools.partial):
        return "partial"
    return "fixed" if issubclass(cls, _FIXED) else ""


def _derived(cls: type) -> str:
    if issubclass(cls, tuple) and hasattr(cls, "_fields") and hasattr(cls, "_make"):
        return "namedtuple"
    return "subclass" if issubclass(cls, _SUBCLASSED) else ""


def _object(cls: type) -> str:
    if objects.refusal(cls):
        return "refused"
    return "dataclass" if dataclasses.is_dataclass(cls) and not objects.has_custom_state(cls) else "object"
