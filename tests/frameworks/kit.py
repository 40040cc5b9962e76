"""Wounded runs of the examples, compared with an undisturbed one. The examples run as they are."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import outlast

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("OUTLAST_TEST_KILLS", "2"))  # 20 in `make trainings`
_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


@dataclass(frozen=True, kw_only=True)
class Program:
    """An example: its script, the environment it needs, and what its process should import before it forks."""

    script: Path
    imports: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


class Zygote:
    """The other end of `zygote.py`."""

    def __init__(self, imports: list[str]) -> None:
        here = Path(__file__).with_name("zygote.py")
        self._compiled = tempfile.TemporaryDirectory(prefix="outlast-compiled-")
        paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, str(here), *imports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **_QUIET, "PYTHONPATH": paths, "JAX_COMPILATION_CACHE_DIR": self._compiled.name},
        )

    def attempt(self, program: Program, store: Path, *, at: int | None = None, number: int = 0, every: int = 5) -> int:
        """Run one attempt, which saves each `every` steps; at the boundary `at`, counted within it, it gets the signal.

        Return its status.
        """
        request = {
            "program": str(program.script),
            "imports": program.imports,
            "environment": program.environment,
            "store": str(store),
            "log": f"{store}.log",
            "at": at,
            "signal": number,
            "every": every,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        status = json.loads(self._process.stdout.readline())["status"]
        assert isinstance(status, int), status
        return status

    def close(self) -> None:
        self._process.kill()  # whoever else was forked here may hold the other end open
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._compiled.cleanup()


def said(store: Path) -> str:
    """Return what the attempts have printed."""
    return Path(f"{store}.log").read_text()


def final(path: Path, passed_over: str = "") -> dict[str, Any]:
    """Return all that the last checkpoint holds, to the bit, but for one component or leaf."""
    store = outlast.Store(path)
    manifest = store.manifest(store.checkpoints()[0])
    assert manifest.done, said(path)
    with store.source(manifest) as source:
        paths = [leaf.path for leaf in manifest.leaves if passed_over not in (leaf.path, leaf.path.partition("/")[0])]
        leaves = {path: bytes(source.read(path)) for path in paths}
    component, _, name = passed_over.partition("/")
    tree = {path: node for path, node in manifest.tree.items() if path != passed_over}
    if name:
        del tree[component]["state"][name]
    return leaves | {"tree": json.dumps(tree, sort_keys=True), "step": manifest.step}


def check(
    zygote: Zygote,
    program: Program,
    folder: Path,
    *,
    boundaries: int,
    seed: int = 1,
    kills: int = KILLS,
    passed_over: str = "",
) -> None:
    """Run a program undisturbed, and again with so many kills and notices at random boundaries: the end is the same.

    `passed_over`: a component, or a leaf, that is not compared.
    """
    quiet, wounded = folder / "undisturbed", folder / "wounded"
    assert zygote.attempt(program, quiet) == 0, said(quiet)
    wound(zygote, program, wounded, boundaries=boundaries, seed=seed, kills=kills)
    expected, found = final(quiet, passed_over), final(wounded, passed_over)
    differing = [name for name in expected if found.get(name) != expected[name]]
    assert not differing, differing[:10]
    assert found.keys() == expected.keys()


def wound(zygote: Zygote, program: Program, store: Path, *, boundaries: int, seed: int, kills: int = KILLS) -> None:
    """Kill a program or tell it to leave at random boundaries, so many times; then let it come to its end."""
    drawn, longest = random.Random(seed), max(2, boundaries // kills)
    for count in range(kills):
        number = drawn.choice([signal.SIGKILL, signal.SIGTERM]) if count else signal.SIGTERM
        at, every = drawn.randint(2, longest), min(5, longest // 2)
        status = zygote.attempt(program, store, at=at, number=number, every=every)
        assert status == (85 if number == signal.SIGTERM else -number), (count, said(store))
    assert zygote.attempt(program, store) == 0, said(store)
