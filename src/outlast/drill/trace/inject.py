"""The environment that brings the recorder into the Python processes of a command."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_SITE = Path(__file__).with_name("site")


def environment(
    path: str | os.PathLike[str],
    env: Mapping[str, str],
    *,
    attempt: str = "",
    kill: str = "",
    steps: str = "",
) -> dict[str, str]:
    """Return `env` with what makes the command's Python processes write a trace.

    Args:
        path: the file of JSON lines; one for a whole run, with all its attempts.
        env: the environment to start from.
        attempt: a key for this attempt, where the command is not under `outlast run`.
        kill: a fault: ``op:K``, ``save:K`` or ``step:N``; see the package.
        steps: a regular expression whose first group is the step's number, for the lines that the program prints;
            by default those like ``step 12 ...``.
    """
    before = env.get("PYTHONPATH")
    found = {**env, "OUTLAST_TRACE": os.path.abspath(path)}
    found["PYTHONPATH"] = os.pathsep.join([str(_SITE), *([before] if before else [])])
    wanted = {"OUTLAST_TRACE_ATTEMPT": attempt, "OUTLAST_TRACE_KILL": kill, "OUTLAST_TRACE_STEPS": steps}
    return found | {name: value for name, value in wanted.items() if value}
