"""A PyTorch DataLoader, entered in the middle of an epoch: the same batches, nothing read twice, nothing skipped.

The loader is not changed: a copy of it, with the same workers' settings, is given an `Order` in its sampler's
place. What this changes against a bare DataLoader, and what it does not:

- The order of samples and the draws from the global generators are those of the bare loader. (With
  `persistent_workers` the workers' base seed is drawn in each epoch, not in the first one only.)
- Worker processes seed the generators of `torch`, `random` and `numpy`, and those that the dataset holds, anew for
  each batch; random augmentation is then the same in an undisturbed and in a resumed run. Generators elsewhere
  (in a C++ library, say) are not known.
- Without workers, augmentation draws from the main process's generators: they are part of the state
  (`outlast.RNG()`). Generators that the loader, its samplers or the dataset hold come back by themselves.
- `in_order=False` is not honoured: which batches were seen could not be told.
- An IterableDataset has no indices to skip by: what was seen is read again, with a warning. (Without workers, one
  with `state_dict` is asked instead, see `outlast.run.iterables`.)

PyTorch is not imported here: a loader comes from a program that has it.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from outlast.format.model import Node
from outlast.run import draws, marks
from outlast.run.order import Order, Replay
from outlast.run.packing import pack, unpack
from outlast.run.position import Loop
from outlast.run.shield import EndsWithUs, starting_workers

_NOTICE_WAIT_S = 1.0
_DEATH_WAIT_S = 0.2
_JOIN_S = 5.0
_DEATHS = ("killed by signal", "exited unexpectedly")


class WorkersGone(Exception):  # noqa: N818  (the run turns it into the notice that ended the workers)
    """Data-loader workers were ended by a signal while a notice is pending: leave at this boundary."""


def is_loader(source: Any) -> bool:
    """Say whether `source` is a DataLoader of PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.utils.data.DataLoader)


def is_stream(loader: Any) -> bool:
    """Say whether a loader reads a stream, without indices."""
    return isinstance(loader.dataset, sys.modules["torch"].utils.data.IterableDataset)


def enter(
    loader: Any, loop: Loop, *, notice_pending: Callable[[], bool], warn: Callable[[str], object]
) -> Iterator[Any]:
    """Iterate over a DataLoader from where the loop was.

    Raises, when iterated over:
        MismatchError: the sampler does not give the same order again.
        WorkersGone: see there.
    """
    if not getattr(loader, "in_order", True):
        warn(f"loop {loop.path}: in_order=False is not honoured: which batches were seen could not be told")
    epoch = _Epoch(loader, loop, notice_pending)
    if not loop.was_restored:
        yield from epoch.fresh()
    elif is_stream(loader):
        yield from epoch.read_again(warn)
    else:
        yield from epoch.go_on(warn)


def deliver(iterator: Iterator[Any], notice_pending: Callable[[], bool]) -> Iterator[Any]:
    """Yield from a loader's iterator; end its workers when that is over or left."""
    _remember(iterator)
    try:
        while True:
            try:
                item = next(iterator)
            except StopIteration:
                return
            except (RuntimeError, EOFError, OSError) as e:
                _reraise(e, iterator, notice_pending)
            yield item
    finally:
        if not getattr(iterator, "_persistent_workers", False):
            end_workers(iterator)


def protect_all() -> Callable[[], None]:
    """Have the workers of every loader not hear the notice, as those of `enter` do not; return the undoing.

    For loaders that nobody gives to us: of a validation, say.
    """
    torch = sys.modules.get("torch")
    cls = None if torch is None else torch.utils.data.DataLoader
    own = getattr(cls, "_get_iterator", None)
    if cls is None or own is None:
        return lambda: None

    def get_iterator(loader: Any) -> Any:
        if not loader.num_workers or isinstance(loader.worker_init_fn, EndsWithUs):
            return own(loader)  # nothing to protect, or it is done already
        with starting_workers(loader):
            iterator = own(loader)
        _remember(iterator)
        return iterator

    cls._get_iterator = get_iterator

    def undo() -> None:
        if cls._get_iterator is get_iterator:
            cls._get_iterator = own

    return undo


def end_workers(iterator: Any) -> None:
    """End the worker processes of a loader's iterator, if it has any. SIGTERM would not reach them."""
    shut_down = getattr(iterator, "_shutdown_workers", None)
    if shut_down is None or _owners.get(iterator) != os.getpid():
        return
    try:
        shut_down()
    except RuntimeError as e:
        if not _is_death(e):  # torch's SIGCHLD handler says it again, wherever we are
            raise
    for worker in getattr(iterator, "_workers", ()):
        if worker.is_alive():
            worker.kill()
            worker.join(_JOIN_S)


