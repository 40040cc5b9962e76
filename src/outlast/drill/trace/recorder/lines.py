"""Lines that tell of a step: `step 12 loss=0.3`."""

from __future__ import annotations

import re

LINE = r"^\W*(?:step|iter(?:ation)?|epoch|sweep|batch)\b\D{0,3}(\d+)"
_METRIC = re.compile(r"([A-Za-z_]\w*)\s*[=:]?\s+?(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|nan|-?inf)\b|(\w+)=(-?[\d.eE+-]+)")


def metrics(line: str) -> list[tuple[str, str]]:
    """Return the names and numbers in a line."""
    return [(m.group(1) or m.group(3), m.group(2) or m.group(4)) for m in _METRIC.finditer(line)]
