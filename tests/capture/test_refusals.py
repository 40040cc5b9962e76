"""What cannot be captured is refused, with its path and the remedy."""

from __future__ import annotations

import asyncio
import itertools
import logging
import mmap
import pathlib
import queue
import random
import re
import socket
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from outlast.capture import Pool, Refused, check, register, snapshot
from outlast.errors import CaptureError


class Holder:
    pass


def closure():
    captured = 1
    return lambda: captured


def refused(value, reason, remedy):
    for state, path in (({"v": value}, "v"), ({"a": {"b": [0, value]}}, "a/b/1")):
        with pytest.raises(CaptureError) as caught:
            check(state)
        assert str(caught.value).startswith(f"{path} ")
        assert reason in str(caught.value)
        assert remedy in caught.value.hint


CASES = [
    (closure(), "closure", "keep the variables as state"),
    ((n for n in range(3)), "a generator", "keep the position as an int"),
    (iter([1]), "an iterator", "keep the position as an int"),
    (itertools.count(), "an iterator", "run.iterate"),
    (threading.Lock(), "a lock", "outside the state"),
    (threading.RLock(), "a lock", "outside the state"),
    (threading.Thread(), "a thread", "start it anew"),
    (threading.local(), "thread-local", "values themselves"),
    (mmap.mmap(-1, 10), "a memory map", "numpy.memmap"),
    (memoryview(b"x"), "a memoryview", "object that it shows"),
    (weakref.ref(Holder), "a weak reference", "outside the state"),
    (queue.SimpleQueue(), "whose state Python cannot see", "register"),
    (ValueError("x"), "whose state Python cannot see", "register"),
    (type("Text", (str,), {})("a"), "whose state Python cannot see", "plain values"),
    ({Holder(): 1}, "key or set element of the type", "short strings"),
    ({Holder()}, "key or set element of the type", "short strings"),
    ([].append, "the method", "before the method"),
    (datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), "time zone", "UTC"),
    (datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1), "home")), "time zone", "UTC"),
    (1 << 400_000, "int of 400001 bits", "to_bytes"),
]


@pytest.mark.parametrize(("value", "reason", "remedy"), CASES, ids=lambda value: type(value).__name__)
def test_refused(value, reason, remedy):
    refused(value, reason, remedy)


def test_files_sockets_processes_coroutines(tmp_path):
    with (tmp_path / "f").open("w") as file:
        refused(file, "an open file", "keep its path")
    with socket.socket() as plug:
        refused(plug, "a socket", "connect again")
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        refused(process, "a process", "start it anew")
    coroutine = asyncio.sleep(0)
    refused(coroutine, "a coroutine", "keep its results")
    coroutine.close()


def test_inside_an_object_the_path_goes_on():
    holder = Holder()
    holder.inner = Holder()
    holder.inner.lock = threading.Lock()
    with pytest.raises(CaptureError, match=r"^m/inner/lock is a lock"):
        check({"m": holder})


def test_cycles_and_depth():
    loop = {"a": []}
    loop["a"].append(loop)
    with pytest.raises(CaptureError, match=r"^s/a/0 refers back to s"):
        check({"s": loop})
    deep = []
    for _ in range(98):
        deep = [deep]
    assert check({"s": deep}) == 0
    for _ in range(5):
        deep = [deep]
    with pytest.raises(CaptureError, match=r"^s(/0){100} lies deeper than 100"):
        check({"s": deep})


def test_keys_are_not_endless_either():
    key = ()
    for _ in range(60):
        key = (key,)
    for value in ({key: 1}, {key}):
        with pytest.raises(CaptureError, match=r"^s lies deeper than 100"):
            check({"s": value})


def test_component_names_are_strings():
    for name in (1, "", None, "\ud800"):
        with pytest.raises(CaptureError, match="component named"):
            check({name: 1})


class Seeded(random.Random):
    pass


class Unit(np.ndarray):
    pass


@pytest.mark.parametrize("value", [Seeded(1), np.zeros(2).view(Unit)], ids=["random", "array"])
def test_subclasses_with_attributes_of_their_own(value):
    check({"v": value})
    value.calls = 5
    refused(value, "with attributes of its own (calls)", "outlast.register")


@dataclass
class Odd:
    x: int = 0


def test_limits_of_the_file_are_told_at_entry():
    odd = Odd()
    vars(odd)["$x"] = 1
    refused(odd, "has an attribute named '$x'", "begin with $")
    refused({float("nan"): 1, float("nan"): 2}, "has keys that a file cannot tell apart", "strings")
    refused(pathlib.Path("a" * 70_000), "is a path of 70000 characters", "as a string")
    refused(pathlib.PurePosixPath("a" * 70_000), "is a PurePosixPath of 70000 characters", "as a string")
    refused(Decimal("1." + "1" * 70_000), "is a Decimal of 70002 characters", "as a string")
    for name in ("$a", "a" * 70_000):
        with pytest.raises(CaptureError, match=r"component named '[$a]a*'"):
            check({name: 1})


def test_code_of_the_users_that_fails_is_named():
    class Broken:
        def state_dict(self):
            raise RuntimeError("not ready")

        def load_state_dict(self, state):
            pass

    with pytest.raises(CaptureError, match=r"^b cannot be captured: .*RuntimeError: not ready"):
        check({"b": Broken()})

    class Strict:
        pass

    def refuse(value):
        raise Refused("is strict", "be lax")

    register(Strict, capture=refuse, restore=lambda value, saved: None)
    with pytest.raises(CaptureError, match=r"^s is strict\n  -> be lax"):
        check({"s": Strict()})


def test_after_a_refusal_the_snapshot_before_still_stands():
    pool = Pool()
    state = {"u": np.arange(3.0)}
    taken = snapshot(state, pool)
    state["bad"] = threading.Lock()
    with pytest.raises(CaptureError):
        snapshot(state, pool)
    assert bytes(taken.leaves[0].data) == np.arange(3.0).tobytes()


def test_functions_classes_and_modules_are_part_of_the_program():
    state = {"d": {"f": len, "g": refused, "c": Holder, "m": sys, "u": np.sin, "t": np.dtype("f4"), "l": lambda: 1}}
    state["log"] = [logging.getLogger("x"), re.compile("x")]
    assert check(state) == 0
    assert check({"r": random.SystemRandom()}) == 0
    assert check({"t": datetime(2026, 1, 1, tzinfo=UTC)}) == 0
