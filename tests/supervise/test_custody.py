"""Custody of files (S-53, S-55, S-73, S-74): the API for recipes and engines, with storage that refuses."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest

from outlast.backends import Syscalls
from outlast.errors import BusyError, DamageError, FencedError, SpaceError, StorageError, UsageError
from outlast.format.digest import NAME
from outlast.store import Store
from outlast.supervise.custody import Custody
from outlast.testing import CountedCalls, Fault
from store.test_order import Named, published


class Heard(list):
    def __call__(self, event, text="", **fields):
        self.append((event, text))

    @property
    def warnings(self):
        return [text for event, text in self if event == "warning" and "does not outlive" not in text]


@pytest.fixture
def heard():
    return Heard()


def begin(path, heard, **more):
    return Custody.open(path, tell=heard, **more)


NOBODY = 65534


@pytest.fixture
def ordinary():
    """Be an ordinary user, whom modes bind, in a folder of one's own. All modules are loaded by then."""
    with tempfile.TemporaryDirectory(prefix="outlast-custody-", dir="/var/tmp") as folder:
        user = os.geteuid() or NOBODY
        os.chown(folder, user, -1)
        before = os.geteuid()
        os.seteuid(user)
        yield Path(folder)
        os.seteuid(before)


def bring(custody, entry, **files):
    """Leave a folder in custody's, or a single file: `file`."""
    place = Path(custody.folder) / str(entry)
    place.parent.mkdir(exist_ok=True)
    if "file" in files:
        place.write_bytes(files["file"])
        return place
    place.mkdir()
    for name, data in files.items():
        place.joinpath(name).write_bytes(data)
    return place


def test_a_whole_life(tmp_path, heard):
    custody = begin(tmp_path / "s", heard)
    assert custody.restored is None
    assert custody.report is None
    place = bring(custody, "any name", a=b"1", b=b"22")
    committed = custody.take("any name", 7)
    assert not place.exists()
    assert (custody.report.step, custody.report.done, custody.report.attempt) == (7, False, 1)
    assert committed.written_bytes == committed.manifest_bytes + 3
    custody.close("preempted")
    assert not (tmp_path / "s" / "saves").exists()

    again = begin(tmp_path / "s", heard)
    folder = Path(again.restored.folder)
    assert again.restored.step == 7
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a": b"1", "b": b"22"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o400}
    again.finish()
    assert again.report.done
    again.finish()  # once is enough
    again.close("done")
    assert not folder.exists()
    assert [name.format() for name in Store(tmp_path / "s").checkpoints()] == [
        "step-000000007.a0002",
        "step-000000007.a0001",
    ]


def test_what_is_synced_and_in_which_order(tmp_path, heard):
    path = tmp_path / "s"
    calls = Named(path)
    custody = begin(path, heard, calls=calls)
    place = bring(custody, "3", b=b"1", a=b"2")
    (place / "in").mkdir()
    (place / "in" / "c").write_bytes(b"3")
    calls.log.clear()
    custody.take("3", 3)
    name = "step-000000003.a0001"
    assert calls.log == [
        f"mkdir {name}", f"mkdir {name}/files", f"move to {name}/files/state",
        f"sync {name}/files/state/a", f"sync {name}/files/state/b", f"sync {name}/files/state/in/c",
        f"sync {name}/files/state/in", f"sync {name}/files/state", f"sync {name}/files",
        f"sync {name}", "sync .",
        *published(f"{name}/manifest.json"), f"sync {name}",
        "sync journal/a0001.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(at=1, errno=errno.ENOSPC, only=("create",), lasting=True), SpaceError),
        (Fault(at=1, errno=errno.EIO, only=("fsync",), when="lost"), StorageError),
        (Fault(at=2, errno=errno.EIO, only=("fsync",)), StorageError),
        (Fault(at=1, errno=errno.EIO, only=("read",)), StorageError),
        (Fault(at=1, errno=errno.EACCES, only=("chmod",)), StorageError),
    ],
    ids=["full", "sync-lost", "sync", "read", "mode"],
)
@pytest.mark.parametrize("is_file", [True, False])
def test_a_refused_save_waits_where_it_was(tmp_path, heard, fault, error, is_file):
    """PR-42: and can be taken later. What a failed sync may have lost is seen by nobody but the program's next save."""
    calls = CountedCalls()
    custody = begin(tmp_path / "s", heard, calls=calls)
    place = bring(custody, "5", file=b"whole") if is_file else bring(custody, "5", x=b"whole", y=b"more")
    calls.fault, calls._matched = fault, 0
    with pytest.raises(error):
        custody.take("5", 5)
    calls.fault = None
    assert place.is_file() if is_file else sorted(os.listdir(place)) == ["x", "y"]
    assert Store(tmp_path / "s").checkpoints() == ()
    assert list((tmp_path / "s").glob("step-*")) == []
    custody.take("5", 5)
    custody.close("failed")
    assert [name.step for name in Store(tmp_path / "s").checkpoints()] == [5]


