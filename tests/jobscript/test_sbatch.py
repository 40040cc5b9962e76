"""Directives as sbatch itself reads them: it says what it made of them before it looks for a cluster."""

import shutil
import subprocess

import pytest

from outlast.cli.main import main
from outlast.jobscript import directives, with_directives

pytestmark = pytest.mark.skipif(not shutil.which("sbatch"), reason="needs sbatch (tests/tools installs it)")
CONFIG = """\
ClusterName=none
SlurmctldHost=localhost
SlurmctldPort=1
AuthType=auth/none
NodeName=localhost
PartitionName=none Nodes=ALL Default=YES
"""
SHOWN = ("job-name", "comment", "partition", "qos", "signal", "account", "dependency", "constraint")


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """What sbatch takes from a script."""
    (tmp_path / "slurm.conf").write_text(CONFIG)
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))

    def do(text):
        script = tmp_path / "job.sh"
        script.write_text(text)
        command = ["sbatch", "-v", "--test-only", script]
        found = {}
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
            for line in process.stderr:
                name, sign, value = line.removeprefix("sbatch: ").rstrip("\n").partition(" : ")
                if "end of defined options" in line:
                    break
                if sign and name.strip() in SHOWN:
                    found[name.strip()] = value
            process.kill()
        return found

    return do


def ours(text):
    return {one.name: one.value for one in directives(text) if one.name in SHOWN}


@pytest.mark.parametrize(
    "rest",
    [
        "#SBATCH --job-name=a --comment b -p c",
        "#SBATCH -Ja -pb -qc -A d",
        "#SBATCH -J a#b --comment=c -N 2",
        "#SBATCH -J a # --comment=c",
        "#SBATCH --comment=\"x # y 'z'\" -J 'two \"words\"'",
        "#SBATCH -J a\\b --comment=c\\\\d",
        "#SBATCH -J a\\\"b --comment=c\\'d",
        '#SBATCH -J a\\#b --comment="c\\#d"',
        "#SBATCH -J 'a\\ b\\\\c' --comment='it'\"'\"'s'",
        "#SBATCH -J a\"b c\"d'e f' --comment=\"c'd\"'e\"f'",
        '#SBATCH --comment="a \\"b\\" $(c)"',
        "#SBATCH --parti=a --sig B:USR1@90",
        "#SBATCH --signal=RB:USR2@90 --requeue -q a",
        "#SBATCH -J a\n#SBATCH -J b\n\n# words\n#SBATCH -p c\ntrue\n#SBATCH -q late",
        " #SBATCH -J a\n##SBATCH -p b\n# SBATCH -q c\n#sbatch -A d\n#SBATCH --comment=f",
        "#SBATCH --exclusive -J a\n#SBATCH --hold -p b -k -q c\n#SBATCH\t-A\td",
        "#SBATCH -d afterok:1 -J=a",
    ],
)
def test_it_reads_what_we_read(sbatch, rest):
    text = f"#!/bin/bash\n{rest}\nhostname\n"
    assert ours(text) == sbatch(text)
    assert ours(text)


def test_it_reads_what_we_write(sbatch):
    wanted = {"job-name": "it's a#b", "comment": 'a "b" $(c) \\ `d`', "signal": "B:USR1@180", "partition": "a,b"}
    text = with_directives("#!/bin/bash\n#SBATCH -q x\nhostname\n", wanted)
    assert sbatch(text) == {**wanted, "qos": "x"}


def test_it_reads_what_submit_writes(sbatch, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = 'it\'s "my" $(job) #1 \\'
    assert main(["submit", "-n", "-J", name, "--comment=a\\b", "--store", "x", "--", "true"]) == 0
    text = capsys.readouterr().out
    found = sbatch(text)
    assert (found["job-name"], found["comment"]) == (name, "a\\b")
    assert found == ours(text)
