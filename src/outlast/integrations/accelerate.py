"""Hugging Face Accelerate: what `prepare` has prepared is the state, and prepared loaders are entered in mid-epoch.

`AcceleratedRun` is `outlast.Run` for a program that holds an `Accelerator`. It stands in the place of `save_state`,
`load_state` and `skip_first_batches`: their files, which are written in place, are not used.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, Unpack

from accelerate import Accelerator
from accelerate.data_loader import DataLoaderAdapter, DataLoaderShard
from accelerate.utils import send_to_device

from outlast.capture import RNG
from outlast.errors import MismatchError, UsageError
from outlast.integrations.front import Front
from outlast.integrations.options import Options
from outlast.run.driven import Driven


class AcceleratedRun(Front):
    """A run whose state is what an accelerator has prepared.

    Make it after `accelerator.prepare(...)`; what is registered by `register_for_checkpointing` until then belongs to
    the state too.

    Args:
        accelerator: with its models, optimizers, schedulers, scaler and registered objects.
        store: as for `outlast.Run`.
        state: more components, by name.
        options: as for `outlast.Run`.

    Raises:
        UsageError: several processes, or gradients that accumulate from one epoch into the next.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        store: str | os.PathLike[str],
        state: MutableMapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        if accelerator.num_processes > 1:
            raise UsageError(f"an accelerator of {accelerator.num_processes} processes: this front knows one")
        if not accelerator.gradient_state.sync_with_dataloader:
            raise UsageError(
                "sync_with_dataloader=False: gradients that wait at the end of an epoch are in no checkpoint",
                hint="leave it True, so that the last batch of an epoch makes a step",
            )
        self._accelerator = accelerator
        super().__init__(store, state, options, _components(accelerator), "accelerator")

    def range(self, total: int, name: str) -> Iterator[int]:
        """Like `range(total)`, going on where it was. Loops nest; each needs its own name."""
        return self.run.range(total, name)

    def iterate(self, loader: Iterable[Any], name: str) -> Iterator[Any]:
        """Iterate over a prepared loader from where the loop was: same order, nothing twice, nothing skipped.

        A boundary is where gradients have been synchronised: after an optimizer step, not amid an accumulation.
        """
        with self.run.loop(name) as loop:
            if loop.is_over:
                return
            passes = 0
            for item in _items(loader, loop):
                yield item
                passes += 1
                loop.is_mid_pass = not self._accelerator.sync_gradients
                if not loop.is_mid_pass:
                    loop.advance(passes)
                    passes = 0

    def log(self, **metrics: Any) -> None:
        """Keep numbers with the run: see `outlast.Run.log`."""
        self.run.log(**metrics)


class Accelerating:
    """The accelerator's own counters, and those of its loaders: which epoch each is in decides its order."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    def state_dict(self) -> dict[str, Any]:
        iterations = [getattr(loader, "iteration", 0) for loader in self._accelerator._dataloaders]  # noqa: SLF001
        return {"step": self._accelerator.step, "iterations": iterations}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self._accelerator.step = saved["step"]
        for loader, iteration in zip(self._accelerator._dataloaders, saved["iterations"], strict=True):  # noqa: SLF001
            if hasattr(loader, "iteration"):
                loader.iteration = iteration


def _components(accelerator: Accelerator) -> dict[str, Any]:
    """Return what `save_state` would save, as live objects."""
    held = accelerator
    found: dict[str, Any] = {
        "models": [held.unwrap_model(model) for model in held._models],  # noqa: SLF001
        "optimizers": [wrapped.optimizer for wrapped in held._optimizers],  # noqa: SLF001
        "schedulers": [wrapped.scheduler for wrapped in held._schedulers],  # noqa: SLF001
        "registered": list(held._custom_objects),  # noqa: SLF001
        "accelerator": Accelerating(held),
        "rng": RNG(),
    }
    return found if held.scaler is None else {**found, "scaler": held.scaler}


def is_prepared(loader: object) -> bool:
    """Say whether a loader comes from `accelerator.prepare`. Not by isinstance: it pretends to be another."""
    return issubclass(type(loader), DataLoaderAdapter)


def begun(loader: Any, loop: Driven) -> Iterator[Any]:
    """Iterate over a prepared loader that reads from where the loop is.

    It asks the loader within it for an iterator when its first batch is asked for, and is one batch ahead from then on,
    to know which is the last. Where there is a length it gets promises of batches: none is read before its step.
    """
    iterator = iter(loader)
    within = loader.base_dataloader
    length = _length(within) if issubclass(type(loader), DataLoaderShard) else None
    items = loop.feed(within, ahead=True) if length is None else _promised(loop.feed(within), length - loop.done)
    loader.base_dataloader = _Within(within, items)
    try:
        first = next(iterator)
    except StopIteration:
        return
    finally:
        loader.base_dataloader = within
    for item in itertools.chain((first,), iterator):
        yield item.read() if isinstance(item, _Promise) else item


def _length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:  # a stream's
        return None


def _promised(items: Iterator[Any], count: int) -> Iterator[_Promise]:
    return (_Promise(items) for _ in range(count))


class _Promise:
    """A batch that is read when it is sent to its device, or handed out."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._error: TypeError | None = None

    def to(self, device: Any, **options: Any) -> Any:
        if self._error is not None:
            raise self._error  # Accelerate takes a TypeError for one about its options, and asks again
        try:
            return send_to_device(self.read(), device, **options)
        except TypeError as e:
            self._error = e
            raise

    def read(self) -> Any:
        """Return the batch. Raises MismatchError if there is none."""
        for item in self._items:
            return item
        raise MismatchError("the loader gives fewer batches than its length says", hint="mend its __len__")


class _Within:
    """A loader, but for its iterator."""

    def __init__(self, loader: Any, items: Iterator[Any]) -> None:
        self._loader, self._items = loader, items

    def __iter__(self) -> Iterator[Any]:
        return self._items

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _items(loader: Any, loop: Driven) -> Iterator[Any]:
    if not is_prepared(loader):
        yield from loop.feed(loader)
        return
    is_empty = True
    for item in begun(loader, loop):
        is_empty = False
        yield item
    if is_empty and loop.was_restored:  # saved after its last batch: it counts its epochs only as it runs out
        loader.iteration += 1
