"""Names in a store: checkpoints, parts, and paths that must stay inside."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from outlast.errors import DamageError, UsageError

MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255
STEP_LIMIT = 10**18
ATTEMPT_LIMIT = 10**9
_CHECKPOINT = re.compile(r"step-([0-9]{9}|[1-9][0-9]{9,17})\.a([0-9]{4}|[1-9][0-9]{4,8})(?:\.r([1-9][0-9]{0,8}))?")
_PART = re.compile(r"part-([0-9]{5}|[1-9][0-9]{5,8})\.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CheckpointName:
    """The name of a checkpoint. Ordered by attempt, step, revision: the greatest is the newest.

    Raises:
        UsageError: a number that no name can hold.
    """

    sort_key: tuple[int, int, int] = field(init=False, repr=False)
    step: int = field(compare=False)
    attempt: int = field(compare=False)
    revision: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.step < STEP_LIMIT:
            raise UsageError(f"step {self.step} cannot be saved", hint="steps count from 0 to 10**18 - 1")
        if not (1 <= self.attempt < ATTEMPT_LIMIT and 0 <= self.revision < ATTEMPT_LIMIT):
            raise UsageError(f"attempt {self.attempt}, revision {self.revision}: expected below 10**9, attempts from 1")
        object.__setattr__(self, "sort_key", (self.attempt, self.step, self.revision))

    def format(self) -> str:
        """Return the directory name, e.g. `step-000001200.a0003`."""
        revision = f".r{self.revision}" if self.revision else ""
        return f"step-{self.step:09d}.a{self.attempt:04d}{revision}"

    @classmethod
    def parse(cls, text: str) -> CheckpointName | None:
        """Read a directory name; None for any other name."""
        match = _CHECKPOINT.fullmatch(text)
        if match is None or int(match[2]) == 0:
            return None
        return cls(step=int(match[1]), attempt=int(match[2]), revision=int(match[3] or 0))


def part_rank(name: str) -> int | None:
    """Return the rank that a part's file name gives; None for any other name."""
    match = _PART.fullmatch(name)
    return int(match[1]) if match else None


def check_relative(path: str, source: str = "") -> None:
    """Raise DamageError unless `path` stays inside the store: no root, no "..", no empty name."""
    try:
        names = [name.encode() for name in path.split("/")]
    except UnicodeEncodeError:
        names = [b""]
    too_long = sum(map(len, names)) + len(names) - 1 > MAX_PATH_BYTES or max(map(len, names)) > MAX_NAME_BYTES
    if too_long or "\0" in path or any(name in (b"", b".", b"..") for name in names):
        raise DamageError(f"{source or 'manifest'}: {path[:100]!r} is not a path inside the store", path=source)
