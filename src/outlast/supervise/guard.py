"""Guarding the checkpoints that a program writes with a framework's own tools: `outlast guard DIR -- CMD`.

Each file or folder that rests and is whole is copied into a store, by `custody`: durable, with digests, kept by the
retention rule. Before the program starts, what is torn or rotten goes aside, so that the framework's own "resume from
the newest" finds a good one; if the newest good one is gone from the folder, it is put back from the store.

The copy is what is checked and kept: so it does not matter if the program writes into its file again.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from outlast.errors import DONE, PREEMPTED, FencedError, OutlastError, StorageError
from outlast.policy import restart
from outlast.store import HEARTBEAT_S, Store
from outlast.supervise import belongings, tree, wholeness
from outlast.supervise.belongings import Belonging
from outlast.supervise.custody import Custody
from outlast.supervise.events import Tell, sentences
from outlast.supervise.supervisor import CONTROL, supervise
from outlast.supervise.upward import Upward

NEWEST = "OUTLAST_NEWEST"
PLACE = "{newest}"
OURS = ".outlast-guard"
_INDEX = "index.json"
_REOPEN = "OUTLAST_REOPEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a folder is guarded.

    Args:
        folder: where the program writes its checkpoints; made if missing.
        store: where the copies are kept; None: beside them, in a hidden folder.
        patterns: names that count, as for a shell; none: all that look like checkpoints.
        keep: how many copies stay.
        quiet_s: so long nobody has written to what is taken.
    """

    folder: str
    store: str | None = None
    patterns: tuple[str, ...] = ()
    keep: int = 3
    quiet_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was taken of a name: when, as what."""

    order: int
    signature: str
    digest: str


def guard(command: Sequence[str], terms: Terms, *, tell: Tell = sentences, grace_s: float | None = None) -> int:
    """Run a command once, and guard what it saves. Returns its exit status; 0 at once if it was done before.

    Raises:
        BusyError: another one guards the same folder.
        DamageError: there were copies, and none of them is good.
        UsageError, StorageError: as `Custody.open` and `supervise` do.
    """
    ours = os.path.join(os.path.abspath(terms.folder), OURS)
    os.makedirs(ours, mode=0o700, exist_ok=True)
    store = os.path.abspath(terms.store) if terms.store else os.path.join(ours, "store")
    if _was_done(store, tell):
        return DONE
    upward = Upward.from_environment(store)
    custody = Custody.open(store, tell=tell, keep=terms.keep)
    outcome = "failed"
    try:
        with _beating(custody):
            keeper = _Keeper(custody, terms, tell, upward)
            keeper.make_ready()
            env = tree.environment()
            env.pop(CONTROL, None)  # the one above us is ours
            status = _run(command, env, keeper, tell, grace_s)
            keeper.settle()
            if keeper.is_empty:
                text = f"nothing in {terms.folder} is a checkpoint that can be told to be whole: nothing is kept"
                tell("warning", f"warning: {text} (--match GLOB takes other files too)")
            if status == DONE:
                custody.finish()
                upward.progress(custody.report)
        outcome = {DONE: "done", PREEMPTED: "preempted"}.get(status, "failed")
    finally:
        custody.close(outcome)
    return status


@contextmanager
def _beating(custody: Custody) -> Iterator[None]:
    """Show meanwhile that this attempt lives, from a thread that does nothing else.

    Copying a large checkpoint takes minutes, and a guard on another node takes one of silence for death.
    """
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(custody, over), name="outlast-heartbeat")
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()


def _beat(custody: Custody, over: threading.Event) -> None:
    while not over.wait(HEARTBEAT_S):
        with suppress(OutlastError):  # the next take will say it
            custody.beat()


def _was_done(store: str, tell: Tell) -> bool:
    if not os.path.isdir(store) or os.environ.get(_REOPEN) == "1" or Store(store, create=True).finished() is None:
        return False
    tell("done", f"this command was done before: nothing to do (to run it all the same, set {_REOPEN}=1)")
    return True


def _run(command: Sequence[str], env: Mapping[str, str], keeper: _Keeper, tell: Tell, grace_s: float | None) -> int:
    """Run the command while a thread of ours watches the folder."""
    newest = keeper.newest
    env = {**env, NEWEST: newest} if newest else {name: value for name, value in env.items() if name != NEWEST}
    told = [word.replace(PLACE, newest or "") for word in command if newest or PLACE not in word]
    over = threading.Event()
    watcher = threading.Thread(target=keeper.watch, args=(over,), name="outlast-guard")
    watcher.start()
    try:
        return supervise(told, env=env, grace_s=grace_s, rules=restart.Rules(tries=1, attempts=1), tell=tell)
    finally:
        over.set()
        watcher.join()


class _Keeper:
    """Knows what is in the folder and what of it is in the store. One thread at a time."""

    def __init__(self, custody: Custody, terms: Terms, tell: Tell, upward: Upward) -> None:
        self._folder, self._custody, self._terms = os.path.abspath(terms.folder), custody, terms
        self._ours = os.path.join(self._folder, OURS)
        self._tell, self._upward = tell, upward
        self._kept: dict[str, Kept] = self._read_index()
        self._step = custody.restored.step if custody.restored else 0
        self._refused: dict[str, str] = {}
        self._error: FencedError | None = None

    @property
    def newest(self) -> str | None:
        """Return the path of the newest good one in the folder."""
        there = [name for name in self._kept if os.path.lexists(os.path.join(self._folder, name))]
        name = max(there, key=lambda one: self._kept[one].order, default=None)
        return None if name is None else os.path.join(self._folder, name)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing was taken, now or before."""
        return not self._kept and self._custody.restored is None

    # -- before the program --------------------------------------------------------------------------------

    def make_ready(self) -> None:
        """Set aside what is torn or rotten, take what is good and not taken yet, put the newest back if it is gone."""
        for one in belongings.found(self._folder, self._terms.patterns):
            problem = self._problem_of(one)
            if problem:
                self._set_aside(one.name, problem)
        self._put_back()
        self.settle()

    def _problem_of(self, one: Belonging) -> str:
        path = os.path.join(self._folder, one.name)
        problem = wholeness.problem_of(path)
        kept = self._kept.get(one.name)
        if not problem and kept and kept.signature == one.signature and belongings.digest_of(path) != kept.digest:
            return "is not what it was when it was taken, though nobody has written to it"
        return problem

    def _set_aside(self, name: str, problem: str) -> None:
        aside = os.path.join(self._ours, "aside")
        os.makedirs(aside, mode=0o700, exist_ok=True)
        number = len(os.listdir(aside))
        to = os.path.join(aside, f"{number:04d}-{name}")
        os.rename(os.path.join(self._folder, name), to)
        self._kept.pop(name, None)
        self._tell("damaged", f"warning: {name} {problem}: set aside as {to}", name=name)

    def _put_back(self) -> None:
        """Bring the newest copy back, unless something of its name is there."""
        restored = self._custody.restored
        for name in os.listdir(restored.folder) if restored else ():
            assert restored
            path = os.path.join(self._folder, name)
            if os.path.lexists(path):
                continue
            unfinished = os.path.join(self._ours, "back")
            _remove(unfinished)
            belongings.copy(os.path.join(restored.folder, name), unfinished)
            os.rename(unfinished, path)
            self._note(name, self._step, path)
            self._tell("put back", f"put back {name} from the store", name=name)

    # -- beside it and after it ----------------------------------------------------------------------------

    def watch(self, over: threading.Event) -> None:
        """Take what is new and rests, until the program has ended."""
        seen: dict[str, str] = {}
        while not over.wait(self._terms.quiet_s):
            try:
                there = belongings.found(self._folder, self._terms.patterns)
                resting = [one for one in there if seen.get(one.name) == one.signature]
                seen = {one.name: one.signature for one in there}
                self._take_all(resting)
            except FencedError as e:
                self._error = e
                self._tell("warning", f"warning: what the program saves is not kept any more: {e}")
                return
            except (OutlastError, OSError) as e:  # a folder that is gone for a moment, a full disk: the next time
                self._tell("warning", f"warning: what the program saves is not kept now: {e}")

    def settle(self) -> None:
        """Take what is there: nobody writes any more. Raises the error of a newer one that has taken over."""
        if self._error is not None:
            raise self._error
        try:
            self._take_all(belongings.found(self._folder, self._terms.patterns))
        except OSError as e:
            raise StorageError(f"{self._folder} cannot be looked at: {e.strerror}") from e

    def _take_all(self, resting: Sequence[Belonging]) -> None:
        for one in resting:
            kept = self._kept.get(one.name)
            is_new = kept is None or kept.signature != one.signature
            if is_new and self._refused.get(one.name) != one.signature:
                self._take(one)

    def _take(self, one: Belonging) -> None:
        staged = os.path.join(self._custody.folder, "save")
        path = os.path.join(self._folder, one.name)
        os.makedirs(staged, mode=0o700, exist_ok=True)
        copy = os.path.join(staged, one.name)
        try:
            _remove(copy)
            belongings.copy(path, copy)
            problem = wholeness.problem_of(copy)
            digest = belongings.digest_of(copy)
        except FileNotFoundError:
            return  # the program has removed it meanwhile
        except OSError as e:
            _remove(staged)
            raise StorageError(f"{one.name} cannot be copied: {e.strerror}") from e
        if belongings.look(self._folder, one.name) != one:
            _remove(staged)
            return  # it has written to it meanwhile: the next time
        if problem:
            _remove(staged)
            self._refused[one.name] = one.signature
            self._tell("not whole", f"warning: {one.name} {problem}: not taken", name=one.name)
            return
        step = max(self._step + 1, one.number)
        self._custody.take("save", step)
        self._step = step
        self._kept[one.name] = Kept(order=step, signature=one.signature, digest=digest)
        self._write_index()
        self._upward.progress(self._custody.report)

    # -- what is known of names ----------------------------------------------------------------------------

    def _note(self, name: str, order: int, path: str) -> None:
        one = belongings.look(self._folder, name)
        if one is not None:
            self._kept[name] = Kept(order=order, signature=one.signature, digest=belongings.digest_of(path))
            self._write_index()

    def _read_index(self) -> dict[str, Kept]:
        """Return what was taken of which name; nothing if that is lost: then all is taken anew."""
        try:
            with open(os.path.join(self._ours, _INDEX), encoding="utf-8") as file:
                table: Any = json.load(file)
            return {str(name): Kept(**entry) for name, entry in table.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write_index(self) -> None:
        path = os.path.join(self._ours, _INDEX)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump({name: asdict(kept) for name, kept in self._kept.items()}, file)
        os.replace(f"{path}.new", path)


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.remove(path)
