"""torchsnapshot, which saves behind the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torchsnapshot

from bench.peers.peer import Peer
from bench.peers.torch_save import tensors
from bench.states import State


class Take(Peer):
    needs: ClassVar[tuple[str, ...]] = ("torchsnapshot", "torch")
    in_place: ClassVar[bool] = True

    def __init__(self, state: State, folder: str) -> None:
        super().__init__(state, folder)
        self._tensors = torchsnapshot.StateDict(**tensors(state))

    def write(self, path: str) -> Callable[[], float | None]:
        pending = torchsnapshot.Snapshot.async_take(path=path, app_state={"state": self._tensors})

        def wait() -> None:
            pending.wait()

        return wait

    def read(self, path: str) -> Mapping[str, Any]:
        torchsnapshot.Snapshot(path=path).restore(app_state={"state": self._tensors})
        return dict(self._tensors)


PEER = Take
