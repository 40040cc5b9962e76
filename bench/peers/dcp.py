"""torch.distributed.checkpoint in one process, without a process group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

from bench.peers.peer import Peer, nothing
from bench.peers.torch_save import tensors
from bench.states import State

_ON_THE_CPU = {
    "use_pinned_memory": False,  # refused without an accelerator, as is the copy that does not block
    "use_non_blocking_copy": False,
    "use_shared_memory": False,
    "use_async_staging": False,  # the loop would have to wait for it all the same
}


class Distributed(Peer):
    needs: ClassVar[tuple[str, ...]] = ("torch",)
    in_place: ClassVar[bool] = True

    def __init__(self, state: State, folder: str, *, is_async: bool = False, is_kept: bool = False) -> None:
        super().__init__(state, folder)
        self._tensors = tensors(state)
        self._is_async = is_async
        self._stager = DefaultStager(StagingOptions(**_ON_THE_CPU)) if is_kept else None

    def write(self, path: str) -> Callable[[], float | None]:
        if not self._is_async:
            dcp.save(self._tensors, checkpoint_id=path, no_dist=True)
            return nothing
        saving = dcp.async_save(self._tensors, checkpoint_id=path, async_stager=self._stager, no_dist=True)

        def wait() -> None:
            saving.result()

        return wait

    def read(self, path: str) -> Mapping[str, Any]:
        dcp.load(self._tensors, checkpoint_id=path, no_dist=True)
        return self._tensors

    def end(self) -> None:
        if self._stager:
            self._stager.close()


PEER = Distributed
