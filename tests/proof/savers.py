"""SIGKILL of a program that saves files as fast as they are taken, of its supervisor, of both, at any moment.

The oracle lies outside of the store: the program notes each step whose rename has returned, and looks at its start
whether what it is given is whole. Killed alone, it may lose nothing that it has renamed; with its supervisor, nothing
that was told to be committed.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from outlast.clock import SYSTEM
from outlast.store import Store
from outlast.testing.conformance.rig import Rig, Supervised, kill
from proof.core import Harness

KILLS = 4  # in one case
_BOUND_S = 60.0

_BASH = """
mkdir -p "$OUTLAST_SAVE"; i=0
if [ -n "${OUTLAST_RESTORE-}" ]; then
    { read -r i; read -r first; read -r last; } < "$OUTLAST_RESTORE/state"
    [ "$i $first" = "$OUTLAST_STEP $last" ] || { echo "torn: $i $first $last" >> ledger; exit 3; }
fi
while :; do
    i=$((i + 1))
    printf '%s\\n%0999d\\n%0999d\\n' "$i" "$i" "$i" > "$OUTLAST_SAVE/new"
    mv "$OUTLAST_SAVE/new" "$OUTLAST_SAVE/$i"
    echo "$i" >> ledger
done
"""
_C = """
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
enum { AHEAD = 400 };  /* so many wait to be taken or removed: more would fill the memory or the disk */
static long state[1 << 12];
static char *at(char *path, const char *folder, const char *name) { sprintf(path, "%s/%s", folder, name); return path; }
int main(void) {
    char from[4096], to[4096], step[32]; long i = 0; size_t k; FILE *file;
    const char *save = getenv("OUTLAST_SAVE"), *restore = getenv("OUTLAST_RESTORE");
    int ledger = open("ledger", O_WRONLY | O_CREAT | O_APPEND, 0600);
    mkdir(save, 0700);
    if (restore) {
        i = atol(getenv("OUTLAST_STEP"));
        file = fopen(at(from, restore, "a"), "rb");
        if (!file || fread(state, 1, sizeof state, file) != sizeof state) i = -1;
        for (k = 0; k < sizeof state / sizeof *state && i >= 0; k++) if (state[k] != i) i = -1;
        if (i < 0) { dprintf(ledger, "torn: %ld\\n", i); return 3; }
    }
    for (;;) {
        i++;
        for (k = 0; k < sizeof state / sizeof *state; k++) state[k] = i;
        mkdir(at(from, save, "new"), 0700);
        file = fopen(at(to, save, "new/a"), "wb");
        if (!file || fwrite(state, 1, sizeof state, file) != sizeof state || fclose(file)) return 1;
        sprintf(step, "%ld", i);
        if (rename(at(from, save, "new"), at(to, save, step))) return 1;
        dprintf(ledger, "%ld\\n", i);
        sprintf(step, "%ld", i - AHEAD);
        while (!access(at(to, save, step), F_OK)) usleep(500);
    }
}
"""


def cases() -> Iterator[str]:
    """Endless: a language, who is killed, and a seed."""
    for seed in count(1):
        for language in ("bash", "c"):
            for whom in ("program", "supervisor", "both"):
                yield f"{language}:{whom}:{seed}"


def run(case: str, folder: Path) -> int:
    language, whom, seed = case.split(":")
    return kills(language, whom, KILLS, random.Random(case), folder) if seed else 0


def kills(language: str, whom: str, number: int, rng: random.Random, folder: Path) -> int:
    """Kill so often; return how often something was restored. Raises AssertionError if anything was lost or torn."""
    rig = Rig(_built(language, folder), folder, kills=0)
    rig._cwd = folder
    rig.fresh("store")
    run, known, restored = rig.start("--tries", "1000"), -1, 0
    try:
        for _ in range(number):
            pid = _running(run)
            if whom != "program":
                known = max(known, run.until("committed")["step"])
            _await_more(folder, rng.randrange(1, 40), run)
            if whom == "program":
                kill(pid)
                known = max(_ledger(folder))
            elif whom == "both":
                run.kill()
                known = _committed(run, known)
            else:
                run.process.kill()
                run.process.wait()
                known = _committed(run, known)
            if whom != "program":
                run = rig.start("--tries", "1000")
            step = run.until("restored")["step"] if known >= 0 else -1
            assert step >= known, f"{known} was safe, {step} was restored"
            restored += 1
    finally:
        rig.stop()
    torn = [line for line in (folder / "ledger").read_text().splitlines() if line.startswith("torn")]
    assert not torn, torn
    assert Store(rig.store).quarantined() == ()
    return restored


def _built(language: str, folder: Path) -> list[str]:
    if language == "bash":
        (folder / "saver.sh").write_text(_BASH)
        return ["bash", "saver.sh"]
    (folder / "saver.c").write_text(_C)
    subprocess.run(["gcc", "-O1", "-o", folder / "saver", folder / "saver.c"], check=True)
    return ["./saver"]


def _running(run: Supervised) -> int:
    return int(run.until("start")["pid"])


def _ledger(folder: Path) -> list[int]:
    try:
        lines = (folder / "ledger").read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [int(line) for line in lines if line.isdigit()]


def _await_more(folder: Path, more: int, run: Supervised) -> None:
    """Wait until it has saved so many times more."""
    enough, until_s = len(_ledger(folder)) + more, SYSTEM.monotonic() + _BOUND_S
    while len(_ledger(folder)) < enough:
        assert run.process.poll() is None, "\n".join(run.lines)
        assert SYSTEM.monotonic() < until_s, f"it saves no more: {run.lines}"
        SYSTEM.sleep(0.002)


def _committed(run: Supervised, known: int) -> int:
    """The highest step that a dead supervisor had told to be safe."""
    return max([known, *(event["step"] for event in run.rest() if event["event"] == "committed")])


def _missing() -> str | None:
    return None if shutil.which("gcc") else "gcc"


HARNESS = Harness(cases=cases, run=run, sample=6, endless=True, needs=_missing)
