"""Other people on the same machine: what they plant (proof.people), what they may read, what is written of secrets."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
from datetime import datetime, tzinfo
from pathlib import Path

import pytest

import outlast
from outlast.cli.main import main
from outlast.errors import UsageError
from outlast.store import Store
from proof import core, people

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


def attack(case: str) -> tuple[bool, int, bytes]:
    with core.folder() as folder:
        return people.attack(case, folder)


# -- the harness itself: what it plants is really there ----------------------------------------------------


@needs_root
@pytest.mark.parametrize("kind", people.KINDS)
@pytest.mark.parametrize("place", list(people.STORE)[:-1])
def test_something_was_planted_before(place, kind):
    name = "store" if place.startswith("beside") else "control"
    is_planted, code, _ = attack(f"before:{place}:{name}:{kind}")
    assert is_planted
    assert (code != 0) == (place.startswith("beside") or kind != "folder")


@needs_root
@pytest.mark.parametrize(
    ("place", "kind"),
    [("beside-open", "swap-link"), ("beside-open", "swap-folder")]
    + [(place, kind) for place in ("inside-open", "inside-his") for kind in people.RACED],
)
def test_each_call_that_differs_is_raced(place, kind):
    """The harness has all; its sample in `make test` may miss the one that matters."""
    planted = [attack(f"race:{place}:{at}:{kind}")[0] for at in people.different_calls(place)]
    assert sum(planted) >= 10, "in folders of ours he can do nothing, beside them he can"


@needs_root
def test_a_link_that_another_user_planted_is_named_in_the_refusal():
    _, code, told = attack("before:beside-sticky:store:link-to-folder")
    assert (code, told) == (2, b"error:UsageError\n")


@needs_root
def test_a_store_that_another_user_made_first_is_refused_and_named():
    with core.folder() as root:
        scene = people.Scene(root=root, place="beside-sticky")
        scene.build()
        with people.other_user(scene) as other:
            other.send(json.dumps(["forged", str(scene.store)]).encode())
            assert other.recv(1) == b"1"
        pid = os.fork()
        if pid == 0:
            people.become(people.VICTIM)
            try:
                Store(scene.store, create=True)
            except UsageError as e:
                os._exit(0 if f"belongs to user {people.OTHER}" in str(e) and e.hint else 1)
            os._exit(2)
        assert os.waitpid(pid, 0)[1] == 0


@needs_root
@pytest.mark.parametrize(
    ("owner", "mode", "parent", "said"),
    [
        (0, 0o700, 0o755, []),
        (0, 0o770, 0o775, []),  # a group's
        (0, 0o2770, 0o2775, []),
        (people.OTHER, 0o2770, 0o755, [f"belongs to user {people.OTHER}"]),  # a colleague's, on purpose
        (0, 0o777, 0o755, ["everybody may write to"]),
        (0, 0o1777, 0o755, ["everybody may write to"]),
        (65_534, 0o700, 0o755, []),  # ours, as a server shows it that does not know us
        (65_534, 0o700, 0o1777, ["cannot be told here"]),  # or somebody else's, seen from a user namespace
    ],
)
def test_who_else_may_write_to_the_store_is_said(owner, mode, parent, said):
    with core.folder() as root:
        root.chmod(parent)
        path = root / "store"
        path.mkdir()
        path.chmod(mode)
        os.chown(path, owner, -1)
        warnings = [w for w in Store(path, create=True).warnings if "does not outlive" not in w and "memory" not in w]
        assert len(warnings) == len(said)
        assert all(text in warning for text, warning in zip(said, warnings, strict=True))


def test_links_of_ones_own_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    tmp_path.chmod(0o1777)
    assert Store(tmp_path / "link" / "store", create=True).is_new
    assert (tmp_path / "real" / "store" / "outlast.json").is_file()


# -- modes -------------------------------------------------------------------------------------------------

# A program that saves, fails, hears a stop; and tells the modes in its control folder before it leaves.
PROGRAM = textwrap.dedent(
    """
    import json, os, sys
    import outlast

    state = {"n": 0, "token": 0}
    modes = lambda: {n: os.stat(os.path.join(os.environ["OUTLAST_CONTROL"], n)).st_mode for n in
                     os.listdir(os.environ["OUTLAST_CONTROL"])} if "OUTLAST_CONTROL" in os.environ else {}
    with outlast.Run(sys.argv[1], state, every=1, keep=2) as run:
        try:
            for step in run.steps(6):
                state["n"] += 1
                run.log(loss=1.0)
                if step == 3 and run.attempt == 1:
                    raise RuntimeError(f"cannot log in with {os.environ['AWS_SECRET_ACCESS_KEY']} {sys.argv[2]}")
                if step == 4 and run.attempt == 2:
                    run.wait()
                    run.store.request("stop", "test")
                    while not run._notice.reason:
                        pass
        finally:
            with open(sys.argv[3], "a") as file:
                file.write(json.dumps(modes()) + "\\n")
    """
)


def supervised(folder: Path, *arguments: str, umask: int = 0o022, **env: str) -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "outlast.cli.main", "run", "--time", "60s", "--store", str(folder / "store")]
    command += ["--", sys.executable, str(program), str(folder / "store"), *arguments, str(folder / "modes")]
    given = {**os.environ, "TMPDIR": str(folder), "AWS_SECRET_ACCESS_KEY": "none", **env}
    given.pop("XDG_RUNTIME_DIR", None)
    return subprocess.run(command, env=given, umask=umask, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("umask", [0, 0o022, 0o027, 0o077])
def test_files_are_0600_and_directories_0700_whatever_the_umask_s05(tmp_path, umask):
    done = supervised(tmp_path, "x", umask=umask)
    assert done.returncode == 85, done.stderr
    was = os.umask(umask)
    try:
        store = Store(tmp_path / "store")
        newest = store.checkpoints()[0]
        with (tmp_path / "store" / newest.format() / "manifest.json").open("r+b") as file:
            file.write(b"x")
        assert main(["prune", str(tmp_path / "store"), "--quarantine", "--keep", "1"]) == 0
        lease = store.claim()
        store.request("save", "test")
        lease.end("done")
        assert main(["export", str(tmp_path / "out.safetensors"), "--store", str(tmp_path / "store")]) == 0
    finally:
        os.umask(was)
    modes = {}
    for path in [tmp_path / "store", *(tmp_path / "store").rglob("*")]:
        modes[path.relative_to(tmp_path).as_posix()] = oct(stat.S_IMODE(path.stat().st_mode))
    assert {m for name, m in modes.items() if (tmp_path / name).is_dir()} == {"0o700"}
    assert {m for name, m in modes.items() if (tmp_path / name).is_file()} == {"0o600"}
    assert {"store/control", "store/quarantine"} <= modes.keys()
    told = [json.loads(line) for line in (tmp_path / "modes").read_text().splitlines()]
    assert {"program.json", "progress.json", "leave"} <= told[-1].keys()
    assert {oct(stat.S_IMODE(mode)) for one in told for mode in one.values()} == {"0o600"}
    exported = stat.S_IMODE((tmp_path / "out.safetensors").stat().st_mode)
    assert exported == 0o666 & ~umask, "an export is the user's file: by the umask"


def test_the_stop_file_of_the_supervisor_is_private(tmp_path, monkeypatch):
    from outlast.supervise.control import Control

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    was = os.umask(0)
    try:
        tmp_path.chmod(0o700)
        control = Control()
        control.ask_to_stop("time")
    finally:
        os.umask(was)
    folder = Path(control.folder)
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "stop").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_runtime_folder_that_others_may_write_to_is_not_used(tmp_path, monkeypatch, mode):
    from outlast.supervise.control import Control

    tmp_path.chmod(mode)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    control = Control()
    control.remove()
    assert Path(control.folder).parent != tmp_path


@needs_root
def test_a_runtime_folder_of_another_user_is_not_used(tmp_path, monkeypatch):
    from outlast.supervise.control import Control

    os.chown(tmp_path, people.OTHER, -1)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    control = Control()
    control.remove()
    assert Path(control.folder).parent != tmp_path


# -- secrets -----------------------------------------------------------------------------------------------

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-K7MDENG-secret",
    "HF_TOKEN": "hf_sEcReT0123456789",
    "DATABASE_URL": "postgres://me:pAsSwOrD77@db/x",
    "SLURM_JWT": "eyJhbGciOi-jwt-secret",
}
ARGUMENT = "--password=aRgUmEnT-secret"


def found_in(folder: Path) -> list[tuple[str, str]]:
    """Where a secret stands in a file, or in a file's name, below a folder."""
    hits = []
    for path in folder.rglob("*"):
        data = os.fsencode(path) + (path.read_bytes() if path.is_file() else b"")
        hits += [(str(path), text) for text in (*SECRETS.values(), ARGUMENT, "pAsSwOrD77") if text.encode() in data]
    return hits


