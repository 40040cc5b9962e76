"""What Lightning leaves out of its checkpoint, or counts twice after one: the running sums of an epoch's metrics.

Read from Lightning 2.5 and 2.6; a test prints what is used here.
"""

from __future__ import annotations

from typing import Any


class Rest:
    """The rest of a trainer's state.

    Args:
        trainer: a Lightning trainer.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._saved: dict[str, dict[str, Any]] = {}

    def add_to(self, checkpoint: dict[str, Any]) -> None:
        """Complete the trainer's checkpoint, which was taken at a boundary."""
        loop = self._trainer.fit_loop.epoch_loop
        checkpoint["outlast"] = {
            "sums": {key: _sums(metric) for key, metric in loop._results.items() if metric.is_tensor},  # noqa: SLF001
            "metrics": dict(self._trainer.callback_metrics),
        }
        if loop._should_check_val_fx(self._trainer.fit_loop._data_fetcher):  # noqa: SLF001
            # On the way back the loop passes here once more, without a batch, and counts a step.
            checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1

    def take_from(self, checkpoint: dict[str, Any]) -> None:
        """Take out of a checkpoint what `add_to` put in."""
        rest = checkpoint.pop("outlast")
        self._saved = rest["sums"]
        self._trainer._logger_connector._callback_metrics.update(rest["metrics"])  # noqa: SLF001

    def merge(self) -> None:
        """Add the sums of before the restart, once, when the first step after it has made its own.

        One sum of two numbers does not depend on their order, so the result is that of an undisturbed epoch.
        """
        saved, self._saved = self._saved, {}
        results = self._trainer.fit_loop.epoch_loop._results  # noqa: SLF001
        for key, sums in saved.items():
            metric = results.get(key)
            if metric is not None and metric.meta.on_epoch:
                _add(metric, sums)

    def let_plateaus_step(self) -> None:
        """Have schedules that watch a metric stepped at the end of the epoch that was entered in its midst.

        Lightning leaves them out there, for it keeps no metrics; we do.
        """
        self._trainer.fit_loop._restarting = False  # noqa: SLF001  (not by the property, which tells all inner loops)


def _sums(metric: Any) -> dict[str, Any]:
    count = metric.cumulated_batch_size if metric.meta.is_mean_reduction else 0
    return {"value": metric.value.clone(), "count": count}


def _add(metric: Any, sums: dict[str, Any]) -> None:
    value = sums["value"].to(metric.value.device)
    if metric.meta.is_mean_reduction:
        metric.value = metric.value + value
        metric.cumulated_batch_size = metric.cumulated_batch_size + sums["count"]
    elif metric.meta.is_sum_reduction:
        metric.value = metric.value + value
    elif not metric.meta.is_custom_reduction:
        metric.value = metric.meta.reduce_fx(metric.value, value)
