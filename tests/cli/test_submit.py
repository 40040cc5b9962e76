"""`outlast submit`: what goes into the script and to whom, and what is never submitted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import outlast
from outlast.cli.main import main
from outlast.cli.submit import split
from outlast.jobscript import directives
from outlast.policy.deadline import lead_s
from outlast.units import format_duration
from supervise.slurmlike import SlurmLike

SHOW = "import json, sys; print(json.dumps(sys.argv[1:]))"
NASTY = [
    "a b",
    "$(touch pwned)",
    "`touch pwned`",
    "it's",
    '"',
    "new\nline",
    "",
    "--",
    "\\",
    "#",
    "*",
    "\t",
    "é",
    "$HOME",
]


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    made = SlurmLike(tmp_path / "bin")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", made.environment()["PATH"])
    for name in ("OUTLAST_STORE", "OUTLAST_CONTROL", "OUTLAST_SUPERVISOR"):
        monkeypatch.delenv(name, raising=False)
    return made


def printed(capsys, *arguments: str) -> str:
    assert main(["submit", "-n", *arguments]) == 0
    return capsys.readouterr().out


def said(script: str) -> dict[str, str | None]:
    return {one.name: one.value for one in directives(script)}


@pytest.mark.parametrize(
    ("words", "ours", "options", "command"),
    [
        (["-p", "main", "--", "x"], [], ["-p", "main"], ["x"]),
        (["-n", "4", "--", "x"], [], ["-n", "4"], ["x"]),
        (["-n4", "-n", "--", "x", "-n"], ["-n"], ["-n4"], ["x", "-n"]),
        (
            ["--total", "40h", "--nodes=2", "--store=s", "--", "x"],
            ["--total", "40h", "--store=s"],
            ["--nodes=2"],
            ["x"],
        ),
        (["--comment", "--total", "--", "--", "x"], ["--total"], ["--comment"], ["--", "x"]),
    ],
)
def test_options_are_told_apart(words, ours, options, command):
    assert split(words) == (ours, {"options": options, "command": command})


def test_a_script_that_loses_nothing(slurm, capsys):
    script = printed(capsys, "-p", "main_risk", "--time", "8:00:00", "--total", "40h", "--", "python", "train.py")
    assert script.startswith("#!/bin/bash\n")
    assert said(script) == {
        "partition": "main_risk",
        "time": "8:00:00",
        "job-name": "train",
        "signal": "B:USR1@150",
        "requeue": None,
        "open-mode": "append",
        "output": str(Path("outlast-train/jobs/%j.out").absolute()),
    }
    last = script.strip().splitlines()[-1]
    assert last.startswith("exec ")
    assert "run --store" in last
    assert "--max-time 288000s --total 40h" in last  # twice what it is expected to take
    assert last.endswith("-- python train.py")
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_what_is_for_the_supervisor_goes_to_it(slurm, capsys):
    last = (
        printed(capsys, "--every=5min", "--engine", "criu", "--keep", "2", "-p", "x", "--", "./old")
        .strip()
        .splitlines()[-1]
    )
    assert " --every 5min --keep 2 --engine criu --script " in last


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["apptainer", "exec", "--nv", "/images/torch.sif", "python", "src/train.py", "--lr=1"], "train"),
        (["conda", "run", "-n", "env", "Rscript", "chain.R", "data.csv"], "chain"),
        (["srun", "./simulate", "input.dat"], "simulate"),
        (["matlab", "-batch", "train"], "matlab"),
    ],
)
def test_a_job_is_named_after_its_program(slurm, capsys, command, name):
    assert said(printed(capsys, "--", *command))["job-name"] == name


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("--signal=R:USR2@60", "signal", "R:USR2@60"),
        ("--open-mode=truncate", "open-mode", "truncate"),
        ("--output=x.out", "output", "x.out"),
        ("-ox.out", "output", "x.out"),
        ("--no-requeue", "no-requeue", None),
        ("-Jmine", "job-name", "mine"),
    ],
)
def test_what_the_user_says_stays_and_is_said_once(slurm, capsys, option, name, value):
    found = [(one.name, one.value) for one in directives(printed(capsys, option, "--", "x"))]
    assert (name, value) in found
    assert [one for one, _ in found].count(name) == 1
    assert name != "no-requeue" or ("requeue", None) not in found


@pytest.mark.parametrize(
    ("limit", "lead"), [("2", 30), ("0:20", 10), ("10", 150), ("1-0", 150), ("4:00", 60), ("0", 150), ("odd", 150)]
)
def test_the_signal_leaves_a_short_job_most_of_its_time(slurm, capsys, limit, lead):
    assert said(printed(capsys, "--time", limit, "--", "x"))["signal"] == f"B:USR1@{lead}"


def test_the_signal_comes_as_early_as_measured_saves_call_for(slurm, capsys, monkeypatch):
    from outlast.store import AttemptLog

    monkeypatch.setattr(AttemptLog, "save_seconds", lambda _: [100.0, 200.0, 400.0])
    with pytest.raises(InterruptedError), outlast.Run("s", {"x": 0}) as run:
        run.due()
        run.save()
        raise InterruptedError
    seconds = lead_s(400.0, 0.0)
    assert seconds == 2 * (400.0 + 1.0)
    script = printed(capsys, "--store", "s", "--", "x")
    assert said(script)["signal"] == f"B:USR1@{round(seconds) + 30}"
    assert f"saves take up to {format_duration(400.0)}" in script


def test_arguments_arrive_as_they_are(slurm, capsys, tmp_path):
    script = printed(capsys, "--store", "st 'x", "--", sys.executable, "-c", SHOW, *NASTY)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)) == (0, NASTY)
    assert not list(tmp_path.rglob("pwned"))
    assert (tmp_path / "st 'x" / "jobs").is_dir()


def test_options_arrive_as_they_are(slurm, capsys):
    """Slurm's own reading of such lines is tried in tests/slurm."""
    script = printed(capsys, "-J", 'it\'s "my" $(job) #1 \\', "--comment=a b", "--", "x")
    assert said(script)["job-name"] == 'it\'s "my" $(job) #1 \\'
    assert said(script)["comment"] == "a b"


