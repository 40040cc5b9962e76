"""Seams for tests, ours and those of third parties: storage calls that count, fail or kill, and a clock that obeys."""

from outlast.testing.clock import FakeClock
from outlast.testing.faults import CountedCalls, Fault

__all__ = ["CountedCalls", "FakeClock", "Fault"]
