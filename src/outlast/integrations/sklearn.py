"""scikit-learn's searches (grid, randomised, halving), resumed between fits: each candidate on each fold is done once.

The search itself does all it does otherwise, to the end. Only its parallel loop is ours while it fits: what was fitted
in an attempt before is handed to it from the checkpoint, and after each fit the run may save.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self, Unpack

import numpy as np
from sklearn.model_selection import _search as searching
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils.parallel import Parallel

from outlast.capture import RNG
from outlast.errors import MismatchError, UsageError
from outlast.integrations.options import Options
from outlast.run import Run

_TIMES = ("fit_time", "score_time")


class Search:
    """A search that outlasts the jobs it runs in: a block around its `fit`.

    The result is that of the search itself, if its candidates, folds and estimators are drawn from fixed seeds
    (`random_state=7`). At the end of the block the run is marked done; write results inside it.

    Args:
        store: directory on storage that outlives the job.
        search: `GridSearchCV`, `RandomizedSearchCV`, `HalvingGridSearchCV` ..., with n_jobs as you like.
        options: as of `outlast.Run`: every, keep, on_error, deadline, takeover, snapshot, io.
    """

    def __init__(self, store: str | os.PathLike[str], search: BaseSearchCV, **options: Unpack[Options]) -> None:
        if not isinstance(search, BaseSearchCV):
            raise UsageError(f"a {type(search).__name__} is no search of scikit-learn's")
        self._search, self._results = search, Results()
        self._run = Run(store, {"results": self._results, "rng": RNG()}, **options)
        self._stack = ExitStack()
        self._is_fitted = False

    def __enter__(self) -> Self:
        self._stack.enter_context(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def fit(self, x: Any, y: Any = None, **params: Any) -> BaseSearchCV:
        """Fit the search, from where the run stands, and return it.

        Raises:
            UsageError: it was called before in this block.
            MismatchError: candidates or folds are others than at the save.
            Preempted: notice was given; the save is durable.
        """
        if self._is_fitted:
            raise UsageError("one fit in a block: another search needs a store of its own")
        self._is_fitted = True
        with _our_loop(self._run, self._results):
            self._search.fit(x, y, **params)
        return self._search


class Results:
    """A component of the run: what each fit gave, in the order of the search's calls of its parallel loop.

    Attributes:
        calls: for each call, for each task the checksum of what it was about, and its result.
    """

    def __init__(self) -> None:
        self.calls: list[list[tuple[int, dict[str, Any]]]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the results, and beside them the times: those are others each time."""
        fits = [[(mark, _those(result, timed=False)) for mark, result in call] for call in self.calls]
        times = [[_those(result, timed=True) for _, result in call] for call in self.calls]
        return {"fits": json.dumps(fits).encode(), "wall_times": json.dumps(times).encode()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        calls = zip(json.loads(saved["fits"]), json.loads(saved["wall_times"]), strict=True)
        self.calls = [[(mark, result | timed) for (mark, result), timed in zip(*call, strict=True)] for call in calls]


def _those(result: dict[str, Any], *, timed: bool) -> dict[str, Any]:
    return {name: value for name, value in result.items() if (name in _TIMES) == timed}


@contextmanager
def _our_loop(run: Run, results: Results) -> Iterator[None]:
    """Have searches run their tasks by ours."""
    calls = iter(range(1 << 30))
    theirs = searching.Parallel

    class Resumed:
        def __init__(self, **how: Any) -> None:
            self._how = how

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __call__(self, tasks: Any) -> list[Any]:
            return _run_all(run, results, next(calls), list(tasks), self._how)

    searching.Parallel = Resumed
    try:
        yield
    finally:
        searching.Parallel = theirs


def _run_all(run: Run, results: Results, call: int, tasks: list[Any], how: dict[str, Any]) -> list[Any]:
    """Return the results of all tasks; run those that are not known, with a boundary after each."""
    with run.loop("fit", len(tasks)) as loop:
        if call == len(results.calls):
            results.calls.append([])
        known = results.calls[call]
        for number, ((mark, _), task) in enumerate(zip(known, tasks, strict=False)):
            _check(mark, task, number)
        if not loop.is_over:
            for task, made in zip(tasks[len(known) :], _made(run, tasks[len(known) :], how), strict=True):
                known.append((_mark(task), _plain(made)))
                loop.advance()
    return [dict(result) for _, result in known]  # the search changes what it is given


def _made(run: Run, tasks: list[Any], how: dict[str, Any]) -> Iterator[Any]:
    """Yield the results in the order of the tasks, as they are ready."""
    with run.shield():  # a notice to all processes of the job must not end the workers
        made = iter(Parallel(**how, return_as="generator")(tasks))
    yield from made


def _mark(task: Any) -> int:
    """Return a checksum of what a task is about: the candidate's parameters and the fold."""
    _, _, named = task
    found = zlib.crc32(repr(sorted((named.get("parameters") or {}).items(), key=lambda one: one[0])).encode())
    for part in (named.get("train"), named.get("test")):
        found = zlib.crc32(np.asarray(part).tobytes(), found)
    return found


def _check(mark: int, task: Any, number: int) -> None:
    if mark != _mark(task):
        raise MismatchError(
            f"fit {number} of the search is about another candidate or fold than at the save",
            hint="give the search and its cv a random_state, and the same data; or name a new store",
        )


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result as JSON data: numbers of NumPy as Python's, which compare the same."""
    return {name: _number(value) for name, value in result.items()}


def _number(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _number(one) for name, one in value.items()}
    return value.item() if isinstance(value, np.generic) else value