def test_a_program_whose_name_is_more_than_a_line(slurm, capsys):
    script = printed(capsys, "--", "python", "two\nlines.py")
    assert said(script)["job-name"] == "two lines"


def test_what_no_directive_can_say_is_refused(slurm, capsys):
    assert main(["submit", "-J", "two\nlines", "--", "x"]) == 2
    assert "cannot have a line break" in capsys.readouterr().err
    assert not slurm.calls("sbatch")


def test_it_is_submitted_and_its_script_kept(slurm, capsys):
    slurm.answers("sbatch", (0, "4711\n", ""))
    assert main(["submit", "--json", "--store", "runs/a", "--array=0-3", "--", "python", "train.py", "%a"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["job"] == "4711"
    assert slurm.calls("sbatch") == [["sbatch", "--parsable", told["script"]]]
    kept = Path(told["script"])
    assert kept.parent == Path("runs/a/jobs").absolute()
    assert said(kept.read_text())["output"] == str(Path("runs/a/jobs/%A_%a.out").absolute())
    assert f"--script {kept}" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o700


def test_a_percent_in_a_path_is_no_pattern(slurm, capsys):
    assert said(printed(capsys, "--store", "100%j", "--", "x"))["output"] == str(Path("100%%j/jobs/%j.out").absolute())


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        ((1, "", "sbatch: error: invalid partition specified: nope"), 2, "invalid partition specified: nope"),
        ((1, "", "sbatch: error: Unable to contact slurm controller"), 1, "look whether a job is in the queue"),
        ((0, "Submitted\n", ""), 1, "look whether a job is in the queue"),
    ],
)
def test_what_is_not_taken_is_said(slurm, capsys, answer, status, text):
    slurm.answers("sbatch", answer)
    assert main(["submit", "--", "x"]) == status
    assert text in capsys.readouterr().err
    assert len(slurm.calls("sbatch")) == 1


def test_a_run_that_is_done_is_not_submitted(slurm, capsys, monkeypatch):
    with outlast.Run("s", {"x": 0}) as run:
        for _ in run.steps(3):
            pass
    assert main(["submit", "--store", "s", "--", "x"]) == 0
    assert "this run is done: nothing to submit" in capsys.readouterr().out
    assert not slurm.calls("sbatch")
    monkeypatch.setenv("OUTLAST_REOPEN", "1")
    slurm.answers("sbatch", (0, "1\n", ""))
    assert main(["submit", "--store", "s", "--", "x"]) == 0
    assert len(slurm.calls("sbatch")) == 1


def test_a_run_that_is_under_way_is_not_submitted_again(slurm, capsys):
    with pytest.raises(InterruptedError), outlast.Run("s", {"x": 0}):
        assert main(["submit", "--store", "s", "--", "x"]) == 5
        raise InterruptedError
    assert "is in use by process" in capsys.readouterr().err
    assert not slurm.calls("sbatch")


def test_a_script_that_exists_runs_as_it_is(slurm, capsys, tmp_path):
    text = "#!/bin/bash -e\n#SBATCH -J old --time=10\n#SBATCH --no-requeue\necho one\nfalse\necho two\n"
    Path("job.sh").write_text(text)
    slurm.answers("sbatch", (0, "5\n", ""))
    assert main(["submit", "--json", "--script", "job.sh", "--store", "s"]) == 0
    made = Path(json.loads(capsys.readouterr().out)["script"])
    assert said(made.read_text()) == {
        "job-name": "old",
        "time": "10",
        "no-requeue": None,
        "signal": "B:USR1@150",
        "open-mode": "append",
        "output": str(Path("s/jobs/%j.out").absolute()),
    }
    copy = made.with_name(made.name.replace(".sh", "-original.sh"))
    assert copy.read_text() == text
    assert Path("job.sh").read_text() == text
    done = subprocess.run(["bash", str(made)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "one\n" * 3  # with -e, as its first line says; and a crash is tried again
    assert done.returncode == 86


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("echo\n", "its first line has no #!"),
        ("#!/bin/bash\n#PBS -l walltime=1:00:00\nx\n", "the script is for pbs, and this is slurm"),
        ("#!/bin/bash\nexec outlast run -- python x.py\n", "calls outlast already"),
        (None, "cannot be read"),
    ],
)
def test_a_script_that_cannot_be_taken_is_refused(slurm, capsys, text, error):
    if text is not None:
        Path("job.sh").write_text(text)
    assert main(["submit", "--script", "job.sh"]) == 2
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "expected a command to run, or --script"),
        (["--script", "a", "--", "b"], "either a command or --script"),
        (["--total", "soon", "--", "x"], "soon"),
        (["--system", "cray", "--", "x"], "there is no batch system 'cray'"),
        (["--max-attempts", "many", "--", "x"], "--max-attempts"),
    ],
)
def test_wrong_use_is_refused(slurm, capsys, arguments, error):
    assert main(["submit", *arguments]) == 2
    assert error in capsys.readouterr().err


def test_without_a_batch_system_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["submit", "--", "x"]) == 2
    told = capsys.readouterr().err
    assert "there is no batch system here: none of sbatch (slurm)" in told
    assert "--system local" in told
