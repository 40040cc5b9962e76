"""What a command starts, behind all that stands in front of it."""

import pytest

from outlast.jobscript import programs
from outlast.jobscript.shell import line_starts, read


def command(text):
    return read(text, line_starts(text)).commands[0]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("python a.py", ["python"]),
        ("/usr/bin/python3 a.py", ["python3"]),
        ("srun -n 4 --mpi=pmix -u python a.py -n 3", ["srun", "python"]),
        ("srun --ntasks 4 ./a.out", ["srun", "a.out"]),
        ("exec srun -l python a", ["exec", "srun", "python"]),
        ("mpirun -np 4 --oversubscribe -x A=1 ./a", ["mpirun", "a"]),
        ("nohup nice -n 10 stdbuf -oL ./a -n 1", ["nohup", "nice", "stdbuf", "a"]),
        ("timeout -s USR1 3600 ./a", ["timeout", "a"]),
        ("env -u X A=1 B=2 ./a", ["env", "a"]),
        ("taskset -c 0-3 ./a", ["taskset", "a"]),
        ("taskset 0xf ./a", ["taskset", "a"]),
        ("numactl --interleave=all -N 0 ./a", ["numactl", "a"]),
        ("conda run -n env --no-capture-output python a.py", ["conda run", "python"]),
        ("conda activate env", ["conda"]),
        ("apptainer exec --nv -B /a:/b image.sif python a.py", ["apptainer", "python"]),
        ("apptainer run image.sif", ["apptainer"]),
        ("A=1 bash -c 'a; b'", ["bash"]),
        ("srun outlast run -- python a", ["srun", "outlast"]),
        ("srun", ["srun"]),
        ("A=1", []),
    ],
)
def test_layers(text, names):
    assert [layer.name for layer in programs.layers(command(text))] == names


@pytest.mark.parametrize(
    "text", ["python a", "srun ./a", "exec python a", "$PYTHON a", "bash run.sh", "./run.sh", "gmx mdrun"]
)
def test_work(text):
    assert programs.is_work(command(text), {})


@pytest.mark.parametrize(
    "text",
    [
        "cd x",
        "echo a",
        "exec > log",
        "A=1",
        "f a",
        "srun hostname",
        "[ a ]",
        "python --version",
        "python -c 1",
        "((a))",
        "module load x",
    ],
)
def test_no_work(text):
    assert not programs.is_work(command(text), {"f": 0})


@pytest.mark.parametrize(
    "text",
    ["outlast run -- a", "exec outlast run -- a", "python3 -m outlast run -- a", "python -I -u -m outlast run -- a"],
)
def test_outlast(text):
    assert programs.is_outlast(command(text))


@pytest.mark.parametrize("text", ["outlast status x", "python -m outlast lint x", "run outlast"])
def test_not_outlast_run(text):
    assert not programs.is_outlast(command(text))
