"""Durations and sizes as people write them, parsed and printed at the edge."""

from __future__ import annotations

import math
import operator
import re
from typing import Any

from outlast.errors import UsageError

_NAMES_OF_SECONDS = (
    (0.001, "ms"),
    (1, "s sec secs second seconds"),
    (60, "m min mins minute minutes"),
    (3600, "h hr hrs hour hours"),
    (86400, "d day days"),
    (604800, "w week weeks"),
)
_SECONDS = {name: seconds for seconds, names in _NAMES_OF_SECONDS for name in names.split()}
_BYTES = {"b": 1} | {
    f"{letter}{kind}": base**power
    for power, letter in enumerate("kmgtp", 1)
    for kind, base in (("", 1024), ("ib", 1024), ("b", 1000))
}
_NUMBER = r"([0-9]{1,18}(?:\.[0-9]{1,18})?)"
_BARE = re.compile(_NUMBER)
_PIECE = re.compile(rf"{_NUMBER}\s*([a-z]+)\s*")
_SIZE = re.compile(rf"{_NUMBER}\s*([a-z]*)")
_LIMIT = 1 << 63


def parse_duration(value: str | float) -> float:
    """Return seconds: "10min", "30s", "1h30m", "2d", "90", 90.

    Raises:
        UsageError: it is none of these, negative or not finite.
    """
    if isinstance(value, str):
        seconds_s = _seconds(value.strip().lower())
    else:
        seconds_s = math.nan if isinstance(value, bool) else float(value)
    if math.isfinite(seconds_s) and seconds_s >= 0:
        return seconds_s
    raise UsageError(f"{value!r} is not a duration", hint='write it like "30s", "10min", "1h30m" or "2d"')


def parse_size(value: str | int) -> int:
    """Return bytes: "4GiB", "500MB", "4096", 4096. K, M, G, T and P alone count in 1024, as in batch systems.

    Raises:
        UsageError: it is none of these, or negative.
    """
    size = _bytes(value.strip().lower()) if isinstance(value, str) else value
    if type(size) is int and 0 <= size < _LIMIT:
        return size
    raise UsageError(f"{value!r} is not a size", hint='write it like "4GiB", "500MB" or "4096" (bytes)')


def whole(name: str, value: Any) -> int:
    """Return a whole number of any type that stands for one (NumPy's too). Raises UsageError for any other value."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise UsageError(f"{name} is {value!r}, expected a whole number")


def format_duration(seconds_s: float) -> str:
    """Return a duration for people: "0.41 s", "6.3 min", "2.1 h"."""
    for limit, size, unit in ((0.1, 0.001, "ms"), (120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if abs(seconds_s) < limit:
            return f"{_figures(seconds_s / size)} {unit}" if seconds_s else "0 s"
    return f"{_figures(seconds_s / 86400)} d"


def format_size(size_bytes: int) -> str:
    """Return a size for people: "512 B", "1.5 GiB"."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1000:  # noqa: PLR2004  (three figures; above that the next unit reads better)
            return f"{_figures(size)} {unit}"
        size /= 1024
    return f"{_figures(size)} PiB"


def _seconds(text: str) -> float:
    if _BARE.fullmatch(text):
        return float(text)
    pieces = _PIECE.findall(text)
    units = [unit for _, unit in pieces]
    unknown = not pieces or _PIECE.sub("", text) or not all(unit in _SECONDS for unit in units)
    if unknown or len({_SECONDS[unit] for unit in units}) != len(units):
        return math.nan
    return math.fsum(float(number) * _SECONDS[unit] for number, unit in pieces)


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text)
    unit = _BYTES.get(match[2] or "b") if match else None
    if match is None or unit is None or (unit == 1 and "." in match[1]):
        return -1
    from decimal import Decimal

    return int(Decimal(match[1]) * unit)


def _figures(number: float) -> str:
    """Return three figures, never an exponent."""
    return f"{number:.3g}" if 0.001 <= abs(number) < 999.5 else f"{number:.0f}"  # noqa: PLR2004  (where .3g turns to e)
