"""One computation on the cluster: submitted, watched while things happen to it, and judged in the end."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outlast.format.names import CheckpointName
from outlast.store import AttemptLog, Store
from proof import ledger
from slurm.cluster import Cluster, until

PROGRAM = Path(__file__).with_name("program.py")
EVERY = 10  # steps from save to save
LOST = 2 * EVERY  # at most, without notice: an interval, and the steps that were made while a save was on its way
_undisturbed: dict[int, dict[str, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that was done. Some are done again after a loss."""

    number: int
    attempt: int
    node: str


class Scenario:
    """A run in a folder of its own.

    Args:
        cluster: where it runs.
        folder: where its store is.
        steps: how many it has.
        options: of the program, more.
        launcher: what starts the program.
        name: of the store.
    """

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        *,
        steps: int = 400,
        options: Sequence[str] = (),
        launcher: Sequence[str] = (),
        name: str = "run",
    ) -> None:
        self.cluster, self.folder, self.total = cluster, folder, steps
        self.store = folder / name
        self.name = str(self.store.relative_to(cluster.home))
        self._plain = ["python", str(PROGRAM), f"--steps={steps}", f"--every={EVERY}"]
        self.command = [*launcher, *self._plain, *options]

    # -- what is done to it --------------------------------------------------------------------------------

    def submit(self, *options: str, more: Sequence[str] = ()) -> str:
        """Submit it by `outlast submit`, with options of sbatch and more of the program. Returns the job's id."""
        name = f"--job-name={self.name}"
        words = ["outlast", "submit", "--json", f"--store={self.store}", name, *options, "--", *self.command, *more]
        return json.loads(self.cluster.ask(*words, folder=self.folder))["job"]

    def hurry(self) -> None:
        """Let its steps take no time from now on."""
        self._beside("fast").touch()

    def await_steps(self, count: int, *, attempt: int | None = None, node: str | None = None) -> None:
        """Wait until so many steps were done; by this attempt, on this node."""

        def is_there() -> bool:
            steps = [step for step in self.done() if attempt in (None, step.attempt) and node in (None, step.node)]
            return len(steps) >= count

        until(is_there, lambda: self.done()[-3:])

    def await_attempt(self, attempt: int) -> None:
        """Wait until an attempt, or a later one, has done a step."""
        until(lambda: any(step.attempt >= attempt for step in self.done()), lambda: self.done()[-3:])

    # -- what it did -----------------------------------------------------------------------------------------

    def done(self) -> list[Step]:
        """All steps that were done, in their order."""
        path = self._beside("steps")
        lines = path.read_text().splitlines() if path.exists() else []
        words = [line.split() for line in lines]
        return [Step(number=int(number), attempt=int(attempt), node=node) for number, attempt, node in words]

    def said(self, job: str = "") -> str:
        """What its jobs, or one of them, have printed."""
        return "\n".join(path.read_text() for path in sorted(self.store.rglob("*.out")) if job in path.name)

    def queue(self) -> list[str]:
        """The ids of its jobs in the queue."""
        words = ["squeue", "--noheader", "--array", f"--name={self.name}", "--format=%i"]
        return self.cluster.order(*words).split()

    def attempts(self) -> list[AttemptLog]:
        """The journals of its attempts."""
        return [log for log in Store(self.store).attempts() if (log.first("claim") or {}).get("role") == "run"]

    def endings(self) -> list[str]:
        """How its attempts ended, as `outlast status` has it."""
        told = json.loads(self.cluster.ask("outlast", "status", "--json", str(self.store)))
        return [attempt["ending"] for attempt in told["attempts"]]

    # -- how it is judged --------------------------------------------------------------------------------------

    def check(self, *, lost: int = 0, losses: int = 1) -> None:
        """Check that it ended as if nothing had happened, and that no job is left.

        Args:
            lost: how many steps at most were done again after each loss.
            losses: how many attempts were lost.
        """
        until(lambda: not self.queue(), self.queue)
        assert json.loads(self._beside("result").read_text()) == self._expected()
        self._check_steps(lost * losses)
        self._check_journal()

    def _expected(self) -> dict[str, Any]:
        """What an undisturbed run leaves: made once for each number of steps."""
        if self.total not in _undisturbed:
            store = self.cluster.make_folder(f"undisturbed-{self.total}") / "run"
            self.cluster.ask(*self._plain, "--pause=0", env={"OUTLAST_STORE": str(store)})
            _undisturbed[self.total] = json.loads(Path(f"{store}.result").read_text())
            assert _undisturbed[self.total]["state"]["seen"] == list(range(self.total))
        return _undisturbed[self.total]

    def _check_steps(self, lost: int) -> None:
        numbers = [step.number for step in self.done()]
        assert set(numbers) == set(range(self.total))
        again = len(numbers) - self.total
        assert again <= lost, f"{again} steps were done again"

    def _check_journal(self) -> None:
        """Check what the journals say: nothing acknowledged is lost, what counts is whole, each step counts once."""
        store = Store(self.store)
        ledger.check_journals(store.attempts())
        for name in store.checkpoints():
            with store.source(store.manifest(name)) as source:
                assert not list(source.damages())
        assert counted(self.attempts(), store) == list(range(self.total))

    def _beside(self, name: str) -> Path:
        return self.store.with_name(f"{self.store.name}.{name}")


def counted(logs: Sequence[AttemptLog], store: Store) -> list[int]:
    """The steps that led to the newest checkpoint, by the journals, from the first one on.

    Each attempt counts with the steps between what it went on from, and what the next one went on from.
    """
    by_number = {log.attempt: log for log in logs}
    end = store.checkpoints()[0]
    ranges = []
    while True:
        log = by_number[end.attempt]
        restored = log.first("restored")
        ranges.append(range(restored["step"] if restored else 0, end.step))
        if restored is None:
            break
        _check_newest(logs, log, restored["checkpoint"])
        end = CheckpointName.parse(restored["checkpoint"])
    return list(itertools.chain.from_iterable(reversed(ranges)))


def _check_newest(logs: Sequence[AttemptLog], log: AttemptLog, restored: str) -> None:
    """Check that an attempt went on from the newest checkpoint that those before it have acknowledged."""
    names = [
        CheckpointName.parse(name) for before in logs if before.attempt < log.attempt for name in ledger.saved(before)
    ]
    assert max(names) == CheckpointName.parse(restored), f"attempt {log.attempt} went on from {restored}"
