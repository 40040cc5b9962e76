"""The port for Octave and MATLAB, in Octave: values, generators, refusals, damage; killed, stopped, on a full disk."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import mounting
import storekit
from ports import octavekit
from ports.octavekit import HERE, PORT, PROGRAM, command, environment

pytestmark = pytest.mark.skipif(octavekit.OCTAVE is None, reason=octavekit.ABSENT)
PREPARE = f"warning('off', 'Octave:shadowed-function'); addpath('{PORT}', '{HERE}'); "


@pytest.mark.parametrize("name", sorted(path.stem for path in HERE.glob("test_*.m")))
def test_in_octave(name: str, tmp_path: Path) -> None:
    script = tmp_path / "start.m"
    script.write_text(f"{PREPARE} source('{HERE / name}.m');\n")
    done = octavekit.run(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all held\n")


class Started:
    """A program that runs, and whose lines are waited for."""

    def __init__(self, folder: Path, *arguments: object, prefix: tuple[str, ...] = (), **variables: str) -> None:
        self._errors = folder / "stderr"
        with self._errors.open("a") as errors:
            self.process = subprocess.Popen(
                [*prefix, *command(PROGRAM, *arguments)],
                cwd=folder,
                env=environment(**variables),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def await_line(self, start: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line.rstrip("\n")
        raise AssertionError(f"it ended without {start!r}: {self.errors()}")

    def end(self) -> int:
        """Wait for its end; return its status."""
        assert self.process.stdout is not None
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(octavekit.BOUND_S)

    def errors(self) -> str:
        return self._errors.read_text()


def newest(folder: Path) -> int:
    return max(int(path.name.split("-")[0]) for path in (folder / ".outlast").glob("*.mat"))


def test_asked_to_stop_it_saves_and_leaves_with_85(tmp_path: Path) -> None:
    first = Started(tmp_path, 100_000, 3600, 1, 0.001)
    first.await_line("saved")
    assert not list((tmp_path / ".outlast").glob("*.mat"))
    (tmp_path / ".outlast" / "stop").touch()
    assert first.end() == 85
    step = newest(tmp_path)
    assert f"told to stop: saved at step {step}, leaving with status 85 (run me again)" in first.errors()
    assert not (tmp_path / ".outlast" / "stop").exists()
    second = octavekit.run(tmp_path, PROGRAM, step + 5, 3600, 1, 0)
    assert second.stdout.splitlines()[0] == f"begins at {step}"
    assert second.stdout.splitlines()[-1].startswith("result")


def test_a_signal_leaves_no_workspace_behind(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        # a shell in between, so that nohup or a test's own settings are not inherited
        program = Started(tmp_path, 100_000, 0, 1, 0, prefix=("env", "--default-signal=HUP,TERM"))
        program.await_line("saved")
        program.process.send_signal(number)
        assert program.end() != 0
        assert not (tmp_path / "octave-workspace").exists()
    # Without the port it leaves one.
    plain = tmp_path / "plain.m"
    plain.write_text("kill(getpid(), 15); pause(60);\n")
    octavekit.run(tmp_path, plain)
    assert (tmp_path / "octave-workspace").exists()


def test_a_full_disk_is_noticed_and_the_state_before_stays(tmp_path: Path) -> None:
    def work(report) -> None:
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", "size=300k")
        script = tmp_path / "fill.m"
        script.write_text(f"""{PREPARE}
            ck = outlast.open('every', 0, 'folder', 'small');
            s = outlast.load(ck, struct('i', 0, 'x', zeros(20000, 1)));
            s.i = 1;
            outlast.tick(ck, s);
            s.i = 2;
            refused('outlast:write', 'step 2 was not saved: not all of it could be written', @() outlast.tick(ck, s));
            check(numel(dir('small/*.mat')) == 1, 'a draft was left, or the good one removed');
            [s, resumed] = outlast.load(outlast.open('folder', 'small'), struct('i', 0));
            check(resumed && s.i == 1, 'the state before is lost');
            """)
        done = octavekit.run(tmp_path, script)
        report(done.stderr.encode() if done.returncode else b"ok")

    status, told = storekit.in_child(work)
    assert (status, told) == (0, b"ok")


def test_it_looks_for_files_by_the_clock_and_not_at_each_step(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace: make tools installs it, where you may")
    script = tmp_path / "ticks.m"
    script.write_text(f"""{PREPARE}
        ck = outlast.open();
        s = outlast.load(ck, struct('i', 0));
        for i = 1:20000
            outlast.tick(ck, s);
        end
        printf('%d steps\\n', outlast.internal.step(outlast.internal.live()));
        """)
    trace = tmp_path / "trace"
    traced = ["strace", "-f", "-e", "trace=stat,newfstatat,statx,lstat", "-o", str(trace), *command(script)]
    done = subprocess.run(traced, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "20000 steps\n"
    looks = trace.read_text().count("/.outlast/stop")
    assert 0 < looks < 20000 / 20
