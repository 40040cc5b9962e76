"""What happened in a run of the drill: attempts, strikes, and how fast it went. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One start of the command.

    Args:
        status: as a shell gives it.
        lasted_s: seconds.
        step: the last step that it reported as saved; None if it reported none.
        wounded: the drill did something to it.
        said: the end of what it wrote to stderr.
        printed_bytes: what this attempt and those before it wrote to stdout.
    """

    status: int
    lasted_s: float
    step: int | None = None
    wounded: bool = False
    said: str = ""
    printed_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """Something that the drill did.

    Args:
        text: what, for people.
        at_s: seconds since the run began.
        step: the last step that was saved before it.
    """

    text: str
    at_s: float
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How an undisturbed run went: what faults are placed by.

    Args:
        lasted_s: seconds.
        ready_s: seconds until it showed a sign of work.
        commits: seconds and step of each commit that was reported.
        calls: storage calls of our library.
        changes: changes of files in the working folder.
        saves: saves that the recorder saw.
        operations: storage operations that it saw.
        steps: the steps that it saw, as the program counts.
        takes_part: it speaks the protocol of `outlast run`.
        disk_bytes: what its working folder and its store took in the end.
    """

    lasted_s: float
    ready_s: float
    commits: tuple[tuple[float, int], ...] = ()
    calls: int = 0
    changes: int = 0
    saves: int = 0
    operations: int = 0
    steps: tuple[int, ...] = ()
    takes_part: bool = False
    disk_bytes: int = 0

    @property
    def works_s(self) -> float:
        """Return the seconds from the first sign of work to the end."""
        return max(0.0, self.lasted_s - self.ready_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run, from its first start to its end.

    Args:
        status: of the last attempt.
        attempts: all of them.
        strikes: what the drill did.
        problems: what was wrong with how it went, apart from what it came to.
        notes: what a person should know.
        pace: how it went.
        hung: it was ended because it took too long.
    """

    status: int
    attempts: tuple[Attempt, ...]
    strikes: tuple[Struck, ...]
    pace: Pace
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    hung: bool = False
    left: tuple[int, ...] = field(default=())
