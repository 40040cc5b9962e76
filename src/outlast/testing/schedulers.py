"""What every batch system must do, as a class of tests: those of a plug-in derive from it. Needs pytest to run.

class TestMine(SchedulerContract):
    job, deadline, waiting, new = "4711", 1_700_003_600.0, "4712", "4713"
    env = {"MINE_JOBID": "4711"}
    answers = {"mstat -f 4711": Answer(status=0, text=...), ...}

    def make(self, ask):
        return Mine(ask)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from outlast.errors import PREEMPTED, UsageError
from outlast.supervise.batch import BatchSystem, Job, Order, Refused, Unreachable
from outlast.supervise.batch.client import Answer, Ask

NASTY = ("", "two words", "it's", '"', "$HOME $(touch made)", "`touch made`", "a\\", "*", "#", "-n", "é", "a\nb", "%j")
_WITNESS = "import json, sys; open(sys.argv[1], 'w').write(json.dumps(sys.argv[2:]))"
_SHELLS = ("PWD", "OLDPWD", "SHLVL", "_", "LINES", "COLUMNS", "PATH", "LC_CTYPE", "BSUB_QUIET")


class Recorded:
    """Answers as a batch system did, and remembers what it was asked.

    Args:
        answers: by the command, or its beginning; what begins with none is a command that is not there.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers
        self.asked: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> Answer:
        self.asked.append(list(command))
        line = " ".join(command)
        matching = [start for start in self._answers if line.startswith(start)]
        if not matching:
            raise Unreachable(f"{command[0]} was not found")
        return self._answers[max(matching, key=len)]


