"""Node crashes: a machine under User-Mode Linux saves in a loop and is killed, kernel and all; what it told is there.

The machine sees the host's files read-only and runs the host's Python; its disk is an image. It tells each step that
was acknowledged on its console. After each crash it is booted again, checks what it finds, and goes on. In every second
case it saves on the fast path, over the blocks of what it pruned.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import storekit
from largekit import Crowd
from outlast.backends import mounts
from proof.core import Harness
from storekit import Attempt

_CRASHES = 2  # in each case, on the same store
_BOOT_S = 120.0
_IMAGE_BYTES = 32 << 20
_DONE = "looked"


def cases() -> Iterator[str]:
    return map(str, itertools.count(1))


def run(case: str, folder: Path) -> int:
    rng = random.Random(case)
    machine = _Machine(folder)
    known = 0
    for _ in range(_CRASHES):
        told = machine.run(
            "overwrite_on" if int(case) % 2 == 0 else "save_on", until=rng.randint(1, 25), then_s=rng.uniform(0, 0.03)
        )
        known = _check(told, known)
    _check(machine.run("look"), known)
    return _CRASHES


def _check(told: list[str], known: int) -> int:
    """Compare what a boot found with what the one before had acknowledged; return what is acknowledged now."""
    found = [int(line.split()[1]) for line in told if line.startswith("restores")]
    said = [line for line in told if not line.startswith("[")]
    assert found, f"the machine did not come up: {said[-20:]}"
    assert found[0] >= known, f"acknowledged {known}, restores {found[0]}"
    saved = [int(line.split()[1]) for line in told if line.startswith("acknowledged")]
    return max(saved, default=found[0])


class _Machine:
    """A machine with a disk of its own, in a folder.

    Args:
        folder: for the image, the mount point and what User-Mode Linux itself writes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "disk").mkdir()
        image = folder / "image"
        with image.open("wb") as file:
            file.truncate(_IMAGE_BYTES)
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, env={"PATH": path}, capture_output=True)

    def run(self, what: str, *, until: int = 0, then_s: float = 0.0) -> list[str]:
        """Boot, run `what`, and kill the machine so long after so many acknowledgements; return its console."""
        command = ["linux.uml", "quiet", "mem=256M", "rootfstype=hostfs", "rootflags=/", "ro", "con=null"]
        command += [f"ubd0={self._folder}/image", "con0=fd:0,fd:1", f"uml_dir={self._folder}"]
        machine = subprocess.Popen(
            [*command, f"init={self._init(what)}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
            start_new_session=True,
        )
        assert machine.stdout is not None
        kill = threading.Timer(_BOOT_S, os.killpg, (machine.pid, signal.SIGKILL))
        kill.start()
        try:
            return _listen(machine.stdout, until, lambda: _power_off(machine, then_s))
        finally:
            kill.cancel()
            _power_off(machine, 0.0)
            machine.stdout.close()
            machine.wait()

    def _init(self, what: str) -> Path:
        """Write the machine's first program: it mounts the disk and becomes Python."""
        script = self._folder / "init"
        path, disk = ":".join(filter(None, sys.path)), self._folder / "disk"
        program = f"from proof.uml import {what}; {what}({str(disk / 'store')!r})"
        script.write_text(
            "#!/bin/sh\n"
            "mount -t proc proc /proc || exit 1\n"
            "test -b /dev/ubda || mount -t devtmpfs dev /dev || exit 1\n"
            f"mount -t ext4 /dev/ubda {shlex.quote(str(disk))} || exit 1\n"
            f"PYTHONPATH={shlex.quote(path)} PYTHONDONTWRITEBYTECODE=1\nexport PYTHONPATH PYTHONDONTWRITEBYTECODE\n"
            f"exec {shlex.quote(sys.executable)} -c {shlex.quote(program)}\n"
        )
        script.chmod(0o700)
        return script


def _listen(console: IO[bytes], until: int, power_off: Callable[[], None]) -> list[str]:
    """Read the console to its end; kill the machine at the right moment. What it told until then counts."""
    told, count = [], 0
    for raw in console:
        line = raw.decode(errors="replace").strip()
        told.append(line)
        count += bool(re.fullmatch(r"acknowledged \d+", line))
        if line == _DONE or (until and count == until):
            power_off()
            until = 0
    return told


def _power_off(machine: subprocess.Popen, after_s: float) -> None:
    time.sleep(after_s)
    if machine.poll() is None:
        os.killpg(machine.pid, signal.SIGKILL)


def _say(text: str) -> None:
    os.write(1, text.encode() + b"\n")


def look(path: str) -> None:
    """Inside the machine: tell what would be restored, and wait for the end."""
    _found(Path(path))
    _say(_DONE)
    time.sleep(_BOOT_S)


def save_on(path: str) -> None:
    """Inside the machine: check, then save until somebody pulls the plug."""
    _save_on(path, Attempt)


def overwrite_on(path: str) -> None:
    _save_on(path, Crowd)


def _save_on(path: str, kit: type[Attempt]) -> None:
    step = _found(Path(path))
    attempt = kit.begin(Path(path), takeover=True)  # of a machine that is off nobody waits for a sign of life
    assert (attempt.restore() or 0) == step
    while True:
        step += 1
        attempt.save(step, frozen=False, keep=None if step % 3 else 2)
        _say(f"acknowledged {step}")


def _found(path: Path) -> int:
    """Check all that is visible; tell and return the step that would be restored, 0 if there is none."""
    disk = mounts.find(str(path))
    assert disk is not None, path
    assert disk.type == "ext4", disk
    step = 0
    if (path / "outlast.json").exists():
        step = storekit.newest(path) or 0
        storekit.all_good(path)
    _say(f"restores {step}")
    return step


HARNESS = Harness(cases=cases, run=run, sample=0, endless=True, tools=("linux.uml", "mkfs.ext4"), on_disk=True)