def test_room_is_made_before_a_save_is_refused(tmp_path, heard):
    """What dead attempts left unfinished goes first."""
    calls = CountedCalls()
    custody = begin(tmp_path / "s", heard, calls=calls)
    litter = tmp_path / "s" / "step-000000009.a0001"
    litter.mkdir()
    (litter / "files").mkdir()
    bring(custody, "5", file=b"whole")
    calls.fault, calls._matched = Fault(at=1, errno=errno.ENOSPC, only=("create",)), 0
    custody.take("5", 5)
    assert not litter.exists()
    custody.close("failed")


def test_a_file_that_is_still_written_to_is_refused(tmp_path, heard):
    custody = begin(tmp_path / "s", heard)
    bring(custody, "5", file=b"whole")

    def write(name):
        if name == "chmod":
            (victim,) = (tmp_path / "s").glob("step-*/files/state/state")
            os.truncate(victim, 2)

    custody._store.backend.calls = CountedCalls(hook=write)
    with pytest.raises(StorageError, match="was changed while it was being taken"):
        custody.take("5", 5)


def test_only_one_writes(tmp_path, heard):
    custody = begin(tmp_path / "s", heard)
    with pytest.raises(BusyError):
        begin(tmp_path / "s", heard)
    place = bring(custody, "5", file=b"old")
    Store(tmp_path / "s").claim(takeover=True)
    with pytest.raises(FencedError):
        custody.take("5", 5)
    assert place.exists()
    with pytest.raises(FencedError):
        custody.check()


def test_what_else_lies_in_the_checkpoint_is_not_given_out(tmp_path, heard):
    custody = begin(tmp_path / "s", heard)
    bring(custody, "5", a=b"1")
    custody.take("5", 5)
    custody.close("failed")
    (tmp_path / "s/step-000000005.a0001/files/state/planted").write_bytes(b"x")
    again = begin(tmp_path / "s", heard)
    assert os.listdir(again.restored.folder) == ["a"]
    again.close("failed")


@pytest.mark.parametrize("harm", ["bit", "cut", "gone", "link"])
def test_every_byte_is_verified_before_anything_is_given_out(tmp_path, heard, harm):
    custody = begin(tmp_path / "s", heard)
    for step in (1, 2):
        bring(custody, step, a=bytes(3 << 20), b=b"%d" % step)
        custody.take(str(step), step)
    custody.close("failed")
    victim = tmp_path / "s/step-000000002.a0001/files/state/a"
    data = bytearray(victim.read_bytes())
    victim.unlink()
    if harm == "bit":
        data[(2 << 20) + 5] ^= 16
        victim.write_bytes(data)
    elif harm == "cut":
        victim.write_bytes(data[:-1])
    elif harm == "link":
        victim.symlink_to("/dev/zero")
    again = begin(tmp_path / "s", heard)
    assert again.restored.step == 1
    assert Path(again.restored.folder, "b").read_bytes() == b"1"
    again.close("failed")
    assert "step-000000002.a0001 is damaged" in heard.warnings[0]
    assert "going on from step 1" in heard.warnings[1]


