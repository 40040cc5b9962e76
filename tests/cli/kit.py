"""States, runs and looks at a store's files for the tests of the command line."""

import numpy as np

import outlast


def arrays():
    """A state with something of each kind."""
    return {
        "w": np.arange(6.0).reshape(2, 3),
        "fixed": np.arange(40_000),
        "flag": np.array([True, False]),
        "file": np.zeros((0, 4), np.float32),
        "zero_d": np.array(3.5),
        "z": np.array([1 + 2j]),
        "day": np.array(["2020-02-29"], "M8[D]"),
        "t": 0.0,
        "nested": {"names": ["a", "b"], "note": None},
    }


def train(path, state, *, steps=3, every=1, keep=10, stop_at=None):
    """A run in this process; `stop_at`: it leaves there with 85."""
    with outlast.Run(path, state, every=every, keep=keep) as run:
        for step in run.steps(steps):
            state["w"] += 1
            state["t"] += 0.5
            run.log(loss=1 / (1 + step), acc=step)
            if step == stop_at:
                run.leave("as asked")


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def snapshot(path):
    """Every file of a store with its bytes: to see that a command changed nothing."""
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def names(path):
    """The checkpoints that count, newest first."""
    return [name.format() for name in outlast.Store(path).checkpoints()]
