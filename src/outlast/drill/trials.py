"""Wounded runs: each fault is struck in a run of its own, which then goes on until it is done; what came of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from outlast.clock import SYSTEM
from outlast.drill import causes, faults, plan, results, strikes
from outlast.drill import place as places
from outlast.drill.compare import Difference, compare
from outlast.drill.course import Course
from outlast.drill.diagnosis import Finding
from outlast.drill.faults import Fault
from outlast.drill.order import Order
from outlast.drill.origin import Origin
from outlast.drill.place import Place
from outlast.drill.record import Pace, Ran
from outlast.drill.strikes import Strike
from outlast.drill.undisturbed import Reference
from outlast.drill.verdict import Trial
from outlast.errors import OutlastError

_ROUNDS = 3
_FOREVER_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where runs are made.

    Args:
        order: what the user asked for.
        origin: what each run gets a copy of.
        root: the folder for their folders.
        env: the user's environment.
        is_over: says whether the drill is to end.
        began_s: when it began.
    """

    order: Order
    origin: Origin
    root: str
    env: Mapping[str, str]
    is_over: Callable[[], bool]
    began_s: float

    def undisturbed(self, name: str) -> tuple[Place, Ran]:
        """Run the program once, as it is."""
        place = self._make(name)
        strike = Strike()
        strike.tries = 1
        return place, self._run(place, strike, self.order.limit_s or _FOREVER_S)

    def trial(self, number: int, fault: Fault, reference: Reference) -> Trial:
        """Try a fault. A run that is done before it was struck often enough is done again, and struck sooner."""
        if why_not := self._why_not(number, fault, reference.pace):
            return Trial(fault=fault, why_not=why_not)
        best: Trial | None = None
        for round_ in range(_ROUNDS):
            try:
                trial, times = self._round(number, fault, reference, round_)
            except plan.NotPossible as e:
                return best or Trial(fault=fault, why_not=str(e))
            assert trial.ran
            if len(trial.ran.strikes) >= times or trial.troubles:
                return trial
            if trial.ran.strikes:
                best = trial
            why_not = trial.ran.notes[0] if trial.ran.notes else "it was done before it could be struck"
        return best or Trial(fault=fault, why_not=why_not)

    def together(self, reference: Reference) -> dict[Fault, Trial]:
        """Return the faults that one run has gone through, one after the other, if all is well with it."""
        place = self._make("together")
        parts = plan.together(reference.pace, seed=self.order.seed)
        ran = self._run(place, strikes.Sequence(parts), self._limit_s(reference.pace), is_traced=False)
        trial = self._judged(plan.TOGETHER[0], ran, place, reference)
        self._forget(place)
        if trial.troubles:
            return {}
        return {
            fault: Trial(fault=fault, ran=replace(ran, strikes=tuple(part.struck), notes=tuple(part.notes)))
            for fault, part in zip(plan.TOGETHER, parts, strict=True)
            if part.struck
        }

    def _why_not(self, number: int, fault: Fault, pace: Pace) -> str:
        if fault is faults.TWICE and not pace.takes_part and not self.order.named:
            return "it knows of no other copy: --faults twice tries it all the same"
        if fault is faults.STEP and pace.calls and self.order.budget_s is not None and not self.order.named:
            return "left out by --quick: kill strikes between steps"
        budget_s = self.order.budget_s
        spent_s = SYSTEM.monotonic() - self.began_s
        if budget_s is not None and number > self.order.jobs and spent_s + 1.5 * pace.lasted_s > budget_s:
            return f"no time was left of {budget_s:g} s"
        return ""

    def _round(self, number: int, fault: Fault, reference: Reference, round_: int) -> tuple[Trial, int]:
        """Do one run. Returns what came of it, and how often it was to be struck."""
        order = self.order
        strike = plan.strike(
            fault, reference.pace, seed=order.seed, kills=order.kills, checkpoints=order.checkpoints, round_=round_
        )
        place = self._make(f"{number:02d}-{fault.name}{f'-{round_ + 1}' if round_ else ''}")
        ran = self._run(place, strike, self._limit_s(reference.pace))
        trial = self._judged(fault, ran, place, reference)
        trial = replace(trial, finding=self._finding(trial, place, reference))
        self._forget(place)
        return trial, strike.times

    def _judged(self, fault: Fault, ran: Ran, place: Place, reference: Reference) -> Trial:
        differences: tuple[Difference, ...] = ()
        if ran.status == 0:
            try:
                found = results.collect(place, self.order.results, stdout=self.order.stdout)
                differences = compare(reference.results, found, reference.terms)
            except OutlastError as e:
                ran = replace(ran, problems=(*ran.problems, f"its store cannot be read: {e}"))
        return Trial(fault=fault, ran=ran, differences=differences)

    @staticmethod
    def _finding(trial: Trial, place: Place, reference: Reference) -> Finding | None:
        assert trial.ran
        if not trial.ran.strikes:
            return None
        return causes.find(
            reference.trace, place, trial.ran, trial.differences, wound=trial.fault.wound, noise=reference.noise
        )

    def _limit_s(self, pace: Pace) -> float:
        return self.order.limit_s or 60 + 10 * pace.lasted_s

    def _make(self, name: str) -> Place:
        return places.make(os.path.join(self.root, name), self.origin, self.order.command)

    def _run(self, place: Place, strike: Strike, limit_s: float, *, is_traced: bool = True) -> Ran:
        run = replace(place, is_traced=is_traced)
        return Course(run, self.env, strike, limit_s=limit_s, is_over=self.is_over).run()

    def _forget(self, place: Place) -> None:
        if self.order.place is None:
            shutil.rmtree(place.root, ignore_errors=True)
