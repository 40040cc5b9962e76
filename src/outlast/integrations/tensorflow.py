"""TensorFlow's `PreemptionCheckpointHandler`, told of our notices, and leaving with status 85.

It saves by TensorFlow's own means, into a folder of its own; outlast has no store here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from outlast.errors import PREEMPTED
from outlast.run.notice import Notice


@contextmanager
def termination(grace_period_s: float = 0) -> Iterator[tf.distribute.experimental.TerminationConfig]:
    """Hear SIGTERM, SIGUSR1 and SIGINT inside the block, and give the configuration that tells TensorFlow of them.

    Args:
        grace_period_s: for how long training may go on after a notice; 0: save after the step under way.
    """
    notice = Notice()
    notice.install()
    try:
        yield tf.distribute.experimental.TerminationConfig(
            termination_watcher_fn=lambda: notice.reason is not None,
            exit_fn=lambda: sys.exit(PREEMPTED),
            grace_period=grace_period_s,
        )
    finally:
        notice.uninstall(leaving=notice.reason is not None)
