"""Two nodes try one directory together: how late one sees what the other wrote, and who wins a name that both want.

One calls, the other answers, by files alone and by one recipe: each is written, synced, and published by a link; each
is found by listing, as outlast finds a checkpoint. Only the caller's own clock measures, so the nodes' clocks need not
agree: a round is the way there and back.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from outlast.backends import host
from outlast.backends.ground import undisturbed
from outlast.backends.posix import Posix
from outlast.backends.publishing import TEMPORARY
from outlast.clock import SYSTEM, Clock
from outlast.errors import DamageError, StorageError, UsageError

ROUNDS = 5
NAMES = 100
_PREFIX = f"{TEMPORARY}rally-"
_TOKEN = 12
_LOOK_S = 0.05
_ANSWER_S = 180.0  # for one answer: longer than any directory may look old
_LIMIT_BYTES = 1 << 16
_CLEARINGS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What two nodes found.

    Args:
        rounds_s: for each round, from before the call was written until the answer was seen.
        mine, theirs: how many of the names that both wanted each got.
        other: the host that answered.
        is_same_node: it was this very node: then nothing was learnt of others.
        twice, nobodys: how many both got, or neither: none of either where names are exclusive.
    """

    other: str
    is_same_node: bool
    rounds_s: tuple[float, ...]
    mine: int
    theirs: int
    twice: int
    nobodys: int

    @property
    def slowest_s(self) -> float:
        return max(self.rounds_s)

    @property
    def is_exclusive(self) -> bool:
        return not self.twice and not self.nobodys


class _GoneError(StorageError):
    """The directory is not there any more."""


class _Place:
    """The directory that both use."""

    def __init__(self, backend: Posix, token: str, clock: Clock) -> None:
        self.backend, self.path, self.clock = backend, f"{_PREFIX}{token}", clock

    def say(self, name: str, text: str = "") -> None:
        try:
            self.backend.create(f"{self.path}/{name}", [text.encode()])
            self.backend.sync(self.path)
        except FileNotFoundError as e:
            raise _GoneError(self._gone()) from e

    def hear(self, name: str, wait_s: float) -> str:
        """Wait until a fresh listing shows a file; return what it holds. Raises StorageError after `wait_s`."""
        until_s = self.clock.monotonic() + wait_s
        while True:
            if name in self._names():
                return self._read(name)
            if self.clock.monotonic() > until_s:
                raise StorageError(
                    f"the other node did not show {name} within {wait_s:g} s",
                    hint="was the command started there, on the same directory?",
                )
            self.clock.sleep(_LOOK_S)

    def _names(self) -> set[str]:
        try:
            return {entry.name for entry in self.backend.list(self.path, missing_ok=False)}
        except FileNotFoundError as e:
            raise _GoneError(self._gone()) from e

    def _gone(self) -> str:
        return f"{self.backend.root}/{self.path} is gone: the other node has given up"

    def _read(self, name: str) -> str:
        try:
            with self.backend.open(f"{self.path}/{name}") as file:
                data = bytearray(min(file.size_bytes, _LIMIT_BYTES))
                file.read_into(memoryview(data), 0)
        except FileNotFoundError as e:
            raise DamageError(f"{self.path}/{name} is listed, and cannot be opened", path=name) from e
        return data.decode("ascii", "replace")

    def look(self) -> None:
        """Ask for every name while none is there: a client that believes its own memory of that is found out."""
        for number in range(NAMES):
            with suppress(FileNotFoundError):
                self.backend.modified(f"{self.path}/want-{number}")

    def contend(self, numbers: range, pause_s: float = 0.0) -> set[str]:
        """Try to get every name; return those that we got."""
        got = set()
        for number in numbers:
            self.clock.sleep(pause_s)
            try:
                self.backend.create(f"{self.path}/want-{number}", [b""])
            except FileExistsError:
                continue
            except FileNotFoundError as e:
                raise _GoneError(self._gone()) from e
            got.add(str(number))
        return got

    def clear(self) -> None:
        """Remove the directory; the other side may still be removing the last file that it wrote."""
        for left in reversed(range(_CLEARINGS)):
            try:
                for entry in self.backend.list(self.path):
                    with suppress(FileNotFoundError):
                        self.backend.remove(f"{self.path}/{entry.name}")
                self.backend.remove(self.path)
            except FileNotFoundError:
                return
            except StorageError:
                if left == 0:
                    raise
                self.clock.sleep(_LOOK_S)
            else:
                return


