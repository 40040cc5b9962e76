"""`outlast drill`, whole: good programs pass every fault, bad ones fail and are told why, and nothing stays behind."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from drill.drillkit import command, drill, program
from outlast.drill import director
from outlast.drill.faults import FAULTS
from outlast.drill.live import Live
from outlast.drill.trials import Ground
from outlast.drill.wounds import FullDisk, stores
from outlast.store import Store

KILLED, TERMINATED, SAVED = 137, 143, 85


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The user's folder, in which the drill is called."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def full_to_the_end(fault, live, strike=FullDisk.strike):
    """Leave the disk full until the attempt has ended, not for a while: on a busy machine nothing is saved in that."""
    strike(fault, live)
    fault._until_s = math.inf


@pytest.mark.slow
def test_a_good_program_passes_every_fault(home, capsys, monkeypatch):
    monkeypatch.setattr(FullDisk, "strike", full_to_the_end)
    script = program(home, "steps.py")
    found = drill(capsys, "--jobs", "2", "--kills", "2", "--compare", "w.txt", "--", *command(script))
    assert found.results == {fault.name: "passed" for fault in FAULTS}
    assert found.status == 0
    assert found.document["verdict"] == "proven"
    statuses = {fault.name: [one["status"] for one in found.of(fault.name)["attempts"]] for fault in FAULTS}
    assert statuses["kill"] == statuses["save"] == [KILLED, KILLED, 0]
    assert statuses["step"] == statuses["node"] == statuses["damage"] == [KILLED, 0]
    assert statuses["notice"] == statuses["notice-group"] == [SAVED, 0]
    assert statuses["limit"][-1] == 0
    assert statuses["again"] == [0, 0]
    assert statuses["twice"] == [0]
    assert found.of("twice")["notes"][0] in (
        "the second one was refused (5)",
        "the second one ended with 0",
    )  # it was done
    *full, last = statuses["full-disk"]
    assert last == 0
    assert set(full) == {1}  # two, if the drill is slow to empty it
    assert "a bit flipped in step-" in found.of("damage")["strikes"][0]["text"]
    assert os.listdir(home) == ["steps.py"]


def test_what_a_supervisor_does_while_it_is_killed_is_no_attempt(home, capsys, monkeypatch):
    """The program's end is told, and its next attempt begun, by one that is about to die: not all die at once."""
    end = Live.end

    def end_slowly(live):
        if live.process.poll() is None:
            first = live.below()
            live.kill()
            while live.process.poll() is None and not live.below() - first:
                time.sleep(0.01)
        return end(live)

    monkeypatch.setattr(Live, "end", end_slowly)
    words = command(program(home, "steps.py"))
    early = ("--seed", "0")  # not at the end
    found = drill(capsys, "--faults", "node,damage", "--jobs", "2", *early, "--", *words)
    assert found.results == {"node": "passed", "damage": "passed"}
    for fault in ("node", "damage"):
        assert [one["status"] for one in found.of(fault)["attempts"]] == [KILLED, 0]


def test_generator_that_is_not_saved(home, capsys):
    script = program(home, "steps.py")
    runs = home.parent / "runs"
    found = drill(capsys, "--faults", "kill,again", "--kills", "1", "--dir", str(runs), "--", *command(script, "rng"))
    assert found.status == 1
    assert found.results == {"kill": "failed", "again": "passed"}
    (store,) = stores(str(runs / "01-kill"))
    restored = Store(store).attempts()[1].last("restored")["step"]
    names = [one["name"] for one in found.of("kill")["differences"]]
    assert names == ["mean", "w"]
    first = found.of("kill")["differences"][0]
    assert first["kind"] == "metric"
    assert first["step"] == restored  # counted from 0: the first step after the save
    assert "generator" in found.text


