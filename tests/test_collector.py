"""The collector of cycles is paused for the main thread only, and left as it was found."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from outlast import collector
from outlast.capture import Pool, outline, snapshot
from outlast.capture.adapters.numpy import ArrayAdapter


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    was_on = gc.isenabled()
    yield
    (gc.enable if was_on else gc.disable)()


def test_it_is_off_inside_and_on_again_after_an_error() -> None:
    gc.enable()
    with pytest.raises(KeyError), collector.paused():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_it_stays_off_for_whoever_switched_it_off() -> None:
    gc.disable()
    with collector.paused():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_pauses_nest() -> None:
    gc.enable()
    with collector.paused():
        with collector.paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_another_thread_leaves_it_alone() -> None:
    gc.enable()
    seen = []

    def work() -> None:
        with collector.paused():
            seen.append(gc.isenabled())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]


def test_it_does_not_look_while_a_state_is_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.enable()
    seen = set()
    describe = ArrayAdapter.describe

    def noted(self: ArrayAdapter, value: object) -> object:
        seen.add(gc.isenabled())
        return describe(self, value)

    monkeypatch.setattr(ArrayAdapter, "describe", noted)
    state = {"x": [np.zeros(2)]}
    snapshot(state, Pool(), outline(state))
    assert seen == {False}
    assert gc.isenabled()
