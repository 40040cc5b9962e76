"""CRIU: checkpoints of process trees by the kernel's help. For root; see docs/how-to/transparent.md for its limits.

Dump and restore happen inside the process space in which the program lives, so to CRIU it is an ordinary tree.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from outlast.errors import UsageError
from outlast.supervise.engines import namespaces, outputs
from outlast.supervise.engines.engine import Engine, EngineError, Session, Standing

CRIU = "OUTLAST_CRIU"
_RECORD = "outputs.json"
_INVENTORY = "inventory.img"
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/sbin")
_QUIET = "RLIMIT_NOFILE"  # what it may not raise for itself it does not need
_REMEDY = (
    "install CRIU 4.1 or later (Debian 13, Ubuntu 25.04 and Fedora have it), or name it: OUTLAST_CRIU=/path/to/criu"
)
_HINTS = {
    "Connected TCP socket": "a program with network connections cannot be taken",
    "tcp": "a program with network connections cannot be taken",
    "nvidia": "a program that uses a GPU cannot be taken",
    "/dev/kfd": "a program that uses a GPU cannot be taken",
    "cpuinfo": "go on on a node with the processor that it was saved on: for Slurm, --constraint",
}


class Criu(Engine):
    """The engine `criu`."""

    name = "criu"

    def __init__(self) -> None:
        self._program = _program()

    def look(self) -> Standing:
        program = self._program
        if program is None:
            return Standing(problem="criu is not there", remedy=_REMEDY)
        version = _first_line([program, "--version"]).removeprefix("Version:").strip()
        if trouble := namespaces.problem():
            return Standing(version=version, problem=trouble, remedy="run it as root, or use --engine dmtcp")
        done = _run([program, "check"])
        if done.returncode != 0:
            return Standing(version=version, problem=f"`criu check`: {_last_error(done.stdout)}", remedy=_REMEDY)
        return Standing(version=version)

    def _there(self) -> str:
        if self._program is None:
            raise EngineError("criu is not there", hint=_REMEDY)
        return self._program

    def start(self, command: Sequence[str], *, streams: tuple[str, str], work: str) -> Session:
        session = CriuSession(self._there(), work)
        session.ask(do="start", command=list(command), streams=list(streams), cwd=os.getcwd())
        return session

    def lengths(self, image: str) -> Mapping[str, int]:
        try:
            found = outputs.read(os.path.join(image, _RECORD))
            return {str(path): int(size) for path, size in found.items()}
        except (OSError, ValueError, TypeError) as e:
            raise EngineError(f"the image does not say how long the program's outputs were: {e}") from e

    def restore(self, image: str, *, work: str) -> Session:
        lengths = self.lengths(image)
        if said := outputs.misfits(lengths):
            raise UsageError(
                f"the program's outputs are not as they were: {'; '.join(said)}",
                hint="put them back, or begin anew with another store",
            )
        session = CriuSession(self._there(), work)
        try:
            session.ask(do="check", image=image)
            outputs.cut_back(lengths)
            session.ask(do="restore", image=image)
        except BaseException:
            session.close()
            raise
        return session


class CriuSession(Session):
    """A program in a process space of its own."""

    def __init__(self, program: str, work: str) -> None:
        self._program, self._work = program, work
        self._space = namespaces.Space(self._serve)

    def ask(self, **request: Any) -> None:
        self._space.ask(**request)

    def poll(self) -> int | None:
        return self._space.poll()

    def dump(self, folder: str, *, goes_on: bool) -> None:
        self._space.ask(do="dump", image=folder, goes_on=goes_on)
        if not os.path.exists(os.path.join(folder, _INVENTORY)):
            raise EngineError(f"criu says that it is done, and {_INVENTORY} is missing")

    def close(self) -> None:
        self._space.close()

    # -- in the space ------------------------------------------------------------------------------------------

    def _serve(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "start":
                self._root = _spawn(request["command"], request["streams"], request["cwd"])
            case "check":
                self._criu("cpuinfo", "check", "--images-dir", request["image"])
            case "restore":
                pidfile = os.path.join(self._work, "root.pid")
                self._criu(
                    *("restore", "--images-dir", request["image"], "--restore-detached", "--pidfile", pidfile),
                )
                with open(pidfile, encoding="ascii") as file:
                    self._root = int(file.read())
            case "dump":
                self._dump(request["image"], goes_on=request["goes_on"])
        return {"root": self._root} if hasattr(self, "_root") else {}

    def _dump(self, folder: str, *, goes_on: bool) -> None:
        self._criu("cpuinfo", "dump", "--images-dir", folder)
        record = os.path.join(folder, _RECORD)
        script = os.path.join(self._work, "frozen")
        words = " ".join(map(_quoted, (sys.executable, "-I", "-S", outputs.__file__, record)))
        with open(script, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\n[ "$CRTOOLS_SCRIPT_ACTION" = post-dump ] || exit 0\nexec {words} {self._root}\n')
        os.chmod(script, 0o700)
        after = "--leave-running" if goes_on else "--leave-stopped"
        self._criu("dump", "--images-dir", folder, "--tree", str(self._root), "--action-script", script, after)

    def _criu(self, *words: str) -> None:
        """Run it, with its log in our folder. Raises EngineError with what it says."""
        log = os.path.join(self._work, f"{words[0]}.log")
        options = [] if words[0] == "cpuinfo" else ["--work-dir", self._work, "--log-file", log, "-v2"]
        before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        try:
            done = _run([self._program, *words, *options])
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if done.returncode != 0:
            said = done.stdout
            if options and os.path.exists(log):
                with open(log, encoding="utf-8", errors="replace") as file:
                    said += file.read()
            error = _last_error(said)
            hint = next((text for word, text in _HINTS.items() if word in " ".join((error, *words))), None)
            raise EngineError(f"criu {words[0]}: {error}" + (f" ({hint})" if hint else ""))


def _spawn(command: Sequence[str], streams: Sequence[str], cwd: str) -> int:
    """Start the program as a session of its own, with nothing open but its standard streams. Returns its process id."""
    heard, report = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.chdir(cwd)
            null = os.open("/dev/null", os.O_RDONLY)
            opened = [os.open(path, os.O_WRONLY | os.O_APPEND) for path in streams]  # in this space's mounts
            for number, descriptor in enumerate((null, *opened)):
                os.dup2(descriptor, number)
            os.dup2(report, 3, inheritable=False)
            os.closerange(4, os.sysconf("SC_OPEN_MAX"))
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, set())
            os.execvp(command[0], list(command))  # noqa: S606  (the command is the user's)
        except OSError as e:
            os.write(3, f"{command[0]}: {e.strerror}".encode())
        finally:
            os._exit(127)
    os.close(report)
    with os.fdopen(heard, "rb") as file:
        failure = file.read()
    if failure:
        os.waitpid(pid, 0)
        raise EngineError(failure.decode(errors="replace"))
    return pid


def _program() -> str | None:
    named = os.environ.get(CRIU)
    return shutil.which(
        named or "criu", path=None if named else os.pathsep.join((os.defpath, *_PLACES, os.environ.get("PATH", "")))
    )


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (an engine's program, found above)
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        errors="replace",
    )


def _first_line(words: Sequence[str]) -> str:
    return _run(words).stdout.strip().split("\n", 1)[0]


def _last_error(text: str) -> str:
    """Return the errors that a log names, in a line."""
    lines = [line for line in text.splitlines() if "Error" in line and _QUIET not in line]
    found = [line.split("): ", 1)[-1].strip() for line in lines] or [
        line for line in text.splitlines() if line.strip()
    ][-1:]
    return "; ".join(dict.fromkeys(found[:3])) or "it says nothing"


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
