"""What a program prints: a line like `step 12 loss 0.3` tells that a step is complete."""

from __future__ import annotations

import builtins
import os
import re
import sys
from typing import Any

from .core import Recorder
from .lines import LINE, metrics


def listen(recorder: Recorder) -> None:
    """Hear `print`."""
    pattern = re.compile(os.environ.get("OUTLAST_TRACE_STEPS") or LINE, re.IGNORECASE)

    def printed(_: object, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("file") not in (None, sys.stdout, sys.stderr):
            return
        is_short = len(args) < 20 and all(isinstance(arg, (str, int, float)) for arg in args)  # noqa: PLR2004
        line = (kwargs.get("sep") or " ").join(map(str, args)) if is_short else ""
        match = pattern.search(line)
        if match is None:
            return
        found = recorder.look(sys._getframe())  # noqa: SLF001
        for name, number in metrics(line):
            found.put(f"said:{name}", "metric", number)
        recorder.step(int(match.group(1)), "line", found)

    recorder.around(builtins, "print", printed)
