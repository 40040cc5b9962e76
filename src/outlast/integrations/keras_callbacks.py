"""The two callbacks around the user's, and what is known of a `fit`: its progress, each callback's plain attributes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from outlast.errors import MismatchError
from outlast.run import Run
from outlast.run.driven import Driven

_PLAIN = (int, float, complex, str, bytes, bool, type(None), np.ndarray, np.generic)
_NOT_STATE = frozenset(
    {"model", "_model", "params", "validation_data", "min_delta"}  # Keras turns the last one's sign when it begins anew
)


@dataclass(slots=True)
class Progress:
    """Where a fit stands.

    Attributes:
        callbacks: the user's.
        history: Keras's own record.
        epoch, batch: completed ones; batches are executions of the train function, of the epoch under way.
        is_stopped: a callback has ended the training.
    """

    callbacks: Sequence[Any]
    history: Any
    epoch: int = 0
    batch: int = 0
    is_stopped: bool = False


class Known:
    """A component of the run: the progress of the latest fit, what its callbacks know, and the records of earlier fits.

    What a restore brings is kept until the fit begins that it belongs to.
    """

    def __init__(self) -> None:
        self._count = 0
        self._fit: Progress | None = None
        self._saved: dict[str, Any] = {}
        self._earlier: list[dict[str, Any]] = []

    def begin(self, callbacks: Sequence[Any]) -> Progress:
        """Begin the next fit; return its progress. `put_back` puts it to what was saved."""
        if self._fit is not None:
            self._earlier.append(_record(self._fit.history))
        fit = self._fit = Progress(callbacks, keras.callbacks.History())
        self._count += 1
        earlier = self._saved.get("earlier", [])
        if self._count <= len(earlier):
            fit.history.history, fit.history.epoch = earlier[self._count - 1].values()
        return fit

    def put_back(self) -> None:
        """Give the callbacks what they knew, if the saved fit is this one."""
        fit, saved = self._fit, self._saved
        if fit is None or saved.get("count") != self._count:
            return
        fit.epoch, fit.batch, fit.is_stopped = saved["epoch"], saved["batch"], saved["stopped"]
        fit.history.history, fit.history.epoch = saved["history"].values()
        for callback, known in zip(fit.callbacks, saved["callbacks"], strict=False):
            _put(callback, known)

    def state_dict(self) -> dict[str, Any]:
        fit = self._fit
        if fit is None:
            return self._saved
        return {
            "count": self._count,
            "epoch": fit.epoch,
            "batch": fit.batch,
            "stopped": fit.is_stopped,
            "history": _record(fit.history),
            "callbacks": [_known(callback) for callback in fit.callbacks],
            "earlier": self._earlier,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self._saved = saved
        self.put_back()


def _record(history: Any) -> dict[str, Any]:
    return {"history": history.history, "epochs": getattr(history, "epoch", [])}


def _known(callback: Any) -> dict[str, Any]:
    """Return what a callback knows: its own `state_dict`, or the attributes that are plain."""
    if _is_stateful(callback):
        return {"class": type(callback).__name__, "own": callback.state_dict()}
    plain = {name: held for name, held in vars(callback).items() if name not in _NOT_STATE and _is_plain(held)}
    return {"class": type(callback).__name__, "plain": plain}


def _put(callback: Any, known: dict[str, Any]) -> None:
    """Give a callback what it knew.

    Raises:
        MismatchError: it is another one than at the save.
    """
    if known["class"] != type(callback).__name__:
        raise MismatchError(
            f"the fit had the callback {known['class']} at the save, it has {type(callback).__name__} there now",
            hint="start the program that wrote the checkpoint, with its callbacks in the same order",
        )
    if "own" in known:
        callback.load_state_dict(known["own"])
    else:
        vars(callback).update(known["plain"])


def _is_stateful(callback: Any) -> bool:
    return callable(getattr(callback, "state_dict", None)) and callable(getattr(callback, "load_state_dict", None))


def _is_plain(held: Any) -> bool:
    if isinstance(held, dict):
        return all(map(_is_plain, held)) and all(map(_is_plain, held.values()))
    if type(held) in (list, tuple, set, deque):
        return all(map(_is_plain, held))
    return isinstance(held, _PLAIN)


class Begin(keras.callbacks.Callback):  # type: ignore[misc]
    """Goes before the user's callbacks: an epoch that was only made shorter does not end the training."""

    def __init__(self, end: End) -> None:
        super().__init__()
        self._end = end

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        if self._end.is_cut:
            self._end.is_cut = self.model.stop_training = False


class End(keras.callbacks.Callback):  # type: ignore[misc]
    """Goes after the user's callbacks: counts batches and epochs, at whose ends the run saves.

    Args:
        run: the run.
        epochs: its loop over epochs.
        known: the component that the progress is in.
        fit: the progress.
        executions: of the train function, in an epoch.
        settle: called once before the first of them, when Keras has set up all.

    Attributes:
        is_cut: the epoch was made to end early, since its beginning was done in an attempt before.
    """

    def __init__(
        self, run: Run, epochs: Driven, known: Known, fit: Progress, *, executions: int, settle: Callable[[], object]
    ) -> None:
        super().__init__()
        self.is_cut = self._is_partial = False
        self._run, self._epochs, self._known, self._fit = run, epochs, known, fit
        self._executions = executions
        self._settle: Callable[[], object] | None = settle
        self._batches: Driven | None = None

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        self._known.put_back()  # the others have begun anew just now

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        if self._batches is None:
            self._open()

    def _open(self) -> None:
        if self._settle is not None:
            self._settle()
            self._settle = None
        self._batches = self._run.loop("batch", self._executions)
        self._is_partial = self._fit.batch > 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        fit = self._fit
        fit.batch += 1
        if self.model.stop_training:
            return  # this epoch ends here: that is the boundary
        if fit.batch < self._executions:
            if self._batches is not None:
                self._batches.advance()
        elif self._is_partial:
            self.is_cut = self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        fit = self._fit
        if self._batches is not None:
            self._batches.close()
            self._batches = None
        fit.epoch, fit.batch, fit.is_stopped = fit.epoch + 1, 0, self.model.stop_training
        self._run.log(**{name: value for name, value in (logs or {}).items() if isinstance(value, (int, float))})
        self._epochs.advance()
