"""The Trainer of Hugging Face Transformers: `trainer.train()` goes on in mid-epoch, from a store of ours.

The Trainer owns its loops and its state. `TrainerRun` gives it what was saved at the places where it would read its own
checkpoint folder, data from where they were, and takes a step boundary where it asks for the next step's batches: all
that belongs to the step before (logging, evaluation) is over then, and nothing is drawn yet for the next one. The
Trainer's own saves (`save_strategy`) go on beside it, if they are wanted.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack
from typing import Any, Unpack

from transformers import Trainer, TrainerCallback
from transformers import trainer as _trainer_module
from transformers.trainer_callback import ExportableState

from outlast.capture import RNG
from outlast.errors import MismatchError, UsageError
from outlast.integrations.accelerate import begun
from outlast.integrations.epochs import Epochs, replace
from outlast.integrations.front import Front
from outlast.integrations.held import Held
from outlast.integrations.options import Options
from outlast.run import Run

trainer_module: Any = _trainer_module
_CLOCKED = ("_runtime", "_per_second")
_SUMS = ("_total_loss_scalar", "_globalstep_last_logged", "_initial_global_step", "current_flos")


class TrainerRun(Front):
    """A run around `trainer.train()`, and what follows on it in the block.

    Args:
        trainer: with its model. Its `resume_from_checkpoint` is not used: the store decides.
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
        _check(trainer)
        self._trainer = trainer
        self._held = Held(lambda: _told(trainer))
        own = {"model": trainer.model, "trainer": self._held, "rng": RNG()}
        super().__init__(store, state, options, own, "trainer")
        self._epochs = Epochs(self.run)

    def _install(self, undo: ExitStack) -> None:
        """Put ourselves where the Trainer reads its checkpoint and asks for its data. Undone when the block ends."""
        trainer, saved = self._trainer, self._held.take()
        callback = _Boundaries(self.run, self._epochs, self._held, trainer, saved)
        trainer.add_callback(callback)
        undo.callback(trainer.remove_callback, callback)
        train, folder = trainer.train, None

        def resumed(resume_from_checkpoint: object = None, *args: Any, **others: Any) -> Any:
            del resume_from_checkpoint  # the store says where to go on
            self._epochs.begin()
            return train(folder, *args, **others)

        loader = trainer.get_train_dataloader
        group = trainer.args.gradient_accumulation_steps
        seams: dict[str, Callable[..., Any]] = {
            "train": resumed,
            "get_train_dataloader": lambda: _Data(loader(), self._epochs, group),
        }
        if saved:
            folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="outlast-"))
            with open(os.path.join(folder, trainer_module.TRAINER_STATE_NAME), "w", encoding="utf-8") as file:
                file.write(_state(saved))
            seams |= _reading(trainer, folder, saved)
            replace(undo, trainer.args, "eval_on_start", False)  # it was done at the start of the run
        for name, seam in seams.items():
            replace(undo, trainer, name, seam)
        skip = trainer_module.skip_first_batches
        replace(undo, trainer_module, "skip_first_batches", lambda loader, n: _skipped(skip, loader, n))


class _Data:
    """The training loader, in the Trainer's eyes. Iterating over it enters the epoch where it was.

    Attributes:
        loader: the Trainer's own.
        skipped: how many batches the Trainer believes to have skipped.
    """

    def __init__(self, loader: Any, epochs: Epochs, group: int) -> None:
        self.loader, self.skipped, self._epochs, self._group = loader, 0, epochs, group

    def __iter__(self) -> Iterator[Any]:
        skipped, self.skipped = self.skipped, 0
        return self._epochs.batches(
            functools.partial(begun, self.loader),
            group=self._group,
            skipped=skipped if trainer_module.has_length(self.loader) else None,
        )

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name == "loader":
            raise AttributeError(name)
        return getattr(self.loader, name)