def call(backend: Posix, invite: Callable[[str], object], *, wait_s: float, clock: Clock = SYSTEM) -> Met:
    """Meet another node that runs `answer`.

    Args:
        backend: the directory.
        invite: is told the token that the other one needs.
        wait_s: how long to wait until somebody comes.
        clock: measures and sleeps.

    Raises:
        StorageError: nobody came, or the storage refused something.
        DamageError: what the other one wrote was seen, and could not be read.
    """
    token = secrets.token_hex(_TOKEN // 2)
    place = _Place(backend, token, clock)
    backend.make_dir(place.path)
    try:
        backend.sync("")
        invite(token)
        boot, _, other = place.hear("here", wait_s).partition(" ")
        rounds_s = tuple(_round(place, number) for number in range(ROUNDS))
        place.hear("ready", _ANSWER_S)
        place.look()
        place.say("go")
        mine = place.contend(range(NAMES), max(rounds_s) / NAMES)  # slowly: the other one begins when it sees it
        theirs = set(place.hear("got", _ANSWER_S).split())
        place.say("end")
        place.hear("bye", _ANSWER_S)
    finally:
        undisturbed(place.clear)
    both = mine | theirs
    return Met(
        other=other,
        is_same_node=boot == host.me().boot,
        rounds_s=rounds_s,
        mine=len(mine),
        theirs=len(theirs),
        twice=len(mine & theirs),
        nobodys=NAMES - len(both),
    )


def _round(place: _Place, number: int) -> float:
    word = secrets.token_hex(8)
    began_s = place.clock.monotonic()
    place.say(f"call-{number}", word)
    heard = place.hear(f"echo-{number}", _ANSWER_S)
    took_s = place.clock.monotonic() - began_s
    if heard != word:
        raise DamageError(f"the other node read {heard!r} where {word!r} was written", path=f"call-{number}")
    return took_s


def answer(backend: Posix, token: str, *, clock: Clock = SYSTEM) -> int:
    """Answer a `call` with this token, and stay until it is over; return how many of the names we got.

    Raises:
        UsageError: it is no token.
        StorageError: there is no such call, or the caller has gone.
    """
    if len(token) != _TOKEN or not set(token) <= set("0123456789abcdef"):
        raise UsageError(f"{token!r} is no token", hint="copy the command that the other node printed")
    place = _Place(backend, token, clock)
    _arrive(place)
    for number in range(ROUNDS):
        place.say(f"echo-{number}", place.hear(f"call-{number}", _ANSWER_S))
    place.look()
    place.say("ready")
    place.hear("go", _ANSWER_S)
    got = place.contend(range(NAMES - 1, -1, -1))  # from the other end, so that either meets what the other one has
    place.say("got", " ".join(sorted(got)))
    place.hear("end", _ANSWER_S)
    with suppress(_GoneError):  # the caller may be quicker to clear all away
        place.say("bye")
    return len(got)


def _arrive(place: _Place) -> None:
    """Say that we are here, as soon as this node sees the directory."""
    until_s = place.clock.monotonic() + _ANSWER_S
    while True:
        if any(entry.name == place.path for entry in place.backend.list("", missing_ok=False)):
            mine = host.me()
            place.say("here", f"{mine.boot} {mine.host}")
            return
        if place.clock.monotonic() > until_s:
            raise StorageError(
                f"{place.backend.root} does not show the call of the other node after {_ANSWER_S:g} s",
                hint="is it the same directory there, and is the other command still running?",
            )
        place.clock.sleep(_LOOK_S)
