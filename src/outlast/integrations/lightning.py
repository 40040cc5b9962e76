"""Lightning: `trainer.fit` goes on in mid-epoch, from a store of ours.

Lightning's own checkpoint is what is saved: `FitRun` hands it over and takes it back as a `CheckpointIO` does. It gives
the data from where they were, and takes a step boundary where the trainer asks for the next step's batch. What
Lightning leaves out of its checkpoint (random generators, the sums of metrics that are averaged over an epoch) is
added. Its answers to signals, the automatic requeue on Slurm among them, are put off: outlast answers.

The files that `ModelCheckpoint` writes are made durable by `outlast.integrations.lightning_io`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack
from typing import Any, Unpack

from lightning.fabric.utilities.data import sized_len
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.plugins import CheckpointIO

from outlast.capture import RNG
from outlast.errors import UsageError
from outlast.integrations.epochs import Epochs, replace
from outlast.integrations.front import Front
from outlast.integrations.held import Held
from outlast.integrations.lightning_rest import Rest
from outlast.integrations.options import Options

_OURS = "outlast"  # the path by which the trainer reaches what the run holds
_FOR_PEOPLE = ("hyper_parameters", "hparams_name", "hparams_type", "datamodule_hyper_parameters",
               "datamodule_hparams_name", "datamodule_hparams_type")  # fmt: skip


class FitRun(Front):
    """A run around `trainer.fit(...)`, and what follows on it in the block.

    Args:
        trainer: of one process. The `ckpt_path` of `fit` is not used: the store decides.
        store: as for `outlast.Run`.
        state: more components, by name.
        options: as for `outlast.Run`.

    Raises:
        UsageError: the trainer is of a kind that this front does not know.
    """

    def __init__(
        self,
        trainer: Trainer,
        store: str | os.PathLike[str],
        state: MutableMapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._trainer: Any = trainer
        if self._trainer.world_size > 1:
            raise UsageError(f"a trainer of {trainer.world_size} processes: this front knows one")
        if getattr(trainer, "reload_dataloaders_every_n_epochs", 0):
            raise UsageError("reload_dataloaders_every_n_epochs makes other data each time: leave it 0")
        if any(isinstance(one, StochasticWeightAveraging) for one in getattr(trainer, "callbacks", ())):
            raise UsageError(
                "StochasticWeightAveraging forgets in mid-epoch that its average and its schedule had begun",
                hint="take lightning.pytorch.callbacks.WeightAveraging, which comes back exactly",
            )
        self._held = Held(self._told)
        super().__init__(store, state, options, {"trainer": self._held, "rng": RNG()}, "trainer")
        self._epochs = Epochs(self.run)
        self._rest = Rest(trainer)
        self._has_data = False
        self._exchange = _Exchange(trainer.strategy.checkpoint_io, self._rest)

    def _prepare(self, undo: ExitStack) -> None:
        strategy = self._trainer.strategy
        undo.callback(setattr, strategy, "checkpoint_io", strategy.checkpoint_io)
        strategy.checkpoint_io = self._exchange

    def _install(self, undo: ExitStack) -> None:
        """Put ourselves where the trainer reads its checkpoint and makes its data ready. Undone when the block ends."""
        trainer = self._trainer
        self._exchange.restored = self._held.take()
        strategy, callback, fit = trainer.strategy, _Boundaries(self._held, self._epochs, self._rest), trainer.fit
        trainer.callbacks.insert(0, callback)
        undo.callback(trainer.callbacks.remove, callback)

        def resumed(model: Any, *args: Any, ckpt_path: object = None, **others: Any) -> None:
            del ckpt_path  # the store says where to go on
            self._epochs.begin()
            fit(model, *args, ckpt_path=_OURS if self._exchange.restored else None, **others)

        replace(undo, trainer, "fit", resumed)
        process = strategy.process_dataloader
        replace(undo, strategy, "process_dataloader", lambda loader: self._data(process(loader)))
        replace(undo, trainer._signal_connector, "register_signal_handlers", lambda: None)  # noqa: SLF001

    def _data(self, loader: Any) -> Any:
        """Take the training's loader in hand. Those of validation are asked for in other stages of the trainer."""
        if not self._trainer.training:
            return loader
        if self._has_data:
            raise UsageError("several training loaders at once: this front knows one")
        if sized_len(loader) is None:
            raise UsageError(
                "a training loader without a length, which Lightning reads ahead of its steps",
                hint="give its IterableDataset a __len__",
            )
        self._has_data = True
        return _Data(loader, self._epochs, self._rest, self._trainer)

    def _told(self) -> dict[str, Any]:
        """Return Lightning's checkpoint of this moment, and what is missing there."""
        self._trainer.save_checkpoint(_OURS)
        return self._exchange.taken()


class _Exchange(CheckpointIO):
    """Hands the trainer's checkpoint over to the run and back; other paths are for the trainer's own `CheckpointIO`."""

    def __init__(self, inner: CheckpointIO, rest: Rest) -> None:
        self._inner, self._rest = inner, rest
        self._told: dict[str, Any] = {}
        self.restored: dict[str, Any] = {}

    def taken(self) -> dict[str, Any]:
        told, self._told = self._told, {}
        self._rest.add_to(told)
        return {name: value for name, value in told.items() if name not in _FOR_PEOPLE}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        if path == _OURS:
            self._told = checkpoint
        else:
            self._inner.save_checkpoint(checkpoint, path, storage_options)

    def load_checkpoint(self, path: Any, *args: Any, **others: Any) -> dict[str, Any]:
        if path != _OURS:
            return self._inner.load_checkpoint(path, *args, **others)
        found, self.restored = self.restored, {}
        self._rest.take_from(found)
        return found

    def remove_checkpoint(self, path: Any) -> None:
        self._inner.remove_checkpoint(path)

    def teardown(self) -> None:
        self._inner.teardown()


class _Data:
    """The training loader, in the trainer's eyes. Iterating over it enters the epoch where it was."""

    def __init__(self, loader: Any, epochs: Epochs, rest: Rest, trainer: Any) -> None:
        self._loader, self._epochs, self._rest, self._trainer = loader, epochs, rest, trainer

    def __iter__(self) -> Iterator[Any]:
        return self._batches()

    def _batches(self) -> Iterator[Any]:
        """Begin the epoch when its first batch is asked for: the hooks of its start are over then."""
        self._epochs.begin_epoch()
        group = self._trainer.accumulate_grad_batches
        items = self._epochs.batches(lambda loop: loop.feed(self._loader), group=group)
        try:
            yield next(items)
        except StopIteration:
            return
        self._rest.merge()
        yield from items

    def __len__(self) -> int:
        return len(self._loader)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the run knows where the data are, and by this the trainer knows that somebody does."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing, likewise."""

    def __getattr__(self, name: str) -> Any:
        if name == "_loader":
            raise AttributeError(name)
        return getattr(self._loader, name)


class _Boundaries(Callback):
    """What the trainer tells: when its state exists, and when the training is over."""

    def __init__(self, held: Held, epochs: Epochs, rest: Rest) -> None:
        self._held, self._epochs, self._rest = held, epochs, rest

    def on_train_start(self, *_: Any) -> None:
        self._held.begin()

    def on_train_epoch_end(self, *_: Any) -> None:
        self._rest.merge()
        self._rest.let_plateaus_step()

    def on_train_end(self, *_: Any) -> None:
        self._epochs.end()