class _Epoch:
    """One pass over a loader."""

    def __init__(self, loader: Any, loop: Loop, notice_pending: Callable[[], bool]) -> None:
        self._loader, self._loop, self._notice_pending = loader, loop, notice_pending
        self._sampler = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
        self._owned = draws.owned([loader.generator, self._sampler], "loader", but=loader.dataset)
        if not loader.num_workers:
            self._owned |= draws.owned(loader.dataset, "dataset")
        self._all = {**draws.shared(), **self._owned}
        self._delivered = loop.done
        self._began: draws.States = {}  # where the generators were as the epoch began
        self._saved_rng: Node = None  # the same, of an epoch that began in an earlier attempt
        self._come_back()

    def _come_back(self) -> None:
        """Put the loader's own generators to where they were at the save, if this process uses them first here.

        As an epoch begins, only one that still is where the very first epoch began is put back: any other was
        seeded for this epoch by the program, or is part of its state. One that the program seeds alike for each
        epoch is known from the second epoch on.
        """
        loop, owned = self._loop, self._owned
        if not owned:
            return
        marks = {label: _mark(state) for label, state in draws.take(owned).items()}
        saved = loop.remembered or {"first": marks, "alike": [], "states": {}}
        alike = set(saved["alike"])
        for label, source in owned.items():
            is_first = marks[label] == saved["first"].get(label, marks[label])
            if loop.is_new(source.held) and label in saved["states"]:
                if loop.was_restored or (is_first and label not in alike):
                    source.set(unpack(saved["states"][label]))
            elif is_first and not loop.was_restored and saved["states"]:
                alike.add(label)
        first = saved["first"]
        loop.remember(lambda: {"first": first, "alike": sorted(alike), "states": draws.packed(draws.take(owned))})

    def fresh(self) -> Iterator[Any]:
        """Begin the epoch."""
        self._began = draws.take(self._sources())
        self._loop.extra.update(seed=self._seed(), data=marks.data_mark(self._loader.dataset))
        order = self._order(None)
        yield from self._batches(order, self._open(order))

    def go_on(self, warn: Callable[[str], object]) -> Iterator[Any]:
        """Enter the epoch in its midst, by indices."""
        saved, loop = self._take_saved(), self._loop
        if saved["under_way"] and "before" not in saved and not self._loader.num_workers:
            warn(f"loop {loop.path}: the batch under way at the save is read again with other random choices")
        if saved["exhausted"] and saved["drawn"] == loop.done:
            loop.at_dump = lambda: {key: saved[key] for key in ("under_way", "rng", "drawn", "checksum", "exhausted")}
            return
        before = draws.unpacked(saved["before"]) if "before" in saved else None
        present = draws.take(self._all)
        replay = Replay(
            done=loop.done,
            drawn=saved["drawn"],
            checksum=saved["checksum"],
            exhausted=saved["exhausted"],
            present=present,
            before=before,
        )
        draws.put_back(self._all, draws.unpacked(saved["rng"]))
        order = self._order(replay)
        iterator = self._open(order)
        order.catch_up()
        if order.problem:
            draws.put_back(self._all, present)
            _remember(iterator)
            end_workers(iterator)
            raise order.problem
        yield from self._batches(order, iterator)

    def read_again(self, warn: Callable[[str], object]) -> Iterator[Any]:
        """Enter the epoch in its midst, by reading what was seen."""
        saved, loop = self._take_saved(), self._loop
        present = draws.take(self._all)
        warn(
            f"loop {loop.path}: an IterableDataset can be entered in its midst only by reading: reading "
            f"{loop.done} batches again (give it state_dict and load_state_dict, and use no workers)"
        )
        draws.put_back(self._all, draws.unpacked(saved["rng"]))
        order = self._order(None)
        items = self._batches(order, self._open(order))
        self._delivered = 0
        for _ in itertools.islice(items, loop.done):
            pass
        under_way = list(itertools.islice(items, int(saved["under_way"])))
        draws.put_back(self._all, present)
        yield from itertools.chain(under_way, items)

    def _batches(self, order: Order, iterator: Iterator[Any]) -> Iterator[Any]:
        self._loop.at_dump = lambda: self._dump(order)
        for item in deliver(iterator, self._notice_pending):
            order.settle()
            self._delivered += 1
            yield item

    def _dump(self, order: Order) -> dict[str, Node]:
        under_way = self._delivered > self._loop.done
        node: dict[str, Node] = {"under_way": under_way}
        node["rng"] = draws.packed(self._began) if self._saved_rng is None else self._saved_rng
        if is_stream(self._loader):
            return node
        if under_way and order.before is not None:
            node["before"] = draws.packed(order.before)
        return node | {"drawn": order.drawn, "checksum": order.checksum, "exhausted": order.exhausted}

    def _take_saved(self) -> dict[str, Node]:
        """Return what was saved, and keep with the loop what stays true all along the epoch."""
        saved = self._loop.extra
        self._loop.extra = {key: saved[key] for key in ("kind", "seed", "data")}
        self._saved_rng = saved["rng"]
        marks.check_data(self._loader.dataset, saved["data"], self._loop.path)
        return saved

    def _order(self, replay: Replay | None) -> Order:
        loop = self._loop  # not self: what `_persistent` holds must not hold the loader
        _, order = _persistent.get(self._loader, (None, Order()))
        order.begin(
            self._sampler,
            seed=loop.extra["seed"],
            sources=self._all,
            in_workers=self._loader.num_workers > 0,
            replay=replay,
            wants_before=lambda: loop.reads_ahead or loop.holds_loops or not loop.done,
        )
        return order

    def _open(self, order: Order) -> Iterator[Any]:
        """Make torch's iterator, which starts the workers, out of the notice's reach."""
        loader = self._loader
        if not loader.persistent_workers:
            return _iterate(_copy(loader, order), order)
        if loader not in _persistent:
            _persistent[loader] = _copy(loader, order), order
        else:  # the workers go on: draw what making new ones would, so that a restarted run draws the same
            torch = sys.modules["torch"]
            iter(self._sampler)
            torch.empty((), dtype=torch.int64).random_(generator=loader.generator)
        copy, _ = _persistent[loader]
        return _iterate(copy, order)

    def _sources(self) -> draws.Sources:
        """Return the generators that the order may be drawn from: torch's own samplers know torch's only."""
        sampler = None if is_stream(self._loader) else self._sampler
        if sampler is None:
            return self._all
        while sampler is not None:
            if not type(sampler).__module__.startswith("torch.utils.data"):
                return self._all
            sampler = getattr(sampler, "sampler", None)
        return {**draws.shared("torch"), **self._owned}

    def _seed(self) -> int:
        """Return a seed that no other epoch has; nothing is drawn for it."""
        generator = self._loader.generator or sys.modules["torch"].default_generator
        digest = blake2b(self._loop.path.encode(), digest_size=8)
        digest.update(generator.get_state().numpy().tobytes())
        return int.from_bytes(digest.digest()) >> 11  # a whole number that every JSON reader keeps


