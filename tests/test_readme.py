"""The README: its examples run as they stand, are killed and resumed, and its commands are those that there are."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.cli import main as cli
from outlast.drill.faults import FAULTS
from outlast.drill.verdict import Judgement
from outlast.errors import UsageError
from outlast.store import Store

README = Path(__file__).parents[1] / "README.md"
BATCH, DRILL = (README.parent / "docs" / "how-to" / name for name in ("batch-jobs.md", "drill.md"))
PAGES = [page.read_text() for page in (README, BATCH, DRILL)]
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
# Runs an example; at a step it asks for a save or sends this process a signal, as somebody outside might.
WOUNDED = """
import os, signal, sys
import outlast
from outlast.run.run import Run
asked, struck, number = map(int, sys.argv[2:])
completed = Run._completed
def wounded(self, loop):
    if self.step == asked:
        self._keeper.wants_save = True
    if self.step == struck:
        self.wait()
        os.kill(os.getpid(), number)
    completed(self, loop)
Run._completed = wounded
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"))
"""
NEVER, SIGKILL, SIGTERM = -1, 9, 15


def start(folder: Path, code: str, asked: int = NEVER, struck: int = NEVER, number: int = 0) -> int:
    folder.mkdir(exist_ok=True)
    (folder / "example.py").write_text(code)
    command = [sys.executable, "-c", WOUNDED, "example.py", str(asked), str(struck), str(number)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=env, stderr=subprocess.DEVNULL, timeout=120, check=False).returncode


def final(folder: Path) -> tuple[object, ...]:
    (path,) = (folder / "ckpts").iterdir()
    store = Store(path)
    manifest = store.manifest(store.checkpoints()[0])
    assert manifest.done
    tree = {name: node for name, node in manifest.tree.items() if name != "rng"}
    unseeded = ("rng/numpy/", "rng/python/")  # by the example, so they differ from run to run
    leaves = {leaf.path: leaf.chunks for leaf in manifest.leaves if not leaf.path.startswith(unseeded)}
    return manifest.step, leaves, tree


@pytest.mark.parametrize("number", range(2), ids=["numpy", "torch"])
def test_examples_killed_and_resumed(number: int, tmp_path: Path) -> None:
    code = EXAMPLES[number]
    assert start(tmp_path / "undisturbed", code) == 0
    wounded = tmp_path / "wounded"
    assert start(wounded, code, asked=200, struck=333, number=SIGKILL) == -SIGKILL
    assert start(wounded, code, struck=450, number=SIGTERM) == 85
    assert start(wounded, code, asked=500, struck=501, number=SIGKILL) == -SIGKILL
    assert start(wounded, code) == 0
    assert final(wounded) == final(tmp_path / "undisturbed")
    (store,) = (wounded / "ckpts").iterdir()
    restored = [log.last("restored") for log in Store(store).attempts()]
    assert [line and line["step"] for line in restored] == [None, 201, 451, 501]


def test_there_is_a_section_for_each_verb_and_status() -> None:
    text = README.read_text()
    for verb in cli.VERBS:
        assert re.search(rf"(outlast|make) {verb}\b", text), verb
    for status in (0, 1, 2, 3, 4, 5, 85, 86):
        assert f"\n| {status} |" in text


def test_the_page_of_the_drill_has_a_row_for_each_fault_and_status() -> None:
    text = DRILL.read_text()
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == sorted(fault.name for fault in FAULTS)
    statuses = {judgement.status for judgement in Judgement} | {UsageError.exit_status}
    assert {int(status) for status in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == statuses


@pytest.mark.parametrize(
    "command", sorted({one for page in PAGES for one in re.findall(r"^outlast (.+?)(?: +#.*)?$", page, re.MULTILINE)})
)
def test_commands_are_understood(command: str) -> None:
    cli.parse(shlex.split(command))


def test_the_job_script_of_the_how_to_page_is_what_submit_makes_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scripts = [text for text in re.findall(r"```sh\n(.*?)```", BATCH.read_text(), re.DOTALL) if text.startswith("#!")]
    first, made = scripts
    for text, status in ((first, 1), (made, 0)):
        (tmp_path / "job.sh").write_text(text)
        assert cli.main(["lint", str(tmp_path / "job.sh")]) == status
    capsys.readouterr()
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if name == "sbatch" else None)
    command = re.search(r"^outlast (submit -p .*)$", BATCH.read_text(), re.MULTILINE)
    assert command
    words = shlex.split(command[1])
    assert cli.main([words[0], "-n", *words[1:]]) == 0
    told = capsys.readouterr().out
    directives = [line.split(" ", 1)[1] for line in made.splitlines() if line.startswith("#SBATCH")]
    assert [line.split(" ", 1)[1] for line in told.splitlines() if line.startswith("#SBATCH")][:-1] == directives[:-1]
    assert made.splitlines()[-1].split(" --max-time ")[1].split(" --script ")[0].split(" -- ") == [
        "288000s --total 40h",
        "python train.py",
    ]
