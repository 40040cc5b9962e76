"""PyTorch: updates of optimizers, batches of loaders, and whose state is taken and put back.

PyTorch is not imported here: what is listened to came with the program's own import.
"""

from __future__ import annotations

import sys
from typing import Any

from .core import Recorder
from .leaves import Found
from .saves import Saves
from .variables import name_of


def _torch(recorder: Recorder, torch: Any) -> None:
    saves = Saves(recorder)
    saves.save(torch, "save", what=0, to=1)
    saves.load(torch, "load")
    for function, way in (("get_rng_state", "asked"), ("set_rng_state", "given")):
        recorder.around(torch, function, _moved(recorder, way, "rng:torch"))
    _Updates(recorder)
    _batches(recorder, torch.utils.data.dataloader._BaseDataLoaderIter)  # noqa: SLF001  (what all loaders iterate by)
    optim = torch.optim
    owners = {"optimizer": optim.Optimizer, "schedule": optim.lr_scheduler.LRScheduler, "scaler": torch.amp.GradScaler}
    for kind, owner in owners.items():
        recorder.around(owner, "state_dict", _named(recorder, "asked", kind))
        recorder.around(owner, "load_state_dict", _named(recorder, "given", kind))


def _moved(recorder: Recorder, way: str, name: str) -> Any:
    return lambda *_args, **_kwargs: recorder.log.tell(way, name=name, kind="rng")


def _named(recorder: Recorder, way: str, kind: str) -> Any:
    def moved(_: object, owner: Any, *_args: Any, **_kwargs: Any) -> None:
        recorder.log.tell(way, name=name_of(owner, sys._getframe()), kind=kind)  # noqa: SLF001

    return moved


class _Updates:
    """Hears each update of the optimizer that makes the first one."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._first: int | None = None
        self._count = 0
        self._before = Found()
        module: Any = sys.modules["torch.optim.optimizer"]
        module.register_optimizer_step_pre_hook(self._begins)
        module.register_optimizer_step_post_hook(self._is_made)

    def _begins(self, optimizer: Any, *_: Any) -> None:
        if self._first is None and not self._recorder.is_deaf:
            self._first = id(optimizer)
            with self._recorder.probing("before the first update"):
                self._before = self._recorder.look(sys._getframe())  # noqa: SLF001

    def _is_made(self, optimizer: Any, *_: Any) -> None:
        recorder = self._recorder
        if id(optimizer) != self._first or recorder.is_deaf or recorder.run is not None:
            return
        with recorder.probing("after an update"):
            self._count += 1
            more = {"before": self._before.leaves} if self._count == 1 else {}
            recorder.step(self._count, "optimizer", recorder.look(sys._getframe()), **more)  # noqa: SLF001


def _batches(recorder: Recorder, iterator: Any) -> None:
    def handed_out(batch: object, *_: Any) -> None:
        found = Found()
        found.add("batch", batch)
        recorder.batches.append(" ".join(found.leaves.values())[:200])

    recorder.around(iterator, "__next__", handed_out)


LISTENERS = {"torch": [_torch]}
