"""The drill: two undisturbed runs, then the wounded ones; what each came to, and what that says."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from outlast.clock import SYSTEM
from outlast.drill import causes, plan, undisturbed
from outlast.drill import origin as origins
from outlast.drill.faults import Fault
from outlast.drill.order import Order
from outlast.drill.trials import Ground
from outlast.drill.undisturbed import Reference
from outlast.drill.verdict import Trial, Verdict, judge
from outlast.errors import UsageError
from outlast.supervise import environment, tree
from outlast.supervise.household import Household
from outlast.supervise.prctl import adopting_orphans

_LOOK_S = 0.2

Tell = Callable[[Sequence[str], int], object]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """What a drill has shown.

    Args:
        order: what was asked for.
        reference: the undisturbed runs.
        trials: the faults.
        verdict: what all that says.
        lasted_s: seconds.
    """

    order: Order
    reference: Reference
    trials: tuple[Trial, ...]
    verdict: Verdict
    lasted_s: float


def drill(order: Order, tell: Tell = lambda _names, _count: None) -> Drilled:
    """Drill a program.

    Call it from the main thread. No process and no file of it is left behind, however this ends.

    Args:
        order: what is to be drilled.
        tell: hears several times a second which runs are under way, by their names, and of how many faults and
            undisturbed runs it is known by now what came of them, since the last time.

    Raises:
        UsageError: the program does not work undisturbed, or there is nothing to compare.
    """
    root = _made(order.place)
    household = Household()
    over = threading.Event()
    with adopting_orphans():
        pool = ThreadPoolExecutor(order.jobs, thread_name_prefix="outlast-drill")
        try:
            return _drill(order, os.path.realpath(root), pool, over, tell)
        finally:
            over.set()
            pool.shutdown(wait=True, cancel_futures=True)
            tree.end(household.alive, term_s=0.0)
            household.reap()
            if order.place is None:
                shutil.rmtree(root, ignore_errors=True)


def _made(path: str | None) -> str:
    try:
        if path is None:
            return tempfile.mkdtemp(prefix="outlast-drill-")
        if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
            raise UsageError(f"{path} is not an empty directory", hint="name one that is empty, or not there yet")
        os.makedirs(path, exist_ok=True)
    except OSError as e:
        raise UsageError(f"no folder can be made for the runs: {e}", hint="name another one: --dir DIR") from None
    return path


def _drill(order: Order, root: str, pool: ThreadPoolExecutor, over: threading.Event, tell: Tell) -> Drilled:
    began_s = SYSTEM.monotonic()
    stays = (os.path.relpath(root, order.folder),) if order.place is not None else ()
    leave_out = (*order.leave_out, *order.results, *order.checkpoints, *stays)
    origin = origins.survey(order.folder, copy=order.copy, link=order.link, leave_out=leave_out)
    ground = Ground(order=order, origin=origin, root=root, env=environment(), is_over=over.is_set, began_s=began_s)
    runs = {pool.submit(ground.undisturbed, name): f"undisturbed, {name}" for name in ("first", "second")}
    first, second = _all(runs, tell)
    reference = undisturbed.learn(order, origin, first, second)
    trials = _tried(order, ground, reference, pool, tell)
    verdict = judge(
        trials,
        reference.varying,
        causes.weightiest(trials),
        harmless=reference.is_harmless,
        bitwise=not order.terms.tolerance,
        compared=reference.compared,
        caveats=reference.caveats,
    )
    return Drilled(
        order=order,
        reference=reference,
        trials=trials,
        verdict=verdict,
        lasted_s=SYSTEM.monotonic() - began_s,
    )


def _tried(
    order: Order, ground: Ground, reference: Reference, pool: ThreadPoolExecutor, tell: Tell
) -> tuple[Trial, ...]:
    """Try all faults; where time is short, first several in one run. If that went wrong, each is tried alone."""
    found: dict[Fault, Trial] = {}
    if order.budget_s is not None and reference.pace.calls and set(plan.TOGETHER) <= set(order.faults):
        name = ", ".join(fault.name for fault in plan.TOGETHER)
        found = _all({pool.submit(ground.together, reference): name}, tell, len)[0]
    rest = [(number, fault) for number, fault in enumerate(order.faults, 1) if fault not in found]
    runs = {pool.submit(ground.trial, number, fault, reference): fault.name for number, fault in rest}
    tried = _all(runs, tell)
    found |= {trial.fault: trial for trial in tried}
    return tuple(found[fault] for fault in order.faults)


def _all(runs: Mapping[Future[T], str], tell: Tell, count: Callable[[T], int] = lambda _: 1) -> list[T]:
    """Wait for runs, so that signals are heard meanwhile; raise the first error.

    Args:
        runs: with their names.
        tell: as `drill` takes it.
        count: of how many faults a result is.
    """
    waiting = set(runs)
    while waiting:
        done, waiting = wait(waiting, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
        known = sum(count(run.result()) for run in done)
        tell([name for run, name in runs.items() if run in waiting and run.running()], known)
    return [run.result() for run in runs]
