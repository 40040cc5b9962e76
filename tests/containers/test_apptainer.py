"""A real Apptainer: notice, status, folders and variables; as root and as a user, from a folder and from an image."""

import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
import tabulate
import xxhash

import outlast
from outlast.errors import PREEMPTED

HERE = Path(__file__).parent
OURS = "/opt/outlast-tests/apptainer/bin"  # see `install`
APPTAINER = shutil.which("apptainer", path=f"{os.environ['PATH']}{os.pathsep}{OURS}")
PYTHON = "/usr/bin/python3"  # the container's own: its /usr is this machine's
NOBODY = 65534
STEPS = 60
BOUND_S = 120
ISOLATION = {
    "plain": [],
    "pid": ["--pid"],
    "cleanenv": ["--cleanenv"],
    "containall": ["--containall"],  # no home, no /tmp, no variables, no processes of the host
}

pytestmark = pytest.mark.skipif(
    APPTAINER is None, reason="needs apptainer; as root on Debian: tests/containers/install"
)


def result() -> str:
    draws = random.Random(7)
    return str(sum(draws.randrange(1000) for _ in range(STEPS)))


class Ground:
    """A folder that anybody may read, with an image, and our library for the Python in it."""

    def __init__(self, folder: Path, owner: int) -> None:
        self.folder, self.owner = folder, owner
        self.image = folder / "image"
        for name in ("usr", "etc", "tmp", "proc", "sys", "dev", "root", "home", "var/tmp", "run"):
            (self.image / name).mkdir(parents=True)
        for name in ("bin", "lib", "lib64"):
            (self.image / name).symlink_to(f"usr/{name}")
        for name in ("passwd", "group"):
            (self.image / "etc" / name).touch()
        self.library = folder / "library"
        for package in (outlast, tabulate, xxhash):
            source = Path(package.__file__).parent
            shutil.copytree(source, self.library / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("program.py", "bare.py"):
            shutil.copy2(HERE / name, folder)
        self.work = folder / "work"
        self.work.mkdir()
        os.chown(self.work, owner, owner)

    def start(self, options, *command, store=None):
        """Start `outlast run -- apptainer exec OPTIONS IMAGE COMMAND`; the supervisor is outside."""
        outer = [PYTHON, "-m", "outlast", "run", *(["--store", str(store)] if store else []), "--tries", "1", "--"]
        inner = [APPTAINER, "-s", "exec", *options, "--bind", f"/usr,{self.library},{self.folder}/program.py", *command]
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return subprocess.Popen(
            [*outer, *inner],
            env=kept
            | {"PYTHONPATH": str(self.library), "APPTAINERENV_PYTHONPATH": str(self.library), "HOME": str(self.work)},
            cwd=self.work,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=self.owner,
            group=self.owner,
            extra_groups=[],
        )


@pytest.fixture(params=[0, NOBODY], ids=["root", "user"])
def ground(request):
    if os.geteuid() != 0:
        pytest.skip("needs root, to act as root and as an ordinary user")
    with tempfile.TemporaryDirectory(prefix="outlast-containers-", dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Ground(Path(folder), request.param)


def ended(process):
    out, err = process.communicate(timeout=BOUND_S)
    return process.returncode, out, err


@pytest.mark.parametrize("isolation", ISOLATION)
def test_a_run_in_a_container_outlasts_a_notice(ground, isolation):
    out, store = ground.work / "out", ground.work / "store"
    options = [*ISOLATION[isolation], "--bind", str(ground.work)]
    command = [str(ground.image), PYTHON, str(ground.folder / "program.py"), str(out), str(STEPS)]
    first = ground.start(options, *command, store=store)
    assert first.stdout.readline() == "step 0\n"
    first.send_signal(signal.SIGTERM)
    status, _, errors = ended(first)
    assert status == PREEMPTED, errors
    assert "committed step 1 " in errors
    Path(f"{out}.go").touch()
    status, _, errors = ended(ground.start(options, *command, store=store))
    assert status == 0, errors
    assert "restored step 1 " in errors
    assert out.read_text() == result()


@pytest.mark.parametrize("isolation", ISOLATION)
def test_a_program_without_the_library_hears_the_notice_and_its_status_counts(ground, isolation):
    options = [*ISOLATION[isolation], "--bind", f"{ground.work},{ground.folder}"]
    saved = ground.work / "saved"
    command = [str(ground.image), PYTHON, str(ground.folder / "bare.py"), str(saved), "all of it"]
    first = ground.start(options, *command)
    assert first.stdout.readline() == "ready\n"
    first.send_signal(signal.SIGUSR1)
    status, _, errors = ended(first)
    assert status == PREEMPTED, errors
    assert saved.read_text() == "all of it"
    status, _, errors = ended(ground.start(options, *command))
    assert status == 0, errors


@pytest.mark.parametrize("isolation", ["plain", "containall"])
def test_a_program_that_saves_files_needs_no_library(ground, isolation):
    """The bash client of the documentation: its folders are the supervisor's, outside."""
    page = (HERE.parents[1] / "docs/reference/any-language.md").read_text()
    text = re.search(r"```bash\n(.*?)```", page, re.DOTALL)[1]
    client = ground.work / "client.sh"
    client.write_text(
        text.replace(
            "; sleep 0.02", '; echo $i; until [ -e go ] || [ -e "$OUTLAST_CONTROL/stop" ]; do sleep 0.01; done'
        )
    )
    options = [*ISOLATION[isolation], "--pwd", str(ground.work), "--bind", str(ground.work)]
    command = [str(ground.image), "/bin/bash", str(client)]
    first = ground.start(options, *command, store=ground.work / "store")
    assert first.stdout.readline() == "1\n"
    first.send_signal(signal.SIGTERM)
    status, _, errors = ended(first)
    assert status == PREEMPTED, errors
    assert "committed step 1" in errors
    (ground.work / "go").touch()
    status, out, errors = ended(ground.start(options, *command, store=ground.work / "store"))
    assert status == 0, errors
    assert "restored step 1" in errors
    x = 0
    for i in range(200):
        x = x * 3 % 1000003 + i
    assert out.splitlines() == [*map(str, range(2, 201)), str(x)]
    assert outlast.Store(ground.work / "store").finished() is not None


@pytest.mark.parametrize("ground", [0], indirect=True, ids=["root"])
def test_an_image_in_one_file(ground):
    """As root: a user's is mounted through FUSE, which a cluster allows its users and a test machine may not."""
    image = ground.folder / "image.sif"
    subprocess.run([APPTAINER, "-s", "build", image, ground.image], check=True, capture_output=True)
    out, store = ground.work / "out", ground.work / "store"
    Path(f"{out}.go").touch()
    command = [str(image), PYTHON, str(ground.folder / "program.py"), str(out), str(STEPS)]
    status, _, errors = ended(ground.start(["--containall", "--bind", str(ground.work)], *command, store=store))
    assert status == 0, errors
    assert out.read_text() == result()