def _mark(state: Any) -> str:
    """Return a digest of a generator's state."""
    return blake2b(json.dumps(pack(state)).encode(), digest_size=8).hexdigest()


def _copy(loader: Any, order: Order) -> Any:
    """Return a loader like `loader` that takes its indices from `order`."""
    copy = object.__new__(type(loader))
    held = vars(copy)  # not by attributes: a loader refuses that its sampler is set
    held.update(vars(loader))
    held["sampler" if loader.batch_sampler is None else "batch_sampler"] = order
    held["_iterator"] = None
    if "in_order" in held:
        held["in_order"] = True
    return copy


def _iterate(loader: Any, order: Order) -> Iterator[Any]:
    with starting_workers(loader):
        iterator: Iterator[Any] = iter(loader)
        if order.is_begun:
            return iterator
        # a subclass whose __iter__ is a generator: it starts with the first batch
        return itertools.chain(list(itertools.islice(iterator, 1)), iterator)


def _reraise(error: Exception, iterator: Any, notice_pending: Callable[[], bool]) -> NoReturn:
    """Raise `error`, or WorkersGone if it tells that a notice ended the workers."""
    is_gone = _soon(lambda: _is_death(error) or _lost_worker(iterator), _DEATH_WAIT_S)
    if is_gone and _soon(notice_pending, _NOTICE_WAIT_S):
        raise WorkersGone(f"data-loader workers were ended: {error!r}") from error
    raise error


def _soon(condition: Callable[[], bool], wait_s: float) -> bool:
    """Say whether `condition` holds within a while: the news of one death travels by several ways."""
    until_s = time.monotonic() + wait_s
    while True:
        try:
            if condition():
                return True
            if time.monotonic() >= until_s:
                return False
            time.sleep(0.01)
        except RuntimeError as e:
            if not _is_death(e):  # torch's SIGCHLD handler says it wherever we are
                raise


def _lost_worker(iterator: Any) -> bool:
    """Whether a signal has ended a worker: what it had sent may then be cut off in the middle."""
    return any((worker.exitcode or 0) < 0 for worker in getattr(iterator, "_workers", ()))


def _is_death(error: Exception) -> bool:
    return "DataLoader worker" in str(error) and any(death in str(error) for death in _DEATHS)


def _remember(iterator: Any) -> None:
    if not hasattr(iterator, "_shutdown_workers"):
        return
    if not _owners:
        atexit.unregister(_end_all)
        atexit.register(_end_all)  # after torch's own, so that it runs before it
    _owners[iterator] = os.getpid()


def _end_all() -> None:
    """At the process's end, before multiprocessing waits for workers that its SIGTERM does not reach."""
    for iterator in list(_owners):
        end_workers(iterator)


_owners: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
_persistent: WeakKeyDictionary[Any, tuple[Any, Order]] = WeakKeyDictionary()
