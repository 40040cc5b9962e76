"""The R package: its own check and tests; alone, and under a stand-in for the supervisor: asked, stopped, killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mounting
import storekit
from ports import rkit
from ports.rkit import PORT, PROGRAM, Started, environment

pytestmark = pytest.mark.skipif(rkit.RSCRIPT is None, reason=rkit.ABSENT)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_r_cmd_check_has_nothing_to_say(tmp_path: Path) -> None:
    """It runs the package's own tests and examples as well."""
    # It would look for the packages that are suggested on the network.
    env = environment(R_CRAN_SRC=f"file://{tmp_path}", R_CRAN_WEB=f"file://{tmp_path}", TMPDIR=str(tmp_path))
    for words in (["build", str(PORT)], ["check", "--no-manual", "outlast_0.1.0.tar.gz"]):
        done = subprocess.run(
            ["R", "CMD", *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=800, check=False
        )
        failures = "".join(path.read_text() for path in tmp_path.glob("outlast.Rcheck/tests/*.fail"))
        assert done.returncode == 0, done.stdout + done.stderr + failures
    assert done.stdout.rstrip().endswith("Status: OK"), done.stdout
    told = (tmp_path / "outlast.Rcheck" / "tests" / "testthat.Rout").read_text()
    assert re.search(r"FAIL 0 \| WARN 0 \| SKIP 0 \| PASS \d{3}", told), told


def test_its_version_is_that_of_its_news() -> None:
    version = re.search(r"^Version: (.+)$", (PORT / "DESCRIPTION").read_text(), re.MULTILINE)
    assert version is not None
    assert (PORT / "NEWS.md").read_text().startswith(f"# outlast {version[1]}\n")


# Alone


def newest(folder: Path) -> int:
    return max(int(path.name.split("-")[0]) for path in (folder / ".outlast").glob("*.rds"))


def test_asked_by_files_it_saves_and_goes_on_or_leaves_with_85(tmp_path: Path) -> None:
    first = Started(tmp_path, 1_000_000, 3600, 1, 0.001)
    first.await_line("begins at 0")
    (tmp_path / ".outlast" / "save").touch()
    first.await_line("saved")
    assert not (tmp_path / ".outlast" / "save").exists()
    (tmp_path / ".outlast" / "stop").touch()
    assert first.end() == 85
    step = newest(tmp_path)
    assert f"told to stop: saved at step {step}, leaving with status 85 (run me again)" in first.errors()
    assert not (tmp_path / ".outlast" / "stop").exists()
    assert not (tmp_path / ".RData").exists()
    second = rkit.run(tmp_path, PROGRAM, step + 5, 3600, 1, 0)
    assert second.stdout.splitlines()[0].strip() == f"begins at {step}"
    undisturbed = rkit.run(elsewhere(tmp_path), PROGRAM, step + 5, 3600, 1, 0)
    assert second.stdout.splitlines()[-1] == undisturbed.stdout.splitlines()[-1]


def test_the_save_before_leaving_is_never_compressed(tmp_path: Path) -> None:
    script = tmp_path / "compressed.R"
    script.write_text("""
        library(outlast)
        ck <- outlast_open(compress = TRUE)
        s <- outlast_load(ck, 0)
        for (request in c("save", "stop")) {
          file.create(file.path(".outlast", request))
          Sys.sleep(0.1)
          outlast_tick(ck, s)
        }
        """)
    assert rkit.run(tmp_path, script).returncode == 85
    first, last = sorted((tmp_path / ".outlast").glob("*.rds"))
    assert first.name.startswith("1-")
    assert first.read_bytes()[:2] == b"\x1f\x8b"
    assert last.read_bytes()[:2] != b"\x1f\x8b"


def elsewhere(folder: Path) -> Path:
    made = folder / "elsewhere"
    made.mkdir()
    return made


def test_a_full_disk_is_noticed_and_the_state_before_stays(tmp_path: Path) -> None:
    rkit.library()

    def work(report) -> None:
        mounting.enter()
        mounting.tmpfs(tmp_path / "small", "size=300k")
        script = tmp_path / "fill.R"
        script.write_text("""
            library(outlast)
            for (n in c(20000, 100)) for (compress in c(FALSE, TRUE)) {  # beyond a buffer, and within
              unlink("small/*")
              ck <- outlast_open("small", every = 0, compress = compress)
              s <- outlast_load(ck, list(i = 0))
              outlast_tick(ck, list(i = 1, x = runif(100)))
              kept <- list.files("small", full.names = TRUE)
              left <- 300 * 1024 - ceiling(file.size(kept) / 4096) * 4096
              writeBin(raw(if (n > 100) left - 65536 else left), "small/filler")
              ck$looked_at <- -Inf
              said <- tryCatch({outlast_tick(ck, list(i = 2, x = runif(n))); "saved"}, error = conditionMessage)
              stopifnot(grepl("^saving step 2 failed", said))
              stopifnot(identical(list.files("small", all.files = TRUE, no.. = TRUE), c(basename(kept), "filler")))
              stopifnot(outlast_load(outlast_open("small"), list(i = 0))$i == 1)
            }
            """)
        done = rkit.run(tmp_path, script)
        report(done.stderr.encode() if done.returncode else b"ok")

    assert storekit.in_child(work) == (0, b"ok")


def test_it_looks_for_files_by_the_clock_and_not_at_each_step(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace: make tools installs it, where you may")
    script = tmp_path / "ticks.R"
    script.write_text("""
        library(outlast)
        ck <- outlast_open()
        s <- outlast_load(ck, list(i = 0))
        for (i in 1:20000) outlast_tick(ck, s)
        """)
    trace = tmp_path / "trace"
    traced = ["strace", "-f", "-e", "trace=stat,newfstatat,statx,lstat,access,faccessat", "-o", str(trace)]
    command = [*traced, *rkit.command(script)]
    subprocess.run(command, cwd=tmp_path, env=environment(R_LIBS=rkit.library()), capture_output=True, check=True)
    looks = trace.read_text().count("/.outlast/stop")
    assert 0 < looks < 20000 / 20


def test_the_workers_of_a_map_end_when_their_parent_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "map.R"
    script.write_text("""
        library(outlast)
        work <- function(i) {
          if (i <= 2) cat("child\\n")
          Sys.sleep(0.2)
          i
        }
        outlast_map(1:20, work, seed = 1, cores = 2, chunk = 20)
        """)
    parent = Started(tmp_path, program=script)
    parent.await_line("child")
    parent.await_line("child")
    parent.process.kill()
    assert parent.end() == -signal.SIGKILL  # its output ends with the last process that has it
    assert "child" not in parent.rest


# Under the supervisor, of which this is as much as the program sees


class StandIn:
    """Gives a program its folders, and takes what it saved: the highest step, when it has ended."""

    def __init__(self, folder: Path, *arguments: object, program: Path = PROGRAM, has_store: bool = True) -> None:
        self.folder, self.arguments, self.program, self.has_store = folder, arguments, program, has_store
        self.attempts = 0
        self.taken: Path | None = None
        self.control = self.save = folder

    def start(self, *, asked: bool = False) -> Started:
        self.attempts += 1
        self.control = self.folder / f"control-{self.attempts}"
        self.control.mkdir()
        if asked:
            (self.control / "save").touch()
        variables = {"OUTLAST_CONTROL": str(self.control)}
        if self.has_store:
            self.save = self.folder / f"save-{self.attempts}"
            variables["OUTLAST_SAVE"] = str(self.save)
        if self.taken:
            restore = self.folder / f"restore-{self.attempts}"
            restore.mkdir()
            shutil.copy(self.taken, restore / "state")
            variables |= {"OUTLAST_RESTORE": str(restore), "OUTLAST_STEP": self.taken.name}
        return Started(self.folder, *self.arguments, program=self.program, **variables)

    def steps(self) -> list[int]:
        return sorted(int(name) for name in os.listdir(self.save) if name.isdigit())

    def take(self) -> int:
        step = self.steps()[-1]
        self.taken = self.save / str(step)
        return step


def test_under_the_supervisor_it_saves_and_leaves_when_it_is_asked(tmp_path: Path) -> None:
    over = StandIn(tmp_path, 1_000_000, 0, 5, 0.001)
    first = over.start()
    first.await_line("begins at 0")
    (over.control / "save").touch()
    step = int(first.await_line("saved").split()[1])
    assert over.steps() == [step]  # an interval of its own it has not
    assert not (over.control / "save").exists()
    (over.control / "stop").touch()
    assert first.end() == 85
    assert (over.control / "stop").exists()
    assert not (over.control / "done").exists()
    assert not (tmp_path / ".outlast").exists()
    last = over.take()
    assert last > step
    over.arguments = (last + 7, 0, 5, 0)
    second = over.start()
    assert second.await_line("begins at") == f"begins at {last} "
    assert second.end() == 0
    assert (over.control / "done").exists()
    assert over.take() == last + 7
    alone = rkit.run(elsewhere(tmp_path), PROGRAM, last + 7, 3600, 5, 0)
    assert second.rest.splitlines()[-1] == alone.stdout.splitlines()[-1]


def test_what_was_saved_outlives_the_kill_and_a_draft_does_not_count(tmp_path: Path) -> None:
    over = StandIn(tmp_path, 1_000_000, 0, 200_000, 0)
    first = over.start()
    for _ in range(3):
        (over.control / "save").touch()
        saved = int(first.await_line("saved").split()[1])
    (over.control / "save").touch()
    first.process.kill()
    assert first.end() == -signal.SIGKILL
    assert over.take() >= saved
    (over.folder / "save-2").mkdir()
    (over.folder / "save-2" / ".new").write_bytes(b"half")
    second = over.start()
    begun = int(second.await_line("begins at").split()[2])
    assert begun >= saved
    (over.control / "stop").touch()
    assert second.end() == 85
    assert over.take() > begun
    assert not (over.save / ".new").exists()


def test_without_a_store_it_keeps_its_files_and_tells_the_supervisor(tmp_path: Path) -> None:
    folder = tmp_path / 'a "quoted" \\ folder'
    folder.mkdir()
    over = StandIn(folder, 1_000_000, 3600, 1, 0.001, has_store=False)
    first = over.start()
    first.await_line("begins at 0")
    told = json.loads((over.control / "program.json").read_text())
    assert told == {"pid": first.process.pid, "store": str(folder / ".outlast"), "notice": "file"}
    assert not (over.control / "progress.json").exists()
    (over.control / "stop").touch()
    assert first.end() == 85
    step = newest(folder)
    told = json.loads((over.control / "progress.json").read_text())
    assert told == {"store": str(folder / ".outlast"), "step": step, "done": False}
    over.arguments = (step + 1, 3600, 1, 0)
    second = over.start()
    assert second.end() == 0
    assert json.loads((over.control / "progress.json").read_text())["done"] is True


def test_a_run_that_never_saved_can_still_be_done(tmp_path: Path) -> None:
    script = tmp_path / "short.R"
    script.write_text(
        "library(outlast); ck <- outlast_open(); s <- outlast_load(ck, 5); cat(s, '\\n'); outlast_done(ck)"
    )
    over = StandIn(tmp_path, program=script)
    first = over.start()
    assert (first.await_line("5"), first.end()) == ("5 ", 0)
    assert (over.control / "done").exists()
    assert over.steps() == []


def test_what_is_offered_and_cannot_be_restored_is_an_error(tmp_path: Path) -> None:
    over = StandIn(tmp_path, 10, 3600, 1, 0)
    over.taken = tmp_path / "12"
    over.taken.write_bytes(b"RDX3 or not")
    first = over.start()
    assert first.end() == 1
    assert "cannot be restored" in first.errors()
    assert "begins" not in first.rest


# Under the supervisor itself


def test_an_example_killed_and_told_to_stop_comes_to_the_same_result(tmp_path: Path) -> None:
    expected, _ = rkit.example_alone(tmp_path / "alone", "mcmc", 200_000)
    folder = tmp_path / "killed"
    folder.mkdir()
    statuses = []
    for ends_by in ("kill", "stop"):
        with rkit.supervisor(folder, "mcmc", 200_000, options=("--every", "0.2s", "--tries", "1")) as process:
            assert process.stderr is not None
            said = (json.loads(line) for line in process.stderr if line.startswith("{"))
            pid = next(event["pid"] for event in said if event["event"] == "start")
            next(event for event in said if event["event"] == "committed")
            if ends_by == "kill":
                os.kill(pid, signal.SIGKILL)
            else:
                process.send_signal(signal.SIGTERM)  # as at the end of a job; R itself would die of it
            list(said)
        statuses.append(process.wait())
    assert statuses == [128 + signal.SIGKILL, 85]
    assert not (folder / "mcmc.csv").exists()
    with rkit.supervisor(folder, "mcmc", 200_000) as process:
        text = process.communicate()[1]
    assert process.returncode == 0, text
    assert (folder / "mcmc.csv").read_bytes() == expected
    assert "going on from step" in text
    with rkit.supervisor(folder, "mcmc", 200_000) as process:
        text = process.communicate()[1]
    assert process.returncode == 0
    assert '"start"' not in text  # it was done


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_keeps_the_protocol_in_the_eyes_of_the_conformance_suite(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "outlast.testing.conformance", "--", *rkit.command(PROGRAM, 1200, 3600, 1000, 0.005)]
    env = environment(R_LIBS=rkit.library(), PYTHONPATH=os.pathsep.join([str(rkit.ROOT / "src"), *sys.path]))
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("all passed\n")


# Examples


EXAMPLES = {"bootstrap": (150, 2), "simulation": (100, 2)}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_killed_and_stopped_comes_to_the_same_result(name: str, tmp_path: Path) -> None:
    expected, _ = rkit.example_alone(tmp_path / "alone", name, *EXAMPLES[name])
    over = StandIn(tmp_path, *EXAMPLES[name], program=rkit.example(name))
    for ends_with in (-signal.SIGKILL, 85):
        attempt = over.start(asked=True)
        while not over.save.exists() or not over.steps():
            assert attempt.process.poll() is None, "it ended before it saved"
            time.sleep(0.01)
        if ends_with == 85:
            (over.control / "stop").touch()
        else:
            attempt.process.kill()
        assert attempt.end() == ends_with
        over.take()
    assert not (tmp_path / f"{name}.csv").exists()
    last = over.start()
    assert last.end() == 0
    assert "go" in last.errors()
    assert (tmp_path / f"{name}.csv").read_bytes() == expected
