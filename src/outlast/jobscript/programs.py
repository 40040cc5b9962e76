"""What a command starts: the launchers in front of a program, one by one, and whether it is the job's work."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from outlast.jobscript.command import Command
from outlast.jobscript.directive import SRUN_FLAGS, spans
from outlast.jobscript.tokens import names

SRUN = "srun"
MPI = names("mpirun mpiexec mpiexec.hydra orterun prun ibrun aprun jsrun")
CONTAINERS = names("apptainer singularity docker podman enroot shifter charliecloud ch-run")
SHELLS = names("bash sh dash zsh ksh")
CONDA = names("conda mamba")
# plain wrappers, each with those of its options that take the next word
_WRAPPERS = {
    "exec": "-a", "time": "-f -o", "nohup": "", "setsid": "", "command": "", "builtin": "", "unbuffer": "",
    "nice": "-n", "ionice": "-c -n", "env": "-u -C", "stdbuf": "-i -o -e", "timeout": "-s -k", "taskset": "-c",
    "numactl": "-N -m -C -i -p", "catchsegv": "", "chrt": "", "prlimit": "", "gosu": "", "sudo": "-u -g",
}  # fmt: skip
_TAKES_A_WORD = ("timeout", "taskset", "gosu", "chrt")  # before the program: a duration, a mask, a user, a priority
_MPI_FLAGS = names(
    """
    --oversubscribe -oversubscribe --allow-run-as-root -allow-run-as-root --report-bindings -report-bindings
    --use-hwthread-cpus --tag-output --display-map -l -v --verbose
    """
)
_CONDA_FLAGS = names("--no-capture-output --live-stream -v --verbose --debug-wrapper-scripts")
_IMAGE_VALUES = names(
    """
    -B --bind --env --env-file -H --home -W --workdir --pwd --overlay -o --mount --network -S --scratch
    """
)
# what ends at once, or is no computation
_QUICK = names(
    """
    . : [ [[ alias awk basename bg break bzip2 case cat cd chmod chown clear conda continue cp curl cut date dd
    declare df dirname dirs disown du echo eval exit export expr false fg file find free getopts git grep gunzip
    gzip hash head help hostname id install jobs kill killall lfs let ln local ls lscpu mamba mail md5sum mkdir
    mktemp ml mkfifo module mv nproc nvidia-smi pgrep pip pip3 pkill popd printenv printf ps pushd pwd read readlink
    readonly realpath return rm rmdir rsync sacct sattach sbatch sbcast scancel scontrol scp sed seq set sha256sum
    shift shopt sinfo sleep sort source spack sprio squeue sshare sstat stat stty sync tail tar tee test touch tput
    tr trap true tty type typeset ulimit umask unalias uname uniq unset unzip uptime wait wc wget which whoami xargs
    zip SBATCH qsub qstat qdel bsub bjobs bkill logger rclone micromamba nvcc make cmake getent ssh-keygen flock
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A launcher, or at the end the program itself.

    Args:
        name: its name; "conda run" and "bash -c" with what makes them launchers.
        at: which word of the command.
        given: its own options and arguments.
    """

    name: str
    at: int
    given: tuple[str, ...] = ()


def layers(command: Command) -> tuple[Layer, ...]:
    """Return what stands in front of the program, outermost first, and the program as the last one."""
    values = [word.value for word in command.words]
    found: list[Layer] = []
    at = 0
    while at < len(values):
        name = values[at].rsplit("/", 1)[-1]
        behind = _behind(name, values, at + 1)
        if behind is None:
            found.append(Layer(name=name, at=at, given=tuple(values[at + 1 :])))
            break
        full = f"{name} run" if name in CONDA else f"{name} -c" if name in SHELLS else name
        found.append(Layer(name=full, at=at, given=tuple(values[at + 1 : behind])))
        at = behind
    return tuple(found)


def program(command: Command) -> str:
    """Return the name of the program behind all launchers, or ""."""
    found = layers(command)
    return found[-1].name if found else ""


def launchers(command: Command) -> tuple[str, ...]:
    """Return the names of what stands in front of the program."""
    return tuple(layer.name for layer in layers(command)[:-1])


def is_outlast(command: Command) -> bool:
    """Say whether the command is `outlast run`, whatever stands in front of it."""
    found = layers(command)
    return bool(found) and _runs_outlast(found[-1])


def is_exec(command: Command) -> bool:
    """Say whether a program takes the shell's place; `exec > log` alone does not."""
    return command.name == "exec" and len(command.words) > 1


def is_work(command: Command, functions: dict[str, int]) -> bool:
    """Say whether a command looks like the computation that the job is for."""
    found = layers(command)
    if not found or command.in_substitution:
        return False
    last = found[-1].name
    if last in functions or last in _QUICK or last.startswith(("((", "-")):
        return False
    return not (last == "exec" or _asks_only(found[-1]))


def _asks_only(layer: Layer) -> bool:
    """Say whether a program is asked about itself, or for something that fits into a line."""
    is_line = layer.name.startswith("python") and layer.given[:1] == ("-c",)
    return is_line or (bool(layer.given) and layer.given[0] in ("--version", "-V", "--help", "-h"))


def _runs_outlast(layer: Layer) -> bool:
    if layer.name == "outlast":
        return layer.given[:1] == ("run",)
    flags = tuple(itertools.takewhile(lambda word: word.startswith("-") and word != "-m", layer.given))
    module = layer.given[len(flags) : len(flags) + 3]
    return layer.name.startswith("python") and module == ("-m", "outlast", "run")


def _behind(name: str, values: list[str], at: int) -> int | None:
    """Return where a launcher's own words end and those of what it starts begin; None if it starts nothing."""
    if name == SRUN:
        used = [count for _, _, count in spans(values[at:], flags=SRUN_FLAGS)]
        at += used[-1] if used else 0
    elif name in MPI:
        at = _past_options(values, at, None, _MPI_FLAGS)
    elif name in CONDA:
        if values[at : at + 1] != ["run"]:
            return None
        at = _past_options(values, at + 1, None, _CONDA_FLAGS)
    elif name in ("apptainer", "singularity"):
        if values[at : at + 1] != ["exec"]:
            return None
        at = 1 + _past_options(values, at + 1, _IMAGE_VALUES, frozenset())
    elif name in _WRAPPERS:
        at = _past_options(values, at, names(_WRAPPERS[name]), frozenset())
        at += name in _TAKES_A_WORD and "-c" not in values[:at]
        while name in ("env", "sudo", "command") and at < len(values) and "=" in values[at]:
            at += 1
    else:
        return None
    return at if at < len(values) else None


def _past_options(values: list[str], at: int, with_value: frozenset[str] | None, flags: frozenset[str]) -> int:
    """Return the place behind the options at `at`; with None, all but the flags take a value."""
    while at < len(values) and values[at].startswith("-"):
        option = values[at]
        at += 1
        takes = option not in flags if with_value is None else option in with_value
        if option == "--":
            break
        if takes and "=" not in option and at < len(values):
            at += 1
    return at
