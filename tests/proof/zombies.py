"""Zombies: a writer that is stopped (SIGSTOP) at every call, taken over from, and continued.

`once:W:SCENARIO:K`: the writer of a scenario stops before its K-th call; somebody else takes over and does W; it wakes
    and goes on.
`pair:SCENARIO:K:J`: the one that takes over stops too, before its J-th call; the first wakes and ends, then the second
    does. `trio`: a third one takes over from both before they wake.
`full:SCENARIO:K`: `prune` takes over on a full disk, by an empty claim: there is no room for its adopt line. It removes
    when the zombie has ended.

Afterwards the newest attempt's newest restores; all that anybody acknowledged is there or was replaced; whatever counts
is whole; the zombie ended with status 5 or had nothing left to do; the newest attempt goes on as if nothing had been.
"""

from __future__ import annotations

import errno
import functools
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import storekit
from outlast.errors import DamageError, FencedError, NothingError, StorageError
from outlast.format.names import CheckpointName
from outlast.store import Pruner, Store
from outlast.store.lease import STALE_S
from outlast.store.prune import SPARE
from outlast.testing import CountedCalls, FakeClock, Fault
from proof import ledger
from proof.children import Child, Report
from proof.core import Harness
from proof.scenarios import SCENARIOS, calls_of, prepared
from storekit import Attempt

_ENDED, _BUSY = 0, 5
_PAIRS = 40  # of each scenario, and as many trios
_STANDS_STILL = (  # what a prune says that meets what a zombie did at that very moment
    "nothing is removed until a minute has passed",
    "manifest.json is gone",
    "was listed without a manifest, and has one",
    "it was listed, and is not there",
    "was the store changed by somebody else meanwhile?",
)
Kit = type[Attempt]
_FIRST = 50  # a step that nobody has saved


def _take_over(path: Path, kit: Kit, *, keep: int, steps: int, calls: CountedCalls | None = None) -> Attempt:
    taker = kit.begin(path, calls=calls, takeover=True, clock=FakeClock())
    before = taker.restore() or 0
    for step in range(before + 1, before + 1 + steps):
        taker.save(step, frozen=False)
        _prune_if_it_may(taker, keep)
    return taker


def _prune_if_it_may(taker: Attempt, keep: int) -> None:
    """A zombie may carry one removal out that it had begun: under our eyes, or as if our listing were stale."""
    with _standing_still():
        taker.prune(keep)


@contextmanager
def _standing_still() -> Iterator[None]:
    try:
        yield
    except (StorageError, DamageError) as e:
        assert any(text in str(e) for text in _STANDS_STILL), e


def _once(path: Path, kit: Kit) -> Attempt:
    return _take_over(path, kit, keep=1, steps=1)


def _keep_3(path: Path, kit: Kit) -> Attempt:
    return _take_over(path, kit, keep=3, steps=2)


def _thrice(path: Path, kit: Kit) -> Attempt:
    _once(path, kit)
    _once(path, kit).lease.end("failed")
    return _once(path, kit)


def _older(path: Path, kit: Kit) -> Attempt:
    """The taker falls back: an older step than the zombie's is newer all the same."""
    taker = kit.begin(path, takeover=True, clock=FakeClock())
    taker.save(1)
    _prune_if_it_may(taker, 2)
    return taker


def _quiet(path: Path, kit: Kit) -> Attempt:
    """The taker sweeps nothing away: the zombie can publish, and readers have to judge."""
    taker = kit.begin(path, takeover=True, clock=FakeClock())
    taker.save((taker.restore() or 0) + 1)
    return taker


def _prune(path: Path, kit: Kit) -> Attempt:
    taker = kit.begin(path, takeover=True, clock=FakeClock())
    _prune_if_it_may(taker, 1)
    return taker


WAYS: dict[str, Callable[[Path, Kit], Attempt]] = {
    "once": _once,
    "keep-3": _keep_3,
    "thrice": _thrice,
    "older": _older,
    "quiet": _quiet,
    "prune": _prune,
}


def _second(kit: Kit, path: Path, calls: CountedCalls, report: Report) -> None:
    """What the taker of a pair does: all that a run does at its start, a save and the pruning after it."""
    taker = _take_over(path, kit, keep=1, steps=2, calls=calls)
    report(b"acknowledged %d\n" % (storekit.newest(path) or 0))
    taker.lease.end("done")


