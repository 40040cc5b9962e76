"""The Run as a user meets it: a program that is killed in every way, and started again."""

from __future__ import annotations

import contextlib
import enum
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import outlast
from outlast.backends import host
from outlast.backends.reading import FileReader, Room
from outlast.cli.main import main as cli
from outlast.errors import FencedError
from outlast.run import notice
from outlast.store import Store
from outlast.testing import FakeClock
from run.holding import Hold

PROGRAM = Path(__file__).with_name("program.py")
LIMIT_S = 200  # for what hangs: a save has several syncs, and each may take a second


class Program:
    """The program on one store, with helpers to start it and to see what it did."""

    def __init__(self, folder: Path) -> None:
        self.store, self.out = folder / "store", folder / "out"
        self.hold = Hold(folder / "hold")
        self.started: list[subprocess.Popen[str]] = []

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.stdout.close()
            process.stderr.close()
            process.wait()

    def start(self, *options: object, **env: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAM), str(self.store), str(self.out), "--hold", str(self.hold.path)]
        process = subprocess.Popen(
            [*command, *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OUTLAST_EVENTS": "json", **env},
        )
        self.started.append(process)
        return process

    def run(self, *options: object, **env: str) -> tuple[int, str]:
        process = self.start(*options, **env)
        _, said = process.communicate(timeout=LIMIT_S)
        return process.returncode, said

    def finish(self, *options: object) -> str:
        for _ in range(50):
            status, said = self.run(*options)
            if status == 0:
                return self.out.read_text()
            assert status == 85, said
        raise AssertionError("not done after 50 starts")

    @property
    def saved(self) -> int:
        """The step of the newest checkpoint; 0 if there is none."""
        newest = outlast.Store(self.store).checkpoints()[:1] if self.store.exists() else ()
        return newest[0].step if newest else 0

    @property
    def steps(self) -> list[int]:
        return [int(line) for line in Path(f"{self.out}.steps").read_text().split()]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    program.close()


def events(said: str) -> list[dict]:
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Read what is left (some may be in our buffers already) and wait."""
    with process.stdout, process.stderr:
        process.stdout.read()
        said = process.stderr.read()
    return process.wait(), said


def await_event(process: subprocess.Popen[str], name: str, count: int = 1, *, text: str = "") -> dict:
    for line in process.stderr:
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == name and text in event["text"]:
            count -= 1
            if count == 0:
                return event
    raise AssertionError(f"no {name}: ended with {process.wait()}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    found = {}
    for form in ("plain", "nested", "explicit"):
        program = Program(tmp_path_factory.mktemp(form))
        status, said = program.run(*([] if form == "plain" else [f"--{form}"]))
        assert status == 0, said
        found[form] = program.out.read_text()
    return found


@pytest.mark.parametrize("form", ["plain", "nested", "explicit"])
def test_killed_again_and_again(program: Program, undisturbed: dict[str, str], form: str) -> None:
    """SIGKILL at random commits, until it is nearly done: the same result, bit for bit."""
    options = ["--pause", 0.002] + ([] if form == "plain" else [f"--{form}"])
    chance = random.Random(form)
    kills = 0
    while kills < 6 and (begin := program.saved) <= 40:
        more = chance.randrange(6, 17)
        last = begin + (more - 1) // 5 * 5  # the last commit before it waits
        program.hold.at(begin + more)
        process = program.start(*options)
        for line in process.stderr:
            event = json.loads(line)
            if event["event"] == "committed" and (event["step"] == last or chance.random() < 0.6):
                process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert kills > 1
    program.hold.release()
    program.finish(*options)
    assert program.out.read_text() == undisturbed[form]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize("form", ["plain", "nested", "explicit"])
def test_notice(program: Program, undisturbed: dict[str, str], number: int, form: str) -> None:
    """Notice: a save at the next boundary, status 85, and no step is done twice."""
    options = ["--pause", 0.005, "--every", "7"] + ([] if form == "plain" else [f"--{form}"])
    program.hold.at(17)
    process = program.start(*options)
    await_event(process, "committed", 2)
    process.send_signal(number)
    program.hold.release()
    status, said = finish(process)
    assert status == 85, said
    notice = next(e for e in events(said) if e["event"] == "notice")
    assert signal.Signals(number).name in notice["reason"]
    assert program.finish(*options) == undisturbed[form]
    assert max(Counter(program.steps).values()) == 1


def doubled(program: Program, gap_s: float, *options: object) -> tuple[int, str]:
    """Give a notice twice, and return how the program ended.

    If anything stood still meanwhile, the second may rightly have been taken for one more notice: then again.
    """
    for _ in range(5):
        program.hold.at(program.saved + 8)
        process = program.start(*options)
        await_event(process, "committed")
        begun_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        if gap_s:
            program.hold.release()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(gap_s)
        process.send_signal(signal.SIGTERM)
        program.hold.release()
        status, said = finish(process)
        if status != 128 + signal.SIGTERM or time.monotonic() - begun_s < notice.AGAIN_AFTER_S:
            break
    return status, said


def test_a_doubled_signal_is_one_notice(program: Program, undisturbed: dict[str, str]) -> None:
    status, said = doubled(program, 0, "--pause", 0.02)
    assert status == 85, said
    assert program.finish() == undisturbed["plain"]


def test_a_second_signal_leaves_at_once_without_harm(program: Program, undisturbed: dict[str, str]) -> None:
    process = program.start("--pause", 300, "--every", "1")
    assert process.stdout.readline() == "attempt 1\n"
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)  # it is in a long step
    for _ in range(20):  # one that comes as the machine stands still may be taken for the first one's double
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)
            break
    assert process.returncode == 128 + signal.SIGTERM
    assert program.finish() == undisturbed["plain"]


@pytest.mark.parametrize("gap_s", [0.02, 0.05, 0.2])
def test_one_more_signal_on_the_way_out_does_not_change_the_status(program: Program, gap_s: float) -> None:
    """Whoever started us goes by the 85: a batch system's double must not turn it into 143."""
    status, said = doubled(program, gap_s)
    assert status == 85, said


SWALLOWED = """
import sys
import outlast
from outlast.store import commit

class Full(outlast.SpaceError):
    pass

def refuse(self, draft, real=commit.Writer.commit):
    if draft.step == 20:
        raise Full("no space, as asked")
    return real(self, draft)

state = {"n": 0}
with outlast.Run(sys.argv[1], state, every=5) as run:
    if sys.argv[2] == "full":
        commit.Writer.commit = refuse
    try:
        for i in run.steps(100):
            state["n"] += 1
            if i == 20 and sys.argv[2] == "notice":
                run.leave("as asked")
    except: # noqa
        print("swallowed")
"""


@pytest.mark.parametrize(("why", "status"), [("notice", 85), ("full", 1)])
def test_what_ended_the_loop_cannot_be_swallowed(tmp_path: Path, why: str, status: int) -> None:
    """A bare `except:` around the loop must not make a run that was broken off look done."""
    command = [sys.executable, "-c", SWALLOWED, str(tmp_path / "s")]
    done = subprocess.run([*command, why], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "swallowed\n"), done.stderr
    assert not any(outlast.Store(tmp_path / "s").manifest(n).done for n in outlast.Store(tmp_path / "s").checkpoints())
    done = subprocess.run([*command, "no"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert outlast.Store(tmp_path / "s").checkpoints()[0].step == 100


def test_sys_exit_inside_the_block_is_said(tmp_path: Path, capfd) -> None:
    with pytest.raises(SystemExit), outlast.Run(tmp_path / "s", {"x": 1}):
        sys.exit(0)
    assert "left with sys.exit inside the block: the run is not done" in capfd.readouterr().err
    assert outlast.Store(tmp_path / "s").checkpoints() == ()


def epochs(path: Path, *, leave_at: int = -1) -> dict:
    """A training with a schedule between its two loops, and a step outside of all; leaves after so many steps."""
    state = {"rate": 1.0, "trace": [], "rng": np.random.default_rng(3), "lists": {"a": []}}
    with outlast.Run(path, state, every=10_000) as run:
        state["lists"]["a"].append("before the loops")
        for epoch in run.range(3, "epoch"):
            state["lists"]["a"].append(epoch)
            for batch in run.range(4, "train"):
                state["trace"].append(("train", epoch, batch, state["rate"], state["rng"].random()))
                if run.step + 1 == leave_at:
                    run.leave()
            state["rate"] *= 0.5
            state["rng"].random()
            for batch in run.range(3, "val"):
                state["trace"].append(("val", epoch, batch, state["rate"]))
                if run.step + 1 == leave_at:
                    run.leave()
        state["rate"] += 10
        for batch in run.range(3, "test"):
            state["trace"].append(("test", batch, state["rate"], state["rng"].random()))
            if run.step + 1 == leave_at:
                run.leave()
    return state


def test_code_between_loops_leaves_no_mark_when_it_runs_again(tmp_path: Path) -> None:
    expected = epochs(tmp_path / "undisturbed")
    for at in range(1, 24):
        with pytest.raises(outlast.Preempted):
            epochs(tmp_path / f"at{at}", leave_at=at)
        found = epochs(tmp_path / f"at{at}")
        assert found["trace"] == expected["trace"], at
        assert found["rate"] == expected["rate"], at
        assert found["rng"].bit_generator.state == expected["rng"].bit_generator.state, at
        assert [x for x in found["lists"]["a"] if x != "before the loops"] == [0, 1, 2], at


class Item:
    def __init__(self, v: int = 0) -> None:
        self.v = v


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def reset_each_epoch(path: Path, *, leave_at: int = -1) -> list:
    """What is filled in the inner loop is reset before it: to None, to another shape, kind or length."""
    box = Item()
    box.inside = Item(1)
    state = {
        "cur": Item(), "buf": np.zeros(2), "colour": Colour.RED, "items": [Item(5)], "box": box,
        "tensor": torch.zeros(2),
        "f": np.sin, "deep": {"list": [1], "d": {}}, "seen": [], "rng": np.random.default_rng(1), "n": 0,
    }  # fmt: skip
    with outlast.Run(path, state, every=10_000, allow=["buf", "tensor"]) as run:
        state["n"] += 100
        state["rng"].random()
        for epoch in run.range(3, "epoch"):
            state["cur"], state["colour"], state["buf"], state["tensor"] = None, None, np.zeros(2), torch.ones(2)
            state["items"].clear()
            state["f"] = None
            state["deep"]["list"] = []
            state["deep"]["d"].clear()
            box.inside = None
            for batch in run.range(4, "batch"):
                state["cur"] = state["cur"] or Item(epoch)
                state["cur"].v += 1
                state["colour"] = Colour.BLUE
                state["buf"] = np.append(state["buf"], batch)
                state["tensor"] = torch.cat([state["tensor"], torch.ones(1)])
                state["items"].append(Item(batch))
                state["f"] = np.sin
                state["deep"]["list"].append(batch)
                state["deep"]["d"][batch] = Item(epoch)
                box.inside = box.inside or Item(10 * epoch)
                box.inside.v += 1
                state["n"] += 1
                state["seen"].append((epoch, batch, state["cur"].v, state["buf"].tolist(), state["tensor"].tolist()))
                state["seen"].append((len(state["items"]), state["items"][-1].v, len(state["deep"]["d"]), state["n"]))
                state["seen"].append((list(state["deep"]["list"]), box.inside.v, state["rng"].random()))
                if run.step + 1 == leave_at:
                    run.leave()
    return state["seen"]


def test_what_is_reset_on_the_way_back_is_as_it_was(tmp_path: Path) -> None:
    expected = reset_each_epoch(tmp_path / "undisturbed")
    for at in range(1, 12):
        with pytest.raises(outlast.Preempted):
            reset_each_epoch(tmp_path / f"at{at}", leave_at=at)
        assert reset_each_epoch(tmp_path / f"at{at}") == expected, at


def swallowing(path: Path, *, leave_at: int = -1) -> list:
    state = {"seen": []}
    with outlast.Run(path, state, every=1) as run:
        for epoch in run.range(3, "epoch"):
            try:
                for batch in run.range(4, "batch"):
                    state["seen"].append((epoch, batch))
                    if len(state["seen"]) == leave_at:
                        run.leave()
            except BaseException:
                pass
    return state["seen"]


def test_a_pass_whose_inner_loop_was_broken_off_is_not_complete(tmp_path: Path) -> None:
    for at in range(1, 12):
        with pytest.raises(outlast.Preempted):
            swallowing(tmp_path / f"at{at}", leave_at=at)
        assert swallowing(tmp_path / f"at{at}") == [(e, b) for e in range(3) for b in range(4)], at


def test_a_mismatch_in_a_loop_cannot_be_swallowed(tmp_path: Path) -> None:
    def train(items: list, leave_at: int = -1) -> None:
        with outlast.Run(tmp_path / "s", {"x": 1}, every=1) as run, contextlib.suppress(Exception):
            for i, _ in enumerate(run.iterate(items, "item")):
                if i == leave_at:
                    run.leave()

    with pytest.raises(outlast.Preempted):
        train(["a", "b", "c"], 1)
    with pytest.raises(outlast.MismatchError, match="is over other data"):
        train(["x", "y", "z"])
    train(["a", "b", "c"])
    assert outlast.Store(tmp_path / "s").checkpoints()[0].step == 3


def counting_before_the_loop(path: Path, *, leave_at: int = -1) -> dict:
    state = {"x": 0, "it": 0, "trace": []}
    with outlast.Run(path, state, every=1) as run:
        while state["it"] < 6:
            state["it"] += 1
            state["trace"].append(state["x"])
            for _ in run.range(2, "inner"):
                state["x"] += 1
                if state["x"] == leave_at:
                    run.leave()
            if run.due():
                run.save()
    return state


def test_a_counter_before_the_loop_of_a_while_loop(tmp_path: Path) -> None:
    expected = counting_before_the_loop(tmp_path / "undisturbed")
    assert expected == {"x": 12, "it": 6, "trace": [0, 2, 4, 6, 8, 10]}
    for at in range(1, 11):
        with pytest.raises(outlast.Preempted):
            counting_before_the_loop(tmp_path / f"at{at}", leave_at=at)
        assert counting_before_the_loop(tmp_path / f"at{at}") == expected, at
    with pytest.raises(outlast.Preempted):
        counting_before_the_loop(tmp_path / "last", leave_at=11)
    with pytest.raises(outlast.MismatchError, match="never entered") as caught:  # its condition says that it is over
        counting_before_the_loop(tmp_path / "last")
    assert "moved on after the loop" in caught.value.hint


def counted_in_the_state(path: Path, *, leave_at: tuple[int, int] | None = None) -> list:
    """A while-loop of the program's own around a loop of the run, with `due` as its boundary."""
    state = {"t": 0, "seen": []}
    with outlast.Run(path, state, every=10_000) as run:
        while state["t"] < 6:
            for i in run.range(4, "inner"):
                state["seen"].append((state["t"], i))
                if (state["t"], i) == leave_at:
                    run.leave()
            state["t"] += 1
            if run.due():
                run.save()
    return state["seen"]


def test_a_counter_in_the_state_around_a_loop_of_the_run(tmp_path: Path) -> None:
    expected = counted_in_the_state(tmp_path / "undisturbed")
    assert expected == [(t, i) for t in range(6) for i in range(4)]
    for at in [(0, 0), (0, 3), (3, 2), (5, 3)]:
        path = tmp_path / f"at{at[0]}{at[1]}"
        with pytest.raises(outlast.Preempted):
            counted_in_the_state(path, leave_at=at)
        assert counted_in_the_state(path) == expected, at


def test_a_fork_in_another_thread_has_no_part_in_the_run(tmp_path: Path) -> None:
    """Signals are not ours there, but the child is as little part of the run."""
    ended = []

    def work() -> None:
        with outlast.Run(tmp_path / "s", {"x": np.zeros(10)}, every=1) as run:
            for step in run.steps(3):
                if step == 1:
                    pid = os.fork()
                    if pid == 0:
                        run._completed(run._positions._open[0])
                        run.log(loss=1)
                        run.save()
                        os._exit(7 if run.wait() is None and not run.due() else 8)
                    ended.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(LIMIT_S)
    assert ended == [7]


def test_totals_of_any_whole_number(tmp_path: Path) -> None:
    with outlast.Run(tmp_path / "s", {"x": 1}, every=np.int64(2)) as run:
        assert list(run.steps(np.int64(3))) == [0, 1, 2]
        for total in ("5", 2.0, None, True):
            with pytest.raises(outlast.UsageError, match=r"total is .*, expected a whole number"):
                next(run.range(total, "other"))


def test_done_is_done(program: Program) -> None:
    assert program.run()[0] == 0
    program.out.unlink()
    status, said = program.run()
    assert status == 0
    assert "nothing to do" in said
    assert not program.out.exists()
    assert len(program.steps) == 60


def test_a_run_that_is_done_can_be_reopened_for_more_steps(program: Program, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    undisturbed = Program(tmp_path / "other")
    undisturbed.finish("--steps", "80")
    assert program.run("--steps", "30")[0] == 0
    status, said = program.run("--steps", "80")
    assert (status, "OUTLAST_REOPEN=1" in said) == (0, True)
    program.hold.at(47)
    process = program.start("--steps", "80", "--pause", "0.01", OUTLAST_REOPEN="1")
    await_event(process, "committed", 3)
    process.kill()
    assert finish(process)[0] == -signal.SIGKILL
    program.hold.release()
    assert program.finish("--steps", "80") == undisturbed.out.read_text()
    assert program.run("--steps", "80", OUTLAST_REOPEN="1")[0] == 0  # nothing is left to do
    assert program.out.read_text() == undisturbed.out.read_text()


def test_reopened_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what has more passes now goes on; inner loops belong to new passes."""

    def train(epochs: int, probes: int) -> list[tuple[str, int, int]]:
        seen = []
        with outlast.Run(tmp_path / "s", {"x": 1}) as run:
            for epoch in run.range(epochs, "epoch"):
                seen += [("batch", epoch, batch) for batch in run.iterate([1, 2], "batch")]
            seen += [("probe", 0, probe) for probe in run.range(probes, "probe")]
        return seen

    train(2, 2)
    monkeypatch.setenv("OUTLAST_REOPEN", "1")
    assert train(2, 3) == [("probe", 0, 2)]
    assert train(3, 3) == [("batch", 2, 1), ("batch", 2, 2)]
    assert train(3, 3) == train(2, 2) == []


def test_break_ends_the_run(program: Program) -> None:
    assert program.run("--break-at", 20)[0] == 0
    assert program.run()[0] == 0
    assert len(program.steps) == 21


def test_an_exception_saves_nothing_and_goes_on_from_the_last_checkpoint(
    program: Program, undisturbed: dict[str, str]
) -> None:
    status, said = program.run("--raise-at", 23, "--every", "5")
    assert status == 1
    assert "ValueError: as asked" in said
    assert outlast.Store(program.store).checkpoints()[0].step == 20
    assert program.finish() == undisturbed["plain"]
    counts = Counter(program.steps)
    assert {step for step, count in counts.items() if count > 1} == {20, 21, 22, 23}


def test_a_second_copy_is_refused(program: Program) -> None:
    first = program.start("--pause", 0.05, "--steps", 100_000)
    await_event(first, "committed")
    status, said = program.run()
    assert status == 5
    assert f"process {first.pid}" in said
    first.kill()
    first.communicate()


def test_all_damaged_is_status_3_and_stays_so(program: Program) -> None:
    program.run("--raise-at", 23)
    for part in program.store.glob("step-*/part*"):
        data = bytearray(part.read_bytes())
        data[-1] ^= 1
        part.write_bytes(data)
    for _ in range(2):  # the second time the checkpoints are in quarantine already
        status, said = program.run()
        assert status == 3, said
        assert "no checkpoint in" in said
    assert len(list((program.store / "quarantine").iterdir())) == 3
    assert 60 not in program.steps


def test_the_newest_damaged_falls_back_loudly(program: Program, undisturbed: dict[str, str]) -> None:
    program.run("--raise-at", 23)
    newest = outlast.Store(program.store).checkpoints()[0]
    part = program.store / newest.format() / "part-00000.safetensors"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 16
    part.write_bytes(data)
    process = program.start()
    _, said = process.communicate()
    warnings = [e["text"] for e in events(said) if e["event"] == "warning"]
    assert any("step-000000020.a0001 is damaged" in text for text in warnings)
    assert any("going on from step 15" in text for text in warnings)
    assert program.out.read_text() == undisturbed["plain"]


def test_checkpoints_that_vanished_are_not_a_fresh_start(program: Program) -> None:
    program.run("--raise-at", 23)
    for folder in program.store.glob("step-*"):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    status, said = program.run()
    assert status == 3
    assert "the last one saved was step-000000020.a0001" in said


def test_deadline(program: Program, undisturbed: dict[str, str]) -> None:
    status, said = program.run("--pause", 0.25, "--deadline-in", 6)
    assert status == 85, said
    assert "the deadline is" in next(e for e in events(said) if e["event"] == "notice")["reason"]
    assert program.finish() == undisturbed["plain"]


@pytest.mark.parametrize("verb", ["stop", "save"])
def test_requests_from_another_terminal(program: Program, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    process = program.start("--pause", 0.05, "--steps", 100_000, "--every", "1000000")
    assert process.stdout.readline() == "attempt 1\n"
    assert cli([verb, str(program.store), "--wait", "120s", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["met"] is True
    if verb == "save":
        assert process.poll() is None
        until_s = time.monotonic() + LIMIT_S
        while list((program.store / "control").iterdir()) and time.monotonic() < until_s:
            time.sleep(0.05)  # it saves, and takes the request away, in two threads
        process.kill()
    process.communicate()
    assert process.returncode == (85 if verb == "stop" else -signal.SIGKILL)
    assert len(outlast.Store(program.store).checkpoints()) == 1
    assert not list((program.store / "control").iterdir())


def test_requests_need_a_live_run(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    program.run()
    assert cli(["stop", str(program.store)]) == 4
    assert "no run is alive" in capsys.readouterr().err


def test_retention_is_kept(program: Program) -> None:
    program.run("--every", "3", "--keep", "2")
    assert [n.step for n in outlast.Store(program.store).checkpoints()] == [60, 60] or [
        n.step for n in outlast.Store(program.store).checkpoints()
    ] == [60, 57]
    assert len(list(program.store.glob("step-*"))) == 2


# -- inside one process ------------------------------------------------------------------------------------


def test_wait_returns_what_is_durable(tmp_path: Path) -> None:
    state = {"x": np.arange(4)}
    with outlast.Run(tmp_path / "s", state, every=1000) as run:
        assert run.wait() is None
        run.save()
        committed = run.wait()
        assert committed is not None
        assert (tmp_path / "s" / committed.name.format() / "manifest.json").exists()


def test_a_later_save_never_overtakes(tmp_path: Path) -> None:
    with outlast.Run(tmp_path / "s", {"x": np.zeros(100_000)}, every=1, keep=100) as run:
        for _ in run.steps(30):
            pass
    names = outlast.Store(tmp_path / "s").checkpoints()
    assert [n.step for n in names] == [30, *range(30, 0, -1)]
    saved = [e["step"] for e in outlast.Store(tmp_path / "s").attempts()[0].events if e["event"] == "saved"]
    assert saved == sorted(saved)


def test_an_error_of_a_save_surfaces_at_the_next_boundary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, reached = {"x": np.zeros(10)}, 0
    with pytest.raises(outlast.StorageError), outlast.Run(tmp_path / "s", state, every=1) as run:
        for step in run.steps(1000):
            reached = step
            if step == 3:
                run.wait()
                monkeypatch.setattr(run._saver._writer, "commit", _refuse)
    assert 3 < reached < 1000


def _refuse(draft):
    raise outlast.SpaceError("no space, as asked")


def test_on_error_warn_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    state = {"x": np.zeros(10)}
    with outlast.Run(tmp_path / "s", state, every=2, on_error="warn") as run:
        real = run._saver._writer.commit
        for step in run.steps(20):
            run.wait() if step in (4, 12) else None
            if step == 4:
                monkeypatch.setattr(run._saver._writer, "commit", _refuse)
            if step == 12:
                monkeypatch.setattr(run._saver._writer, "commit", real)
    assert "a save failed, the run goes on: no space, as asked" in capfd.readouterr().err
    assert outlast.Store(tmp_path / "s").checkpoints()[0].step == 20


def test_uncapturable_state_is_refused_at_the_start(tmp_path: Path) -> None:
    with open(os.devnull) as file, pytest.raises(outlast.CaptureError, match="log/file"):
        outlast.Run(tmp_path / "s", {"log": {"file": file}}).__enter__()


def test_a_mismatch_names_the_leaf_and_can_be_allowed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), outlast.Run(tmp_path / "s", {"w": np.ones((2, 3)), "t": 1}) as run:
        run.save()
        run.wait()
        raise ZeroDivisionError
    with pytest.raises(outlast.MismatchError, match=r"w: saved as float64\[2, 3\], the program has float64\[3, 2\]"):
        outlast.Run(tmp_path / "s", {"w": np.ones((3, 2)), "t": 0}).__enter__()
    state = {"w": np.zeros((3, 2)), "t": 0}
    with outlast.Run(tmp_path / "s", state, allow=["w"]):
        assert state["t"] == 1
        assert not state["w"].any()


def test_log_is_kept_in_journal_and_manifest(tmp_path: Path) -> None:
    with outlast.Run(tmp_path / "s", {"x": 1}, every=2) as run:
        for step in run.steps(4):
            run.log(loss=np.float32(1 / (step + 1)), nan=float("nan"))
    store = outlast.Store(tmp_path / "s")
    manifest = store.manifest(store.checkpoints()[0])
    assert manifest.metrics == {"loss": 0.25}
    rows = [r for e in store.attempts(metrics=True)[0].events if e["event"] == "metrics" for r in e["rows"]]
    assert [r[1]["loss"] for r in rows] == [1.0, 0.5, pytest.approx(1 / 3), 0.25]
    assert rows[0][1]["nan"] == "nan"


def test_best_by_a_metric_is_kept(tmp_path: Path) -> None:
    keep = outlast.Keep(newest=1, best="-loss")
    with outlast.Run(tmp_path / "s", {"x": 1}, every=1, keep=keep) as run:
        for loss in run.iterate([5.0, 1.0, 3.0, 4.0], "i"):
            run.log(loss=loss)
    assert [n.step for n in outlast.Store(tmp_path / "s").checkpoints()] == [4, 2]


def test_a_forked_child_has_no_part_in_the_run(tmp_path: Path) -> None:
    with outlast.Run(tmp_path / "s", {"x": 1}, every=1) as run:
        for _ in run.steps(2):
            pid = os.fork()
            if pid == 0:
                os._exit(7 if run._notice.is_child else 8)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert len(outlast.Store(tmp_path / "s").attempts()) == 1


def test_signals_are_given_back(tmp_path: Path) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    with outlast.Run(tmp_path / "s", {"x": 1}):
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)] == before


def _begun(path: Path, size: int = 9) -> Path:
    """Make a run that has saved once and is not done."""
    with pytest.raises(ZeroDivisionError), outlast.Run(path, {"a": np.ones(size), "b": np.ones(size)}) as run:
        run.save()
        run.wait()
        raise ZeroDivisionError
    return path


def test_a_notice_during_the_restore_leaves_before_the_next_leaf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, read = 50_000, []  # too large for two to be read by one call
    path = _begun(tmp_path / "s", size)
    before = {number: signal.getsignal(number) for number in notice.SIGNALS}
    real = FileReader.fill

    def reading(file: FileReader, view: memoryview, at: int, room: Room) -> None:
        read.append(len(view))
        assert any(thread.name == "outlast-keeper" for thread in threading.enumerate())  # others see that we live
        signal.raise_signal(signal.SIGTERM)
        real(file, view, at, room)

    monkeypatch.setattr(FileReader, "fill", reading)
    a, b = np.zeros(size), np.zeros(size)
    with pytest.raises(outlast.Preempted, match="SIGTERM"):
        outlast.Run(path, {"a": a, "b": b}).__enter__()
    assert read == [a.nbytes]
    assert (a.sum(), b.sum()) == (size, 0)
    assert outlast.Store(path).attempts()[-1].last("ended")["outcome"] == "preempted"
    # on the way out of the process the notice's double must not end it with another status than 85
    assert all(signal.getsignal(number).__func__ is notice.Notice._left for number in before)
    for number, handler in before.items():
        signal.signal(number, handler)
    assert not _own_threads()
    monkeypatch.setattr(FileReader, "fill", real)
    with outlast.Run(path, {"a": np.zeros(size), "b": np.zeros(size)}) as run:
        assert run.restored is not None
    assert {number: signal.getsignal(number) for number in before} == before


def test_the_wait_for_a_silent_attempt_is_said_and_can_be_left(tmp_path: Path, capfd) -> None:
    path = _begun(tmp_path / "s")
    elsewhere = replace(host.me(), host="node7", boot="another")
    outlast.Store(path).claim(identity=elsewhere)

    class Interrupting(FakeClock):
        def sleep(self, seconds_s: float) -> None:
            super().sleep(seconds_s)
            if len(self.slept_s) == 3:
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(outlast.Preempted, match="SIGTERM"):
        outlast.Run(path, {"a": np.zeros(9), "b": np.zeros(9)}, clock=Interrupting()).__enter__()
    said = capfd.readouterr().err
    assert said.count("on node7) did not say that it ended: watching it for 60 s at most") == 1
    with outlast.Run(path, {"a": np.zeros(9), "b": np.zeros(9)}, clock=FakeClock()) as run:
        assert run.attempt == 3


def test_a_deadline_that_is_over_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.setenv("OUTLAST_DEADLINE", "1000")
    with outlast.Run(tmp_path / "s", {"x": 1}) as run:
        assert list(run.steps(3)) == [0, 1, 2]
    assert "ago (deadline=, OUTLAST_DEADLINE): not used" in capfd.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("OUTLAST_DEADLINE", "soon"), ("OUTLAST_MTBF", "often")])
def test_nonsense_in_the_environment_is_refused(tmp_path: Path, monkeypatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(outlast.UsageError, match=f"{name}='{value}'"):
        outlast.Run(tmp_path / "s", {"x": 1})


def test_the_measured_cost_of_saves_is_known_to_the_next_attempt(tmp_path: Path, monkeypatch) -> None:
    """Else each short attempt would leave a whole assumed save before its deadline."""
    began_s = time.monotonic()
    path = _begun(tmp_path / "s")
    all_s = time.monotonic() - began_s
    monkeypatch.setenv("OUTLAST_MTBF", "6h")
    run = outlast.Run(path, {"a": np.ones(9), "b": np.ones(9)})
    with run:
        (saved,) = (e for e in outlast.Store(path).attempts()[0].events if e["event"] == "saved")
        assert 0 < run._schedule._save_s == saved["seconds"] < all_s
        assert run._schedule._rate.per_s == pytest.approx(1 / 21600)


def test_attempts_that_saved_nothing_are_said(tmp_path: Path, capfd) -> None:
    for expected in (0, 1):
        with pytest.raises(ZeroDivisionError), outlast.Run(tmp_path / "s", {"x": 1}):
            raise ZeroDivisionError
        assert capfd.readouterr().err.count("saved nothing: starting from the beginning") == expected


def test_a_stop_meant_for_an_attempt_that_is_gone_is_dropped(program: Program) -> None:
    """It was asked to stop while it hung, and was killed: the next attempt is not to leave for that."""
    program.hold.at(8)
    process = program.start()
    await_event(process, "committed")
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    outlast.Store(program.store).request("stop", "a person")
    process.kill()
    finish(process)
    process = program.start()
    await_event(process, "warning", text="dropped a request (a person)")
    program.hold.release()
    status, said = finish(process)
    assert status == 0, said
    assert outlast.Store(program.store).requests() == ()


def test_a_supervisor_that_is_gone_is_a_notice(program: Program, tmp_path: Path) -> None:
    """SIGTERM at its death reaches only the command itself: below a shell we have to look."""
    (tmp_path / "control").mkdir()
    with subprocess.Popen(["sleep", "100"]) as supervisor:
        env = {"OUTLAST_CONTROL": str(tmp_path / "control"), "OUTLAST_SUPERVISOR": str(supervisor.pid)}
        process = program.start("--pause", "0.02", "--steps", "2000", **env)
        await_event(process, "committed")
        supervisor.kill()
        supervisor.wait()
        status, said = finish(process)
    assert status == 85
    assert any(e["event"] == "notice" and e["reason"] == "the supervisor is gone" for e in events(said))


def test_wrong_use_of_a_run_is_status_2(tmp_path: Path) -> None:
    for call in ("outlast.Run('x', [1])", "outlast.Run('x', {}, on_error='bad')", "outlast.Run('', {})"):
        command = [sys.executable, "-c", f"import outlast\nwith {call}: pass"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    for path in ("/proc/none/here", "/dev/null/here"):
        with pytest.raises(outlast.StorageError, match=r"cannot be made|not a directory|Not a directory"):
            outlast.Run(path, {"x": 1}).__enter__()


def test_at_most_three_files_a_checkpoint(tmp_path: Path) -> None:
    state = {f"k{i}": np.zeros(3) for i in range(500)} | {"text": "x" * 100_000, "blob": b"y" * 100_000}
    with outlast.Run(tmp_path / "s", state, every=1) as run:
        for _ in run.steps(3):
            pass
    for folder in (tmp_path / "s").glob("step-*"):
        assert len(list(folder.iterdir())) <= 3


def _own_threads() -> list[str]:
    """Those that a run started; the ones that copy are the process's, idle, and keep nothing alive."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("outlast") and name != "outlast-copier"]


def test_no_thread_is_left(tmp_path: Path) -> None:
    with outlast.Run(tmp_path / "s", {"x": 1}) as run:
        run.save()
    assert not _own_threads()


def test_a_run_is_used_inside_its_block(tmp_path: Path) -> None:
    run = outlast.Run(tmp_path / "s", {"x": 1})
    with pytest.raises(outlast.UsageError, match="inside its block"):
        next(run.steps(3))
    with pytest.raises(outlast.UsageError, match="expected a dict"):
        outlast.Run(tmp_path / "s", [1])
    with pytest.raises(outlast.UsageError, match="on_error"):
        outlast.Run(tmp_path / "s", {}, on_error="ignore")


def test_a_run_that_is_taken_over_while_it_restores_says_so_and_calls_nothing_damaged(tmp_path, monkeypatch):
    """A newer attempt has removed what this one had listed."""
    path = tmp_path / "store"
    with pytest.raises(outlast.Preempted), outlast.Run(path, {"x": 1}, every=1) as run:
        for step in run.steps(3):
            if step == 1:
                run.leave("as asked")
    scan = Store.scan

    def taken(self):
        if not self.attempts()[-1].last("adopt") or len(self.attempts()) == 1:
            return scan(self)  # it has not claimed yet, or not taken stock
        monkeypatch.setattr(Store, "scan", scan)
        Store(path).claim(takeover=True)
        return [replace(found, counts=False) for found in scan(self)]

    monkeypatch.setattr(Store, "scan", taken)
    with pytest.raises(FencedError, match="attempt 3 has taken over"), outlast.Run(path, {"x": 1}, every=1):
        pass
