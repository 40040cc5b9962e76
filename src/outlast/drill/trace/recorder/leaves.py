"""The user's objects -> leaves by path, each with its kind."""

from __future__ import annotations

import re
import sys
from collections import OrderedDict, deque
from typing import Any

from . import digests
from .variables import is_users

_DEEPEST = 6
_MOST = 2000  # leaves of one look
_LONG = 16
_WIDEST = 200
_NAMES = {
    "data": r"(batch|batches|order|perm|permutation|idx|index|indices|samples?|rows|chosen|picked|sample_ids?)",
    "lr": r"(lr|learning_rate|eta)",
    "moment": r"(momentum|velocity|vel|exp_avg|exp_avg_sq|momentum_buffer|moments?|adam_[mv])",
    "best": r"(best\w*|patience\w*|bad_\w+|stale\w*|wait\w*|early\w*)",
    "counter": r"(step|global_step|epoch|it|iteration|i|n|k|t|start\w*|first)",
    "parameter": r"(w|weights?|theta|params?|b|bias)",
}
_KINDS = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _NAMES.items()}


_PLAINLY = tuple(each.__iter__ for each in (dict, OrderedDict, list, tuple, deque))


class Found:
    """Leaves, and their kinds, as they are found."""

    def __init__(self) -> None:
        self.leaves: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self._open: set[int] = set()

    def put(self, path: str, kind: str, text: str) -> None:
        """Add a leaf."""
        if len(self.leaves) < _MOST:
            self.leaves[path], self.kinds[path] = text, kind

    def add(self, path: str, value: Any, depth: int = 0) -> None:
        """Add the leaves of a value; what holds none (a file, a lock, a function) adds nothing."""
        if value is None or isinstance(value, (bool, int, float, complex, str)):
            self.put(path, _kind(path, "text" if isinstance(value, str) else "number"), digests.of_plain(value))
        elif isinstance(value, (bytes, bytearray)):
            self.put(path, _kind(path, "array"), digests.of_bytes(value))
        elif id(value) not in self._open and depth < _DEEPEST:
            self._open.add(id(value))
            try:
                self._add(path, value, depth + 1)
            finally:
                self._open.discard(id(value))

    def _add(self, path: str, value: Any, depth: int) -> None:
        if digests.is_python_rng(value) or digests.is_numpy_rng(value):
            self.put(path, "rng", digests.of_rng(value))
        elif _is_random(value):
            self.put(path, "rng", digests.of_rng(value.getstate()))
        elif isinstance(value, (dict, list, tuple, deque)) and type(value).__iter__ not in _PLAINLY:
            return  # a class of its own may do anything when it is iterated over
        elif isinstance(value, dict):
            for name in list(value)[:_WIDEST]:
                self.add(f"{path}/{name}", value[name], depth)
        elif isinstance(value, (list, tuple, deque)):
            self._sequence(path, value, depth)
        elif isinstance(value, (set, frozenset)):
            self.put(path, _kind(path, "array"), digests.of_plain(sorted(map(repr, value))))
        elif not self._numpy(path, value) and not self._torch(path, value, depth):
            self._object(path, value, depth)

    def _sequence(self, path: str, value: Any, depth: int) -> None:
        if len(value) > _LONG and all(isinstance(item, (int, float, str)) for item in value):
            self.put(path, _kind(path, "array"), digests.of_bytes(repr(list(value)).encode("utf-8", "replace")))
            return
        for i, item in enumerate(list(value)[:_WIDEST]):
            self.add(f"{path}/{i}", item, depth)

    def _numpy(self, path: str, value: Any) -> bool:
        numpy: Any = sys.modules.get("numpy")
        drawing: Any = sys.modules.get("numpy.random")  # NumPy imports it when it is first asked for
        if numpy is None:
            return False
        if isinstance(value, numpy.ndarray):
            self.put(path, _kind(path, "array"), digests.of_array(value))
        elif isinstance(value, numpy.generic):
            self.put(path, _kind(path, "number"), digests.of_plain(value.item()))
        elif drawing is None:
            return False
        elif isinstance(value, drawing.Generator):
            self.put(path, "rng", digests.of_rng(value.bit_generator.state))
        elif isinstance(value, drawing.RandomState):
            self.put(path, "rng", digests.of_rng(value.get_state(legacy=False)))
        elif isinstance(value, drawing.BitGenerator):
            self.put(path, "rng", digests.of_rng(value.state))
        else:
            return False
        return True

    def _torch(self, path: str, value: Any, depth: int) -> bool:
        torch: Any = sys.modules.get("torch")
        if torch is None or not hasattr(torch, "optim"):
            return False
        if isinstance(value, torch.Tensor):
            is_parameter = isinstance(value, torch.nn.Parameter)
            self.put(path, _kind(path, "parameter" if is_parameter else "array"), digests.of_tensor(value))
        elif isinstance(value, torch.Generator):
            self.put(path, "rng", digests.of_rng(value.get_state()))
        elif isinstance(value, torch.nn.Module):
            for name, tensor in (*value.named_parameters(), *value.named_buffers()):
                self.put(f"{path}/{name}", "parameter", digests.of_tensor(tensor))
        elif isinstance(value, torch.optim.Optimizer):
            self._optimizer(path, value, depth)
        elif isinstance(value, torch.optim.lr_scheduler.LRScheduler):
            self.put(f"{path}/last_epoch", "schedule", digests.of_plain(value.last_epoch))
        elif isinstance(value, torch.amp.GradScaler):
            tensors = [value._scale, value._growth_tracker]  # noqa: SLF001  (what a look may not make)
            texts = ["unset" if tensor is None else repr(tensor.item()) for tensor in tensors]
            self.put(f"{path}/scale", "scaler", texts[0])
            self.put(f"{path}/growth_tracker", "scaler", texts[1])
        else:
            return isinstance(value, torch.utils.data.DataLoader)
        return True

    def _optimizer(self, path: str, value: Any, depth: int) -> None:
        numbers: dict[int, int] = {}
        for i, group in enumerate(value.param_groups):
            self.put(f"{path}/lr/{i}", "lr", digests.of_plain(float(group["lr"])))
            for parameter in group["params"]:
                numbers.setdefault(id(parameter), len(numbers))
        for parameter, state in value.state.items():
            number = numbers.get(id(parameter), "?")
            before = set(self.leaves)
            self.add(f"{path}/state/{number}", state, depth)
            self.kinds |= dict.fromkeys(self.leaves.keys() - before, "moment")

    def _object(self, path: str, value: Any, depth: int) -> None:
        """Add an object of the user's own classes by its attributes."""
        module = sys.modules.get(type(value).__module__)
        if not is_users(getattr(module, "__file__", None) or "<none>"):
            return
        for name, held in list(getattr(value, "__dict__", {}).items())[:_WIDEST]:
            self.add(f"{path}/{name}", held, depth)


def _is_random(value: object) -> bool:
    random: Any = sys.modules.get("random")  # the program may not have it: then there is none
    is_one = hasattr(random, "SystemRandom") and isinstance(value, random.Random)
    return is_one and not isinstance(value, random.SystemRandom)


def _kind(path: str, otherwise: str) -> str:
    """Return the kind that the last name in a path tells, if any."""
    name = next((part for part in reversed(path.split("/")) if not part.isdigit()), path)
    name = name.rpartition(":")[2]
    return next((kind for kind, pattern in _KINDS.items() if pattern.fullmatch(name)), otherwise)
