"""States of generators, asked for again only where something was drawn: what is told is always what is."""

from __future__ import annotations

import random

import numpy as np
import pytest

from outlast.run import draws
from outlast.run.packing import pack


class Worse(random.Random):
    """A generator of the user's own: nothing is known of its memory."""

    def __init__(self) -> None:
        super().__init__(1)
        self.count = 0

    def random(self) -> float:
        self.count += 1
        return self.count / (self.count + 1)

    def getstate(self):
        return (3, (*super().getstate()[1][:-1], self.count), None)


def twister(seed: int) -> np.random.RandomState:
    return np.random.RandomState(seed)


def acts(held) -> dict:
    """What may happen to a generator, by name."""
    if isinstance(held, random.Random):
        return {
            "number": held.random,
            "normal": lambda: held.gauss(0, 1),
            "seed": lambda: held.seed(5),
            "back": lambda: held.setstate(held.getstate()),
            "reserve": lambda: held.setstate((*held.getstate()[:2], 0.25)),
            "no reserve": lambda: held.setstate((*held.getstate()[:2], None)),
            "nothing": lambda: None,
        }
    state = held.get_state
    return {
        "number": held.random_sample,
        "normal": held.standard_normal,
        "seed": lambda: held.seed(5),
        "back": lambda: held.set_state(state()),
        "reserve": lambda: held.set_state((*state()[:3], 1, 0.25)),
        "other reserve": lambda: held.set_state((*state()[:3], 1, 0.5)),
        "no reserve": lambda: held.set_state((*state()[:3], 0, 0.0)),
        "nothing": lambda: None,
    }


def source_of(held) -> draws.Source:
    """Found anew: nothing is remembered of it."""
    label = {id(random._inst): "random", id(np.random): "numpy"}.get(id(held))
    return draws.shared(label)[label] if label else draws.owned(held, "x")["x"]


@pytest.mark.parametrize("held", [random.Random(3), twister(3), random._inst, np.random, Worse()])
def test_what_is_told_is_what_is(held) -> None:
    source, possible, chance = source_of(held), acts(held), random.Random(8)
    seen = set()
    for _ in range(400):
        name = chance.choice(list(possible))
        possible[name]()
        assert pack(source.get()) == pack(source_of(held).get()), name
        seen.add(name)
    assert seen == set(possible)


def test_another_bit_generator_is_another_state() -> None:
    before = np.random.get_bit_generator()
    source = source_of(np.random)
    try:
        for bits in (np.random.MT19937(99), np.random.MT19937(98), np.random.PCG64(1)):
            np.random.set_bit_generator(bits)
            for _ in range(2):
                assert pack(source.get()) == pack(source_of(np.random).get())
                np.random.standard_normal()  # noqa: NPY002
    finally:
        np.random.set_bit_generator(before)


@pytest.mark.parametrize("held", [random.Random(3), twister(3)])
def test_a_state_from_which_nothing_was_drawn_is_not_asked_for_again(held) -> None:
    source = draws.owned(held, "x")["x"]
    first = source.get()
    assert source.get() is first
    held.seed(9)
    second = source.get()
    assert second is not first
    assert source.get() is second
