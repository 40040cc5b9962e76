"""Entering an iterable where a loop was: by arithmetic, by the object's own state, or by reading what was seen.

`resume` is the one door. What it needs to come back it keeps with the loop's position: `extra["kind"]` says by
which way.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from outlast.errors import MismatchError, UsageError
from outlast.format.model import Node
from outlast.run import draws, loader, marks
from outlast.run.packing import pack, unpack
from outlast.run.position import Loop
from outlast.run.shield import starting_workers


def resume(
    source: Iterable[Any], loop: Loop, *, notice_pending: Callable[[], bool], warn: Callable[[str], object]
) -> Iterator[Any]:
    """Iterate over `source` from the item after the loop's completed passes.

    If the save was inside of a pass (a loop within this one was under way), that pass's item comes first, again.

    Args:
        source: a sequence, a PyTorch DataLoader, an object with `state_dict` and `load_state_dict`, or any
            other iterable, which is read from its beginning up to where the loop was, with a warning.
        loop: as `Positions.enter` made it.
        notice_pending: says whether this attempt is about to leave.
        warn: told of what may take long.

    Raises:
        UsageError: `source` has no order (a set).
        MismatchError: it is not what it was at the save: another kind, too short, in another order.
        WorkersGone: the loader's workers were ended by a notice's signal.
    """
    if loop.is_over:
        return iter(())
    if isinstance(source, AbstractSet):
        raise UsageError(
            f"loop {loop.path}: a {type(source).__name__} has another order in each process",
            hint="iterate over sorted(...) of it",
        )
    kind = _kind(source)
    _check_kind(loop, kind)
    items = _ways(kind)(source, loop, notice_pending, warn)
    loop.on_close(items.close)  # type: ignore[attr-defined]
    return items


def _kind(source: Any) -> str:
    if _is_stateful(source) or _stateful_stream(source) is not None:
        return "stateful"
    if loader.is_loader(source):
        return "loader"
    return "sequence" if _is_sequence(source) else "iterable"


def _check_kind(loop: Loop, kind: str) -> None:
    if loop.was_restored and loop.extra.get("kind") != kind:
        raise MismatchError(
            f"loop {loop.path} was over {loop.extra.get('kind', 'a range')!r} data at the save, "
            f"it is over {kind!r} data now",
            hint="start the program that wrote the checkpoint, or name a new store",
        )
    loop.extra["kind"] = kind


def _ways(kind: str) -> Callable[..., Iterator[Any]]:
    return {"sequence": _sequence, "stateful": _stateful, "loader": _loader, "iterable": _iterable}[kind]


# -- sequences: arithmetic -------------------------------------------------------------------------------


def _is_sequence(source: Any) -> bool:
    """Whether the items are source[0], source[1] ...: not so for dicts and data frames."""
    if isinstance(source, Sequence):
        return True
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and isinstance(source, numpy.ndarray):
        return True
    if torch is not None and isinstance(source, torch.Tensor):
        return True
    return not hasattr(type(source), "__iter__") and hasattr(type(source), "__getitem__")


def _sequence(
    source: Any, loop: Loop, _notice_pending: Callable[[], bool], warn: Callable[[str], object]
) -> Iterator[Any]:
    if loop.was_restored:
        source, is_other = marks.check(source, loop.extra.get("mark"), loop.path)
        if is_other:
            warn(f"loop {loop.path} is over other numbers than at the save: going on with those of the save")
    elif not marks.is_quick(source):
        loop.extra["mark"] = marks.mark(source)  # once: it may take long
    if hasattr(source, "__len__") and len(source) < loop.start:
        raise _too_short(loop, len(source))
    fetch = _Fetching(source, loop)
    for index in itertools.count(loop.start):
        if hasattr(source, "__len__") and index >= len(source):
            return
        try:
            item = fetch(index)
        except IndexError:
            return
        yield item


class _Fetching:
    """Reads items of a sequence; one that is read again after a restart makes the same random choices.

    So it is if its pass was under way at the save, in a loop within this one.
    """

    def __init__(self, source: Any, loop: Loop) -> None:
        self._source, self._loop = source, loop
        self._before: draws.States | None = None
        self._delivered = loop.done
        saved = loop.extra.pop("before", None)
        self._again = draws.unpacked(saved) if isinstance(saved, dict) else None
        self._sources = {} if marks.is_known(source) else {**draws.shared(), **draws.owned(source, "data")}
        loop.at_dump = self._dump

    def __call__(self, index: int) -> Any:
        again, self._again = self._again, None
        self._before = again or (draws.take(self._sources) if self._is_wanted() else None)
        if again is None:
            item = self._source[index]
        else:
            present = draws.take(self._sources)
            draws.put_back(self._sources, again)
            item = self._source[index]
            draws.put_back(self._sources, present)
        self._delivered = index + 1
        return item

    def _is_wanted(self) -> bool:
        return bool(self._sources) and (self._loop.reads_ahead or self._loop.holds_loops or not self._loop.done)

    def _dump(self) -> dict[str, Node]:
        found: dict[str, Node] = {"mark": marks.mark(self._source)} if marks.is_quick(self._source) else {}
        if self._delivered > self._loop.done and self._before:
            found["before"] = draws.packed(self._before)
        return found


# -- objects that know where they are --------------------------------------------------------------------


def _is_stateful(source: Any) -> bool:
    return callable(getattr(source, "state_dict", None)) and callable(getattr(source, "load_state_dict", None))


def _stateful_stream(source: Any) -> Any:
    """Return the dataset that a loader without workers streams from, if it knows where it is."""
    if not loader.is_loader(source) or source.num_workers or not loader.is_stream(source):
        return None
    return source.dataset if _is_stateful(source.dataset) else None


def _stateful(
    source: Any, loop: Loop, notice_pending: Callable[[], bool], _warn: Callable[[str], object]
) -> Iterator[Any]:
    """Let the object say where it is at each save, and tell it before it is iterated.

    Also between two passes over it, when no loop over it is open: it may keep an epoch, or a generator.
    """
    told = source if _is_stateful(source) else _stateful_stream(source)
    delivered, is_open = loop.done, True
    iterator: Iterator[Any] = iter(())
    before: Node = None  # the item that is read ahead

    def tell() -> Node:
        if before is not None and delivered > loop.done:
            return before
        if is_open and delivered > loop.done:
            raise UsageError(
                f"loop {loop.path}: a save inside of its pass needs the item again, and a "
                f"{type(told).__name__} cannot go back by one",
                hint="do not put a loop of the run inside this one",
            )
        return now()

    def now() -> Node:
        state = pack(told.state_dict(), f"{loop.path}: state_dict()")
        return {"state": state, "ended": _has_ended(iterator)}

    saved = loop.remembered
    loop.remember(tell)
    try:
        if saved and (loop.is_new(told) or loop.was_restored):
            told.load_state_dict(unpack(saved["state"]))
            if loop.was_restored and saved["ended"]:
                loop.remember(lambda: saved)
                return
        if not loop.was_restored:
            draws.move_on()
        present = draws.take(draws.shared())
        with starting_workers(source):
            iterator = iter(source)
        draws.put_back(draws.shared(), present)  # after load_state_dict, setting up may draw more, or less
        items = loader.deliver(iterator, notice_pending)
        while True:
            here = now() if loop.reads_ahead else None
            try:
                item = next(items)
            except StopIteration:
                return
            before, delivered = here, delivered + 1
            yield item
    finally:
        is_open = False


def _has_ended(iterator: Any) -> bool:
    """Whether a loader has come to its stream's end with its last batch, and the stream may have begun anew."""
    return bool(getattr(getattr(iterator, "_dataset_fetcher", None), "ended", False))


