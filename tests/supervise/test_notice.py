"""Notice, grace, a second signal (spec/process-v1.md, 4): who is told, who is not, and what follows."""

import os
import pty
import signal
import sys
import threading
from contextlib import suppress

import pytest

from outlast.supervise.inbox import Bell, Inbox, Meaning

OBEDIENT = "on(signal.SIGTERM, lambda: (say('told'), sys.exit(85))); say('ready'); forever()"
STUBBORN = "on(signal.SIGTERM, lambda: say('told')); say('ready'); forever()"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_each_notice_becomes_one_sigterm_and_85(rig, name):
    one = rig.start(rig.program("attempt()\n" + OBEDIENT))
    assert one.line() == "ready"
    one.send(getattr(signal, name))
    assert one.line() == "told"
    assert one.status() == 85
    assert f"notice ({name})" in one.errors
    assert rig.file("attempts") == "x"


def test_done_after_a_notice_is_done(rig):
    one = rig.start(rig.program("on(signal.SIGTERM, lambda: sys.exit(0)); say('ready'); forever()"))
    assert one.line() == "ready"
    one.send(signal.SIGTERM)
    assert one.status() == 0


def test_no_restart_after_a_notice_that_it_did_not_survive(rig):
    one = rig.start(rig.program("attempt(); say('ready'); forever()"))
    assert one.line() == "ready"
    one.send(signal.SIGTERM)
    assert one.status() == 143
    assert rig.file("attempts") == "x"


REGISTERED = """
import subprocess
worker = subprocess.Popen([sys.executable, "-I", "-S", "-c", '''
import signal, sys
heard = []
for number in (1, 2, 10, 12, 15):
    signal.signal(number, lambda n, _: heard.append(n))
print("worker", flush=True)
sys.stdin.read()
print("worker heard", heard, flush=True)
'''], stdin=subprocess.PIPE)
def leave():
    say("program told")
    worker.stdin.close()
    worker.wait()
    sys.exit(85)
on(signal.SIGTERM, leave)
put("program.json", pid=os.getpid(), store="/s")
say("ready")
forever()
"""


def test_only_the_registered_program_is_signalled(rig):
    """PR-11: not the shell above it, not the worker below it."""
    command = rig.program(REGISTERED)
    script = rig.folder / "job.sh"
    script.write_text('trap "echo shell told" TERM\n"$@"\ns=$?\necho shell saw $s\nexit $s\n')
    one = rig.start(["sh", str(script), *command])
    assert {one.line(), one.line()} == {"worker", "ready"}
    one.send(signal.SIGUSR1)
    assert one.status() == 85
    assert one.lines() == ["program told", "worker heard []", "shell saw 85"]


CONDA_RUN = """
import subprocess, sys, tempfile
with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
    script.write('. /dev/null\\n' + '"$@"\\n')
    script.flush()
    done = subprocess.run(["bash", script.name, *sys.argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
sys.stdout.buffer.write(done.stdout)
sys.exit(done.returncode)
"""


def test_through_a_launcher_that_keeps_signals_and_output_to_itself(rig):
    """As `conda run` does it: a script for bash, its output captured to the end, no signal passed on."""
    os.mkfifo(rig.folder / "ready")
    text = """
on(signal.SIGTERM, lambda: (say("told"), sys.exit(85)))
put("program.json", pid=os.getpid(), store="/s")
open("ready", "w").close()
forever()
"""
    one = rig.start([*rig.program(CONDA_RUN, "conda_run.py"), *rig.program(text)])
    (rig.folder / "ready").read_text()  # until it is opened there
    one.send(signal.SIGUSR1)
    assert one.status() == 85
    assert one.lines() == ["told"]


def test_a_registered_stranger_is_not_signalled(rig):
    stranger = rig.spawn(rig.program("say('here'); forever()", "stranger.py"))
    assert stranger.line() == "here"
    one = rig.start(rig.program(f"put('program.json', pid={stranger.process.pid}, store='/s')\n" + OBEDIENT))
    assert one.line() == "ready"
    one.send(signal.SIGTERM)
    assert one.status() == 85
    assert stranger.process.poll() is None


def test_a_program_that_only_looks_at_files_is_not_signalled(rig):
    """PR-7, PR-9."""
    text = """
put("program.json", pid=os.getpid(), store="/s", notice="file")
say("ready")
while not os.path.exists(os.path.join(control, "stop")):
    time.sleep(0.02)
say(json.load(open(os.path.join(control, "stop"))))
sys.exit(85)
"""
    one = rig.start(rig.program(text))
    assert one.line() == "ready"
    one.send(signal.SIGTERM)
    assert one.line() == "{'reason': 'SIGTERM'}"
    assert one.status() == 85


def test_killed_after_the_grace_with_all_that_it_started(rig, gone):
    """PR-14."""
    text = "import subprocess\nsay(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)\n" + STUBBORN
    one = rig.start(rig.program(text), grace_s=0.2)
    sleeper = int(one.line())
    assert one.line() == "ready"
    one.send(signal.SIGTERM)
    assert one.status() == 137
    assert gone(sleeper)


def test_a_second_signal_is_passed_on(rig):
    """PR-15."""
    text = "told = []\non(signal.SIGTERM, lambda: (told.append(1), say('told'), len(told) > 1 and sys.exit(85)))\n"
    one = rig.start(rig.program(text + "say('ready'); forever()"), hurry_s=1000.0, shifted=True)
    assert one.line() == "ready"
    one.send(signal.SIGTERM)
    assert one.line() == "told"
    rig.pass_time(one, 1.1)  # sooner it would be a batch system's double
    one.send(signal.SIGTERM)
    assert one.line() == "told"
    assert one.status() == 85


