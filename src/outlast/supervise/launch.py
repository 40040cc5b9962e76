"""Becomes the command: what must be set between fork and exec, in a process of its own.

Run as `python -I -S launch.py PARENT FD COMMAND...`, never imported. Python code between fork and exec is not safe
where there are threads, so `tree.start` starts this instead. It asks for SIGTERM at its parent's death, puts back
what Python's own start has changed, and executes COMMAND. A failure goes to FD as an errno.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _environment() -> dict[bytes, bytes]:
    """Return the environment as we got it: under the C locale Python's start adds LC_CTYPE."""
    with open("/proc/self/environ", "rb") as file:
        pairs = [entry.partition(b"=") for entry in file.read().split(b"\0")]
    return {name: value for name, is_pair, value in pairs if name and is_pair}


def main() -> None:
    parent, report, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    os.set_inheritable(report, False)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), *[ctypes.c_ulong(0)] * 3)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)  # it died before we could ask
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, _environment())  # noqa: S606  (the command is the user's)
    except OSError as e:
        os.write(report, str(e.errno).encode())
        os._exit(127)


if __name__ == "__main__":
    main()
