"""Where the loops of a run stand, as pure data: a stack of named loops, their completed passes, and what is over.

The rules, for the program that runs undisturbed and for the one that goes on after a restore:

- A loop's position is the number of its completed passes, `done`. It belongs to one pass of the loop around it
  (its *body*) and is forgotten when that pass is complete.
- In one body a name may be entered several times, one after the other ("batch" for training, "batch" again for
  validation): the n-th entry of a name is a loop of its own. A restored program comes by the same entries again:
  those that were over give nothing more, the one that was open goes on, later ones start afresh.
- A loop that is left early (`break`, `return`, an exception in its body) is over for this pass of the loop
  around it, like one that ran out. The pass that was broken off does not count.
- A *step* is a completed pass in which no pass of an inner loop was completed.
- Outside of all loops a step that is counted (`run.due()`) begins a new body, as a completed pass does.
- A run that was done can be reopened: an outermost loop that now has more passes than it had goes on with those.

Code before an inner loop runs again after a restore in its midst: it should set up, not compute.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from outlast.errors import MismatchError, UsageError
from outlast.format.model import Node

_DEEPEST = 50
_PASS = re.compile(r"#\d+\[\d+\](?=/)")


@dataclass(slots=True)
class Body:
    """One pass through a loop's body, or the whole program around all loops.

    Attributes:
        entered: how often a loop of each name was entered, by this process.
        over: how many loops of each name are over, by this process or one before.
        pending: the records of the loops that were open at the save, outermost first, until they are entered.
    """

    entered: dict[str, int] = field(default_factory=dict)
    over: dict[str, int] = field(default_factory=dict)
    pending: tuple[Node, ...] = ()


class Loop:
    """A named loop while it is open: a context manager that `Positions.enter` makes.

    Attributes:
        name: its name.
        entry: which entry of that name in this body it is, from 0.
        total: how many passes there are; None if that is not known.
        done: completed passes.
        is_over: it was over before: there is nothing more to give.
        holds_loops: other loops were entered inside it.
        reads_ahead: whoever drives it asks for an item before the pass of the one before is complete.
        was_restored: it was open when its checkpoint was saved.
        extra: JSON data that belongs to this loop and is saved with its position.
        at_dump: if set, called at each save; what it returns is saved beside `extra`.
        path: its place, the same in every attempt, e.g. ``epoch#0[3]/batch#0``.
        body: the pass under way.
        since: the steps done when that pass began.
    """

    __slots__ = (
        "_closers", "_positions", "at_dump", "body", "done", "entry", "extra", "holds_loops", "is_over", "name", "path",
        "reads_ahead", "since", "total", "was_restored",
    )  # fmt: skip

    def __init__(self, positions: Positions, path: str, name: str, entry: int, total: int | None) -> None:
        self.path, self.name, self.entry, self.total = path, name, entry, total
        self.done = 0
        self.is_over = self.was_restored = self.holds_loops = self.reads_ahead = False
        self.extra: dict[str, Node] = {}
        self.at_dump: Callable[[], dict[str, Node]] | None = None
        self._positions = positions
        self.body = Body()
        self.since = positions.steps_done
        self._closers: list[Callable[[], object]] = []

    @property
    def _place(self) -> str:
        return _PASS.sub("", self.path)

    @property
    def start(self) -> int:
        """The first pass to make; `total` if the loop is over."""
        return max(self.done, self.total or 0) if self.is_over else self.done

    def advance(self, passes: int = 1) -> None:
        """Count a completed pass, or several that are one step. Loops inside that are still open are over with it.

        Raises:
            MismatchError: the checkpoint was saved in a loop inside this one that the program did not enter.
            UsageError: this loop is no longer open, because one around it has moved on.
        """
        positions, body = self._positions, self.body
        if not positions.is_innermost(self):
            positions.drop_inside(self)
        if body.pending:
            _check_entered(body, f"loop {self.path!r} moves on")
        if positions.steps_done == self.since:
            positions.steps_done += 1
        self.done += passes
        self.since = positions.steps_done
        if body.entered or body.over:
            self.body = Body()

    def finish(self) -> None:
        """The loop is over: it ran out. Entering it again in this pass of the loop around gives nothing more."""
        self._positions.close(self)
        self.at_dump = None
        while self._closers:
            self._closers.pop()()

    leave = finish  # left early: over as well

    @property
    def remembered(self) -> Node:
        """What the loop at this place has last told `remember`, in this process or up to the save; else None."""
        tell = self._positions.tellers.get(self._place)
        return tell() if tell else self._positions.remembered.get(self._place)

    def remember(self, tell: Callable[[], Node]) -> None:
        """Have what `tell` returns saved with each position from now on, also when this loop is over."""
        self._positions.tellers[self._place] = tell

    def is_new(self, held: object) -> bool:
        """Say whether this is the first time that a loop of this run asks about this very object."""
        seen = self._positions.seen
        return seen.setdefault(id(held), (held, self.path))[1] is self.path

    def on_close(self, close: Callable[[], object]) -> None:
        """Have `close` called when the loop is over or left."""
        self._closers.append(close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()


class Positions:
    """The stack of open loops.

    Args:
        warn: told, once, of a use that a restart may not get right.

    Attributes:
        steps_done: steps completed, over all attempts.
        remembered, tellers, seen: see `Loop.remembered`, `Loop.remember`, `Loop.is_new`.
        is_reopened: the run was done, and is to go on where loops have more passes now.
    """

    def __init__(self, *, warn: Callable[[str], object] | None = None) -> None:
        self.steps_done = 0
        self.remembered: dict[str, Node] = {}
        self.tellers: dict[str, Callable[[], Node]] = {}
        self.seen: dict[int, tuple[object, str]] = {}
        self.is_reopened = False
        self._warn = warn
        self._ended: dict[str, list[int]] = {}
        self._open: list[Loop] = []
        self._root = Body()

    @property
    def depth(self) -> int:
        """How many loops are open."""
        return len(self._open)

    @property
    def is_to_come(self) -> bool:
        """Whether the checkpoint was saved in a loop: code that had run before it runs again on the way there."""
        return bool(self._root.pending)

    def count_step(self) -> None:
        """Count a step that no loop of the run makes.

        Raises:
            MismatchError: the checkpoint was saved in a loop that the program did not enter.
        """
        _check_entered(self._root, "a step outside of loops is complete")
        self.steps_done += 1
        self._root = Body()
        self._ended.clear()

    def enter(self, name: str, total: int | None = None) -> Loop:
        """Open the loop `name` inside the innermost open one: where it stood, over, or from its beginning.

        Raises:
            MismatchError: the checkpoint was saved in another loop, which should have come first.
            UsageError: loops nest too deeply, or `name` is not a text.
        """
        if not isinstance(name, str) or not name:
            raise UsageError(f"a loop's name is {name!r}: expected a text")
        if len(self._open) >= _DEEPEST:
            raise UsageError(f"loop {name!r}: more than {_DEEPEST} loops inside each other")
        body = self._body
        entry = body.entered.get(name, 0)
        body.entered[name] = entry + 1
        path = "/".join([*(f"{at.name}#{at.entry}[{at.done}]" for at in self._open), f"{name}#{entry}"])
        loop = Loop(self, path, name, entry, total)
        if entry < body.over.get(name, 0):
            loop.is_over = not self._reopen(loop, body)
        elif body.pending:
            _go_on(loop, body)
        elif entry and not self._open:
            self._say_again(name)
        if self._open:
            self._open[-1].holds_loops = True
        self._open.append(loop)
        return loop

    def _reopen(self, loop: Loop, body: Body) -> bool:
        """Put a loop of a run that was done to where it ended, if it has more passes now; say whether it has."""
        done, total = self._ended.get(loop.path, (0, 0))
        if not self.is_reopened or self._open or loop.total is None or loop.total <= total:
            return False
        body.over[loop.name] = loop.entry  # what came after it comes after the new passes, afresh
        loop.done = done
        return True

    def close(self, loop: Loop) -> None:
        """Take a loop, and those still open inside it, from the stack: they are over."""
        if loop not in self._open:
            return
        self.drop_inside(loop)
        self._open.pop()
        over = self._body.over
        over[loop.name] = max(over.get(loop.name, 0), loop.entry + 1)
        if not self._open and not loop.is_over and loop.total is not None:
            self._ended[loop.path] = [loop.done, loop.total]

    def check_reached(self) -> None:
        """Check that the program has entered every loop that was open at the save.

        Raises:
            MismatchError: it has not; names the loop.
        """
        _check_entered(self._body, "the program ends")

    def dump(self) -> Node:
        """Return the position as JSON data."""
        bodies = [self._root]
        records: list[Node] = []
        for loop in self._open:
            if loop.is_over:
                break
            records.append(_record(loop))
            bodies.append(loop.body)
        return {
            "steps": self.steps_done,
            "over": dict(self._root.over),
            "open": records + list(bodies[-1].pending),
            "ended": {path: list(passes) for path, passes in self._ended.items()},
            "kept": {**self.remembered, **{place: tell() for place, tell in self.tellers.items()}},
        }

    def load(self, node: Node) -> None:
        """Take over a saved position, before any loop is entered.

        Raises:
            MismatchError: `node` is not a position.
        """
        assert not self._open, "a position is loaded before loops are entered"
        if node is None:
            return
        if not _is_position(node):
            raise MismatchError(f"the checkpoint's position is not understood: {str(node)[:200]}")
        self.steps_done = node["steps"]
        self.remembered = dict(node["kept"])
        self._ended = {path: list(passes) for path, passes in node["ended"].items()}
        self._root = Body(over=dict(node["over"]), pending=tuple(node["open"]))

    @property
    def _body(self) -> Body:
        return self._open[-1].body if self._open else self._root

    def is_innermost(self, loop: Loop) -> bool:
        """Whether no open loop is inside `loop`, which is open itself."""
        return bool(self._open) and self._open[-1] is loop

    def drop_inside(self, loop: Loop) -> None:
        """Close the loops inside `loop` that a reference kept open.

        Raises:
            UsageError: it is no longer open.
        """
        if loop not in self._open:
            raise UsageError(
                f"loop {loop.path!r} is over, for the loop around it has moved on",
                hint="loops of a run nest; to walk two in step use run.iterate(list(zip(a, b)), name)",
            )
        while self._open[-1] is not loop:
            self._open[-1].finish()

    def _say_again(self, name: str) -> None:
        if self._warn is not None:
            self._warn(
                f"loop {name!r} is entered again outside of any loop of the run: a restarted program must enter "
                f"it as often again (a plain `for` does, a counter kept in the state does not); better put "
                f"run.range(..., name) around it"
            )
            self._warn = None


def _go_on(loop: Loop, body: Body) -> None:
    """Put a new loop where the saved one stood. Raises MismatchError if it is another one."""
    record = body.pending[0]
    if (record["name"], record["entry"]) != (loop.name, loop.entry):
        raise MismatchError(
            f"the program enters loop {loop.path!r}, but the checkpoint was saved in loop "
            f"{_named(record)} after {record['done']} passes, which should come first",
            hint="start the program that wrote the checkpoint, or name a new store",
        )
    loop.was_restored = True
    loop.done, loop.since, loop.extra = record["done"], record["since"], dict(record["extra"])
    loop.body = Body(over=dict(record["over"]), pending=body.pending[1:])
    body.pending = ()


def _check_entered(body: Body, what: str) -> None:
    if body.pending:
        raise MismatchError(
            f"{what}, but loop {_named(body.pending[0])}, in which the checkpoint was saved, was never entered",
            hint="start the program that wrote the checkpoint, or name a new store; a counter in the state must be "
            "moved on after the loop that it counts, not before it",
        )


def _named(record: Node) -> str:
    return repr(f"{record['name']}#{record['entry']}")


def _record(loop: Loop) -> Node:
    return {
        "name": loop.name,
        "entry": loop.entry,
        "total": loop.total,
        "done": loop.done,
        "since": loop.since,
        "over": dict(loop.body.over),
        "extra": loop.extra if loop.at_dump is None else {**loop.extra, **loop.at_dump()},
    }


def _is_position(node: Node) -> bool:
    return (
        isinstance(node, dict)
        and set(node) == {"steps", "over", "open", "ended", "kept"}
        and _is_ended(node["ended"])
        and _is_count(node["steps"])
        and _is_counts(node["over"])
        and isinstance(node["kept"], dict)
        and isinstance(node["open"], list)
        and len(node["open"]) <= _DEEPEST
        and all(_is_record(record) for record in node["open"])
    )


def _is_record(node: Node) -> bool:
    return (
        isinstance(node, dict)
        and set(node) == {"name", "entry", "total", "done", "since", "over", "extra"}
        and isinstance(node["name"], str)
        and all(_is_count(node[key]) for key in ("entry", "done", "since"))
        and (node["total"] is None or _is_count(node["total"]))
        and _is_counts(node["over"])
        and isinstance(node["extra"], dict)
    )


def _is_ended(node: Node) -> bool:
    return isinstance(node, dict) and all(
        isinstance(passes, list) and list(map(_is_count, passes)) == [True, True] for passes in node.values()
    )


def _is_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and _is_count(v) for k, v in value.items())


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