class _Boundaries(TrainerCallback):
    """What the Trainer tells: epochs, logs, the beginning and the end."""

    def __init__(self, run: Run, epochs: Epochs, held: Held, trainer: Trainer, saved: dict[str, Any]) -> None:
        self._run, self._epochs, self._held, self._trainer, self._saved = run, epochs, held, trainer, saved

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Everything exists now: from here on the Trainer's state can be told."""
        trainer, saved = self._trainer, self._saved
        if saved:
            trainer._tr_loss.copy_(saved["loss"])  # noqa: SLF001
            for name, value in saved["sums"].items():
                setattr(trainer, name, value)
            self._saved = {}
        self._held.begin()

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self._epochs.begin_epoch()

    def on_log(self, *_: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
        numbers = {name: value for name, value in (logs or {}).items() if isinstance(value, (int, float))}
        self._run.log(**numbers)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self._epochs.end()


def _check(trainer: Trainer) -> None:
    """Refuse what would not come back."""
    args = trainer.args
    reasons = {
        f"a training of {args.world_size} processes: this front knows one": args.world_size > 1,
        "DeepSpeed and FSDP keep their state elsewhere": trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled,
        "model_init makes the model anew in train(): give the Trainer the model itself": trainer.model_init is not None,
        "enable_jit_checkpoint answers SIGTERM too: leave it False": getattr(args, "enable_jit_checkpoint", False),
        "ignore_data_skip=True sees data twice after a restart: leave it False": args.ignore_data_skip,
        "auto_find_batch_size starts a training over: set the batch size": args.auto_find_batch_size,
    }
    for reason, is_so in reasons.items():
        if is_so:
            raise UsageError(reason)


def _told(trainer: Any) -> dict[str, Any]:
    """Return what the Trainer would write into its checkpoint folder, but the model, and what it forgets."""
    scaler = getattr(trainer.accelerator, "scaler", None)
    state = dataclasses.asdict(trainer.state)
    rows = state["log_history"]
    state["log_history"] = [{name: row[name] for name in row if not name.endswith(_CLOCKED)} for row in rows]
    return {
        "state": json.dumps(state),
        "wall_times": json.dumps([{name: row[name] for name in row if name.endswith(_CLOCKED)} for row in rows]),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": trainer.lr_scheduler.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
        "callbacks": [[type(one).__name__, one.state()["attributes"]] for one in _stateful(trainer)],
        "loss": trainer._tr_loss,  # noqa: SLF001
        "sums": {name: getattr(trainer, name) for name in _SUMS},
    }


def _state(saved: dict[str, Any]) -> str:
    """Return the Trainer's state as JSON: what a clock measured is kept apart from what comes out alike each time."""
    state = json.loads(saved["state"])
    pairs = zip(state["log_history"], json.loads(saved["wall_times"]), strict=True)
    state["log_history"] = [row | times for row, times in pairs]
    return json.dumps(state)


def _reading(trainer: Any, folder: str, saved: dict[str, Any]) -> dict[str, Callable[..., Any]]:
    """Return what stands in the place of the Trainer's methods that read its folder."""
    load_model = trainer._load_from_checkpoint  # noqa: SLF001

    def model(path: str, *args: Any, **others: Any) -> Any:
        return None if path == folder else load_model(path, *args, **others)  # ours is in the model already

    def optimizer(_folder: str | None) -> None:
        trainer.optimizer.load_state_dict(saved.pop("optimizer"))
        trainer.lr_scheduler.load_state_dict(saved.pop("scheduler"))
        _put_back_callbacks(trainer, saved.pop("callbacks"))

    def scaler(_folder: str | None) -> None:
        state = saved.pop("scaler")
        if state is not None:
            trainer.accelerator.scaler.load_state_dict(state)

    return {
        "_load_from_checkpoint": model,
        "_load_optimizer_and_scheduler": optimizer,
        "_load_scaler": scaler,
        "_load_rng_state": lambda _folder: None,  # put back as the epoch is entered
    }


def _stateful(trainer: Trainer) -> list[Any]:
    return [one for one in trainer.callback_handler.callbacks if isinstance(one, ExportableState)]


def _put_back_callbacks(trainer: Trainer, saved: list[Any]) -> None:
    live = _stateful(trainer)
    if [type(one).__name__ for one in live] != [name for name, _ in saved]:
        raise MismatchError(
            f"the checkpoint has the state of the callbacks {[name for name, _ in saved]}, "
            f"the trainer has {[type(one).__name__ for one in live]}",
            hint="start it with the callbacks that it had",
        )
    for one, (_, attributes) in zip(live, saved, strict=True):
        for name, value in attributes.items():
            setattr(one, name, value)


def _skipped(skip: Callable[..., Any], loader: Any, batches: int) -> Any:
    """Stand in the place of Accelerate's `skip_first_batches`: our data know where they were."""
    if not isinstance(loader, _Data):
        return skip(loader, batches)
    loader.skipped = batches
    return loader