def test_rows_that_are_written_twice(home, capsys):
    script = program(home, "steps.py")
    options = ["--faults", "kill", "--kills", "1", "--compare", "*.csv", "--junit", str(home.parent / "drill.xml")]
    found = drill(capsys, *options, "--", *command(script, "rows"))
    assert found.status == 1
    (difference,) = found.of("kill")["differences"]
    assert (difference["kind"], difference["name"]) == ("file", "rows.csv")
    assert difference["text"].startswith("line ")
    suite = ET.parse(home.parent / "drill.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "0")
    assert "rows.csv: line " in suite[1][0].text


def test_program_in_another_language(home, capsys):
    script = program(home, "protocol.sh")
    faults = "kill,step,save,notice,limit,node,again"
    options = ["--faults", faults, "--kills", "1", "--compare", "table", "--compare", "result", "--jobs", "2"]
    found = drill(capsys, *options, "--", *command(script))
    assert found.results == dict.fromkeys(faults.split(","), "passed") | {"step": "passed"}
    assert found.status == 0
    assert [one["status"] for one in found.of("notice")["attempts"]] == [SAVED, 0]
    assert found.of("save")["strikes"][0]["text"].endswith("of a file in its folder")
    assert found.of("step")["strikes"][0]["text"].startswith("SIGKILL when step ")


def test_program_that_only_prints_its_steps(home, capsys):
    """No recorder tells of these steps as they come: it is struck by the clock."""
    script = home / "own.sh"
    script.write_text(PRINTS)
    found = drill(capsys, "--faults", "kill,notice", "--kills", "1", "--compare", "result", "--", "sh", str(script))
    assert found.results == {"kill": "passed", "notice": "passed"}
    assert [one["status"] for one in found.of("kill")["attempts"]] == [KILLED, 0]
    assert [one["status"] for one in found.of("notice")["attempts"]] == [TERMINATED, 0]
    assert "No step of it was seen" not in found.text


PRINTS = """
i=0; [ -f state ] && read i < state
while [ $i -lt 20 ]; do
    i=$((i + 1)); sleep 0.05; echo $i > new && mv new state; echo "step $i"
done
echo $i > result
"""


def test_nobody_sees_another_one_die(monkeypatch):
    """Killed one after the other, a shell would go on to its next command, and say that all is done."""
    sent = []
    monkeypatch.setattr("outlast.drill.live.tree.send", lambda pid, number: sent.append((pid, number)) or True)
    monkeypatch.setattr(Live, "below", lambda _: {7, 8})
    assert object.__new__(Live).kill()
    assert sorted(sent[:2]) == [(7, signal.SIGSTOP), (8, signal.SIGSTOP)]
    assert sorted(sent[2:]) == [(7, signal.SIGKILL), (8, signal.SIGKILL)]


def test_program_in_another_language_that_writes_a_line_again(home, capsys):
    script = program(home, "protocol.sh")
    options = ["--faults", "kill", "--kills", "1", "--compare", "table", "--compare", "result"]
    found = drill(capsys, *options, "--", *command(script, "head"), as_json=False)
    assert found.status == 1
    assert "\nkill: table: line " in found.out
    assert "Does NOT restart exactly: wrong after 1 of 1 faults (kill)." in found.out


def test_program_that_saves_by_itself(home, capsys):
    """Steps come from the recorder; the save that is torn is one of its own."""
    script = home / "own.py"
    script.write_text(OWN)
    options = ["--faults", "step,save", "--compare", "result.txt"]
    found = drill(capsys, *options, "--", *command(script, "new.npz"))
    assert (found.status, set(found.results.values())) == (0, {"passed"})
    found = drill(capsys, *options, "--", *command(script, "state.npz"))
    assert found.results == {"step": "passed", "save": "failed"}
    assert "overwritten in place" in found.text


OWN = """
import os, sys
import numpy as np
total, start = np.zeros(1), 1
if os.path.exists("state.npz"):
    with np.load("state.npz") as saved:
        total, start = saved["total"], int(saved["step"]) + 1
for step in range(start, 51):
    total += step
    if step % 10 == 0:
        np.savez(sys.argv[1], total=total, step=step)
        if sys.argv[1] != "state.npz":
            os.replace(sys.argv[1], "state.npz")
    print(f"step {step}")
np.savetxt("result.txt", total)
"""


def test_what_differs_by_itself_is_said_first(home, capsys):
    script = program(home, "steps.py")
    found = drill(capsys, "--faults", "again", "--", *command(script, "clock"))
    assert found.status == 4
    assert found.document["verdict"] == "varies"
    assert found.document["text"][0].startswith("Not deterministic by itself: two undisturbed runs differ in began (")
    assert found.results == {"again": "passed"}


def test_quick_strikes_several_times_in_one_run(home, capsys, monkeypatch):
    script = program(home, "steps.py")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    _named_before_they_end(monkeypatch)
    found = drill(capsys, "--quick", "--jobs", "3", "--dir", str(home.parent / "runs"), "--", *command(script))
    assert found.status == 0
    assert (home.parent / "runs" / "together").is_dir()
    assert {found.of(name)["result"] for name in ("kill", "save", "notice", "damage", "again")} == {"passed"}
    assert found.of("step")["result"] == "not tried"
    assert "drill 0/8 " in found.err
    assert ", undisturbed, first; undisturbed, second" in found.err
    assert ", kill, notice, damage, save, again" in found.err
    assert "drill 8/8 |" in found.err


def _named_before_they_end(monkeypatch):
    """Have no run come to its end before it was told that it is under way, and the two undisturbed ones at once."""
    told, named = director.drill, set()

    def telling(order, tell):
        def noting(names, count):
            tell(names, count)
            named.add("; ".join(names))

        return told(order, noting)

    def ending(name, text):
        run = getattr(Ground, name)

        def ended(*arguments):
            found = run(*arguments)
            until = time.monotonic() + 60
            while text not in named and time.monotonic() < until:
                time.sleep(0.01)
            return found

        monkeypatch.setattr(Ground, name, ended)

    monkeypatch.setattr(director, "drill", telling)
    ending("undisturbed", "undisturbed, first; undisturbed, second")
    ending("together", "kill, notice, damage, save, again")


def test_a_store_elsewhere_is_not_touched(home, capsys):
    real = home.parent / "real"
    (home / "run.py").write_text(f"import outlast\nwith outlast.Run({str(real)!r}, {{'t': 0}}) as run: pass\n")
    found = drill(capsys, "--", sys.executable, "run.py", as_json=False)
    assert found.status == 2
    assert "lies outside of the drill, which must not touch your real store" in found.err
    assert not real.exists()


@pytest.mark.parametrize("steps", [20, 50], ids=["half-way", "done"])
def test_a_checkpoint_that_an_earlier_run_left_is_named(home, capsys, steps):
    (home / "own.py").write_text(OWN)
    code = f"import numpy as np; np.savez('state.npz', total=np.zeros(1), step={steps})"
    subprocess.run([sys.executable, "-c", code], cwd=home, check=True)
    options = ["--faults", "again", "--compare", "result.txt"]
    said = "Each run began with state.npz, from your folder"
    assert said in drill(capsys, *options, "--", *command(home / "own.py", "new.npz"), as_json=False).out
    options += ["--checkpoints", "*.npz"]
    assert said not in drill(capsys, *options, "--", *command(home / "own.py", "new.npz"), as_json=False).out


def test_files_elsewhere_are_noticed(home, capsys):
    (home / "run.py").write_text(f"open({str(home / 'out.txt')!r}, 'w').write('1')\n")
    found = drill(capsys, "--stdout", "--", sys.executable, "run.py", as_json=False)
    assert found.status == 2
    assert f"the program writes outside of its copy, to out.txt in {home}" in found.err


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        ("raise SystemExit(127)", [], "ended with status 127: it, or what it calls, was not found"),
        ("pass", ["--stdout", "--dir", "/proc/absent"], "no folder can be made for the runs: "),
        ("raise SystemExit(3)", [], "does not work undisturbed: it ended with status 3"),
        ("raise ValueError('no mesh')", [], "see --copy, --link\n     Traceback"),
        ("open('a.txt', 'w')", [], "there is nothing to compare: the program has no store of outlast"),
        ("open('a.txt', 'w')", [], "--compare 'out/*.csv' (it left a.txt)"),
        ("pass", ["--junit", "absent/a.xml"], "--junit absent/a.xml cannot be written"),
        ("pass", ["--compare", "b*"], "--compare b*: the undisturbed run left no such file"),
        ("import time; time.sleep(60)", ["--stdout", "--timeout", "1s"], "the undisturbed run did not end in time"),
    ],
)
def test_what_cannot_be_drilled(home, capsys, code, options, said):
    (home / "run.py").write_text(code)
    found = drill(capsys, *options, "--", sys.executable, "run.py", as_json=False)
    assert found.status == 2
    assert said in found.err


