"""A copy of the tree, in which bugs are planted one after the other, and tests run in a process of their own.

The copy is whole, tests and configuration too: whatever a test starts takes the mutated source, not an installed one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mutants.mutant import Mutant, texts

ROOT = Path(__file__).parents[2]
FAILED, PASSED = 1, 0  # pytest's statuses; 2 to 5 are errors of collection or use, which catch nothing
_LIMIT_S = 240  # less than what the gate itself is given
_NOT_INHERITED = (
    *("PYTEST_", "OUTLAST_"),
    *("CI", "BUILD_NUMBER"),  # with these pytest prints the whole difference of two values, which may take minutes
)
_NEEDED = ("src", "tests", "spec", "pyproject.toml", "README.md")
_PYTEST = (
    *("-m", "pytest", "-x", "-o", "addopts=", "-q", "--import-mode=importlib", "--strict-markers", "--strict-config"),
    *("-p", "pytest_timeout", "-o", "timeout=60", "-p", "no:cacheprovider", "-p", "mutants.witness"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the tests went."""

    status: int
    output: str

    def is_red(self, test: str) -> bool:
        """Whether this very test failed, by an assertion or an error in it: not by a tree that cannot be imported."""
        return self.status == FAILED and f"FAILED tests/{test}" in self.output

    def is_broken(self) -> bool:
        """Whether a harness says that a promise is broken."""
        return self.status == FAILED and "proof.core.Broken" in self.output


class Bench:
    """The copy."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        self._temporary = folder / "temporary"
        self.root.mkdir()
        for name in _NEEDED:
            copy = (
                shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            )  # both keep the times: bytecode stays good
            copy(ROOT / name, self.root / name)

    @contextmanager
    def planted(self, mutant: Mutant) -> Iterator[None]:
        """Have the bug in the copy for a while."""
        found = texts(mutant, lambda file: _source(ROOT, file).read_text())
        try:
            for file, text in found.items():
                path = _source(self.root, file)
                path.write_text(text)
                os.utime(path, (1, 1))  # a time that no source file has: its bytecode is not taken for this text's
            yield
        finally:
            for file in found:
                shutil.copy2(_source(ROOT, file), _source(self.root, file))

    def test(self, tests: Sequence[str]) -> Outcome:
        """Run tests, up to the first that fails."""
        where = f"--basetemp={self._temporary}"  # in memory: thousands of syncs
        return self._run([*_PYTEST, where, *(f"tests/{test}" for test in tests)], self.root)

    def prove(self, case: str) -> Outcome:
        """Run one case of a harness."""
        return self._run(["-m", "proof", "--case", case], self.root / "tests")

    def _run(self, arguments: Sequence[str], folder: Path) -> Outcome:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        env = {
            **kept,
            "PYTHONPATH": f"{self.root / 'src'}{os.pathsep}{self.root / 'tests'}",
            "PYTHONDONTWRITEBYTECODE": "1",  # else a bug would live on in the cache after its text is gone
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # half the time of a start
            "MUTANTS_ROOT": str(self.root),
        }
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        return Outcome(done.returncode, done.stdout)


def _source(root: Path, file: str) -> Path:
    return root / "src" / "outlast" / file
