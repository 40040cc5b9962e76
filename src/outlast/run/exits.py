"""The exit status of a program that one of our errors ends: 3 for damage, 5 for busy ..., instead of Python's 1.

Such an error is something for the user to act upon, so its message is printed alone; OUTLAST_TRACEBACK=1 adds
the traceback. Errors that the program catches are not concerned.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

from outlast.errors import OutlastError

_is_installed = False


def install() -> None:
    """Chain our hook before the present one, once."""
    global _is_installed  # noqa: PLW0603  (the hook itself is process-wide)
    if _is_installed:
        return
    _is_installed = True
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, OutlastError) or os.environ.get("OUTLAST_TRACEBACK") == "1":
            previous(kind, error, trace)
        else:
            print(f"outlast: error: {error}", file=sys.stderr, flush=True)  # noqa: T201
        if isinstance(error, OutlastError):
            raise SystemExit(error.exit_status)

    sys.excepthook = hook