class SchedulerContract(ABC):
    """The tests. A subclass says what its batch system answered once, while a job ran, with a limit, and one behind it.

    Attributes:
        env: the environment of that job.
        job: its id.
        deadline: when its limit ends it; None if there are no limits.
        waiting: the id of the job that waits for its end; None if the system has no such thing.
        new: the id of a job that is submitted then.
        answers: the answers to all commands, by their beginnings, as `Recorded` takes them.
        options: some of the user's own options, as they stand on a command line.
        words: arguments that come through to the command. Take one away only if the system cannot hold it.
        asks: it has commands that are asked.
        leaving: leaving with the right status has the job started again: nothing is asked for it.
    """

    env: ClassVar[Mapping[str, str]]
    job: ClassVar[str]
    deadline: ClassVar[float | None]
    waiting: ClassVar[str | None]
    new: ClassVar[str]
    answers: ClassVar[Mapping[str, Answer]]
    options: ClassVar[Sequence[str]] = ()
    words: ClassVar[Sequence[str]] = NASTY
    asks: ClassVar[bool] = True
    leaving: ClassVar[bool] = False

    @abstractmethod
    def make(self, ask: Ask | None) -> BatchSystem:
        """Return the batch system, which asks so; with None by its real commands. A clock stands still."""

    def start(self, script: Path) -> None:
        """Do what the batch system does with a script, in the script's folder."""
        subprocess.run(["/bin/bash", str(script)], cwd=script.parent, check=True, timeout=60)  # noqa: S603

    # -- help --------------------------------------------------------------------------------------------

    def recorded(self, **changed: Answer) -> tuple[BatchSystem, Job, Recorded]:
        """Return the system as recorded, its job, and what it asks of; all answers can be made another one."""
        ask = Recorded(dict.fromkeys(self.answers, changed["all"]) if changed else self.answers)
        system = self.make(ask)
        job = system.find(self.env)
        assert job is not None, "no job was found in the environment of one"
        return system, job, ask

    def useless(self) -> Iterator[tuple[str, BatchSystem, Job]]:
        """Give systems that say nothing of use: the job that asks for orders must not take one from it."""
        answers = {
            "nothing at all": Answer(status=0, text=""),
            "line ends": Answer(status=0, text="\n\n"),
            "a page": Answer(status=0, text="<html><body>502 Bad Gateway</body></html>\n"),
            "noise": Answer(status=0, text="\0\ufffd|\t=%s = None\nJob Id: \n 0 | | \n"),
            "a failure": Answer(status=1, text="", said="something is wrong"),
            "a silent failure": Answer(status=255, text=""),
        }
        for name, answer in answers.items():
            system, job, _ = self.recorded(all=answer)
            yield name, system, job
        halves = {start: Answer(status=1, text=a.text[: len(a.text) // 2]) for start, a in self.answers.items()}
        yield "half of it", self.make(Recorded(halves)), job
        yield "no such command", self.make(Recorded({})), job

    def order(self, folder: Path, **changed: Any) -> Order:
        """Return an order for a command that writes down what it was given."""
        command = [sys.executable, "-I", "-S", "-c", _WITNESS, str(folder / "given"), *self.words]
        told = {"command": command, "options": self.options, "name": "a run", "store": str(folder / "a store")}
        return Order(**{"lead_s": 60.0, **told, **changed})

    # -- inside a job ------------------------------------------------------------------------------------

    def test_has_a_plain_name(self) -> None:
        name = self.make(None).name
        assert name.isidentifier()
        assert name == name.lower()

    def test_finds_its_job(self) -> None:
        system, job, ask = self.recorded()
        assert (job.system, job.id) == (system.name, self.job)
        assert job.restarts >= 0
        assert ask.asked == []

    def test_finds_none_elsewhere(self) -> None:
        system = self.make(Recorded({}))
        assert system.find({}) is None
        assert system.find({"PATH": "/bin", "HOME": "/", "LANG": "C", "JOB_ID": "7"}) is None

    def test_finds_none_in_noise(self) -> None:
        for noise in ("", " ", "x", "-1", "1;rm", "\0", "9" * 400, "²"):
            job = self.make(Recorded({})).find(dict.fromkeys(self.env, noise))
            assert job is None or job.id.isascii(), f"{noise!r} was taken for a job: {job}"

    def test_sees_the_deadline(self) -> None:
        system, job, _ = self.recorded()
        sight = system.see(job)
        assert sight.deadline == self.deadline
        assert not sight.cancelled
        assert not sight.preempted

    def test_decides_nothing_on_a_useless_answer(self) -> None:
        for name, system, job in self.useless():
            sight = _tried(system.see, job)
            assert not self.asks or isinstance(sight, Unreachable), f"{name}: {sight}"

    def test_makes_no_second_successor_on_a_useless_answer(self) -> None:
        for name, system, job in self.useless():
            found = _tried(system.successor, job)
            wanted = Unreachable if self.waiting else type(None)
            assert isinstance(found, wanted), f"{name}: {found!r}"

    def test_says_when_it_is_not_put_back(self) -> None:
        for name, system, job in self.useless():
            if name in ("a failure", "a silent failure", "no such command"):
                done = _tried(system.requeue, job)
                assert isinstance(done, Unreachable | Refused) or self.leaving, f"{name}: {done!r}"

    def test_status_stays_what_it_is(self) -> None:
        system = self.make(Recorded({}))
        told = [system.status(status) for status in range(256)]
        assert told[0] == 0
        assert all(0 < status < 256 for status in told[1:])  # noqa: PLR2004
        assert [number for number, status in enumerate(told) if status == told[PREEMPTED]] == [PREEMPTED]

    # -- new jobs ----------------------------------------------------------------------------------------

    def test_the_script_starts_the_command_untouched(self, tmp_path: Path) -> None:
        system = self.make(Recorded({}))
        order = self.order(tmp_path, notes=["to whom it may concern:\nrm -r *"])
        os.makedirs(os.path.join(order.store, "jobs"))
        script = tmp_path / "job script"
        script.write_text(system.script(order))
        self.start(script)
        assert json.loads((tmp_path / "given").read_text()) == list(self.words)
        assert not (tmp_path / "made").exists()

    def test_the_script_has_the_users_options(self, tmp_path: Path) -> None:
        text = _without_quotes(self.make(Recorded({})).script(self.order(tmp_path)))
        for option in self.options:
            assert _without_quotes(option) in text, f"{option!r} is not in the script"

    def test_an_option_with_a_line_break_is_refused(self, tmp_path: Path) -> None:
        order = self.order(tmp_path, options=[*self.options, "x=a\nrm -r *"])
        error = _tried(self.make(Recorded({})).script, order)
        assert isinstance(error, UsageError), error

    def test_a_job_is_submitted(self) -> None:
        system, _, ask = self.recorded()
        assert system.submit("/a/job.sh", self.options) == self.new
        command = ask.asked[-1]
        assert "/a/job.sh" in command
        assert all(option in command for option in self.options)

    def test_a_job_is_submitted_behind_ours(self) -> None:
        system, job, ask = self.recorded()
        done = _tried(system.submit, "/a/job.sh", after=job)
        if self.waiting is None:
            assert isinstance(done, Refused)
            assert ask.asked == []
        else:
            assert done == self.new
            assert any(self.job in word for word in ask.asked[-1]), ask.asked

    def test_what_is_not_taken_has_no_number(self) -> None:
        for name, system, _ in self.useless():
            done = _tried(system.submit, "/a/job.sh")
            assert isinstance(done, Unreachable | Refused), f"{name}: {done!r}"
            if name in ("nothing at all", "a page", "no such command"):
                assert isinstance(done, Unreachable), f"{name}: nobody knows whether it was taken"

    def test_the_job_behind_is_found(self) -> None:
        system, job, _ = self.recorded()
        assert system.successor(job) == self.waiting

    # -- by its real commands ----------------------------------------------------------------------------

    def test_without_its_commands_it_is_out_of_reach(self, tmp_path: Path) -> None:
        if not self.asks:
            return
        with mock.patch.dict(os.environ, PATH=str(tmp_path)):
            system = self.make(None)
            job = system.find(self.env)
            assert job is not None
            assert isinstance(_tried(system.see, job), Unreachable)

    def test_a_new_job_takes_the_environment_along_as_it_is(self, tmp_path: Path) -> None:
        if not self.asks:
            return
        system = self.make(None)
        command, seen, script = tmp_path / system.submits, tmp_path / "seen", tmp_path / "job.sh"
        command.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S -c '{_SHOW}' {seen}\n")
        command.chmod(0o700)
        script.write_text("#!/bin/bash\n")
        mine = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "Asia/Tokyo", "MINE": "a b"}
        with mock.patch.dict(os.environ, mine):
            assert isinstance(_tried(self.make(None).submit, str(script)), Unreachable)
            mine = dict(os.environ)
        told = json.loads(seen.read_text())
        names = (mine.keys() | told.keys()).difference(_SHELLS)
        # a shell between us sets some of its own, and BSUB_QUIET would hide the answer
        changed = {name: (mine.get(name), told.get(name)) for name in names if mine.get(name) != told.get(name)}
        assert not changed, f"the new job starts in another environment: {changed}"


_SHOW = 'import json, os, sys; open(sys.argv[1], "w").write(json.dumps(dict(os.environ)))'


def _without_quotes(text: str) -> str:
    return text.replace('"', "").replace("'", "")


def _tried(do: Callable[..., object], *given: object, **named: object) -> object:
    """Return what a call returns, or what it says instead."""
    try:
        return do(*given, **named)
    except (Unreachable, Refused, UsageError) as e:
        return e