def test_a_third_signal_kills(rig):
    one = rig.start(rig.program(STUBBORN), hurry_s=1000.0, shifted=True)
    assert one.line() == "ready"
    one.send(signal.SIGINT)
    assert one.line() == "told"
    rig.pass_time(one, 1.1)
    one.send(signal.SIGINT)
    assert one.line() == "told"
    one.send(signal.SIGINT)
    assert one.status() == 137


def test_notice_between_attempts_gives_85(rig):
    """PR-17."""
    one = rig.start(rig.program("attempt(); sys.exit(1)"), rules={"first_wait_s": 60.0})
    one.await_error("again in 60 s")
    one.send(signal.SIGTERM)
    assert one.status() == 85
    assert "notice between two attempts" in one.errors
    assert rig.file("attempts") == "x"


def test_notice_while_leftovers_are_ended_gives_85(rig):
    text = """
read, write = os.pipe()
if os.fork() == 0:
    on(signal.SIGTERM, lambda: say("asked"))
    os.write(write, b"x")
    while not os.path.exists("go"):
        time.sleep(0.02)
    os._exit(0)
os.read(read, 1)
sys.exit(1)
"""
    one = rig.start(rig.program(text), term_s=1000.0, rules={"first_wait_s": 60.0})
    assert one.line() == "asked"
    one.send(signal.SIGTERM)
    (rig.folder / "go").touch()
    assert one.status() == 85


def test_a_signal_after_the_notice_of_a_deadline_ends_it(rig):
    """The program is told once; there is no next attempt."""
    times = {"time_s": 1000.0, "grace_s": 500.0, "shifted": True}
    one = rig.start(rig.program("attempt()\n" + STUBBORN), json=True, **times)
    assert one.line() == "ready"
    rig.pass_time(one, 600)
    assert one.line() == "told"
    one.send(signal.SIGUSR1)
    one.await_error('"reason": "SIGUSR1"')
    rig.pass_time(one, 500)
    assert one.status() == 137
    assert one.lines() == []
    assert rig.file("attempts") == "x"


def test_ctrl_c_in_a_terminal(rig):
    """The terminal signals its foreground group, which the command is not in: it hears one SIGTERM, no SIGINT."""
    command = rig.program(
        "on(signal.SIGINT, lambda: open('interrupted', 'w'))\n"
        "on(signal.SIGTERM, lambda: sys.exit(85))\nopen('ready', 'w').close(); say('ready'); forever()"
    )
    runner = "import sys; from outlast.supervise import supervise; sys.exit(supervise(sys.argv[1:]))"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(rig.folder)
        os.execve(sys.executable, [sys.executable, "-c", runner, *command], rig.environment())
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    with suppress(OSError):  # the terminal's other end is closed
        while os.read(terminal, 1024):
            pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 85
    assert not (rig.folder / "interrupted").exists()


def test_ignored_hangup_stays_ignored(rig):
    """PR-1: nohup outlast run."""
    text = "say(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, int(signal.getsignal(signal.SIGTERM)))\n" + OBEDIENT
    one = rig.start(rig.program(text), before=["sh", "-c", 'trap "" HUP; exec "$@"', "sh"])
    assert one.line() == "True 0"
    assert one.line() == "ready"
    one.send(signal.SIGHUP)
    one.send(signal.SIGTERM)
    assert one.status() == 85
    assert "SIGHUP" not in one.errors


def test_back_off_is_not_cut_short_by_the_end_of_a_process():
    with Inbox() as inbox:
        os.kill(os.getpid(), signal.SIGCHLD)
        later = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
        later.start()
        assert inbox.sleep(30.0) == (signal.SIGUSR1,)
        later.join()
        assert inbox.sleep(0.01) == ()


def meanings(*rings):
    bell = Bell()
    return [bell.ring(number, at_s) for number, at_s in rings]


TERM, INT, USR1 = signal.SIGTERM, signal.SIGINT, signal.SIGUSR1


@pytest.mark.parametrize(
    ("rings", "last"),
    [
        ([(TERM, 0.0)], Meaning.NOTICE),
        ([(TERM, 0.0), (TERM, 0.9)], Meaning.DOUBLE),
        ([(TERM, 0.0), (TERM, 1.0)], Meaning.HURRY),
        ([(USR1, 0.0), (TERM, 60.0)], Meaning.DOUBLE),
        ([(USR1, 0.0), (TERM, 60.0), (TERM, 60.1)], Meaning.DOUBLE),
        ([(USR1, 0.0), (TERM, 60.0), (TERM, 90.0)], Meaning.HURRY),
        ([(USR1, 0.0), (INT, 5.0)], Meaning.HURRY),
        ([(USR1, 0.0), (USR1, 90.0)], Meaning.DOUBLE),
        ([(USR1, 0.0), (signal.SIGUSR2, 90.0), (USR1, 180.0)], Meaning.DOUBLE),
        ([(TERM, 0.0), (USR1, 90.0)], Meaning.DOUBLE),
        ([(INT, 0.0), (INT, 0.5)], Meaning.DOUBLE),
        ([(INT, 0.0), (TERM, 10.0)], Meaning.DOUBLE),
    ],
)
def test_what_a_signal_says(rings, last):
    assert meanings(*rings)[-1] is last
