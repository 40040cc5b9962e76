"""Data for `fit` that can be entered at any batch of any epoch: the order is a function of the epoch's number."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from outlast.errors import UsageError


class Source(ABC):
    """Where batches come from.

    Attributes:
        batches: in an epoch; None if that is not known.
    """

    batches: int | None = None

    @abstractmethod
    def epoch(self, number: int, start: int) -> Iterator[Any]:
        """Yield the batches of an epoch from the one with the number `start` on."""

    def first(self) -> Any:
        """Return a batch, to build a model by."""
        return next(iter(self.epoch(0, 0)))

    def stream(self, epoch: int, batch: int, steps: int) -> Iterator[Any]:
        """Yield `steps` batches of each epoch, without end, from one batch of one epoch on.

        Raises:
            UsageError: an epoch has fewer.
        """
        for number in itertools.count(epoch):
            given = batch
            for one in itertools.islice(self.epoch(number, batch), steps - batch):
                given += 1
                yield one
            if given < steps:
                raise UsageError(f"epoch {number} has {given} batches, expected {steps}")
            batch = 0


def source_of(x: Any, y: Any, weights: Any, *, batch_size: int, shuffle: bool, seed: int) -> Source:
    """Return the source that data for `fit` are.

    Raises:
        UsageError: they cannot be entered in the middle.
    """
    if isinstance(x, keras.utils.PyDataset):
        return _Dataset(x, shuffle=shuffle, seed=seed)
    if callable(x) and not _is_array(x):
        return _Made(x)
    if _is_array(x) or isinstance(x, (dict, list, tuple)):
        return _Arrays((x, y, weights), batch_size=batch_size, shuffle=shuffle, seed=seed)
    raise UsageError(
        f"a {type(x).__name__} tells nobody which epoch's order it is in, so that it cannot be entered in the middle",
        hint="give arrays, a PyDataset, or a function: lambda epoch: data.shuffle(1000, seed=epoch).batch(32)",
    )


Parts = tuple[Any, Any, Any]


def held_back(parts: Parts, share: float) -> tuple[Parts, Parts]:
    """Return inputs, targets and weights for training, and the last `share` of each for validation, as Keras does.

    Raises:
        UsageError: they are no arrays, or too few for it.
    """
    arrays = [part for part in keras.tree.flatten(parts) if part is not None]
    if not all(map(_is_array, arrays)):
        raise UsageError("validation_split needs arrays", hint="give validation_data=, made beforehand")
    count = len(arrays[0])
    at = math.floor(count * (1 - share))
    if not 0 < at < count:
        raise UsageError(f"validation_split={share} of {count} samples leaves nothing for one of both")

    def part(of: slice) -> Parts:
        found: Parts = keras.tree.map_structure(lambda held: None if held is None else held[of], parts)
        return found

    return part(slice(at)), part(slice(at, None))


def weights_of(y: Any, by_class: Mapping[int, float], weights: Any) -> np.ndarray[Any, Any]:
    """Return the weight of each sample, by its class, as Keras finds it: a whole number, or the place of the largest.

    Raises:
        UsageError: the targets are no array, or the samples have weights of their own.
    """
    if not _is_array(y) or weights is not None:
        raise UsageError(
            "class_weight needs targets in one array, and no sample_weight beside it",
            hint="give each sample its weight: sample_weight=np.array([weight[k] for k in y]), or in each batch",
        )
    classes = np.asarray(y)
    if classes.ndim > 1:
        classes = classes.squeeze(-1) if classes.shape[-1] == 1 else classes.argmax(-1)
    found = [by_class.get(one, 1.0) for one in classes.round().astype("int32").tolist()]
    return np.array(found, keras.backend.floatx())


def _is_array(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype") and hasattr(x, "__getitem__")


def _order(count: int, number: int, *, shuffle: bool, seed: int) -> np.ndarray[Any, Any]:
    """Return the order of an epoch: the same whenever it is asked for."""
    return np.random.default_rng([seed, number]).permutation(count) if shuffle else np.arange(count)


class _Arrays(Source):
    def __init__(self, parts: Parts, *, batch_size: int, shuffle: bool, seed: int) -> None:
        given = parts if parts[2] is not None else parts[:2] if parts[1] is not None else parts[:1]
        self._parts = keras.tree.map_structure(np.asarray, given)
        lengths = {len(part) for part in keras.tree.flatten(self._parts)}
        if len(lengths) != 1 or not min(lengths) or batch_size < 1:
            raise UsageError(f"arrays of {sorted(lengths)} samples, in batches of {batch_size}")
        self._length = lengths.pop()
        self._size, self._shuffle, self._seed = batch_size, shuffle, seed
        self.batches = math.ceil(self._length / batch_size)

    def epoch(self, number: int, start: int) -> Iterator[Any]:
        order = _order(self._length, number, shuffle=self._shuffle, seed=self._seed)
        for begin in range(start * self._size, self._length, self._size):
            chosen = order[begin : begin + self._size]
            yield keras.tree.map_structure(lambda part: part[chosen], self._parts)  # noqa: B023  (used at once)


class _Dataset(Source):
    def __init__(self, dataset: keras.utils.PyDataset, *, shuffle: bool, seed: int) -> None:
        self._dataset, self._shuffle, self._seed = dataset, shuffle, seed
        self._ended = 0
        self.batches = dataset.num_batches

    def epoch(self, number: int, start: int) -> Iterator[Any]:
        while self._ended < number:  # it may draw its order anew at each epoch's end
            self._dataset.on_epoch_end()
            self._ended += 1
        assert self.batches is not None
        for at in _order(self.batches, number, shuffle=self._shuffle, seed=self._seed)[start:]:
            yield self._dataset[int(at)]


class _Made(Source):
    def __init__(self, make: Callable[[int], Iterable[Any]]) -> None:
        self._make = make

    def epoch(self, number: int, start: int) -> Iterator[Any]:
        made = self._make(number)
        if hasattr(made, "skip") and hasattr(made, "as_numpy_iterator"):  # tf.data
            return iter(made.skip(start).as_numpy_iterator())
        if isinstance(made, Sequence):
            return iter(made[start:])
        return itertools.islice(iter(made), start, None)
