"""Which batch system `outlast submit` takes; and none, but this machine."""

import json
import math
import os
import subprocess
import sys
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from outlast.cli.submit import _system
from outlast.errors import UsageError
from outlast.policy.deadline import LEAD_S
from outlast.supervise.batch import registry
from outlast.supervise.batch.pbs import Pbs
from outlast.supervise.batch.sge import Sge
from outlast.supervise.batch.slurm import Slurm
from outlast.supervise.orders import Wish, order

BOUND_S = 120.0
BATCH = "outlast.supervise.batch"
GIVEN = {"flux": "flux:Flux", "local": "local:Local", "pbs": "pbs:Pbs", "sge": "sge:Sge", "slurm": "slurm:Slurm"}
PROGRAM = """
import os, outlast
state = {"n": 0}
with outlast.Run(os.environ["OUTLAST_STORE"], state) as run:
    for _ in run.steps(10):
        state["n"] += 1
print("counted to", state["n"])
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Say which commands are here."""
    points = [EntryPoint(name=n, value=f"{BATCH}.{value}", group=registry.GROUP) for n, value in GIVEN.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    monkeypatch.setenv("PATH", str(tmp_path))

    def here(*commands):
        for name in ("bash", *commands):
            (tmp_path / name).write_text("#!/bin/sh\n")
            (tmp_path / name).chmod(0o700)

    return here


@pytest.mark.parametrize(
    ("commands", "name"),
    [(["sbatch", "scontrol"], "slurm"), (["qsub", "qstat", "qconf"], "sge"), (["qsub", "qstat", "pbsnodes"], "pbs")],
)
def test_the_one_that_is_here_is_taken(here, commands, name):
    here(*commands)
    assert _system(None).name == name


def test_of_two_slurm_is_taken_unless_another_is_named(here):
    here("sbatch", "scontrol", "flux")
    assert _system(None).name == "slurm"
    assert _system("flux").name == "flux"


def test_qsub_alone_does_not_tell_whose_it_is(here):
    here("qsub", "qstat")
    with pytest.raises(UsageError, match=r"qsub \(pbs\), qsub \(sge\)"):
        _system(None)


def test_where_no_signal_can_be_had_the_clock_is_watched_as_early(tmp_path):
    def script(system):
        wish = Wish(command=["true"], script=None, options=[], store=str(tmp_path / "store"))
        return order(wish, system).text

    assert f"--grace {math.ceil(LEAD_S)}s " in script(Pbs())
    assert f"--grace {math.ceil(LEAD_S)}s " in script(Sge())
    assert "--grace" not in script(Slurm())


def test_a_shell_alone_is_no_batch_system(here):
    here()
    with pytest.raises(UsageError, match="no batch system here") as error:
        _system(None)
    assert "--system local" in error.value.hint


def test_a_machine_without_one_runs_it_in_the_background(tmp_path):
    program, store = tmp_path / "program.py", tmp_path / "store"
    program.write_text(PROGRAM)
    words = ["submit", "--json", "--system", "local", "--store", str(store), "--", sys.executable, str(program)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2] / "src"), *sys.path])}
    command = [sys.executable, "-m", "outlast", *words]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=BOUND_S)
    job = json.loads(done.stdout)["job"]
    output, until = store / "jobs" / f"{job}.out", time.monotonic() + BOUND_S
    while not (output.exists() and "counted to 10\n" in output.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    assert "counted to 10\n" in output.read_text()
    assert [path.name for path in (store / "jobs").glob("local-*")]
