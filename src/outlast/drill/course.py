"""One run of the drill, from its first start until it is done: one job after another, as a cluster would start them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from outlast.clock import SYSTEM
from outlast.drill import live as lives
from outlast.drill.live import Live, Signs
from outlast.drill.place import Place
from outlast.drill.record import Attempt, Pace, Ran
from outlast.drill.strikes import Strike
from outlast.errors import PREEMPTED
from outlast.supervise import tree

_MOST_JOBS = 20
_READ_BYTES = 1 << 16
_LAST_WORDS_BYTES = 2000
_LOOK_S = 0.5
_LOOK_AGAIN_S = 0.05
_HUNG = 124


class Course:
    """Drives one run.

    Args:
        place: where it works.
        env: the user's environment.
        strike: what is done to it.
        limit_s: end it after so long: then it hangs.
        is_over: says whether the drill itself is to end.
    """

    def __init__(
        self,
        place: Place,
        env: Mapping[str, str],
        strike: Strike,
        *,
        limit_s: float,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._place, self._env, self._strike, self._is_over = place, env, strike, is_over
        self._until_s = SYSTEM.monotonic() + limit_s
        self._attempts: list[Attempt] = []
        self._said_at = 0
        self._struck_before = 0
        self._is_hung = False
        self._left: tuple[int, ...] = ()

    def run(self) -> Ran:
        """Run it until it is done, or until nothing more can come of it."""
        os.mkfifo(lives.events(self._place), 0o600)
        pipe = os.open(lives.events(self._place), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        signs = Signs(self._place)
        began_s = SYSTEM.monotonic()
        try:
            self._strike.prepare(self._place, began_s)
            status = self._jobs(signs, pipe)
            lasted_s = SYSTEM.monotonic() - began_s
        finally:
            self._strike.close()
            signs.close()
            os.close(pipe)
        return Ran(
            status=status,
            attempts=tuple(self._attempts),
            strikes=tuple(self._strike.struck),
            problems=tuple(self._strike.problems),
            notes=tuple(self._strike.notes),
            pace=self._pace(signs, began_s, lasted_s),
            hung=self._is_hung,
            left=self._left,
        )

    def _jobs(self, signs: Signs, pipe: int) -> int:
        status = _HUNG
        for number in range(_MOST_JOBS):
            bound_s = self._strike.bound_s(number)
            bound = SYSTEM.wall() + bound_s if bound_s is not None else 0.0
            strike = self._strike
            live = Live(
                self._place,
                self._env,
                signs,
                kill=strike.kill,
                bound=bound,
                tries=strike.tries,
                holder=strike.holder,
            )
            try:
                status = self._job(live, pipe)
            finally:
                self._left += live.end()
            while self._strike.is_busy() and not self._is_over() and SYSTEM.monotonic() < self._until_s:
                SYSTEM.sleep(_LOOK_AGAIN_S)
            if self._is_hung or self._is_over():
                break
            wants_more = self._strike.job_ended(live, status)
            if status != PREEMPTED and not wants_more:
                break
            signs.watch_again()
        return status

    def _job(self, live: Live, pipe: int) -> int:
        """See one job through; return its status."""
        process, text = live.process, b""
        with tree.opened((process.pid,)) as descriptors:
            while True:
                is_ended = process.poll() is not None
                tree.poll((*descriptors, pipe, live.signs.descriptor), 0.0 if is_ended else self._wait_s(live))
                live.signs.look()
                text += _read_all(pipe)
                *lines, text = text.split(b"\n")
                for line in lines:
                    self._heard(live, lives.parse(line))
                if is_ended:
                    break
                if self._is_over() or SYSTEM.monotonic() >= self._until_s:
                    self._is_hung = not self._is_over()
                    self._left += live.end()
                    return _HUNG
                if self._strike.is_gone():
                    self._left += live.end()
                    _read_all(pipe)  # what its supervisor told while it died, too, nobody has heard
                    self._ended(live, {"status": 137, "step": live.step}, is_gone=True)
                    return 137
        code = process.returncode
        return code if code >= 0 else 128 - code

    def _wait_s(self, live: Live) -> float:
        now_s = SYSTEM.monotonic()
        next_s = min(self._strike.look(live, now_s), self._until_s)
        return max(0.0, min(next_s - now_s, _LOOK_S))

    def _heard(self, live: Live, event: dict[str, Any]) -> None:
        if event["event"] == "start":
            live.attempts += 1
            live.attempt_s = event["at_s"]
            self._strike.attempt_began(live)
        elif event["event"] == "notice":
            live.was_told(event["at_s"])
        elif event["event"] == "end":
            live.ended_s = event["at_s"]
            self._strike.attempt_ended(live, event["status"])
            self._ended(live, event)

    def _ended(self, live: Live, event: dict[str, Any], *, is_gone: bool = False) -> None:
        struck = len(self._strike.struck) + is_gone
        self._attempts.append(
            Attempt(
                status=event["status"],
                lasted_s=round(SYSTEM.monotonic() - live.attempt_s, 3),
                step=event["step"],
                wounded=struck > self._struck_before,
                said=self._last_words(),
                printed_bytes=_size(self._place.stdout),
            )
        )
        self._struck_before = struck

    def _last_words(self) -> str:
        """Return the end of what the command has written to stderr since the last time."""
        with open(self._place.stderr, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._said_at, end - _LAST_WORDS_BYTES))
            self._said_at = end
            return file.read().decode(errors="replace")

    def _pace(self, signs: Signs, began_s: float, lasted_s: float) -> Pace:
        return Pace(
            lasted_s=lasted_s,
            ready_s=max(0.0, signs.first_s - began_s) if signs.first_s is not None else 0.0,
            commits=tuple((at_s - began_s, step) for at_s, step in signs.commits),
            calls=_size(os.path.join(self._place.drill, "calls")),
            changes=signs.changes,
            takes_part=signs.takes_part or bool(signs.commits),
        )


def _read_all(pipe: int) -> bytes:
    """Return what was told and not heard yet."""
    return b"".join(iter(lambda: _read(pipe), b""))


def _read(pipe: int) -> bytes:
    try:
        return os.read(pipe, _READ_BYTES)
    except BlockingIOError:
        return b""


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
