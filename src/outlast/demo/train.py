"""The demo's training program: `python -m outlast.demo.train STORE --backend torch|numpy`.

An ordinary program as a user would write it, but for the last lines: they let the demo kill it in the middle
of a save (a real SIGKILL, half-way through the write of a part).
"""

from __future__ import annotations

import argparse
import os
import signal

EPOCHS = 8
BATCH = 32
EVERY = 25


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("--backend", choices=("torch", "numpy"), required=True)
    args = parser.parse_args()
    _arm()
    if args.backend == "torch":
        from outlast.demo.torch_digits import train
    else:
        from outlast.demo.numpy_digits import train
    accuracy = train(args.store, epochs=EPOCHS, batch=BATCH, every=EVERY)
    print(f"accuracy {accuracy:.4f}", flush=True)  # noqa: T201


def _arm() -> None:
    """Arm the kill that the demo asks for: in the write of the n-th part of this process."""
    nth = int(os.environ.get("OUTLAST_DEMO_KILL_IN_WRITE", "0"))
    if not nth:
        return
    from outlast.backends import paths
    from outlast.testing import CountedCalls, Fault

    fault = Fault(at=nth, signal=signal.SIGKILL, when="torn", only=("write",))
    vars(paths)["Syscalls"] = lambda: CountedCalls(fault)


if __name__ == "__main__":
    main()
