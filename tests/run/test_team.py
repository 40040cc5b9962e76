"""What ranks agree on, played by threads: the boundary that nobody has passed, one answer for all, and no hang."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outlast.errors import DamageError, RanksError, SpaceError, UsageError
from outlast.run import meeting, wire
from outlast.run.meeting import Seat, meet, seat
from outlast.run.team import LOOP, Team
from outlast.run.wire import Wire
from outlast.store import Store

WORLD = 4


def teams(world: int = WORLD) -> list[Team]:
    ends = [socket.socketpair(socket.AF_UNIX) for _ in range(world - 1)]
    hub = Team(0, world, {rank: _wire(pair[0]) for rank, pair in enumerate(ends, 1)})
    return [hub, *(Team(rank, world, {0: _wire(pair[1])}) for rank, pair in enumerate(ends, 1))]


def _wire(end: socket.socket) -> Wire:
    made = Wire.__new__(Wire)  # what it asks of TCP no pair of sockets has
    made._end, made._lock = end, threading.Lock()
    return made


def on_all(found: list[Team], work: Callable[[Team], Any]) -> list[Any]:
    """Do work on all ranks at once; return what each gave, or the error that it raised."""
    gave: list[Any] = [None] * len(found)

    def one(team: Team) -> None:
        try:
            gave[team.rank] = work(team)
        except Exception as e:
            gave[team.rank] = e

    threads = [threading.Thread(target=one, args=(team,)) for team in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), gave
    return gave


@pytest.fixture
def four():
    found = teams()
    yield found
    for team in found:
        team.close()


def test_all_act_at_the_same_boundary_however_far_apart_they_are(four: list[Team]) -> None:
    """Nobody waits where nothing is due, so ranks drift apart; yet each plan is carried out at one boundary by all."""
    together = threading.Barrier(WORLD)

    def loop(team: Team) -> list[tuple[int, str | None]]:
        draw, acted = random.Random(team.rank), []
        for boundary in range(1, 2001):
            if draw.random() < 0.01:
                time.sleep(0.001)
            if boundary % 40 == 0:
                together.wait(60)  # as the collectives of a training, but further apart
            if team.rank == 0 and boundary % 100 == 0:
                team.call("told to" if boundary == 1500 else None)
            plan = team.arrive()
            if plan is not None:
                acted.append((boundary, plan.leave))
                team.acted()
        return acted

    acted = on_all(four, loop)
    assert acted[0] == acted[1] == acted[2] == acted[3]
    assert len(acted[0]) >= 15
    assert [leave for _, leave in acted[0] if leave] == ["told to"]


def test_a_wish_of_any_rank_reaches_rank_0(four: list[Team]) -> None:
    heard: list[str | None] = []
    done = threading.Event()
    four[0].wish = lambda leave: (heard.append(leave), done.set())
    four[2].ask("signal SIGTERM")
    assert done.wait(60)
    assert heard == ["signal SIGTERM"]


def test_rank_0_decides_for_all(four: list[Team]) -> None:
    assert on_all(four, lambda team: team.exchange(LOOP, "sum", team.rank, decide=sum)) == [6] * 4
    assert on_all(four, lambda team: team.exchange(LOOP, "all", team.rank)) == [[0, 1, 2, 3]] * 4


def test_what_one_brings_all_raise(four: list[Team]) -> None:
    error = SpaceError("no space", hint="free some")
    gave = on_all(four, lambda team: team.exchange(LOOP, "parts", error=error if team.rank == 2 else None))
    assert [type(one) for one in gave] == [SpaceError] * 4
    assert {str(one) for one in gave} == {"rank 2: no space\n  -> free some"}
    assert on_all(four, lambda team: team.exchange(LOOP, "go on", 1, decide=sum)) == [4] * 4


def test_what_rank_0_cannot_decide_all_raise(four: list[Team]) -> None:
    def decide(values: list[Any]) -> Any:
        raise DamageError(f"{len(values)} bad")

    gave = on_all(four, lambda team: team.exchange(LOOP, "judge", decide=decide))
    assert {(type(one), str(one)) for one in gave} == {(DamageError, "4 bad")}


def test_ranks_at_different_places_are_told_so(four: list[Team]) -> None:
    gave = on_all(four, lambda team: team.exchange(LOOP, "the end" if team.rank == 1 else "save of step 5"))
    assert [type(one) for one in gave] == [RanksError] * 4
    assert "rank 1 is at 'the end'" in str(gave[3])


@pytest.mark.parametrize("gone", [0, 3])
def test_who_is_gone_is_missed_by_all(four: list[Team], gone: int) -> None:
    def work(team: Team) -> Any:
        if team.rank == gone:
            return team.close()
        return team.exchange(LOOP, "parts")

    gave = on_all(four, work)
    assert [type(one) for rank, one in enumerate(gave) if rank != gone] == [RanksError] * 3
    assert all(f"rank {gone} is gone" in str(one) for rank, one in enumerate(gave) if rank != gone)
    for team in four:
        if team.rank != gone:
            with pytest.raises(RanksError, match=f"rank {gone} is gone"):
                team.arrive()


def test_who_fails_says_so(four: list[Team]) -> None:
    four[1].fail("ValueError")
    for team in (four[0], four[2], four[3]):
        assert "rank 1 has failed (ValueError)" in _raised(lambda team=team: team.exchange(LOOP, "x"))


def _raised(work: Callable[[], Any]) -> str:
    with pytest.raises(RanksError) as caught:
        work()
    return str(caught.value)


def test_they_meet_through_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", create=True)
    gave: list[Any] = [None] * 3

    def one(rank: int) -> None:
        gave[rank] = meet(Store(tmp_path / "s"), Seat(rank, 3), lambda _: None)

    threads = [threading.Thread(target=one, args=(rank,)) for rank in (2, 0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert on_all(gave, lambda team: team.exchange(LOOP, "here", team.rank, decide=sum)) == [3] * 3
    assert [entry.name for entry in store.backend.list("control")] == []  # nobody is to find it any more
    assert on_all(gave, lambda team: team.exchange(LOOP, "bye", is_last=True)) == [[None] * 3] * 3
    for team in gave:
        team.close()


def test_a_stranger_is_not_let_in(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        came: list[Any] = []

        def host() -> None:
            end, _ = server.accept()
            with end:
                came.append(wire.answer(end, "the secret"))

        thread = threading.Thread(target=host)
        thread.start()
        assert wire.connect(server.getsockname(), "another", {"rank": 1}) is None
        thread.join(60)
    assert came == [None]


def test_which_rank_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(meeting.sys.modules, "torch.distributed", None)
    torchrun = {"RANK": "3", "WORLD_SIZE": "8"}
    srun = {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "4"}
    batch = {"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}
    assert seat(None, torchrun) == Seat(3, 8)
    assert seat(False, torchrun) == Seat(0, 1)
    assert seat(None, srun) == Seat(0, 1)  # srun starts sweeps too
    assert seat(True, srun) == Seat(1, 4)
    assert seat(None, batch) == Seat(0, 1)
    with pytest.raises(UsageError, match="which rank"):
        seat(True, batch)
