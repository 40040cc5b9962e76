"""Keras 3: `Training.fit` is `model.fit` that outlasts its job: exact in the middle of an epoch, on every backend.

Keras owns the loops, and enters an epoch only at its beginning. So the data come from a stream that begins at the batch
where the run stands, the epoch that is under way is made shorter by what was done of it, and two callbacks around
the user's own count, save, and give each callback what it knew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, Unpack

import keras

from outlast.capture import RNG
from outlast.errors import UsageError
from outlast.integrations.keras_callbacks import Begin, End, Known
from outlast.integrations.keras_data import Source, held_back, source_of, weights_of
from outlast.integrations.options import Options
from outlast.run import Run, draws

_OURS = ("model", "optimizer", "metrics", "fit")


class Training:
    """A Keras training that outlasts the jobs it runs in: a block around `fit`.

    The first `fit` builds the model, its optimizer and metrics if they are not built yet, and restores them. At the end
    of the block the run is marked done; write results inside it.

    Args:
        store: directory on storage that outlives the job.
        model: a compiled model.
        state: what else belongs to the run, a dict of live objects by name. The global random generators are in it
            anyway.
        options: as of `outlast.Run`: every, keep, allow, on_error, deadline, takeover, snapshot, io.

    Raises:
        UsageError: the model is not compiled; a component of `state` has a name of ours.
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        model: keras.Model,
        state: dict[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._store, self._model, self._state, self._options = store, model, dict(state or {}), options
        taken = [name for name in _OURS if name in self._state]
        if taken:
            raise UsageError(
                f"state has a component {taken[0]!r}, which is a name of ours", hint="give it another name"
            )
        self._optimizer: Any = None
        self._run: Run | None = None
        self._known = Known()
        self._stack = ExitStack()

    @property
    def run(self) -> Run:
        """The run, from the first `fit` on."""
        if self._run is None:
            raise UsageError("there is no run before the first fit: what is restored must be built")
        return self._run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        steps_per_epoch: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        sample_weight: Any = None,
        shuffle: bool = True,
        seed: int = 0,
        **more: Any,
    ) -> keras.callbacks.History:
        """Train as `model.fit` does, from where the run stands; return the history of all attempts.

        Args:
            x: arrays; or a `keras.utils.PyDataset`; or a function that takes the number of an epoch, from 0, and
                returns the batches of that epoch: a `tf.data.Dataset`, a sequence, an iterable.
            y: targets, if `x` are arrays.
            epochs: how many.
            batch_size: of arrays.
            steps_per_epoch: batches in an epoch; needed where a function gives them.
            callbacks: what they know in plain attributes (best value, patience used up, best weights) is kept.
            sample_weight: of arrays.
            shuffle: draw the order of each epoch anew, from `seed` and the number of the epoch.
            seed: for the order.
            more: as of `model.fit`: validation_data, validation_split, class_weight, verbose ...

        Raises:
            UsageError: not data that can be entered in the middle; the model was compiled again.
            Preempted: notice was given; the save is durable.
        """
        if not self._model.compiled:
            raise UsageError("the model is not compiled", hint="model.compile(...) before fit")
        share = more.pop("validation_split", 0.0)  # Keras sees a stream of batches, not the arrays
        if more.get("validation_data") is None and share:
            (x, y, sample_weight), more["validation_data"] = held_back((x, y, sample_weight), share)
        if isinstance(more.get("validation_data"), (tuple, list)):
            more.setdefault("validation_batch_size", batch_size)
        if class_weight := more.pop("class_weight", None):
            sample_weight = weights_of(y, class_weight, sample_weight)
        source = source_of(x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, seed=seed)
        steps = self._steps(source, steps_per_epoch)
        self._ready(source)
        at_once = self._model.steps_per_execution
        progress = self._known.begin(callbacks)
        with self.run.loop("epoch", epochs) as loop:
            if loop.is_over:
                return progress.history
            self._known.put_back()
            present = draws.take(draws.shared())
            end = End(
                self.run,
                loop,
                self._known,
                progress,
                executions=steps // at_once,
                settle=lambda: draws.put_back(draws.shared(), present),
            )
            self._model.fit(
                _only_once(source.stream(progress.epoch, progress.batch * at_once, steps)),
                epochs=epochs,
                initial_epoch=epochs if progress.is_stopped else loop.done,
                steps_per_epoch=steps,
                shuffle=False,
                callbacks=[Begin(end), *callbacks, progress.history, end],
                **more,
            )
        return progress.history

    def _steps(self, source: Source, asked: int | None) -> int:
        steps = asked or source.batches
        if not steps:
            raise UsageError("how many batches has an epoch?", hint="give steps_per_epoch=")
        if source.batches and steps > source.batches:
            raise UsageError(f"steps_per_epoch={steps}, but the data have {source.batches} batches")
        at_once = self._model.steps_per_execution
        if steps % at_once:
            raise UsageError(f"{steps} batches an epoch are no multiple of steps_per_execution={at_once}")
        return steps

    def _ready(self, source: Source) -> None:
        """Enter the run before the first fit: all that a checkpoint holds must be there before."""
        model = self._model
        if self._run is None:
            model._symbolic_build(data_batch=source.first())  # noqa: SLF001  (what its train_on_batch does first)
            self._optimizer = model.optimizer
            self._run = self._stack.enter_context(Run(self._store, self._components(), **self._options))
        elif model.optimizer is not self._optimizer:
            hint = "compile once; a second phase with another optimizer is a training, and a store, of its own"
            raise UsageError("the model was compiled again: the run holds the optimizer from before", hint=hint)

    def _components(self) -> dict[str, Any]:
        model = self._model
        state = {"model": model, "optimizer": model.optimizer, "metrics": list(model.metrics_variables)}
        state |= {"fit": self._known, **self._state}
        if not any(isinstance(held, RNG) for held in state.values()):
            state["rng" if "rng" not in state else "global rng"] = RNG()
        return state


def _only_once(batches: Iterator[Any]) -> Iterator[Any]:
    """Return a generator, which Keras reads on in the next epoch, as it does not with other iterators."""
    yield from batches
