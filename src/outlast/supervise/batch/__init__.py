"""Batch systems: what `outlast run` asks of the one that it runs in, and what `outlast submit` gives it.

One small interface, `BatchSystem`; a third party adds a system by the entry point group `outlast.schedulers`, and tries
it with the contract class in `outlast.testing`.
"""

from outlast.supervise.batch.registry import find, known, named
from outlast.supervise.batch.system import BatchSystem, Job, Order, Refused, Sight, Unreachable

__all__ = ["BatchSystem", "Job", "Order", "Refused", "Sight", "Unreachable", "find", "known", "named"]
