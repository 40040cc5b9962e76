"""Loops that a trainer drives: data in its own time, mostly one batch ahead, and a call when a step is complete."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset
from torchdata.stateful_dataloader import StatefulDataLoader

import outlast
from outlast.errors import Preempted, UsageError

_EPOCHS, _BATCHES = 2, 7


class Noisy(Dataset):
    """Augments at random: in a worker, or here, where the model draws too."""

    def __len__(self) -> int:
        return 2 * _BATCHES

    def __getitem__(self, index: int) -> torch.Tensor:
        return index + torch.rand(()) + random.random()


SOURCES: dict[str, Callable[[], Any]] = {
    "list": lambda: [torch.tensor([float(i)]) for i in range(_BATCHES)],
    "loader": lambda: DataLoader(Noisy(), batch_size=2, shuffle=True),
    "workers": lambda: DataLoader(Noisy(), batch_size=2, shuffle=True, num_workers=2),
    "stateful": lambda: StatefulDataLoader(list(range(2 * _BATCHES)), batch_size=2, shuffle=True),
}


class Stop(Exception):
    """A crash at a step."""


class Trainer:
    """Owns the loops, as a framework does: steps of `group` batches, the next one read before a step is complete."""

    def __init__(self, source: Any, *, ahead: bool, group: int = 1) -> None:
        self.source, self.ahead, self.group = source, ahead, group
        self.state: dict[str, Any] = {"sum": torch.zeros(()), "rng": outlast.RNG()}
        self.seen: list[float] = []

    def train(self, store: Path, *, crash_at: int | None = None, every: int = 1) -> None:
        with outlast.Run(store, self.state, every=every) as run, run.loop("epoch", _EPOCHS) as epochs:
            for _ in range(epochs.done, _EPOCHS):
                self._epoch(run, crash_at)
                epochs.advance()

    def _epoch(self, run: outlast.Run, crash_at: int | None) -> None:
        with run.loop("batch") as batches:
            items = batches.feed(self.source, ahead=self.ahead)
            left = -(-(_BATCHES - batches.done) // self.group)
            iterator = _one_ahead(items) if self.ahead else items
            for _ in range(left):
                taken = list(itertools.islice(iterator, self.group))
                for item in taken:
                    self.state["sum"] += item.sum() * torch.rand(())
                    self.seen.append(float(item.sum()))
                if crash_at is not None and run.step == crash_at:
                    raise Stop
                batches.advance(len(taken))


def _one_ahead(items: Iterator[Any]) -> Iterator[Any]:
    held = next(items, None)
    while held is not None:
        following = next(items, None)
        yield held
        held = following


def _trained(source: str, store: Path, *, ahead: bool, group: int, crashes: tuple[int, ...] = ()) -> float:
    for crash_at in (*crashes, None):
        torch.manual_seed(3)
        random.seed(3)
        trainer = Trainer(SOURCES[source](), ahead=ahead, group=group)
        if crash_at is None:
            trainer.train(store)
        else:
            with pytest.raises(Stop):
                trainer.train(store, crash_at=crash_at)
    return float(trainer.state["sum"])


@pytest.mark.filterwarnings("ignore:.set_vital. is deprecated")
@pytest.mark.parametrize("ahead", [False, True], ids=["in step", "one ahead"])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("group", [1, 3])
def test_a_driven_loop_goes_on_where_it_was(source: str, ahead: bool, group: int, tmp_path: Path) -> None:
    whole = _trained(source, tmp_path / "whole", ahead=ahead, group=group)
    last = _EPOCHS * -(-_BATCHES // group) - 1
    wounded = _trained(source, tmp_path / "wounded", ahead=ahead, group=group, crashes=(1, last // 2, last))
    assert wounded == whole


def test_notice_is_answered_at_the_boundary(tmp_path: Path) -> None:
    state = {"n": 0}
    with pytest.raises(Preempted) as left, outlast.Run(tmp_path / "s", state, every=100) as run, run.loop("x") as loop:
        for item in loop.feed([1, 2, 3, 4]):
            state["n"] += item
            if item == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            loop.advance()
    assert (left.value.code, state["n"]) == (85, 3)
    assert [name.step for name in outlast.Store(tmp_path / "s").checkpoints()] == [2]


def test_a_loop_that_is_over_stays_over(tmp_path: Path) -> None:
    state = {"n": 0}

    def train(*, crash: bool) -> list[bool]:
        with outlast.Run(tmp_path / "s", state, every=1) as run:
            with run.loop("warm") as warm:
                over = [warm.is_over]
                for _ in warm.feed([1, 2]):
                    state["n"] += 1
                    warm.advance()
            with run.loop("main") as main:
                for item in main.feed([1, 2, 3]):
                    if crash and item == 3:
                        raise Stop
                    state["n"] += 1
                    main.advance()
                return [*over, main.was_restored]

    with pytest.raises(Stop):
        train(crash=True)
    assert train(crash=False) == [True, True]
    assert state["n"] == 5


def test_a_loop_of_another_moves_on_only_while_it_is_open(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="the loop around it has moved on"),
        outlast.Run(tmp_path / "s", {"n": 0}) as run,
    ):
        outer, inner = run.loop("outer"), run.loop("inner")
        outer.advance()
        inner.advance()


class _Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(6))


def test_a_loader_of_a_stream_has_no_length(tmp_path: Path) -> None:
    with outlast.Run(tmp_path / "s", {"n": 0}) as run, run.loop("batch") as loop:
        assert [batch.tolist() for batch in loop.feed(DataLoader(_Stream(), 3))] == [[0, 1, 2], [3, 4, 5]]
