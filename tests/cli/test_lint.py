"""`outlast lint`: what it prints, what it writes, and how it ends."""

import io
import os
import stat
import sys
from types import SimpleNamespace

import pytest

from outlast.jobscript.catalogue import MAX_BYTES, RULES
from supervise.slurmlike import SlurmLike

GOOD = "#!/bin/bash\n#SBATCH --time=1:00:00\nsrun python train.py\n"
BAD = "#!/bin/bash\n#SBATCH --requeue\nif [ $SLURM_RESTART_COUNT -gt 0 ]; then x; fi\nexit 99\n"
MENDED = (
    "#!/bin/bash\n#SBATCH --requeue\n#SBATCH --open-mode=append\n"
    'if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then x; fi\nexit 99\n'
)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "job.sh"
    path.write_text(BAD)
    path.chmod(0o750)
    return path


def rules(found):
    return [(one["line"], one["rule"], one["severity"]) for one in found["findings"]]


def test_nothing_found(call, script):
    script.write_text(GOOD)
    found = call("lint", script)
    assert (found.status, found.out, found.err) == (0, "", "")


def test_findings(call, script):
    found = call("lint", script)
    assert found.status == 1
    assert [line.split(": ")[:2] for line in found.lines] == [
        [f"{script}:2", "J14 warning"],
        [f"{script}:3", "J9 error"],
        [f"{script}:4", "J12 error"],
    ]
    assert found.lines[2] == (
        f"{script}:4: J12 error: exit 99 on Slurm: "
        "99 asks for a requeue in Grid Engine alone; here the job has failed -> "
        'scontrol requeue "$SLURM_JOB_ID", after the save; or have `outlast run` do it'
    )
    assert found.err == f"outlast: 2 of 3 can be mended: outlast lint --fix {script}\n"
    assert script.read_text() == BAD


def test_json(call, script, tmp_path):
    good = tmp_path / "good.sh"
    good.write_text(GOOD)
    found = call("lint", "--json", good, script)
    assert (found.status, found.json["found"]) == (1, 3)
    first, second = found.json["scripts"]
    assert first == {"script": str(good), "findings": [], "not_understood": [], "mended": None}
    assert rules(second) == [(2, "J14", "warning"), (3, "J9", "error"), (4, "J12", "error")]
    assert second["findings"][2] == {
        "line": 4,
        "rule": "J12",
        "severity": "error",
        "title": "`exit 99` on Slurm",
        "found": "exit 99 on Slurm",
        "reason": "99 asks for a requeue in Grid Engine alone; here the job has failed",
        "remedy": 'scontrol requeue "$SLURM_JOB_ID", after the save; or have `outlast run` do it',
        "fixable": False,
    }


def test_fix(call, script):
    found = call("lint", "--fix", script)
    assert found.status == 1
    assert [line.split(": ")[1] for line in found.lines] == ["J12 error", "mended"]
    assert script.read_text() == MENDED
    assert stat.S_IMODE(script.stat().st_mode) == 0o750
    again = call("lint", "--fix", script)
    assert (again.status, len(again.lines), script.read_text()) == (1, 1, MENDED)
    assert [path.name for path in script.parent.iterdir()] == ["job.sh"]


