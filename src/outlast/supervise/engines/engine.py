"""The interface of an engine: what freezes a process tree into files, and brings it back from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outlast.errors import OutlastError


class EngineError(OutlastError):
    """An engine refused, or failed. The program goes on, if it ran."""

    kind = "engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What can be said of an engine on this machine.

    Args:
        version: of its programs; empty where they are not found.
        problem: why it cannot be used; empty if it can.
        remedy: how to get what is missing.
    """

    version: str = ""
    problem: str = ""
    remedy: str = ""


class Session(ABC):
    """A program under an engine."""

    @abstractmethod
    def poll(self) -> int | None:
        """Return the exit status as a shell gives it; None while it runs."""

    @abstractmethod
    def dump(self, folder: str, *, goes_on: bool) -> None:
        """Write an image of the whole process tree into an empty folder, whole when this returns.

        Args:
            folder: absolute.
            goes_on: whether the program runs on; else nothing is left of it.

        Raises:
            EngineError: no image was made; what is in the folder is worth nothing. The program runs on, if it can.
        """

    @abstractmethod
    def close(self) -> None:
        """End what is left of it."""


class Engine(ABC):
    """An engine. Third parties add theirs by the entry point `outlast.engines`: a class without arguments."""

    name: str

    @abstractmethod
    def look(self) -> Standing:
        """Say whether it can be used here."""

    @abstractmethod
    def start(self, command: Sequence[str], *, streams: tuple[str, str], work: str) -> Session:
        """Start a program.

        Args:
            command: the program and its arguments.
            streams: paths of the files that its standard output and error are appended to.
            work: a folder of this node for logs and scripts.

        Raises:
            EngineError: it cannot be started.
        """

    @abstractmethod
    def lengths(self, image: str) -> Mapping[str, int]:
        """Return how long the program's outputs were when an image was made, in bytes, by path.

        Raises:
            EngineError: the image does not say.
        """

    @abstractmethod
    def restore(self, image: str, *, work: str) -> Session:
        """Bring a program back from an image, which was verified; nothing in its folder may be changed.

        Its outputs are cut back to their `lengths` of then.

        Raises:
            EngineError: it cannot be brought back here.
            UsageError: its outputs have become shorter, or are gone.
        """
