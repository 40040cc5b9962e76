"""Work shared between threads: in order, the first error, and nobody goes on behind the caller's back."""

from __future__ import annotations

import os
import threading
import time

import pytest

from outlast.backends import crew
from outlast.backends.crew import each


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "outlast-io"]


@pytest.mark.parametrize("count", [0, 1, 3, 100])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_every_piece_is_done_once(count: int, threads: int) -> None:
    done: list[int] = []
    each(done.append, count, threads)
    assert sorted(done) == list(range(count))
    assert threads > 1 or done == sorted(done)
    assert workers() == []


def test_one_worker_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread"))
    each(lambda _: None, 5, 1)


def test_without_room_for_threads_the_caller_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    each(done.append, 5, 4)
    assert done == [0, 1, 2, 3, 4]


def test_of_several_errors_the_first_is_raised() -> None:
    both = threading.Barrier(2)

    def work(number: int) -> None:
        if number < 2:
            both.wait()
            time.sleep(0.05 if number == 0 else 0)  # the second is quicker
            raise ValueError(number)

    for _ in range(5):
        with pytest.raises(ValueError, match=r"^0$"):
            each(work, 100, 2)


def test_nothing_goes_on_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    begun, is_waited_for = threading.Event(), threading.Event()
    join = crew._join

    def waiting(threads: list[threading.Thread], errors: dict[int, BaseException]) -> None:
        is_waited_for.set()
        join(threads, errors)

    def work(number: int) -> None:
        if threading.current_thread() in workers():
            begun.set()
            is_waited_for.wait(30)
            done.append(number)
        else:
            begun.wait()
            raise OSError("no")

    monkeypatch.setattr(crew, "_join", waiting)
    with pytest.raises(OSError, match="no"):
        each(work, 1000, 3)
    left = workers()
    is_waited_for.set()
    assert left == []
    assert 1 <= len(done) <= 2  # what was begun was ended, and no more begun


def test_heed_is_called_by_the_caller_and_ends_all() -> None:
    calls: list[threading.Thread] = []

    def heed() -> None:
        calls.append(threading.current_thread())
        if len(calls) == 3:
            raise SystemExit(85)

    with pytest.raises(SystemExit):
        each(lambda _: time.sleep(0.001), 10_000, 3, heed=heed)
    assert calls == [threading.current_thread()] * 3
    assert workers() == []


@pytest.mark.parametrize("who", ["heed", "work"])
def test_an_interrupt_comes_before_another_error(who: str) -> None:
    both = threading.Barrier(2)

    def interrupt() -> None:
        both.wait()
        raise KeyboardInterrupt

    def heed() -> None:
        if who == "heed":
            interrupt()

    def work(_: int) -> None:
        if threading.current_thread() not in workers():
            interrupt()
        both.wait()
        raise OSError("no")

    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            each(work, 10, 2, heed=heed)


def test_an_interrupt_while_waiting_ends_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    real, joined = threading.Thread.join, []
    begun, gate = threading.Event(), threading.Event()

    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        joined.append(thread)
        if len(joined) == 1:
            gate.set()
            raise KeyboardInterrupt
        real(thread, timeout)

    def work(_: int) -> None:
        if threading.current_thread() in workers():
            begun.set()
            gate.wait(30)
        else:
            begun.wait(30)

    monkeypatch.setattr(threading.Thread, "join", join)
    with pytest.raises(KeyboardInterrupt):
        each(work, 2, 2)
    assert not any(thread.is_alive() for thread in joined)


def test_a_thread_that_died_without_a_word_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(bytearray):
        def __setitem__(self, *_: object) -> None:
            """As if the thread had not come so far."""

    monkeypatch.setattr(crew, "bytearray", Forgetful, raising=False)
    with pytest.raises(MemoryError, match="died"):
        each(lambda _: None, 3, 1)


def test_one_worker_is_the_caller_and_keeps_the_order():
    done = []
    each(lambda n: done.append((n, threading.get_ident())), 10, 1)
    assert done == [(n, threading.get_ident()) for n in range(10)]


def test_the_others_give_way(monkeypatch):
    """The priority is a thread's own: the caller keeps its."""
    seen = {}
    gate = threading.Barrier(2, timeout=60)

    def work(_number):
        seen[threading.current_thread().name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        gate.wait()

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    each(work, 2, 2, nice=before + 7)
    assert seen.pop("outlast-io") == before + 7
    assert list(seen.values()) == [before]