def test_files_of_the_users_that_are_called_as_modules_of_ours(home, capsys):
    (home / "json.py").write_text("raise SystemExit('the wrong json')")
    (home / "run.sh").write_text("echo 1 > result")
    found = drill(capsys, "--faults", "again", "--compare", "result", "--", "sh", "run.sh")
    assert (found.status, found.results) == (0, {"again": "passed"})
    assert "No step of it was seen: whether it goes on after a fault, or begins anew, is not shown." in found.text


def test_inside_a_job_nobody_asks_the_batch_system(home, capsys, monkeypatch, tmp_path):
    """It must not put the job back in which it runs, nor hand on that job's end."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("scontrol", "squeue", "sbatch"):
        (tools / name).write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/asked\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("OUTLAST_DEADLINE", str(time.time() + 3600))
    monkeypatch.setenv("OUTLAST_CONTROL", str(tmp_path))
    monkeypatch.setenv("OUTLAST_STORE", str(tmp_path / "real"))
    script = Path(program(home, "steps.py"))
    script.write_text(f"import os\nassert 'OUTLAST_DEADLINE' not in os.environ\n{script.read_text()}")
    found = drill(capsys, "--faults", "notice", "--", *command(script))
    assert (found.status, found.results) == (0, {"notice": "passed"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "tools"]


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(1000)"])
    os._exit(0)
os.wait()
print("here", flush=True)
time.sleep(float(sys.argv[1]))
"""


