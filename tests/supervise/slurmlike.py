"""Commands that answer as Slurm's do, from files: for what a real one does only when it is ill.

What a real Slurm does is in tests/slurm. Here the tests decide what fails, and how often; each call is written down.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

_COMMAND = """#!{python} -IS
import json, os, sys, time
folder, name = {folder!r}, os.path.basename(sys.argv[0])
with open(os.path.join(folder, "calls"), "a") as file:
    file.write(json.dumps([name, *sys.argv[1:]]) + "\\n")
verb = name + (" " + " ".join(w for w in sys.argv[1:3] if not w.startswith("-")) if name == "scontrol" else "")
if verb.startswith("scontrol requeue"):
    verb = "scontrol requeue"
elif verb.startswith("scontrol"):
    verb = "scontrol show job"
path = os.path.join(folder, verb.replace(" ", "-") + ".answers")
try:
    with open(path) as file:
        answers = json.load(file)
except FileNotFoundError:
    answers = [[1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"]]
status, out, err = answers[0]
if len(answers) > 1:
    with open(path + ".new", "w") as file:
        json.dump(answers[1:], file)
    os.replace(path + ".new", path)
if out == "HANG":
    time.sleep(600)
print(out, end="")
print(err, file=sys.stderr, end="")
sys.exit(status)
"""


class SlurmLike:
    """Puts the commands into a folder, which comes first in PATH."""

    def __init__(self, folder: Path, commands=("scontrol", "squeue", "sbatch")) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for name in commands:
            path = folder / name
            path.write_text(_COMMAND.format(python=sys.executable, folder=str(folder)))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self.answers("squeue", (0, "7 7_N/A (null)\n", ""))
        self.job()

    def answers(self, command: str, *answers: tuple[int, str, str]) -> None:
        """Say what a command answers, one time after the other; the last answer stays."""
        import json

        path = self.folder / (command.replace(" ", "-") + ".answers")
        new = path.with_suffix(".put")
        new.write_text(json.dumps(answers))
        os.replace(new, path)

    def job(self, **fields: object) -> None:
        """Say what `scontrol show job` answers from now on."""
        self.answers("scontrol show job", (0, self.line(**fields), ""))

    def line(self, **fields: object) -> str:
        now = int(time.time())
        known = {
            "JobId": 7, "JobState": "RUNNING", "Requeue": 1, "Restarts": 0, "TimeLimit": "01:00:00", "SubmitTime": now,
            "EligibleTime": now, "StartTime": now, "EndTime": now + 3600, "PreemptTime": "None", "Partition": "risk",
        }  # fmt: skip
        return " ".join(f"{name}={value}" for name, value in {**known, **fields}.items()) + "\n"

    def calls(self, *beginning: str) -> list[list[str]]:
        """The calls so far that begin like this."""
        import json

        try:
            lines = (self.folder / "calls").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [call for line in lines if (call := json.loads(line))[: len(beginning)] == list(beginning)]

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_PARTITION": "risk",
            **more,
        }
