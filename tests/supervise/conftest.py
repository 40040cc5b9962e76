"""A rig for supervisors: real processes, real signals; what is waited for is a line, a file, or an end."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored, in all that is started here

BOUND_S = 120  # so long nothing takes; a test that waits for it has failed

PRELUDE = """
import json, os, signal, sys, time
control = os.environ.get("OUTLAST_CONTROL", "")
def put(name, **value):
    path = os.path.join(control, name)
    with open(path + ".new", "w") as file:
        json.dump(value, file)
    os.replace(path + ".new", path)
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode(errors="surrogateescape"))  # also in a signal handler
def attempt():
    with open("attempts", "a+") as file:
        file.write("x")
        return file.tell()
def on(number, do):
    signal.signal(number, lambda *_: do())
def forever():
    while True:
        time.sleep(0.02)  # not pause(): a signal just before it would be heard only after the next one
"""

SHIFTED = """
import time
from outlast.clock import SystemClock
def shifted():
    try:
        with open("shift") as file:
            return time.monotonic() + float(file.read())
    except FileNotFoundError:
        return time.monotonic()
SystemClock.monotonic = staticmethod(shifted)
"""

DRIVER = """
import json, sys
from outlast.supervise import JsonLines, Rules, attempt, sentences, supervise, tree
options = json.loads(sys.argv[1])
tree.TERM_S = options.pop("term_s", tree.TERM_S)
attempt.HURRY_S = options.pop("hurry_s", attempt.HURRY_S)
rules = Rules(**{"first_wait_s": 0.01, **options.pop("rules", {})})
tell = JsonLines() if options.pop("json", False) else sentences
if options.pop("fail_on_notice", False):
    def tell(event, text="", **fields):
        if event == "notice":
            raise RuntimeError("planted")
sys.exit(supervise(sys.argv[2:], rules=rules, tell=tell, **options))
"""


class Supervised:
    """A supervisor that runs."""

    def __init__(self, process):
        self.process = process
        self._lines = queue.Queue()
        self._errors = []
        self._told = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(process.stdout, self._lines.put), daemon=True),
            threading.Thread(target=self._read, args=(process.stderr, self._tell), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream, keep):
        with stream:
            for line in stream:
                keep(line.rstrip(b"\n").decode(errors="surrogateescape"))
        if keep == self._lines.put:
            keep(None)

    def _tell(self, line):
        with self._told:
            self._errors.append(line)
            self._told.notify_all()

    def line(self):
        """The next line that the command prints."""
        try:
            line = self._lines.get(timeout=BOUND_S)
        except queue.Empty:
            line = None
        if line is None:
            pytest.fail(f"no line came; stderr: {self._errors}")
        return line

    def lines(self):
        """The lines not yet taken, after the end."""
        return [self._lines.get() for _ in range(self._lines.qsize() - 1)]

    def send(self, number):
        self.process.send_signal(number)

    def await_error(self, text):
        """Wait until a line with this text was told on stderr."""
        with self._told:
            assert self._told.wait_for(lambda: text in self.errors, BOUND_S), self.errors

    def status(self):
        """The exit status; a negative number for a signal."""
        self.process.wait(BOUND_S)
        for reader in self._readers:
            reader.join(BOUND_S)
        return self.process.returncode

    @property
    def errors(self):
        return "\n".join(self._errors)

    @property
    def events(self):
        return [json.loads(line) for line in self._errors]


class Rig:
    bound_s = BOUND_S

    def __init__(self, folder):
        self.folder = folder
        self.running = []
        self.runtime = folder / "runtime"
        self.runtime.mkdir(mode=0o700)  # others must not write there, whatever the umask
        self.shift_s = 0.0

    def program(self, text, name="program.py"):
        """Write a program; returns the command that runs it."""
        path = self.folder / name
        path.write_text(PRELUDE + text)
        return [sys.executable, "-I", "-S", str(path)]

    def environment(self, **more):
        source = str(Path(__file__).parents[2] / "src")
        clean = {k: v for k, v in os.environ.items() if not k.startswith("OUTLAST_")}
        return {**clean, "PYTHONPATH": source, "XDG_RUNTIME_DIR": str(self.runtime), **more}

    def start(self, command, *, env=None, popen=None, before=(), shifted=False, **options):
        """Supervise a command; options are those of `supervise` and of DRIVER. `before` runs the supervisor."""
        driver = [*before, sys.executable, "-c", self.shifted(DRIVER) if shifted else DRIVER, json.dumps(options)]
        return self.spawn([*driver, *command], env=env, **(popen or {}))

    def spawn(self, argv, *, env=None, **popen):
        process = subprocess.Popen(
            argv,
            cwd=self.folder,
            env=self.environment(**(env or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **{"stdin": subprocess.DEVNULL, **popen},
        )
        self.running.append(process)
        return Supervised(process)

    def shifted(self, script):
        """A supervisor's script, with a clock that `pass_time` sets."""
        return SHIFTED + script

    def pass_time(self, one, seconds_s):
        """Have time pass for a supervisor with such a clock: nothing is left to how fast this machine is."""
        self.shift_s += seconds_s
        (self.folder / "shift.new").write_text(str(self.shift_s))
        (self.folder / "shift.new").rename(self.folder / "shift")
        one.send(signal.SIGCHLD)  # wakes it, and is no notice

    def file(self, name):
        return (self.folder / name).read_text()


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path)
    yield made
    for process in made.running:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(BOUND_S)


@pytest.fixture(scope="session")
def gone():
    """Wait until a process is no more (or a zombie, where nobody reaps)."""

    def wait(pid):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        import select

        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        ended = bool(poller.poll(BOUND_S * 1000))
        os.close(descriptor)
        return ended

    return wait