def test_nothing_stays_behind(home, capsys, monkeypatch):
    mark = f"OUTLAST_TEST_{uuid.uuid4().hex}"
    monkeypatch.setenv(mark, "1")
    (home / "run.py").write_text(DAEMON)
    found = drill(capsys, "--stdout", "--faults", "kill", "--kills", "1", "--", sys.executable, "run.py", "0.5")
    assert (found.status, found.results) == (0, {"kill": "passed"})
    assert _marked(mark) == []


def test_a_notice_ends_the_drill_and_all_that_it_started(home, monkeypatch, tmp_path):
    mark = f"OUTLAST_TEST_{uuid.uuid4().hex}"
    (home / "run.py").write_text(DAEMON)
    env = {**os.environ, mark: "1", "TMPDIR": str(tmp_path)}
    called = [sys.executable, "-m", "outlast", "drill", "--stdout", "--", sys.executable, "run.py", "1000"]
    process = subprocess.Popen(called, cwd=home, env=env)
    while not list(tmp_path.glob("outlast-drill-*/first/drill/stdout")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert _marked(mark) == []
    assert list(tmp_path.glob("outlast-drill-*")) == []


def _marked(mark: str) -> list[str]:
    """The processes that have a mark in their environment, but us."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in environment and int(pid) != os.getpid():
            found.append(pid)
    return found
