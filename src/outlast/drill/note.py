"""A step, told by the program itself, where the recorder would not see one."""

from __future__ import annotations

import sys
from typing import Any


def note(step: int, **values: Any) -> None:
    """Tell `outlast drill` that a step is complete, with values that it should compare. Outside of a drill: nothing."""
    recorder = sys.modules.get("_outlast_trace")
    if recorder is not None:
        recorder.note(step, values)
