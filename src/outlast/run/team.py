"""The ranks of one run: what they agree on, and that all hear of it when one of them fails.

Rank 0 is the hub. Its clock decides when something is due. Nobody waits for the others at a boundary where nothing is:
rank 0 *calls*, a thread on each rank answers at once how many boundaries that rank has reached, and the first one that
nobody has reached yet is where all act. From its answer until it knows that boundary no rank goes past another one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from outlast import errors
from outlast.errors import OutlastError, RanksError
from outlast.run.wire import Wire

LOOP, SAVER = "loop", "saver"
_LOOK_S = 1.0

Decide = Callable[[list[Any]], Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What all ranks do at a boundary: save, and leave if there is a reason."""

    at: int
    leave: str | None


class Team:
    """One rank's view of the others.

    Args:
        rank: ours.
        world: how many there are.
        wires: to each other rank from rank 0; to rank 0 from each other one.

    Attributes:
        wish: told on rank 0, by another thread, that a rank wants a save, or to leave for a reason.
    """

    def __init__(self, rank: int, world: int, wires: Mapping[int, Wire]) -> None:
        self.rank, self.world = rank, world
        self.wish: Callable[[str | None], None] = lambda _: None
        self._wires = dict(wires)
        self._condition = threading.Condition()
        self._inbox: dict[tuple[str, int], deque[Any]] = {}
        self._counts: dict[int, int] = {}
        self._passed = 0
        self._called = False
        self._plans: deque[Plan] = deque()
        self._failed = ""  # a rank has said that it fails: no more boundaries
        self._gone = ""  # a rank cannot be heard any more: nothing can be done together
        self._failed_s = 0.0
        self._is_over = False
        self._wished: set[str | None] = set()
        self._threads = [
            threading.Thread(target=self._listen, args=(other, wire), name=f"outlast-rank-{other}", daemon=True)
            for other, wire in self._wires.items()
        ]
        for thread in self._threads:
            thread.start()

    # -- at the boundaries --------------------------------------------------------------------------------

    def call(self, leave: str | None) -> None:
        """On rank 0, at a boundary: settle where all save, or leave."""
        with self._condition:
            if self._plans:
                return
            self._counts.clear()
        self._send_all({"kind": "call"})
        with self._condition:
            self._await(lambda: len(self._counts) == self.world - 1, "boundary")
            plan = Plan(max([self._passed, *self._counts.values()]) + 1, leave)
            self._plans.append(plan)
        self._send_all({"kind": "plan", "at": plan.at, "leave": leave})

    def arrive(self) -> Plan | None:
        """At each boundary: count it; return what is to be done at this one.

        Raises:
            RanksError: another rank has failed, or is gone.
        """
        self._passed += 1
        if not self._called and not self._plans and not self._failed and not self._gone:
            return None
        self.check()
        with self._condition:
            self._await(lambda: not self._called, "boundary")
            return self._plans[0] if self._plans and self._plans[0].at <= self._passed else None

    def acted(self) -> None:
        """The plan that `arrive` has returned is carried out."""
        with self._condition:
            self._plans.popleft()
            self._wished.clear()

    def ask(self, leave: str | None) -> None:
        """Have rank 0 call: for a save, or to leave."""
        if leave in self._wished:
            return
        self._wished.add(leave)
        if self.rank == 0:
            self.wish(leave)
        else:
            self._send(0, {"kind": "ask", "leave": leave})

    # -- together -----------------------------------------------------------------------------------------

    def exchange(
        self,
        channel: str,
        what: str,
        value: Any = None,
        *,
        error: OutlastError | None = None,
        decide: Decide = lambda values: values,
        is_last: bool = False,
    ) -> Any:
        """Wait for all ranks to come here; return on each what rank 0 decides.

        Args:
            channel: one thread uses it at a time.
            what: the place in the program; all must be at the same.
            value: what we bring, as JSON.
            error: why we cannot bring it.
            decide: on rank 0: makes the answer of what each rank has brought.
            is_last: nothing is done together after that: who is gone then is not missed.

        Raises:
            OutlastError: that of the first rank that brought one, or of `decide`; on all ranks the same.
            RanksError: a rank is gone, has failed, or is somewhere else.
        """
        mine = {"what": what, "value": value, "error": None if error is None else _told(error)}
        answer = (
            self._gathered(channel, mine, decide, is_last=is_last) if self.rank == 0 else self._brought(channel, mine)
        )
        if answer["error"] is not None:
            raise _error(answer["error"])
        return answer["value"]

    def _gathered(self, channel: str, mine: dict[str, Any], decide: Decide, *, is_last: bool) -> dict[str, Any]:
        brought = [mine, *(self._take(channel, rank, mine["what"]) for rank in range(1, self.world))]
        self._is_over = is_last
        answer = {"what": mine["what"], "value": None, "error": None}
        places = {one["what"] for one in brought}
        if len(places) > 1:
            text = ", ".join(f"rank {rank} is at {one['what']!r}" for rank, one in enumerate(brought))
            hint = "each rank must make the same passes and call the same methods of the run"
            answer["error"] = _told(RanksError(f"the ranks are not at the same place: {text[:500]}", hint=hint))
        else:
            failed = [(rank, one["error"]) for rank, one in enumerate(brought) if one["error"] is not None]
            try:
                if failed:
                    rank, told = failed[0]
                    answer["error"] = told | {"text": f"rank {rank}: {told['text']}" if rank else told["text"]}
                else:
                    answer["value"] = decide([one["value"] for one in brought])
            except OutlastError as e:
                answer["error"] = _told(e)
        self._send_all({"kind": "answer", "channel": channel, "answer": answer})
        return answer

    def _brought(self, channel: str, mine: dict[str, Any]) -> dict[str, Any]:
        self._send(0, {"kind": "bring", "channel": channel, "brought": mine})
        answer: dict[str, Any] = self._take(channel, 0, mine["what"])
        return answer

    def _take(self, channel: str, rank: int, what: str) -> Any:
        with self._condition:
            inbox = self._inbox.setdefault((channel, rank), deque())
            self._await(lambda: bool(inbox), what, is_saver=channel == SAVER)
            return inbox.popleft()

    def _await(self, condition: Callable[[], bool], what: str, *, is_saver: bool = False) -> None:
        """Wait, holding the condition. A save under way goes on while a rank that has failed can still be heard."""
        while not condition():
            trouble = self._gone or ("" if is_saver else self._failed)
            if trouble:
                self._raise(trouble, what)
            self._condition.wait(_LOOK_S)

    def _raise(self, trouble: str, what: str) -> NoReturn:
        hint = "start all ranks again: the run goes on from its last checkpoint"
        raise RanksError(f"{trouble}, while rank {self.rank} was at {what!r}", hint=hint)

    # -- the end ------------------------------------------------------------------------------------------

    @property
    def trouble_s(self) -> float:
        """For how many seconds it has been known that a rank has failed or is gone; 0 if none has."""
        return time.monotonic() - self._failed_s if self._failed_s else 0.0

    def check(self) -> None:
        """Raise RanksError if a rank has failed or is gone."""
        if self._gone or self._failed:
            self._raise(self._gone or self._failed, "boundary")

    def fail(self, why: str) -> None:
        """Tell the others that we cannot go on."""
        with self._condition:
            is_told = bool(self._failed or self._gone)
        if not is_told:
            try:
                self._send_all({"kind": "fail", "why": f"rank {self.rank} has failed ({why})"})
            except RanksError:
                return  # nobody is there to be told

    def close(self) -> None:
        """End the connections. What comes of that on the other side is that side's business."""
        with self._condition:
            self._is_over = True
        for wire in self._wires.values():
            wire.close()
        for thread in self._threads:
            thread.join()

    # -- the wires ----------------------------------------------------------------------------------------

    def _send(self, other: int, message: Any) -> None:
        try:
            self._wires[other].send(message)
        except OSError:
            self._note(gone=f"rank {other} is gone")
            self._raise(self._gone, "boundary")

    def _send_all(self, message: Any) -> None:
        for other in self._wires:
            self._send(other, message)

    def _note(self, *, failed: str = "", gone: str = "") -> None:
        with self._condition:
            if not self._is_over:
                self._failed = self._failed or failed
                self._gone = self._gone or gone
                self._failed_s = self._failed_s or time.monotonic()
            self._condition.notify_all()

    def _listen(self, other: int, wire: Wire) -> None:
        while True:
            try:
                message = wire.receive()
            except (OSError, ValueError):
                message = None
            if message is None:
                break
            self._hear(other, message)
        self._note(gone=self._failed or f"rank {other} is gone")
        if self.rank == 0 and not self._is_over:
            self._relay({"kind": "gone", "why": self._gone})

    def _hear(self, other: int, message: dict[str, Any]) -> None:
        kind = message["kind"]
        if kind == "call":
            self._called = True  # before the count is read: see `arrive`
            self._send_quietly(0, {"kind": "count", "count": self._passed})
        elif kind == "ask":
            self.wish(message["leave"])
        elif kind == "fail":
            self._note(failed=message["why"])
            if self.rank == 0:
                self._relay(message)
        elif kind == "gone":
            self._note(gone=message["why"])
        else:
            with self._condition:
                if kind == "count":
                    self._counts[other] = message["count"]
                elif kind == "plan":
                    self._plans.append(Plan(message["at"], message["leave"]))
                    self._called = False
                else:
                    key = message["channel"], other
                    self._inbox.setdefault(key, deque()).append(message.get("brought") or message.get("answer"))
                self._condition.notify_all()

    def _relay(self, message: Any) -> None:
        for other in self._wires:
            self._send_quietly(other, message)

    def _send_quietly(self, other: int, message: Any) -> None:
        try:
            self._wires[other].send(message)
        except OSError:
            return  # its own listener says so


def _told(error: OutlastError) -> dict[str, str]:
    text = error.args[0] if error.args else ""
    return {"class": type(error).__name__, "text": str(text), "hint": error.hint}


def _error(told: Mapping[str, str]) -> OutlastError:
    found = getattr(errors, told["class"], None)
    kind = found if isinstance(found, type) and issubclass(found, OutlastError) else OutlastError
    return kind(told["text"], hint=told["hint"])


def same(values: Sequence[Any]) -> Any:
    """Return the answer that is simply rank 0's."""
    return values[0]
