"""Whatever is done to a run, in any order, the next attempt finds what a plain dict says that it must find.

Attempts die without a word (the threads are stopped and nothing is recorded, as at SIGKILL), also between any two
storage calls of a save; the newest checkpoint gets a flipped bit; `outlast prune` removes. The model is a list of
deep copies.
"""

import copy
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import outlast
from capture.kit import identical
from outlast.backends import Syscalls, host
from outlast.cli.main import main as cli
from outlast.testing.faults import CountedCalls

NEVER = 10**9
KEYS = st.sampled_from(["a", "b", "c/d", "~", ""])
ARRAYS = st.builds(
    lambda size, dtype, seed: np.random.default_rng(seed).integers(0, 2, size).astype(dtype),
    st.sampled_from([0, 1, 3, 9000]),
    st.sampled_from(["f8", "i2", "?", "c8"]),
    st.integers(0, 9),
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
VALUES = st.recursive(
    PLAIN | ARRAYS,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def fresh():
    """The state as the program makes it at each start."""
    return {"u": np.zeros(20_000), "n": 0, "x": 0.0, "items": [], "tree": {}, "fixed": np.arange(20_000)}


class Died(BaseException):
    """No storage call is made any more."""


class Dying(CountedCalls):
    """The process dies just before the call number `at`."""

    def __init__(self, at):
        super().__init__(hook=self._die)
        self.at = at

    def _die(self, name):
        if len(self.log) > self.at:
            raise Died(name)

    def close(self, fd):
        try:
            super().close(fd)
        except Died:
            os.close(fd)  # the kernel does it
            raise


@dataclass
class Saved:
    """What the model knows of a checkpoint."""

    name: str
    step: int
    state: dict
    damaged: str = ""


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="outlast-machine-"))
        # An owner that is not in the process table, though we go on: what is left behind looks killed.
        gone = replace(host.me(), start="0")
        self.patch = mock.patch.object(host, "me", return_value=gone)
        self.patch.start()
        self.stores = 0

    @initialize()
    def begin(self):
        self.stores += 1
        self.path = self.folder / f"s{self.stores}"
        self.run = None
        self.saved = []  # newest first

    def teardown(self):
        try:
            if self.run:
                self.crash()
            if (self.path / "outlast.json").exists():
                expected = 3 if any(one.damaged for one in self.saved) else 0 if self.saved else 4
                assert cli(["verify", str(self.path)]) == expected
        finally:
            self.patch.stop()
            shutil.rmtree(self.folder)

    # -- attempts ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.run is None)
    @rule(keep=st.integers(1, 4))
    def open(self, keep):
        state = fresh()
        run = outlast.Run(self.path, state, every=NEVER, keep=keep)
        good = [one for one in self.saved if not one.damaged]
        if self.saved and not good:
            with pytest.raises(outlast.DamageError, match=r"no checkpoint in .* is good"):
                run.__enter__()
            self.begin()
            return
        run.__enter__()
        self.run, self.state, self.keep, self.saved = run, state, keep, good
        assert run.step == (good[0].step if good else 0)
        assert identical(state, good[0].state if good else fresh())

    def is_open(self):
        return self.run is not None

    @precondition(is_open)
    @rule()
    def crash(self):
        """What SIGKILL leaves: no last word in the journal."""
        run, self.run = self.run, None
        run._saver.close()
        run._keeper.stop()
        run._notice.uninstall()
        run.store.backend.calls = Syscalls()
        run._lease.journal.close()

    @precondition(is_open)
    @rule()
    def fail(self):
        """An exception of the user's: nothing is saved."""
        run, self.run = self.run, None
        run.__exit__(ValueError, ValueError("as asked"), None)

    @precondition(is_open)
    @rule()
    def leave(self):
        run, self.run = self.run, None
        run.leave("as asked")
        with pytest.raises(outlast.Preempted) as left:
            run.save()
        run.__exit__(outlast.Preempted, left.value, None)
        self.note(run.wait().name.format(), run.step)

    @precondition(is_open)
    @rule()
    def finish(self):
        run, self.run = self.run, None
        run.__exit__(None, None, None)
        with pytest.raises(SystemExit) as left:
            outlast.Run(self.path, fresh()).__enter__()
        assert left.value.code == 0
        self.note(run.wait().name.format(), run.step)
        self.names_agree()
        self.begin()

    # -- the state -----------------------------------------------------------------------------------------

    @precondition(is_open)
    @rule(at=st.integers(0, 19_999), value=st.floats())
    def change_an_array(self, at, value):
        self.state["u"][at] = value

    @precondition(is_open)
    @rule(n=st.integers(), x=st.floats())
    def change_numbers(self, n, x):
        self.state["n"], self.state["x"] = n, x

    @precondition(is_open)
    @rule(value=VALUES)
    def append(self, value):
        self.state["items"].append(value)

    @precondition(lambda self: self.run is not None and self.state["items"])
    @rule(data=st.data())
    def drop(self, data):
        del self.state["items"][data.draw(st.integers(0, len(self.state["items"]) - 1))]

    @precondition(is_open)
    @rule(key=KEYS, value=VALUES)
    def add_a_key(self, key, value):
        self.state["tree"][key] = value

    @precondition(lambda self: self.run is not None and self.state["tree"])
    @rule(data=st.data())
    def remove_a_key(self, data):
        del self.state["tree"][data.draw(st.sampled_from(sorted(self.state["tree"])))]

    @precondition(is_open)
    @rule()
    def count_a_step(self):
        assert self.run.due() is False

    # -- saves, damage, removal ----------------------------------------------------------------------------

    def note(self, name, step):
        """A checkpoint was acknowledged, and retention applied."""
        self.saved.insert(0, Saved(name, step, copy.deepcopy(self.state)))
        del self.saved[self.keep :]

    @precondition(is_open)
    @rule()
    def save(self):
        self.run.save()
        self.note(self.run.wait().name.format(), self.run.step)

    @precondition(is_open)
    @rule(at=st.integers(0, 60))
    def die_in_a_save(self, at):
        """At any storage call. What was committed counts, acknowledged or not; nothing else does."""
        self.run._keeper.stop()
        self.run.store.backend.calls = Dying(at)
        before, step = list(self.saved), self.run.step
        try:
            self.run.save()
            name = self.run.wait().name.format()
        except Died:
            name = ""
        self.crash()
        listed = self.listed()
        new = [one for one in listed if one not in {s.name for s in before}]
        assert len(new) <= 1
        assert not name or new == [name]
        if new:
            self.saved.insert(0, Saved(new[0], step, copy.deepcopy(self.state)))
        left = [one for one in self.saved if one.name in listed]
        assert left[: self.keep] == self.saved[: self.keep]  # it may have died before or while it pruned
        self.saved = left

    @precondition(lambda self: self.run is None and any(not one.damaged for one in self.saved))
    @rule(is_manifest=st.booleans(), share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def damage_the_newest_good_one(self, is_manifest, share, bit):
        one = next(one for one in self.saved if not one.damaged)
        parts = [] if is_manifest else list((self.path / one.name).glob("part-*"))
        file = parts[0] if parts else self.path / one.name / "manifest.json"
        data = bytearray(file.read_bytes())
        data[int(share * len(data))] ^= 1 << bit
        file.write_bytes(data)
        one.damaged = file.name

    @precondition(lambda self: self.run is None and self.saved)
    @rule(keep=st.integers(1, 3))
    def prune(self, keep):
        """The newest and a good one stay; nothing goes while a manifest is unreadable."""
        if any(one.damaged == "manifest.json" for one in self.saved):
            assert cli(["prune", str(self.path), "--keep", str(keep)]) == 3
            return
        assert cli(["prune", str(self.path), "--keep", str(keep)]) == 0
        good = next((one for one in self.saved if not one.damaged), None)
        self.saved = [one for i, one in enumerate(self.saved) if i < keep or one is good]

    # -- what always holds ---------------------------------------------------------------------------------

    def listed(self):
        return [name.format() for name in outlast.Store(self.path).checkpoints()]

    @invariant()
    def names_agree(self):
        """A reader without any lock sees what the model has."""
        if self.saved:
            assert self.listed() == [one.name for one in self.saved]


Machine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, derandomize=True, deadline=None, database=None
)
TestMachine = Machine.TestCase