@functools.cache
def _second_calls() -> int:
    """How many calls the taker makes, about: where there is less to prune it makes fewer."""
    return len(calls_of("keep-1-whole"))


_NAMES = list(SCENARIOS)


def cases() -> Iterator[str]:
    for name in _NAMES:
        for at in range(1, len(calls_of(name)) + 1):
            yield from (f"one:{way}:{name}:{at}" for way in _ways(name))
        if SCENARIOS[name].seed is not None and not SCENARIOS[name].damaged:
            yield from (f"full:{name}:{at}" for at in range(_claimed(name), len(calls_of(name)) + 1))
    for at in _before_links("later-save"):
        yield from (f"pair:later-save:{at}:{second_at}" for second_at in range(1, _second_calls() + 1))
    for name in _NAMES:
        draw = random.Random(name)
        for kind in ("pair", "trio"):
            for _ in range(_PAIRS):
                yield f"{kind}:{name}:{draw.randint(1, len(calls_of(name)))}:{draw.randint(1, _second_calls())}"


def _claimed(name: str) -> int:
    """The first call after a scenario's claim: before it, it would watch an empty claim, which names nobody."""
    calls = calls_of(name)
    return calls.index("link") + 2 if "link" in calls else len(calls) + 1


def _ways(name: str) -> list[str]:
    """Over damage nothing is pruned, so a taker has to restore first: that sets the damage aside."""
    return [way for way in WAYS if not SCENARIOS[name].damaged or way not in ("older", "prune")]


def _restore_and_save(path: Path, calls: CountedCalls, report: Report) -> None:
    """The act of the scenarios with damage, whatever a taker has made of the store meanwhile."""
    attempt = Attempt.begin(path, calls=calls)
    step = (attempt.restore() or 0) + 1
    attempt.save(step, frozen=False)
    report(b"acknowledged %d\n" % step)


def _read(path: Path, calls: CountedCalls, report: Report) -> None:
    """A reader that was asleep: what it had listed may be gone, and then it is gone, not damaged."""
    store = Store(path, calls=calls)
    for found in store.scan():
        try:
            storekit.check(store, found.name)
        except (DamageError, NothingError):
            assert not store.is_there(found), f"{found.name.format()} is there, and did not verify"
    store.attempts()


def _act(name: str) -> Callable[[Path, CountedCalls, Report], None]:
    return {"quarantine": _restore_and_save, "quarantine-manifest": _restore_and_save, "read": _read}.get(
        name, SCENARIOS[name].act
    )


def _damaged(name: str) -> frozenset[str]:
    found = SCENARIOS[name].damaged
    return frozenset({found} if found else ())


def _before_links(name: str) -> list[int]:
    """The calls before which something is about to be published: each link, and the file that it links."""
    calls = calls_of(name)
    links = [at for at, call in enumerate(calls, 1) if call == "link"]
    return sorted({at - back for at in links for back in (0, calls[at - 1 :: -1].index("create"))})


def _stopped(path: Path, at: int, act: Callable[[Path, CountedCalls, Report], None]) -> Child:
    calls = CountedCalls(Fault(at=at, signal=signal.SIGSTOP))
    return Child(lambda report: act(path, calls, report))


def run(case: str, folder: Path) -> int:
    kind, *rest = case.split(":")
    if kind == "one":
        way, name, at = rest
        return _run_one(prepared(name, folder), name, int(at), WAYS[way])
    if kind == "full":
        name, at = rest
        return _run_full(prepared(name, folder), name, int(at))
    name, at, second_at = rest
    return _run_two(prepared(name, folder), name, int(at), int(second_at), is_trio=kind == "trio")


