"""Becomes a job of `local`: a process that belongs to nobody's session, terminal or shell.

Run as `python -I -S detach.py VARIABLE COMMAND...`, as the leader of a session of its own, never imported. It says the
id of the process that executes COMMAND, which finds it in VARIABLE too, and ends.
"""

import os
import signal
import sys


def _environment() -> dict[bytes, bytes]:
    """Return the environment as we got it: under the C locale Python's start adds LC_CTYPE."""
    with open("/proc/self/environ", "rb") as file:
        pairs = [entry.partition(b"=") for entry in file.read().split(b"\0")]
    return {name: value for name, is_pair, value in pairs if name and is_pair}


def main() -> None:
    variable, command = sys.argv[1], sys.argv[2:]
    reading, writing = os.pipe()
    number = os.fork()
    if number:
        os.close(writing)
        error = os.read(reading, 32)  # nothing: it was executed
        if error:
            sys.exit(f"{command[0]}: {os.strerror(int(error))}")
        sys.stdout.write(f"{number}\n")
        return
    for signal_number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(signal_number, signal.SIG_DFL)  # Python's start has ignored them
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    try:
        env = {**_environment(), variable.encode(): str(os.getpid()).encode()}
        os.execvpe(command[0], command, env)  # noqa: S606  (the user's script)
    except OSError as e:
        os.write(writing, str(e.errno).encode())
        os._exit(127)


if __name__ == "__main__":
    main()