def test_no_secret_of_environment_arguments_or_traceback_is_written_s19(tmp_path, monkeypatch, capsys):
    """The first attempt crashes with a secret in its message, the second is stopped, then every verb looks."""
    done = supervised(tmp_path, ARGUMENT, **SECRETS)
    assert done.returncode == 85, done.stderr
    assert SECRETS["AWS_SECRET_ACCESS_KEY"] in done.stderr, "the program's own traceback, on its own stderr"
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    store = str(tmp_path / "store")
    for words in (
        ["status", store], ["ls", store, "--all"], ["show", store], ["verify", store], ["diff", "--store", store],
        ["export", str(tmp_path / "out.npz"), "--store", store], ["prune", store, "--keep", "1", "--quarantine"],
    ):  # fmt: skip
        assert main(words) == 0, words
        assert main([*words, "--json"]) in (0, 2), words  # the export is there by now
    said = capsys.readouterr()
    assert not [text for text in (*SECRETS.values(), ARGUMENT) if text in said.out + said.err]
    for request in ("stop", "save"):
        lease = Store(store).claim()
        assert main([request, store]) == 0
        lease.end("done")
    assert len(list((tmp_path / "store" / "journal").iterdir())) >= 3
    assert found_in(tmp_path) == []


def test_what_a_plug_in_or_the_state_says_in_an_error_is_not_written(tmp_path):
    """A save is refused with text of the state's; it is told on stderr, and recorded without it."""
    state: dict = {"n": 0, "when": None}
    with pytest.raises(outlast.CaptureError) as caught, outlast.Run(tmp_path / "store", state, every=1) as run:
        for _ in run.steps(3):
            state["when"] = datetime(2026, 1, 1, tzinfo=Zone())
    assert SECRETS["HF_TOKEN"] in str(caught.value)
    assert found_in(tmp_path) == []
    assert b"save failed" in b"".join(path.read_bytes() for path in (tmp_path / "store" / "journal").iterdir())


class Zone(tzinfo):
    """What outlast cannot keep, and repeats as it says so."""

    def __repr__(self) -> str:
        return f"Zone({SECRETS['HF_TOKEN']})"


@pytest.mark.parametrize(
    "url", ["s3://AKIA:pAsSwOrD77@bucket/run", "file:///tmp/pAsSwOrD77", "https://u:pAsSwOrD77@h/"]
)
def test_a_url_makes_no_directory_and_is_not_repeated(tmp_path, monkeypatch, capsys, url):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="a URL is not a path") as caught:
        Store(url, create=True)
    assert "pAsSwOrD77" not in str(caught.value)
    assert main(["status", url]) == 2
    assert "pAsSwOrD77" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
