"""The demo's training program: `python -m outlast.demo.train STORE --backend torch|numpy`.

An ordinary program as a user would write it, but for the last lines: they let the demo kill it in the middle
of a save (a real SIGKILL, half-way through the write of a part), and hold it until the demo has struck.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
from typing import Any

HOLD_AFTER, KILL_IN_WRITE = "OUTLAST_DEMO_HOLD_AFTER", "OUTLAST_DEMO_KILL_IN_WRITE"
EPOCHS = 8
BATCH = 32
EVERY = 25
_HOLD_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("--backend", choices=("torch", "numpy"), required=True)
    args = parser.parse_args()
    _arm()
    _hold()
    if args.backend == "torch":
        from outlast.demo.torch_digits import train
    else:
        from outlast.demo.numpy_digits import train
    accuracy = train(args.store, epochs=EPOCHS, batch=BATCH, every=EVERY)
    print(f"accuracy {accuracy:.4f}", flush=True)  # noqa: T201


def _arm() -> None:
    """Arm the kill that the demo asks for: in the write of the n-th part of this process."""
    nth = int(os.environ.get(KILL_IN_WRITE, "0"))
    if not nth:
        return
    from outlast.backends import paths
    from outlast.testing import CountedCalls, Fault

    fault = Fault(at=nth, signal=signal.SIGKILL, when="torn", only=("write",))
    vars(paths)["Syscalls"] = lambda: CountedCalls(fault)


def _hold() -> None:
    """Hold where the demo asks for it: after so many steps of this process, until its standard input is closed."""
    last = int(os.environ.get(HOLD_AFTER, "0"))
    if not last:
        return
    import outlast

    log, steps = outlast.Run.log, 0

    def holding(self: outlast.Run, **metrics: Any) -> None:
        nonlocal steps
        log(self, **metrics)
        steps += 1
        if steps == last:
            select.select([0], (), (), _HOLD_S)

    outlast.Run.log = holding  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