# -- loaders, and all else -------------------------------------------------------------------------------


def _loader(
    source: Any, loop: Loop, notice_pending: Callable[[], bool], warn: Callable[[str], object]
) -> Iterator[Any]:
    return loader.enter(source, loop, notice_pending=notice_pending, warn=warn)


def _iterable(
    source: Any, loop: Loop, notice_pending: Callable[[], bool], warn: Callable[[str], object]
) -> Iterator[Any]:
    """Read from the beginning, with the generators as they were then."""
    delivered = loop.done
    mark = mark_before = 0  # of the items delivered, and without the one under way
    sources = draws.shared()
    present = draws.take(sources)
    began = None if loop.was_restored else present
    loop.at_dump = lambda: {
        "under_way": delivered > loop.done,
        "mark": mark_before if delivered > loop.done else mark,
        **({} if began is None else {"rng": draws.packed(began)}),
    }
    under_way: list[Any] = []
    if not loop.was_restored:
        iterator = iter(source)
    else:
        warn(_slow(source, loop))
        draws.put_back(sources, draws.unpacked(loop.extra["rng"]))
        iterator = iter(source)
        wanted = loop.done + bool(loop.extra.pop("under_way"))
        saved_mark, skipped = loop.extra.pop("mark"), 0
        for item in itertools.islice(iterator, loop.done):
            skipped, mark = skipped + 1, marks.item_mark(item, mark)
        if skipped == loop.done and mark != saved_mark:
            raise _others(loop, source)
        under_way = list(itertools.islice(iterator, wanted - skipped))
        draws.put_back(sources, present)
        if skipped + len(under_way) < wanted:
            raise _too_short(loop, skipped)
    for item in itertools.chain(under_way, loader.deliver(iterator, notice_pending)):
        delivered += 1
        mark_before, mark = mark, marks.item_mark(item, mark)
        yield item


def _others(loop: Loop, source: Any) -> MismatchError:
    return MismatchError(
        f"loop {loop.path}: the {type(source).__name__} gives other items than it gave before the save",
        hint="it must begin anew each time, and draw only from generators that nothing else in the loop draws from",
    )


def _slow(source: Any, loop: Loop) -> str:
    wrapped = getattr(source, "iterable", None)  # tqdm and its like
    hint = "; put the wrapper around run.iterate(...), not inside" if wrapped is not None else ""
    return (
        f"loop {loop.path}: a {type(source).__name__} can be entered in its midst only by reading: "
        f"reading {loop.done} items again{hint}"
    )


def _too_short(loop: Loop, length: int) -> MismatchError:
    return MismatchError(
        f"loop {loop.path} had {loop.done} items behind it at the save, there are {length} now",
        hint="the data must be what it was, or name a new store",
    )
