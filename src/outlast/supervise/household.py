"""All processes that came from the command, however they hid: we take in orphans, so whatever is below us is its."""

from __future__ import annotations

import os

from outlast.supervise import processes


class Household:
    """What is below this process, except the children that it had before, which are somebody else's business."""

    __slots__ = ("_others",)

    def __init__(self) -> None:
        self._others = processes.children()

    def alive(self) -> set[int]:
        """Return the pids of all that live."""
        now = processes.table()
        return {pid for pid in processes.below(now, {os.getpid()}, but=self._others) if now[pid].alive}

    def named(self, names: frozenset[bytes]) -> list[int]:
        """Return the pids of the live programs of these names, but not of those that another one of them started."""
        now = processes.table()
        found = {pid for pid in processes.below(now, {os.getpid()}, but=self._others) if now[pid].name in names}
        return sorted(pid for pid in found if now[pid].alive and now[pid].parent not in found)

    def reap(self, command: int = 0) -> None:
        """Bury the orphans that we took in and that have ended; never the command: its status is for who polls it.

        `Popen` takes a child that somebody else has buried for one that ended with 0.
        """
        others = {command, *(process.pid for process in self._others)}
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid in others:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)
