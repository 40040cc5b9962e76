"""What a command that enters a container needs besides: the protocol's folders bound, its variables handed through.

Apptainer and Singularity take both from their own environment variables, so the command itself stays as it was typed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

_PREFIXES = {"apptainer": "APPTAINER", "singularity": "SINGULARITY"}
_OURS = "OUTLAST_"
_NOT_IN_BINDS = frozenset(",:\\")
_ELSEWHERE = frozenset({"srun", "mpirun", "mpiexec", "mpiexec.hydra", "orterun", "jsrun", "aprun", "flux", "ssh"})


def passed(command: Sequence[str | bytes], env: Mapping[str, str], paths: Iterable[str]) -> dict[str, str]:
    """Return the variables to add to a command's environment, so that it finds in its container what we give it.

    Our own variables are handed through also where `--cleanenv` or `--containall` takes the others away. Nothing is
    added behind a launcher: a folder of this node may be missing on another one, and binding it would end the program.

    Args:
        command: the program and its arguments.
        env: its environment.
        paths: what it has to see, at the same place. Of what is not there yet the folder that it will be made in.
            What a bind cannot name is left out.
    """
    prefix = _prefix(command)
    if prefix is None:
        return {}
    added = {f"{prefix}ENV_{name}": value for name, value in env.items() if name.startswith(_OURS)}
    there = [one if os.path.exists(one) else os.path.dirname(one) for one in map(os.path.abspath, paths)]
    binds = [one for one in dict.fromkeys(there) if os.path.exists(one) and not set(one) & _NOT_IN_BINDS]
    given = env.get(f"{prefix}_BIND", "")
    return added | {f"{prefix}_BIND": ",".join([given, *binds] if given else binds)}


def _prefix(command: Sequence[str | bytes]) -> str | None:
    for word in command:
        name = os.path.basename(os.fsdecode(word))
        if name in _ELSEWHERE:
            return None
        if name in _PREFIXES:
            return _PREFIXES[name]
    return None
