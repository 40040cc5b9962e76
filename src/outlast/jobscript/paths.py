"""Rules about where checkpoints lie, and what is deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from outlast.jobscript import programs
from outlast.jobscript.command import Command
from outlast.jobscript.rule import Hit, Rule
from outlast.jobscript.script import Script, submitted
from outlast.jobscript.tokens import Word, names

_CHECKPOINT = re.compile(
    r"ckpts?|checkpoints?|chkpts?|chkpoints?|snapshots?|restart|resume|(?:^|[-_])(?:store|save)(?:$|[-_]?(?:dir|path|to|folder)\b)",
    re.IGNORECASE,
)
_IS_NO_PATH = re.compile(r"count|every|interval|freq|period|time|num|flag|limit|keep|auto|steps?$", re.IGNORECASE)
_FILE_OF_CHECKPOINTS = re.compile(
    r"ckpt|checkpoint|chkpt|restart|snapshot|\.(?:cpt|rst|sav|dmp|ckp|chk)\b", re.IGNORECASE
)
_STALE = re.compile(r"old|prev|bak|tmp|temp|lock|stale|partial|corrupt|\.log|unfinished", re.IGNORECASE)
_LOCAL = re.compile(
    r"(?:/tmp|/var/tmp|/dev/shm|/lscratch|/local[-_]?scratch|/scratch[-_/]local|/run/user)(?:/|$)"
    r"|\$\{(?:TMPDIR|TMP|TEMP|SLURM_TMPDIR|LSCRATCH|LOCAL_?SCRATCH|SCRATCH_?LOCAL|PBS_JOBFS|XDG_RUNTIME_DIR)\}"
    r"|\$\(mktemp"
)
_JOB = re.compile(r"\$\{SLURM_JOB_?ID\}")
_DIRECTORY = re.compile(
    r"(?:work|run|out|output|result|data|scratch|base|job|exp)_?(?:dir|path|folder)$", re.IGNORECASE
)
_SAME_FOR_ALL_TASKS = names(
    """
    HOME USER LOGNAME SCRATCH PSCRATCH WORK PROJECT PROJECTS DATA PWD SLURM_SUBMIT_DIR SLURM_JOB_NAME
    SLURM_ARRAY_JOB_ID SLURM_JOB_USER GLOBALSCRATCH STORE GROUP_SCRATCH
    """
)
_INPUT_BY_TASK = re.compile(
    r"-*(?:seed|fold|index|idx|task|task[-_]id|param\w*|config|input|data\w*|lr|array\w*)(?:=|$)"
)
_COPIES = ("cp", "rsync", "mv", "scp", "tar", "rclone", "dcp", "zip")
_RESUMES = re.compile(r"(?:^|\s)(?:-cpi\b|--?\w*(?:resume|restart|continue)\w*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """A path that is given to an option or a variable; `known` has in it what the script itself set."""

    label: str
    known: str
    line: int
    command: Command


def _uses(script: Script) -> Iterator[_Use]:
    """Yield what every option and variable is given, as far as it looks like a path."""
    for command in script.commands:
        for label, word, value in _given(command):
            if value and ("/" in value or value.startswith(("$", ".", "~")) or "." in value[1:-1]):
                yield _Use(label=label, known=script.resolve(value), line=word.line, command=command)


def _given(command: Command) -> Iterator[tuple[str, Word, str]]:
    for one in command.assignments:
        if one.value:
            yield one.name, one.value, one.value.value
    words = command.words
    for at, word in enumerate(words[1:], 1):
        label, sign, value = word.value.partition("=")
        if label.startswith("-") and sign:
            yield label, word, value
        elif label.startswith("-") and at + 1 < len(words) and not words[at + 1].value.startswith("-"):
            yield label, words[at + 1], words[at + 1].value
        elif sign and re.fullmatch(r"[\w.+]+", label):  # Hydra's way: checkpoint.dir=/x
            yield label, word, value


def _checkpoints(script: Script) -> list[_Use]:
    return [use for use in _uses(script) if _CHECKPOINT.search(use.label) and not _IS_NO_PATH.search(use.label)]


def _gone_with_node(script: Script) -> Iterator[Hit]:
    for command in script.named(*_COPIES):
        for value in command.arguments[: -1 if command.name != "tar" else None]:
            if _LOCAL.match(script.resolve(value)):
                return  # copied out; whether often enough is not to be told
    seen = set()
    for use in _checkpoints(script):
        is_told = programs.is_outlast(use.command)  # it warns by itself, of what the mount really is
        if _LOCAL.match(use.known) and use.known not in seen and not is_told:
            seen.add(use.known)
            yield Hit(line=use.line, said=f"{use.label} is {use.known}")


J23 = Rule(
    id="J23",
    title="checkpoints on storage of the node",
    reason="$TMPDIR, /tmp and /dev/shm are gone with the job or the node; the next start finds nothing",
    remedy="put them on the shared file system ($SCRATCH, $WORK), or copy them there after each save",
    source="MATLAB Answers 445755",
    find=_gone_with_node,
    slurm_only=False,
)


def _new_each_time(script: Script) -> Iterator[Hit]:
    handing_on = [command for command in script.successors() if not _hands_on(command)]
    if not handing_on:
        return
    seen = set()
    for use in _uses(script):
        kept = _CHECKPOINT.search(use.label) or _DIRECTORY.search(use.label)
        if kept and _JOB.search(use.known) and use.known not in seen and not _STALE.search(use.label):
            seen.add(use.known)
            yield Hit(
                line=use.line, said=f"{use.label} is {use.known}, and line {handing_on[0].line} submits a new job"
            )


def _hands_on(command: Command) -> bool:
    """Say whether a successor is told something: arguments of its own, or variables."""
    told = [word for word in command.arguments if re.search(r"^--export=.*=|^-v$", word)]
    after = command.arguments.index(submitted(command)) + 1
    return bool(told) or len(command.arguments) > after


J24 = Rule(
    id="J24",
    title="a path with $SLURM_JOB_ID, and successors that are new jobs",
    reason="every job has another id: each looks into an empty directory and begins from nothing",
    remedy="name the directory after the run (a fixed name, or $SLURM_JOB_NAME), or requeue instead: the id stays",
    source="mharmanani/cinepro",
    find=_new_each_time,
)


def _shared(script: Script) -> Iterator[Hit]:
    if not script.has_tasks or "SLURM_ARRAY_TASK_ID" not in script.text or _goes_elsewhere(script):
        return
    seen = set()
    for use in _checkpoints(script):
        if use.known in seen or not _is_common(use.known) or _is_told_apart(script, use.command):
            continue
        seen.add(use.known)
        if not programs.is_outlast(use.command):
            yield Hit(line=use.line, said=f"{use.label} is {use.known} for every task of the array")


def _goes_elsewhere(script: Script) -> bool:
    return any(not _is_common(script.resolve(value)) for command in script.named("cd") for value in command.arguments)


def _is_common(known: str) -> bool:
    """Say whether a path is surely the same for all tasks."""
    names = re.findall(r"\$\{?(\w+|.)", known)
    return not ("`" in known or _LOCAL.match(known)) and all(name in _SAME_FOR_ALL_TASKS for name in names)


def _is_told_apart(script: Script, command: Command) -> bool:
    """Say whether the program is given the task's number for more than its input: it may make a path of it."""
    before = ""
    for value in command.arguments:
        known = script.resolve(value)
        about_input = _INPUT_BY_TASK.match(value) or _INPUT_BY_TASK.match(before)
        if "SLURM_ARRAY_TASK_ID" in known and not about_input:
            return True
        before = value
    return False


