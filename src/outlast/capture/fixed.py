"""The names of what is part of the program: functions, classes, modules, patterns, partials. Compared, never looked up.

A name is ``module:qualified.name``. When names are compared the module does not count, since a script that is run
is ``__main__`` and has a name of its own when it is imported.
"""

from __future__ import annotations

import functools
import hashlib
import re
import types
from collections.abc import Callable
from enum import Enum
from typing import Any

from outlast.capture.values import ENCODERS, class_name

_PLAIN = (*ENCODERS, str, bytes)
_MODULE = "\0"
_ANY_MODULE = r"(?:[^\s:()',]+:)?"
_LONGEST_PART = 200
_LONGEST = 8000

Prefix = Callable[[str], str]  # a module's name -> what stands for it


def name(value: Any) -> str:
    """Return the name of a part of the program."""
    return _shortened(_described(value, lambda module: f"{module}:"), _LONGEST)


def is_named(value: Any, saved: str) -> bool:
    """Whether a part of the program has the saved name, in whatever module."""
    marked = _described(value, lambda _: _MODULE)
    pattern = _ANY_MODULE.join(map(re.escape, marked.split(_MODULE)))
    return saved == name(value) or re.fullmatch(pattern, saved) is not None


def is_shared(value: Any) -> bool:
    """Whether a part of the program is what it is by its name, so that another place may hold it too."""
    if isinstance(value, functools.partial) or "<" in name(value):  # a lambda, or a function in a function
        return False
    owner = getattr(value, "__self__", None)
    return owner is None or isinstance(owner, (type, types.ModuleType))


def _described(value: Any, prefix: Prefix) -> str:
    if isinstance(value, functools.partial):
        return _partial(value, prefix)
    if isinstance(value, re.Pattern):
        return _shortened(f"re.compile({value.pattern!r}, {value.flags})", _LONGEST_PART)
    if isinstance(value, Enum):
        return f"{prefix(type(value).__module__)}{type(value).__qualname__}.{value.name}"
    if type(value) in _PLAIN or isinstance(value, types.GenericAlias) or type(value).__module__ == "numpy":
        return _shortened(repr(value).replace(_MODULE, r"\0"), _LONGEST_PART)
    if isinstance(value, (tuple, frozenset)):
        parts = [_described(part, prefix) for part in value]
        return f"{type(value).__name__}({', '.join(sorted(parts) if isinstance(value, frozenset) else parts)})"
    own = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(own, str):
        return class_name(type(value))
    module = getattr(value, "__module__", None)
    return f"{prefix(module)}{own}" if isinstance(module, str) else own


def _partial(value: functools.partial[Any], prefix: Prefix) -> str:
    named = [f"{key}={_described(part, prefix)}" for key, part in value.keywords.items()]
    parts = [_described(part, prefix) for part in (value.func, *value.args)]
    return f"functools.partial({', '.join([*parts, *named])})"


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    digest = hashlib.blake2s(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{text[:longest].encode(errors='replace').decode()}~{digest}"
