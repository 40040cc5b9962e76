"""Threads that help: a job is done whole or fails loudly, in forked children too, and no thread outlives its use."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from outlast.capture import crew
from outlast.capture.crew import Crew


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3})


def test_every_piece_is_done_once() -> None:
    done: list[int] = []
    Crew().do(done.append, range(5000))
    assert sorted(done) == list(range(5000))


def test_others_help_while_the_caller_is_busy() -> None:
    hands: set[str] = set()
    together = threading.Barrier(4)

    def work(_piece: int) -> None:
        together.wait(30)  # all four hold a piece at the same time
        hands.add(threading.current_thread().name)

    Crew().do(work, range(4))
    assert hands == {threading.current_thread().name, "outlast-copier"}


def test_the_job_is_over_when_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    me, done = threading.current_thread(), []
    begun, is_waited_for = threading.Event(), threading.Event()
    rest = crew._Hand.rest

    def waiting(self: crew._Hand) -> None:
        is_waited_for.set()
        rest(self)

    def work(_piece: int) -> None:
        if threading.current_thread() is me:
            begun.wait(30)  # until another thread holds the other piece
        else:
            begun.set()
            is_waited_for.wait(30)
        done.append(1)

    monkeypatch.setattr(crew._Hand, "rest", waiting)
    Crew().do(work, range(2))
    count = len(done)
    is_waited_for.set()
    assert count == 2


def test_threads_are_kept() -> None:
    one = Crew()
    one.do(lambda _piece: None, range(8))
    first = list(one._hands)
    one.do(lambda _piece: None, range(8))
    assert one._hands == first
    assert len(first) == 3


def test_one_piece_or_one_core_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Crew()
    one.do(lambda _piece: None, [1])
    one.do(lambda _piece: None, [])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    one.do(lambda _piece: None, range(8))
    assert one._hands == []


@pytest.mark.parametrize("in_caller", [True, False])
def test_an_error_of_any_thread_is_raised_and_the_rest_is_left(in_caller: bool) -> None:
    me, done = threading.current_thread(), []
    failed = threading.Event()

    def work(piece: int) -> None:
        if (threading.current_thread() is me) is in_caller:
            failed.set()
            raise KeyError("as asked")
        failed.wait(30)
        time.sleep(0.01)
        done.append(piece)

    one = Crew()
    with pytest.raises(KeyError, match="as asked"):
        one.do(work, range(1000))
    count = len(done)
    assert count < 1000
    time.sleep(0.05)
    assert len(done) == count  # nobody works on behind our back


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_an_error_and_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_job: object) -> None:
        raise SystemExit

    one = Crew()
    with monkeypatch.context() as patch:
        patch.setattr(crew, "_help", die)
        one.do(lambda _piece: None, [1])
        hands = one._called(1)
        hands[0].jobs.put(crew.Job(print, ()))
        hands[0].thread.join(30)
    done: list[int] = []
    one.do(done.append, range(100))
    assert sorted(done) == list(range(100))
    assert hands[0] not in one._hands


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_over_the_job_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Crew()

    def die(_job: object) -> None:
        raise SystemExit

    monkeypatch.setattr(crew, "_help", die)
    hand = one._called(1)[0]
    with pytest.raises(MemoryError, match="died"):
        one.do(lambda _piece: hand.thread.join(30), range(2))


def test_no_more_threads_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    Crew().do(done.append, range(10))
    assert done == list(range(10))


def test_a_forked_child_has_a_crew_of_its_own() -> None:
    one = Crew()
    one.do(lambda _piece: None, range(8))
    pid = os.fork()
    if pid == 0:
        done: list[int] = []
        one.do(done.append, range(1000))
        os._exit(0 if sorted(done) == list(range(1000)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_threads_can_be_dismissed_and_come_back() -> None:
    one = Crew()
    one.do(lambda _piece: None, range(8))
    hands = list(one._hands)
    one.dismiss()
    assert hands
    assert not any(hand.thread.is_alive() for hand in hands)
    done: list[int] = []
    one.do(done.append, range(8))
    assert sorted(done) == list(range(8))
    one.dismiss()


def test_threads_dismissed_by_somebody_else_are_no_error() -> None:
    """Two runs in two threads share them: one may end while the other saves."""
    one = Crew()
    hand = one._called(1)[0]
    hand.jobs.put(None)
    done: list[int] = []
    one.do(lambda piece: (hand.thread.join(30), done.append(piece)), range(2))
    assert sorted(done) == [0, 1]


def test_threads_do_not_keep_the_program_from_ending() -> None:
    program = "from outlast.capture.crew import CREW; import os\nos.sched_getaffinity = lambda _: {0, 1}\n"
    program += "CREW.do(lambda _: None, range(9)); assert CREW._hands; print('over')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("over\n", "")
