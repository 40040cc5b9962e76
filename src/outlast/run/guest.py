"""The lease of another rank than 0, which has none: rank 0 holds the run's, and keeps its journal."""

from __future__ import annotations

from typing import Any

from outlast.store import Journal, Lease, Store


class Unwritten(Journal):
    """A journal that nobody keeps."""

    def __init__(self) -> None:
        """Open nothing."""

    def record(self, event: str, *, sync: bool = True, **fields: Any) -> None:
        """Keep nothing: rank 0 does."""

    def touch(self) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Close nothing."""


class Guest(Lease):
    """Stands where a lease does: rank 0 checks it for all, before and after it publishes."""

    def check(self) -> None:
        """Look at nothing."""

    def beat(self) -> None:
        """Show nothing."""

    def end(self, outcome: str, **fields: str | int) -> None:
        """Record nothing."""


def guest(store: Store, attempt: int) -> Guest:
    """Return the lease of a rank that takes part in an attempt."""
    return Guest(
        attempt=attempt, journal=Unwritten(), backend=store.backend, clock=store.clock, since_s=0.0, trust=store.trust
    )
