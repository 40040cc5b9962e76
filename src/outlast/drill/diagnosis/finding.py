"""What a diagnosis is made of, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from outlast.drill.trace.model import Trace

Wound = Literal[
    "none",  # undisturbed, a second time
    "kill",  # SIGKILL at a time or a step
    "kill-in-save",  # SIGKILL at a storage operation, or with half of a save written
    "notice",  # a signal to the main process
    "notice-group",  # a signal to the whole group
    "deadline",  # the wall time ends: notice, and the kill after the grace
    "full-disk",
    "damage",  # the newest checkpoint is damaged between two attempts
    "lost-tier",  # what is local to the node is gone
    "second-copy",  # two copies of the job at once
    "after-done",  # started once more after it was done
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an attempt ended.

    Args:
        status: exit status, as a shell gives it: 128 + N for signal N.
        said: the end of what it wrote to stderr (and stdout).
        wounded: our fault was done to it.
    """

    status: int
    said: str = ""
    wounded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a wounded run, beside its trace.

    Args:
        wound: what was done to it.
        attempts: how each ended, in order.
        trace: of all attempts.
        differing: names of files, metrics or leaves whose final values differ from the undisturbed run's.
        done: it came to its end at last.
        script: the program's text, where it is one that the recorder cannot be in.
        language: the suffix of its name, in lower case, without the dot.
    """

    wound: Wound
    attempts: tuple[Ended, ...]
    trace: Trace = field(default_factory=Trace)
    differing: tuple[str, ...] = ()
    done: bool = True
    script: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with a program, in the user's terms.

    Args:
        cause: a stable name of the likely cause (`catalogue.CAUSES` has them all).
        text: a sentence: what differs from where on, and why, most likely.
        advice: what to do.
        step: the first step that differs.
        leaf: the first leaf that differs.
        evidence: what this was drawn from, for people.
    """

    cause: str
    text: str
    advice: str
    step: int | None = None
    leaf: str | None = None
    evidence: tuple[str, ...] = ()

    def document(self) -> Mapping[str, Any]:
        """Return it as JSON data."""
        return {
            "cause": self.cause,
            "text": self.text,
            "advice": self.advice,
            "step": self.step,
            "leaf": self.leaf,
            "evidence": list(self.evidence),
        }
