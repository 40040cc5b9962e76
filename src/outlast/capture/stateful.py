"""Objects that bring their own protocol: ``state_dict()`` and ``load_state_dict(state)``."""

from __future__ import annotations

from typing import Any

from outlast.capture.adapter import Adapter


class StateDict(Adapter):
    """Any object with the two methods: schedulers, scalers, loaders, the user's own."""

    name = "state_dict"

    def lower(self, value: Any) -> Any:
        return value.state_dict()

    def restore(self, value: Any, saved: Any) -> Any:
        value.load_state_dict(saved)
        return value


STATE_DICT = StateDict()
