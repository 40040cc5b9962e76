"""Faults of the surroundings: the disk is full, a checkpoint is damaged, the node is lost, a second copy runs."""

from __future__ import annotations

import glob
import math
import os
import random
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from subprocess import Popen

from outlast.backends import drilled
from outlast.clock import SYSTEM
from outlast.drill.disk import Disk
from outlast.drill.live import Live
from outlast.drill.place import Place
from outlast.drill.record import Pace
from outlast.drill.strikes import EARLY, WINDOW, Timed, Way
from outlast.errors import BUSY, OutlastError
from outlast.policy.restart import describe
from outlast.store import Store
from outlast.supervise import end_tree

_FULL_S = 5.0
_SPARE_BYTES = 8 << 20
_STORE = "outlast.json"


class Gone(Timed):
    """The whole job is taken away at once; then its surroundings are changed, and the next job starts."""

    def __init__(
        self,
        pace: Pace,
        chance: random.Random,
        *,
        saves: int = 1,
        window: tuple[float, float] = WINDOW,
        way: Way | None = None,
    ) -> None:
        super().__init__(pace, chance, saves=saves, window=window, way=way)
        self._is_gone = False

    def strike(self, live: Live) -> None:  # noqa: ARG002
        self._is_gone = True

    def is_gone(self) -> bool:
        return self._is_gone

    def attempt_ended(self, live: Live, status: int) -> None:
        super().attempt_ended(live, status)
        if status == 0:
            self._is_gone = False  # it was done before it could be taken away

    def job_ended(self, live: Live, status: int) -> bool:  # noqa: ARG002
        if not self._is_gone:
            return False
        self._is_gone = False
        self.change(live)
        return True

    @abstractmethod
    def change(self, live: Live) -> None:
        """Do what else is to be done."""


class Node(Gone):
    """The node is lost: every process, TMPDIR, the control folder."""

    def change(self, live: Live) -> None:
        live.place.renew_local()
        self._tell(live, "every process killed, TMPDIR and the control folder gone")


class Damage(Gone):
    """A kill; then the newest checkpoint is damaged.

    Args:
        pace: how the undisturbed run went.
        chance: draws.
        patterns: what the checkpoints of a program without our library are called.
    """

    patience_s = math.inf  # without two checkpoints nothing can be damaged, and it would be struck once more

    def __init__(
        self,
        pace: Pace,
        chance: random.Random,
        patterns: Sequence[str],
        *,
        window: tuple[float, float] = WINDOW,
        way: Way | None = None,
    ) -> None:
        super().__init__(pace, chance, saves=2, window=window, way=way)
        self._patterns = patterns

    def change(self, live: Live) -> None:
        said = [text for path in stores(live.place.root) if (text := self._damage_store(path))]
        said += self._cut_newest(live.place.work)
        if said:
            self._tell(live, f"SIGKILL, then {', '.join(said)}")
        elif not self.notes:
            self.notes.append("there was no checkpoint to be damaged yet")

    def _damage_store(self, path: str) -> str:
        names = Store(path).checkpoints()
        if len(names) < 2:  # noqa: PLR2004  (the newest, and one to fall back to)
            self.notes.append("only one checkpoint was there: nothing to fall back to (see keep=)")
            return ""
        folder = os.path.join(path, names[0].format())
        files = sorted(glob.glob(os.path.join(folder, "part-*"))) or [os.path.join(folder, "manifest.json")]
        at = _flip(files[0])
        return f"a bit flipped in {os.path.relpath(files[0], path)}, byte {at}"

    def _cut_newest(self, work: str) -> Iterator[str]:
        found = {path for pattern in self._patterns for path in glob.glob(os.path.join(work, pattern), recursive=True)}
        files = sorted((path for path in found if os.path.isfile(path)), key=os.path.getmtime)
        if files:
            size_bytes = os.path.getsize(files[-1])
            os.truncate(files[-1], size_bytes // 2)
            yield f"{os.path.relpath(files[-1], work)} cut to half"


class FullDisk(Timed):
    """No space is left, until the attempt has ended, or for a while.

    Where the kernel lets us, the run gets a small disk of its own, which is filled. Elsewhere the storage calls of our
    library in the program fail as they would.
    """

    def __init__(self, pace: Pace, chance: random.Random, *, is_real: bool) -> None:
        super().__init__(pace, chance, window=EARLY)
        self._is_real = is_real
        self._disk: Disk | None = None
        self._path = ""
        self._until_s, self._full_s = math.inf, 0.0
        self._is_full = False

    def prepare(self, place: Place, began_s: float) -> None:
        super().prepare(place, began_s)
        self._path = os.path.join(place.drill, drilled.FULL)
        if self._is_real:
            self._disk = Disk(place.disk, _SPARE_BYTES + 2 * self._pace.disk_bytes)
            self.holder = self._disk.pid

    def look(self, live: Live, now_s: float) -> float:
        if now_s >= self._until_s:
            self.notes.append(f"went on while it was full, for {self._full_s:.2g} s")
            self._empty()
        return min(super().look(live, now_s), self._until_s)

    def strike(self, live: Live) -> None:
        if self._disk:
            self._disk.fill()
            self._tell(live, "its disk filled to the last byte")
        else:
            with open(self._path, "w", encoding="ascii"):
                self._tell(live, "no space left for storage calls of outlast (they fail with ENOSPC)")
        self._is_full = True
        live.ask_for_save()
        self._full_s = min(_FULL_S, max(0.5, self._pace.works_s / 3))
        self._until_s = SYSTEM.monotonic() + self._full_s

    def attempt_ended(self, live: Live, status: int) -> None:
        super().attempt_ended(live, status)
        if self._is_full:
            self.notes.append(f"ended with {describe(status)} while it was full")
            self._empty()

    def close(self) -> None:
        if self._disk:
            self._disk.close()

    def _empty(self) -> None:
        self._until_s, self._is_full = math.inf, False
        if self._disk:
            self._disk.free()
        with suppress(FileNotFoundError):
            os.unlink(self._path)


class Twice(Timed):
    """A second copy of the job is started beside the first."""

    def __init__(self, pace: Pace, chance: random.Random) -> None:
        super().__init__(pace, chance, window=EARLY)
        self._second: Popen[bytes] | None = None

    def strike(self, live: Live) -> None:
        self._second = live.start_second()
        self._tell(live, "a second copy started")

    def is_busy(self) -> bool:
        return self._second is not None and self._second.poll() is None

    def job_ended(self, live: Live, status: int) -> bool:  # noqa: ARG002
        second, self._second = self._second, None
        if second is None:
            return False
        code = second.poll()
        if code is None:
            self.problems.append("the second copy was not refused (5), and did not come to its end")
            end_tree(second.pid, term_s=0)
            second.wait()
        elif live.signs.takes_part and code not in (0, BUSY):
            self.problems.append(f"the second copy was not refused (5): it ended with {describe(code)}")
        else:
            self.notes.append("the second one was refused (5)" if code == BUSY else f"the second one ended with {code}")
        return False


def stores(root: str) -> Iterator[str]:
    """Yield the stores of a run: the one that OUTLAST_STORE names, and those that lie in its copy of the folder."""
    for folder, folders, files in os.walk(root):
        if _STORE in files:
            folders.clear()
            with suppress(OutlastError):
                yield Store(folder).path


def _flip(path: str) -> int:
    """Flip one bit of a file, as a bad disk does; return where."""
    at = os.path.getsize(path) * 2 // 3
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 4]))
    return at
