"""The numbers that a run logs: kept in the journal in batches, the latest ones in the manifest."""

from __future__ import annotations

import math
import threading
from typing import Any

from outlast.errors import OutlastError, UsageError
from outlast.store import Journal
from outlast.store.journal import METRICS

_ROWS_A_LINE = 4096


class Metrics:
    """Collects what `run.log` is given. `latest` holds the last value of each name."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._rows: list[tuple[int, dict[str, Any]]] = []
        self._latest: dict[str, float] = {}
        self._lock = threading.Lock()

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Note values at a step. Raises UsageError for what is not a number."""
        row = {}
        for name, value in values.items():
            try:
                row[name] = float(value)
            except (TypeError, ValueError):
                raise UsageError(
                    f"metric {name} is a {type(value).__name__}, expected a number", hint="log a float of it"
                ) from None
        with self._lock:
            self._rows.append((step, row))
        self._latest |= row

    @property
    def latest(self) -> dict[str, float]:
        """The last value of each name, those that are not finite left out: they can be best at nothing."""
        return {name: value for name, value in self._latest.items() if math.isfinite(value)}

    def restore(self, values: dict[str, float]) -> None:
        """Go on from the values of a checkpoint."""
        self._latest = dict(values)

    def flush(self) -> None:
        """Bring what has been logged to the journal, in lines that are short enough for any reader."""
        with self._lock:
            rows, self._rows = self._rows, []
        while rows:
            batch, rows = rows[:_ROWS_A_LINE], rows[_ROWS_A_LINE:]
            plain = [[step, {n: _plain(v) for n, v in row.items()}] for step, row in batch]
            try:
                self._journal.record(METRICS, sync=False, rows=plain)
            except OutlastError:
                with self._lock:
                    self._rows[:0] = batch + rows  # for the next time
                raise


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