def _run_one(path: Path, name: str, at: int, way: Callable[[Path, Kit], Attempt]) -> int:
    damaged = _damaged(name)
    with _stopped(path, at, _act(name)) as zombie:
        assert zombie.stops(), "it ended before it could be stopped"
        taker = way(path, SCENARIOS[name].kit)
        known = ledger.check(path, damaged=damaged)
        counted = set(Store(path).checkpoints())
        zombie.wake()
        _check_end(zombie)
    newest = ledger.check(path, damaged=damaged)
    if max(_attempts(path)) == taker.lease.attempt:
        assert newest is None or newest in counted, f"{newest.format()} was acknowledged after the takeover"
        assert known is None or (newest and newest >= known), f"{known.format()} was the newest, now it is {newest}"
        now = set(Store(path).checkpoints())
        more, gone = now - counted, counted - now
        # Between the look at the fence and the removal lies an instant; it looks again before the next.
        assert len(gone) <= 1, f"removed after the takeover: {gone}"
        assert not more, f"published after the takeover, and counts: {more}"
    _go_on(path, taker, damaged)
    return 3


def _run_two(path: Path, name: str, at: int, second_at: int, *, is_trio: bool) -> int:
    damaged, kit = _damaged(name), SCENARIOS[name].kit
    with _stopped(path, at, _act(name)) as first:
        assert first.stops(), "it ended before it could be stopped"
        with _stopped(path, second_at, functools.partial(_second, kit)) as second:
            second.stops()  # where there is little to prune it may have ended
            third = _once(path, kit) if is_trio else None
            first.wake()
            _check_end(first)
            if (path / "outlast.json").exists():
                ledger.check(path, damaged=damaged)
            second.wake()
            _check_end(second)
    ledger.check(path, damaged=damaged)
    _go_on(path, third or kit.begin(path, takeover=True, clock=FakeClock()), damaged)
    return 3


def _run_full(path: Path, name: str, at: int) -> int:
    with _stopped(path, at, _act(name)) as zombie:
        assert zombie.stops(), "it ended before it could be stopped"
        known = ledger.check(path)
        no_room = CountedCalls(Fault(at=1, errno=errno.ENOSPC, only=("write",), lasting=True))
        store = Store(path, calls=no_room, clock=FakeClock())
        lease = store.claim(role="prune", takeover=True)
        zombie.wake()
        _check_end(zombie)
    gone: tuple[CheckpointName, ...] = ()
    if max(_attempts(path)) == lease.attempt:
        pruner = Pruner(lease, store=store.id)
        with _standing_still():
            gone = pruner.remove([one.name for one in pruner.look()[0][1:]])
    newest = max(Store(path).checkpoints(), default=None)
    assert known is None or (newest and newest >= known), f"{known} was acknowledged, and {newest} restores"
    assert newest is None or newest.format() in lease.adopted, f"{newest} was kept, and is a fenced writer's"
    # No journal had room for what went.
    taker = SCENARIOS[name].kit.begin(path, takeover=True, clock=FakeClock())
    _go_on(path, taker, frozenset(one.format() for one in gone))
    return 3


def _check_end(zombie: Child) -> None:
    code, told = zombie.end()
    assert code in (_ENDED, _BUSY) or any(text in told.decode() for text in _STANDS_STILL), (
        f"ended with {code}: {told.decode()}"
    )


def _attempts(path: Path) -> list[int]:
    return [log.attempt for log in Store(path).attempts()]


def _go_on(path: Path, taker: Attempt, damaged: frozenset[str]) -> None:
    """The newest attempt saves, prunes to one and ends; the one after it restores what it saved."""
    if max(_attempts(path)) > taker.lease.attempt:
        _check_fenced(taker)
        taker = type(taker).begin(path, takeover=True, clock=FakeClock())
    step = (taker.restore() or 0) + 1
    taker.save(step, frozen=False)
    taker.store.clock.sleep(STALE_S + 1)
    taker.prune(1)
    ledger.check(path, damaged=damaged)
    assert storekit.counted_steps(path) == [step], "it could not prune to its own newest"
    taker.writer.close()
    taker.lease.end("done")
    after = Attempt.begin(path, clock=FakeClock())
    assert after.restore() == step, "the next attempt restores something else"
    after.store.clock.sleep(STALE_S + 1)
    after.prune(1)
    left = list(path.glob(f"{SPARE}*"))
    assert not left, f"left behind {left}"
    after.lease.end("done")


def _check_fenced(taker: Attempt) -> None:
    try:
        taker.save(_FIRST)
    except FencedError:
        return
    raise AssertionError(f"attempt {taker.lease.attempt} was taken over from, and could save")


HARNESS = Harness(cases=cases, run=run, sample=180)
