"""Rules about starting again: who requeues or submits, how often, and when it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator

from outlast.jobscript.command import Command, Guard
from outlast.jobscript.directive import options
from outlast.jobscript.rule import WARNING, Edit, Hit, Rule
from outlast.jobscript.script import Script

TASK = "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
_TESTS = ("[", "[[", "test")
_COUNTER = re.compile(
    r"restart|requeue|attempt|retr(?:y|ies)|tries|max|count|limit|links?\b|\bn_?\b|iter|cycle|round", re.IGNORECASE
)
_COMPARES = re.compile(r"-(?:lt|le|gt|ge|eq|ne)\b|[<>]")
_PROGRESS = re.compile(r"-nt\b|-ot\b|\bcmp\b|\bdiff\b|\$\{?\w+\S*\s+(?:-gt|-ne|-lt|!=|>|<)\s+\S*\$")
_ASKED_FOR = re.compile(r"(?:-eq|==?)\s*\"?[1-9]")
_SUCCESS = re.compile(r"\$(?:\?|\{?\w*(?:status|rc|ret|exit|code)\w*\}?)\"?\s*(?:-eq|==?)\s*\"?0\b", re.IGNORECASE)
_MISSING = re.compile(r"!\s*(?:\[\[?\s*)?-[efs]\s")
_PRESENT = re.compile(r"(?:^|\s)-[efsd]\s")


def _foreign_status(script: Script) -> Iterator[Hit]:
    if re.search(r"^#\$ -", script.text, re.MULTILINE):
        return  # a script for both systems
    for command in script.named("exit"):
        if command.arguments[:1] == ("99",):
            yield Hit(line=command.line, said="exit 99 on Slurm")


J12 = Rule(
    id="J12",
    title="`exit 99` on Slurm",
    reason="99 asks for a requeue in Grid Engine alone; here the job has failed",
    remedy='scontrol requeue "$SLURM_JOB_ID", after the save; or have `outlast run` do it',
    source="field scripts; Grid Engine sge_execd(8), slurm.conf man page (RequeueExit)",
    find=_foreign_status,
)


def _wrong_tasks(script: Script) -> Iterator[Hit]:
    for command in script.requeues() if script.has_tasks else ():
        for word in command.words[2:]:
            match = re.fullmatch(r'("?)\$\{?(\w+)\}?\1', word.raw)
            ids = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_ARRAY_JOB_ID")
            if match and (match[2] in ids or script.resolve(word.value) in [f"${{{name}}}" for name in ids]):
                edits = (Edit(start=word.start, end=word.end, text=f"{match[1]}{TASK}{match[1]}"),)
                yield Hit(line=command.line, said=f"requeues {word.raw} in a job array", edits=edits)


J15 = Rule(
    id="J15",
    title="requeue of a bare id in a job array",
    reason="one task's SLURM_JOB_ID is that of the whole array: the others start again too, finished ones as well",
    remedy=f"scontrol requeue {TASK}",
    source="Lightning-AI/pytorch-lightning#15022",
    find=_wrong_tasks,
    fixes=True,
)


def _endless(script: Script) -> Iterator[Hit]:
    again = [*script.requeues(), *script.successors()]
    if not again or script.runs_outlast():
        return
    for command in script.commands:
        source = script.source(command)
        is_test = command.name in _TESTS or source.startswith("((")
        if is_test and _COMPARES.search(source) and _COUNTER.search(source):
            return
    for command in sorted(again, key=lambda one: one.start):
        texts = [guard.text for guard in script.guards(command)]
        cases = [guard.text for guard in script.guards(command) if guard.kind == "case"]
        is_asked = any(_ASKED_FOR.search(text) for text in texts) or any(re.search(r"\b[1-9]\d*$", t) for t in cases)
        if not is_asked and not any(_PROGRESS.search(text) for text in texts):
            yield Hit(line=command.line, said=f"`{script.source(command)}` without a limit")
            return


J17 = Rule(
    id="J17",
    title="requeue without a limit or a test for progress",
    reason="a program that fails at its start is started again and again, until the allocation is used up",
    remedy='stop at some count: [ "${SLURM_RESTART_COUNT:-0}" -lt 20 ]; or let `outlast run` look for progress',
    source="srtee/cdc_collab; ROCm/spur#431",
    find=_endless,
    severity=WARNING,
)


def _by_result(script: Script) -> Iterator[Hit]:
    for command in script.successors():
        text = "\n".join(guard.text for guard in script.guards(command) if guard.kind != "else")
        if _SUCCESS.search(text) and _MISSING.search(text):
            yield Hit(line=command.line, said="the next job is submitted on status 0 and a missing result")


J18 = Rule(
    id="J18",
    title="a successor on status 0 and a missing final file",
    reason="one error and the chain is silent; a final file that never comes and it has no end",
    remedy="have the program say that it wants to go on by a status of its own (85), and count the jobs",
    source="delemottelab, gromacs_tcb.sh",
    find=_by_result,
)


def _too_soon(script: Script) -> Iterator[Hit]:
    if not any(command.is_background for command in script.work):
        return
    for command in script.requeues():
        if script.is_handling(command) and not _after_wait(script, command):
            yield Hit(line=command.line, said="requeues in the trap, and nothing has waited for the program")


def _after_wait(script: Script, command: Command, depth: int = 3) -> bool:
    """Say whether a wait or a sleep comes before, in the same trap or function, or in one that calls it."""
    for other in script.named("wait", "sleep"):
        if (other.function, other.handler) == (command.function, command.handler) and other.start < command.start:
            return True
    calls = [call for call in script.callers(command.function) if script.is_handling(call)] if depth else []
    return any(_after_wait(script, call, depth - 1) for call in calls)


J19 = Rule(
    id="J19",
    title="requeue before the save is finished",
    reason="scontrol requeue kills the job that calls it, its save included",
    remedy='wait first: while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done; scontrol requeue ...',
    source="facebookincubator/submitit#1708",
    find=_too_soon,
)


def _never_met(script: Script) -> Iterator[Hit]:
    others = any("--requeue" in command.arguments for command in script.named("sbatch"))
    for command in script.named("sbatch"):
        for name, value in options(list(command.arguments)):
            kind = re.match(r"(afterok|afternotok|aftercorr)\b", value or "") if name == "dependency" else None
            on_me = re.search(r"SLURM_JOB_?ID", script.resolve(value or ""))
            if kind and ((on_me and script.may_requeue) or (others and not on_me)):
                yield Hit(line=command.line, said=f"{kind[1]} on a job that may be requeued")


J20 = Rule(
    id="J20",
    title="`afterok` or `afternotok` together with requeue",
    reason="once the dependency has failed the dependent job never runs, even if the first is requeued and ends well",
    remedy="depend with afterany or singleton, and test for the result",
    source="sbatch man page, --dependency",
    find=_never_met,
)


def _twice(script: Script) -> Iterator[Hit]:
    submits = list(script.successors())
    for requeue in script.requeues() if submits else ():
        for submit in submits:
            first, second = sorted((requeue, submit), key=lambda one: one.start)
            if not _exclude(script, first, second):
                yield Hit(line=second.line, said=f"requeued in line {requeue.line}, submitted in line {submit.line}")
                return


def _exclude(script: Script, first: Command, second: Command) -> bool:
    """Say whether only one of two commands can be reached."""
    ours, theirs = script.guards(first), script.guards(second)
    if any(a.of == b.of and a.branch != b.branch for a in ours for b in theirs):
        return True
    if any(guard.kind == "||" and script.source(first) in guard.text for guard in theirs):
        return True
    if any(guard.kind in ("if", "else") and script.source(first).split()[0] in guard.text for guard in theirs):
        return True
    leaving = [*script.named("exit", "return")]
    if any(
        guard.kind in ("if", "&&") and script.source(first) in guard.text for one in leaving for guard in one.guards
    ):
        return True
    return any(_leaves(script, one, first, ours) for one in leaving)


def _leaves(script: Script, command: Command, first: Command, guards: list[Guard]) -> bool:
    inner = {guard.of for guard in script.guards(command)}
    is_same = command.function == first.function and command.handler == first.handler
    return is_same and command.start > first.start and inner <= {guard.of for guard in guards}


J32 = Rule(
    id="J32",
    title="requeued *and* submitted again",
    reason="two copies of one run, which overwrite each other's checkpoints",
    remedy="one of them; submit only where the requeue was refused: scontrol requeue ... || sbatch ...",
    source="snakemake/snakemake-executor-plugin-slurm#109",
    find=_twice,
)


def _never_done(script: Script) -> Iterator[Hit]:
    if not script.is_preemptible or not script.may_requeue or script.runs_outlast() or not script.work:
        return
    for command in (*script.named("exit", "continue", "break", "return"), *script.work):
        texts = [guard.text for guard in script.guards(command)]
        if any(_PRESENT.search(text) for text in texts):
            return
    yield Hit(line=script.work[0].line, said="no test for a result of an earlier start before the work begins")


J33 = Rule(
    id="J33",
    title="no done marker in a job that is preempted and requeued",
    reason="a job that finishes within its grace is requeued all the same, and runs again",
    remedy="test first: [ -f done ] && exit 0; and make the file at the end. `outlast run` does both",
    source="Slurm documentation, Preemption (2026-05)",
    find=_never_done,
    severity=WARNING,
)

RULES = (J12, J15, J17, J18, J19, J20, J32, J33)