def test_fix_of_everything_is_status_0(call, script):
    script.write_text(BAD.removesuffix("exit 99\n"))
    assert call("lint", "--fix", script).status == 0
    assert call("lint", script).status == 0


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-t", "8:00:00", "-p", "main_risk"],
        ["--time=2", "--partition=spot", "--no-requeue"],
        ["--array=1-20%1", "--job-name=it's a $(name)", "--qos=preempt"],
    ],
    ids=["plain", "risk", "no-requeue", "array"],
)
def test_what_submit_made_has_no_findings(call, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", SlurmLike(tmp_path / "bin").environment()["PATH"])
    command = ["python", "it's $(touch x).py", "--checkpoint-dir", "/tmp/ckpt", "two\n#SBATCH --hold\nlines"]
    made = call("submit", "-n", *options, "--store", "store", "--total", "40h", "--", *command)
    script = tmp_path / "made.sh"
    script.write_text(made.out)
    assert made.out.startswith("#!/bin/bash\n")
    found = call("lint", script)
    assert (found.status, found.out, found.err) == (0, "", "")


def test_what_is_right_is_not_written_again(call, script):
    script.write_text(GOOD)
    before = script.stat()
    assert call("lint", "--fix", script).status == 0
    after = script.stat()  # read it was: the time of that may have changed
    assert (after.st_ino, after.st_ctime_ns, after.st_mtime_ns) == (
        before.st_ino,
        before.st_ctime_ns,
        before.st_mtime_ns,
    )


def test_fix_of_what_a_link_leads_to(call, script):
    link = script.with_name("link.sh")
    link.symlink_to("job.sh")
    assert call("lint", "--fix", link).status == 1
    assert (link.is_symlink(), script.read_text()) == (True, MENDED)


@pytest.mark.parametrize("options", [["--fix", "-n"], ["--diff"], ["-n"], ["--fix", "--diff"]])
def test_diff(call, script, options):
    found = call("lint", *options, script)
    assert found.status == 1
    assert found.lines[3:] == [
        f"--- {script}",
        f"+++ {script} (mended)",
        "@@ -1,4 +1,5 @@",
        " #!/bin/bash",
        " #SBATCH --requeue",
        "-if [ $SLURM_RESTART_COUNT -gt 0 ]; then x; fi",
        "+#SBATCH --open-mode=append",
        '+if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then x; fi',
        " exit 99",
    ]
    assert script.read_text() == BAD


def test_diff_of_odd_lines(call, script):
    """A tab is a tab; what a terminal obeys is shown; and only a newline ends a line."""
    script.write_bytes(b"#!/bin/sh\r\n#SBATCH --requeue\r\nx\ty \x0c\xe2\x80\xa8\x1b[1mz\n")
    assert call("lint", "--diff", script).lines[4:] == [
        " #!/bin/sh",
        " #SBATCH --requeue",
        "+#SBATCH --open-mode=append",
        " x\ty \\x0c\\u2028\\x1b[1mz",
    ]


def test_diff_as_json(call, script):
    (one,) = call("lint", "--json", "--diff", script).json["scripts"]
    assert (one["mended"], len(one["findings"])) == (MENDED, 3)
    assert script.read_text() == BAD


def test_bytes_that_are_no_text_stay(call, script):
    script.write_bytes(b"#!/bin/bash\n#SBATCH --requeue\n# \xff\xe4\nsrun x\n")
    assert call("lint", "--fix", script).status == 0
    assert script.read_bytes() == b"#!/bin/bash\n#SBATCH --requeue\n#SBATCH --open-mode=append\n# \xff\xe4\nsrun x\n"


def test_what_a_script_says_cannot_command_the_terminal(call, script):
    script.write_bytes(b"#SBATCH --requeue\nexit 99 \x1b[2J\ntest $SLURM_RESTART_COUNT -gt \x1b[1m1\n")
    found = call("lint", "--diff", script)
    assert found.status == 1
    assert "\x1b" not in found.out + found.err
    assert "\\x1b[1m" in found.out


def test_the_name_tells_what_submits_itself(call, script):
    script.write_text(
        "#!/bin/bash\n#SBATCH -t 1\nD=/x/$SLURM_JOB_ID\nn=$count; [ $n -lt 3 ]\ncp $OUT_DIR $D\nsbatch job.sh\n"
    )
    assert call("lint", script).status == 0
    script.write_text("#!/bin/bash\n#SBATCH -t 1\nOUT_DIR=/x/$SLURM_JOB_ID\nn=$count; [ $n -lt 3 ]\nsbatch job.sh\n")
    assert rules(call("lint", "--json", script).json["scripts"][0]) == [(3, "J24", "error")]
    other = script.rename(script.with_name("other.sh"))
    assert call("lint", other).status == 0


def test_standard_input(call, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(BAD.encode())))
    found = call("lint", "-")
    assert (found.status, found.lines[0].split(": ")[0]) == (1, "-:2")


def test_standard_input_is_not_mended_in_place(call):
    found = call("lint", "--fix", "-")
    assert (found.status, found.err) == (
        2,
        "outlast: error: standard input cannot be mended in place\n  -> add -n to see the changes\n",
    )


def test_what_is_not_understood_is_said(call, script):
    script.write_text(f"{GOOD}fi\n")
    found = call("lint", script)
    assert (found.status, found.out) == (0, "")
    assert found.err == f"outlast: warning: {script}:4: not understood; what stands there is not judged\n"
    assert call("lint", "--json", script).json["scripts"][0]["not_understood"] == [4]


def test_rules(call):
    found = call("lint", "--rules")
    assert found.status == 0
    for rule in RULES:
        assert f"{rule.id} {rule.severity}{' (--fix)' if rule.fixes else ''}: {rule.title}" in found.lines
        assert f"    {rule.source}" in found.lines
    told = call("lint", "--rules", "--json").json
    assert [(one["rule"], one["source"], one["fixable"]) for one in told] == [(r.id, r.source, r.fixes) for r in RULES]


def test_one_that_cannot_be_read_stops_all(call, script):
    missing = script.with_name("missing.sh")
    found = call("lint", "--fix", script, missing)
    assert (found.status, found.out) == (2, "")
    assert found.err == f"outlast: error: {missing} cannot be read: No such file or directory\n  -> name a job script\n"
    assert script.read_text() == BAD


def test_no_script(call):
    found = call("lint")
    assert (found.status, found.err) == (2, "outlast: error: no script was named\n  -> outlast lint job.sh\n")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.write_bytes(b"\x7fELF\0"), "is a binary file"),
        (lambda path: path.write_bytes(b"#" * (10 << 20)), f"has more than {MAX_BYTES} bytes"),
        (lambda path: path.write_text("a;" * 4000), "more than 3000 commands"),
    ],
    ids=["directory", "fifo", "binary", "10-MB", "commands"],
)
def test_what_is_no_script(call, tmp_path, make, said):
    path = tmp_path / "x"
    make(path)
    found = call("lint", path)
    assert (found.status, found.out) == (2, "")
    assert said in found.err
    assert "\n  -> name a job script" in found.err


def test_a_script_of_somebody_else_is_not_taken_over(call, script, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: script.stat().st_uid + 1)
    found = call("lint", "--fix", script)
    assert found.status == 2
    assert "belongs to another user" in found.err
    assert script.read_text() == BAD