def test_nothing_good_is_an_error(tmp_path, heard):
    custody = begin(tmp_path / "s", heard)
    bring(custody, "1", file=b"1")
    custody.take("1", 1)
    custody.close("failed")
    (tmp_path / "s/step-000000001.a0001/files/state/state").unlink()
    for _ in range(2):  # nor is it forgotten
        with pytest.raises(DamageError, match=r"no checkpoint in .* is good"):
            begin(tmp_path / "s", heard)


def test_a_program_that_began_with_nothing_must_not_go_on_over_something(tmp_path, heard):
    custody = begin(tmp_path / "s", heard)
    bring(custody, "1", file=b"1")
    custody.take("1", 1)
    custody.close("failed")
    with pytest.raises(UsageError, match="was saved while this program was being started without it"):
        begin(tmp_path / "s", heard, fresh=True)
    begin(tmp_path / "s", heard).close("failed")  # and nobody is locked out by that


def test_signed_from_now_on(tmp_path, heard, monkeypatch):
    """The files of an unsigned checkpoint can be the last ones of a run that is signed by now."""
    custody = begin(tmp_path / "s", heard)
    bring(custody, "1", file=b"1")
    custody.take("1", 1)
    custody.close("failed")
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    monkeypatch.setenv("OUTLAST_KEY_FILE", str(key))
    monkeypatch.setenv("OUTLAST_TRUST_UNSIGNED", "1")
    again = begin(tmp_path / "s", heard)
    last = again.finish().manifest
    again.close("done")
    assert Store(tmp_path / "s").manifest(Store(tmp_path / "s").checkpoints()[1]).digest == NAME
    assert last.digest != NAME
    assert Store(tmp_path / "s").newest().done
    monkeypatch.delenv("OUTLAST_TRUST_UNSIGNED")
    monkeypatch.setenv("OUTLAST_REOPEN", "1")
    third = begin(tmp_path / "s", heard)
    assert Path(third.restored.folder, "state").read_bytes() == b"1"
    third.close("failed")


def test_requests_are_heard_once_and_those_of_others_dropped(tmp_path, heard):
    begin(tmp_path / "s", heard).close("failed")
    custody = begin(tmp_path / "s", heard)
    store = Store(tmp_path / "s")
    store.request("save", "mine")
    (tmp_path / "s/control/stop-00.json").write_text('{"reason": "old", "attempt": 1}')
    assert custody.requests() == (("save", "mine"),)
    assert custody.requests() == ()
    assert "dropped a request (old)" in heard.warnings[0]
    custody.close("failed")


def test_modes_that_keep_their_own_user_out(ordinary, heard):
    """What was copied from a read-only tree is read-only; and a umask may have taken away more."""
    custody = begin(ordinary / "s", heard)
    place = bring(custody, "5", a=b"one")
    (place / "inner").mkdir()
    (place / "inner/b").write_bytes(b"two")
    (place / "inner/b").chmod(0)
    (place / "inner").chmod(0o111)
    place.chmod(0o555)
    name = custody.take("5", 5).name.format()
    assert (ordinary / "s" / name / "files/state/inner/b").read_bytes() == b"two"
    left = bring(custody, "half", a=b"x")
    (left / "inner/deep").mkdir(parents=True)
    for folder in (left / "inner/deep", left / "inner", left):
        folder.chmod(0o500)
    custody.close("failed")
    assert not (ordinary / "s/saves").exists()
    assert heard.warnings == []


def test_a_thousand_saves_left_behind_cost_a_thousand_looks_and_no_million(tmp_path, heard):
    class Listed(Syscalls):
        entries = 0

        def scandir(self, fd):
            found = super().scandir(fd)
            self.entries += len(found)
            return found

    first = begin(tmp_path / "s", heard)
    for step in range(300):
        bring(first, step, a=b"")
    first.close("failed", keeps=True)
    calls = Listed()
    second = begin(tmp_path / "s", heard, calls=calls)
    assert not os.path.exists(first.folder)
    assert calls.entries < 1000
    second.close("failed")
