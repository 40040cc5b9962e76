"""No process stays behind (spec/process-v1.md, 7 and PR-6), however it hid and however the supervisor ends."""

import os
import signal

import pytest

DAEMON = """
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {ignore}
        os.write(write, str(os.getpid()).encode())
        for d in (0, 1, 2):
            os.close(d)
        forever()
    os._exit(0)
os.wait()
say(os.read(read, 20).decode())
"""


@pytest.mark.parametrize("ignore", ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"], ids=["plain", "stubborn"])
@pytest.mark.parametrize("status", [0, 3])
def test_a_daemon_is_ended_with_its_attempt(rig, gone, ignore, status):
    """PR-23."""
    one = rig.start(rig.program(DAEMON.format(ignore=ignore) + f"sys.exit({status})"), grace_s=0.3)
    daemon = int(one.line())
    assert one.status() == status
    assert not os.path.exists(f"/proc/{daemon}"), "it is ended, and reaped, before the supervisor leaves"


def test_a_leftover_is_asked_before_it_is_killed(rig):
    text = """
import subprocess
subprocess.Popen([sys.executable, "-I", "-S", "-c", '''
import os, signal, sys, time
signal.signal(15, lambda *_: (os.write(1, b"told\\\\n"), sys.exit()))
os.write(1, b"ready\\\\n")
while True: time.sleep(0.02)
'''])
say("started")
sys.stdin.read()
"""
    read, write = os.pipe()
    one = rig.start(rig.program(text), popen={"stdin": read}, term_s=1000.0)
    os.close(read)
    assert {one.line(), one.line()} == {"ready", "started"}
    os.close(write)
    assert one.line() == "told"
    assert one.status() == 0


def test_the_next_attempt_starts_when_nothing_is_left(rig):
    text = """
if attempt() == 1:
    pass
else:
    say("old one there:", os.path.exists("/proc/" + open("daemon").read()))
    sys.exit(0)
"""
    text += DAEMON.format(ignore="open('daemon', 'w').write(str(os.getpid()))") + "os.kill(os.getpid(), 9)"
    one = rig.start(rig.program(text))
    assert one.status() == 0
    assert one.lines()[-1] == "old one there: False"


def test_ended_orphans_are_reaped_while_the_command_runs(rig):
    text = """
for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
supervisor = os.environ["OUTLAST_SUPERVISOR"]
def zombies():
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()
        except OSError:
            continue
        count += fields[0] == "Z" and fields[1] == supervisor
    return count
while zombies():
    time.sleep(0.01)
say("none")
"""
    one = rig.start(rig.program(text))
    assert one.line() == "none"
    assert one.status() == 0


def test_supervisor_killed(rig, gone):
    """PR-6."""
    told = "on(signal.SIGTERM, lambda: (open('told', 'w').close(), sys.exit()))\n"
    one = rig.start(rig.program(told + "say(os.getpid()); forever()"))
    command = int(one.line())
    one.send(signal.SIGKILL)
    assert one.status() == -9
    assert gone(command)
    assert (rig.folder / "told").exists()


def test_supervisor_fails(rig, gone):
    """An error of our own leaves nothing behind either."""
    one = rig.start(rig.program("on(signal.SIGTERM, lambda: 0); say(os.getpid()); forever()"), fail_on_notice=True)
    command = int(one.line())
    one.send(signal.SIGTERM)
    assert one.status() == 1
    assert "planted" in one.errors
    assert not os.path.exists(f"/proc/{command}")
    assert list(rig.runtime.iterdir()) == []


def test_children_that_were_there_before_are_left_alone(rig):
    text = """
import os, subprocess, sys
from outlast.supervise import supervise
other = subprocess.Popen(["sleep", "1000"])
ended = subprocess.Popen(["sh", "-c", "exit 7"])
os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
assert supervise(["sh", "-c", "setsid sleep 1000 & exit 0"]) == 0
assert other.poll() is None
assert ended.wait() == 7
other.kill()
other.wait()
print("fine", flush=True)
"""
    import sys

    one = rig.spawn([sys.executable, "-c", text])
    assert one.status() == 0, one.errors
    assert one.line() == "fine"


def test_a_command_that_ends_between_the_look_and_the_burial_keeps_its_status(rig):
    """Buried as an orphan it would be taken for done."""
    text = """
import os
from outlast.policy.restart import Rules
from outlast.supervise import processes, supervise
from outlast.supervise.household import Household
read, write = os.pipe()
os.dup2(read, 0)
bury = Household.reap
def late(household, *command):
    os.write(write, b"\\n")
    for child in processes.children():
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    bury(household, *command)
Household.reap = late
status = supervise(["sh", "-c", "read -r _; setsid sh -c : & exit 7"], rules=Rules(tries=1))
assert status == 7, status
print("fine", flush=True)
"""
    import sys

    one = rig.spawn([sys.executable, "-c", text])
    assert one.status() == 0, one.errors
    assert one.line() == "fine"


def test_signals_are_given_back(rig):
    text = """
import signal, sys
from outlast.supervise import supervise
mine = lambda *_: None
signal.signal(signal.SIGTERM, mine)
before = [signal.getsignal(n) for n in (1, 2, 10, 12, 15, 17)]
supervise(["true"])
assert [signal.getsignal(n) for n in (1, 2, 10, 12, 15, 17)] == before
assert signal.set_wakeup_fd(-1) == -1
"""
    import sys

    one = rig.spawn([sys.executable, "-c", text])
    assert one.status() == 0, one.errors