J25 = Rule(
    id="J25",
    title="the tasks of an array share one path",
    reason="they overwrite each other's checkpoints: torn or mixed files",
    remedy="put the task into the path: DIR/$SLURM_ARRAY_TASK_ID",
    source="ICB-DCM/PESTO#157",
    find=_shared,
)


def _wiped(script: Script) -> Iterator[Hit]:
    first = min((command.start for command in script.work), default=-1)
    if not (script.may_restart or _RESUMES.search(" ".join(script.source(command) for command in script.work))):
        return
    for command in script.named("rm"):
        is_recursive = any(re.fullmatch(r"-[a-zA-Z]*[rR][a-zA-Z]*|--recursive", word) for word in command.arguments)
        if not is_recursive or command.start > first or script.guards(command) or command.handler:
            continue
        for value in command.arguments:
            target = script.resolve(value).rstrip("/*")
            is_kept = not (value.startswith("-") or _LOCAL.match(target) or _is_waste(target))
            if is_kept and target and _is_used(script, target, command):
                yield Hit(line=command.line, said=f"rm -r {value} before the program starts")


def _is_waste(target: str) -> bool:
    return bool(re.search(r"cache|te?mp\b|logs?\b|build|dist|lock|stale", target.rsplit("/", 1)[-1], re.IGNORECASE))


def _is_used(script: Script, target: str, rm: Command) -> bool:
    """Say whether what is removed is used further down: as the place of work, or by the program."""
    for command in script.commands:
        if command.start > rm.start and (command.name == "cd" or script.is_work(command)):
            for value in command.arguments:
                known = script.resolve(value.partition("=")[2] if value.startswith("-") and "=" in value else value)
                if known == target or known.startswith(f"{target}/"):
                    return True
    return False


J27 = Rule(
    id="J27",
    title="`rm -r` of the work directory at the start",
    reason="a job that starts again deletes what it should go on from",
    remedy="remove it only on a fresh start, or not at all: mkdir -p DIR",
    source="TurakhiaLab/ROADIES#55",
    find=_wiped,
    slurm_only=False,
)


def _eaten(script: Script) -> Iterator[Hit]:
    last = max((command.start for command in script.work), default=-1)
    for command in script.named("rm"):
        if command.start > last or script.is_handling(command) or command.handler:
            continue
        for value in command.arguments:
            target = script.resolve(value)
            about = f"{value} {target}"
            is_ours = _FILE_OF_CHECKPOINTS.search(about) and not _STALE.search(about) and not _LOCAL.match(target)
            if is_ours and not value.startswith("-") and _was_loaded(script, target, command):
                yield Hit(line=command.line, said=f"removes {value} when it was loaded")


def _was_loaded(script: Script, target: str, rm: Command) -> bool:
    """Say whether a checkpoint was read before it is removed, or is removed because it is there."""
    loads = [command for command in script.commands if command.start < rm.start and command.function == rm.function]
    for command in loads:
        is_reader = command.name in ("tar", "cp", "cat", "unzip", "gunzip", "zstd") or script.is_work(command)
        if is_reader and any(script.resolve(word.partition("=")[2] or word) == target for word in command.arguments):
            return True
    tests = [guard.text for guard in rm.guards if guard.kind in ("if", "&&")]
    asked = [match.strip("\"'") for text in tests for match in re.findall(r"(?<!\S)-[efsd]\s+(\S+)", text)]
    return any(script.resolve(one) == target for one in asked if not re.search(r"!\s+-[efsd]", " ".join(tests)))


J28 = Rule(
    id="J28",
    title="a checkpoint deleted after it was loaded",
    reason="until the next save there is none: a crash right after loses everything",
    remedy="keep it until a newer one is complete; keep two",
    source="field scripts",
    find=_eaten,
    slurm_only=False,
)

RULES = (J23, J24, J25, J27, J28)
