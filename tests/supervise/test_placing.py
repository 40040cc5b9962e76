"""How often a batch system is asked, and what is made of its answers. With a clock of our own."""

from __future__ import annotations

import dataclasses

import pytest

from outlast.supervise.batch import Job, Sight, Unreachable
from outlast.supervise.placing import LOOK_S, Placing

WALL_S = 1_700_000_000.0


@dataclasses.dataclass
class Clock:
    now_s: float = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return WALL_S + self.now_s

    def sleep(self, seconds_s: float) -> None:
        self.now_s += seconds_s


class System:
    """Answers as it is told to."""

    name = "slurm"

    def __init__(self, *answers: Sight | Unreachable) -> None:
        self.answers = list(answers)

    def see(self, _job: Job) -> Sight:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Unreachable):
            raise answer
        return answer


def made(*answers: Sight | Unreachable, deadline: float | None = None) -> tuple[Placing, Clock, list[str]]:
    clock, told = Clock(), []
    job = Job(system="slurm", id="7", deadline=deadline)
    return Placing(System(*answers), job, clock, lambda _event, text, **_: told.append(text)), clock, told


def test_it_is_asked_once_a_minute():
    placing, clock, _ = made(Sight(deadline=WALL_S + 9000))
    assert placing.next_look_s == 0.0
    for number in range(5):
        clock.now_s = placing.next_look_s
        assert placing.look() is (number == 0)  # of the first one the deadline is news
        assert placing.next_look_s == clock.now_s + LOOK_S


def test_who_does_not_answer_is_asked_ever_more_rarely_and_as_often_as_before_when_it_does():
    placing, clock, told = made(*[Unreachable("no")] * 8, Sight())
    waits = []
    for _ in range(8):
        placing.look()
        waits.append(placing.next_look_s - clock.now_s)
    assert waits == [120.0, 240.0, 480.0, 960.0, 960.0, 960.0, 960.0, 960.0]
    assert len(told) == 1
    placing.look()
    assert placing.next_look_s == clock.now_s + LOOK_S


def test_a_signal_has_it_asked_at_once():
    placing, clock, _ = made(Sight())
    placing.look()
    placing.look_soon()
    assert placing.next_look_s <= clock.now_s + 1.0


@pytest.mark.parametrize(
    ("sight", "deadline"),
    [
        (Sight(deadline=WALL_S + 50), WALL_S + 50),
        (Sight(deadline=None), None),
        (Sight(deadline=WALL_S - 1), None),  # it is over, and we are still here
        (Sight(deadline=WALL_S + 1, cancelled=True), WALL_S + 600),  # the end has begun, and leaves time to save
        (Sight(deadline=WALL_S + 9000, requeued=True), WALL_S + 600),  # of the next placing
    ],
)
def test_whose_deadline_holds(sight, deadline):
    placing, _, _ = made(sight, deadline=WALL_S + 600)
    moved = placing.look()
    assert placing.deadline == deadline
    assert moved is (deadline != WALL_S + 600)
