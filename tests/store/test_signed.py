"""Stores with a key: what is signed, what is believed, what is left alone; and both kinds of digest in one store."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

import storekit
from outlast.cli.main import main
from outlast.errors import DamageError, SignatureError, UsageError, VersionError
from outlast.format import digest
from outlast.format.digest import BLAKE3, NAME, STRONG
from outlast.format.envelope import seal_body
from outlast.format.manifest import KEY as MEMBER
from outlast.run import Run
from outlast.store import Store
from storekit import Attempt

TAIL = len(f',"{MEMBER}":""}}\n') + 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Sets the key by a name, or takes it away."""
    monkeypatch.setenv("OUTLAST_EVENTS", "text")
    monkeypatch.setenv("OUTLAST_REOPEN", "1")  # a run that is done goes on where it has more steps

    def set_key(name: str | None, *, unsigned: bool = False) -> None:
        monkeypatch.delenv("OUTLAST_KEY_FILE", raising=False)
        monkeypatch.setenv("OUTLAST_TRUST_UNSIGNED", "1" if unsigned else "0")
        if name:
            file = tmp_path / f"{name}.key"
            file.write_bytes(name.encode().ljust(32, b"."))
            file.chmod(0o600)
            monkeypatch.setenv("OUTLAST_KEY_FILE", str(file))

    return set_key


def run(path: Path, steps: int, **more) -> int:
    """A run that counts, saved at each step; returns where it began."""
    state = {"n": 0}
    with Run(path, state, every=1, **more) as it:
        began = it.step
        for _ in it.steps(steps):
            state["n"] += 1
    assert state["n"] == steps
    return began


def names(path: Path) -> list[str]:
    return [name.format() for name in Store(path).checkpoints()]


def forge(path: Path, name: str, old: bytes, new: bytes) -> None:
    """Change a manifest as somebody would who has no key: the digest is made right again."""
    file = path / name / "manifest.json"
    body = file.read_bytes()[:-TAIL]
    assert old in body
    file.write_bytes(seal_body(body.replace(old, new, 1), MEMBER))


@pytest.fixture
def without_blake3(monkeypatch: pytest.MonkeyPatch):
    """Call it: the package is not installed any more."""

    def go() -> None:
        digest._blake3_kind.cache_clear()
        monkeypatch.setitem(sys.modules, "blake3", None)

    yield go
    digest._blake3_kind.cache_clear()


@pytest.mark.parametrize("kind", [BLAKE3, STRONG])
def test_what_is_written_with_a_key_is_signed_and_strong_s68(path, use, kind, without_blake3):
    if kind == STRONG:
        without_blake3()
    use("a")
    attempt = Attempt.begin(path)
    for step in (1, 2):
        attempt.save(step)
    for name in attempt.store.checkpoints():
        manifest = attempt.store.manifest(name)
        assert manifest.is_signed
        assert manifest.digest == kind
        assert manifest.requires == ((BLAKE3,) if kind == BLAKE3 else ())
        assert len(manifest.parts[0].header_digest) == 64
    assert len(attempt.store.manifest(attempt.store.checkpoints()[0]).parts) == 2, (
        "the second shares bytes of the first"
    )
    storekit.all_good(path)
    use(None)
    storekit.all_good(path)  # a reader without a key


def test_without_the_package_nothing_is_read_begun_anew_or_set_aside_s11(path, use, without_blake3, capfd):
    use("a")
    run(path, 2)
    before = {file: file.read_bytes() for file in path.rglob("step-*/*")}
    use(None)
    without_blake3()
    with pytest.raises(VersionError, match="digests are BLAKE3, which needs the package blake3") as caught:
        run(path, 3)
    assert caught.value.hint == "pip install 'outlast[signing]'"
    for verb in ("show", "verify", "prune"):
        assert main([verb, str(path)]) == 2, verb
        assert "needs the package blake3" in capfd.readouterr().err
    assert {file: file.read_bytes() for file in path.rglob("step-*/*")} == before
    assert not (path / "quarantine").exists()


def test_a_run_goes_on_with_the_other_kind_of_strong_digests_s55(path, use, without_blake3, monkeypatch):
    use("a")
    with monkeypatch.context() as gone:
        gone.setitem(sys.modules, "blake3", None)
        digest._blake3_kind.cache_clear()
        run(path, 2, keep=9)
    assert run(path, 4, keep=9) == 2
    store = Store(path)
    found = [store.manifest(name) for name in store.checkpoints()]
    assert {one.digest for one in found} == {STRONG, BLAKE3}
    assert all(one.is_signed for one in found)


def test_every_kind_of_read_refuses_what_the_key_did_not_sign_s67(path, use):
    use("a")
    run(path, 2)
    newest, before = names(path)[:2]
    forge(path, newest, b'"done":true', b'"done":false')
    store = Store(path)
    with pytest.raises(SignatureError, match=f"^{newest}/manifest.json is not signed with this key"):
        store.manifest(store.find(newest))
    attempt = Attempt.begin(path)
    with pytest.raises(SignatureError):
        attempt.pruner.look()
    with pytest.raises(SignatureError):
        attempt.prune(1)
    assert {newest, before} <= set(names(path))


def test_one_that_is_not_signed_is_passed_over_and_left_alone_s67(path, use, capfd):
    use("a")
    run(path, 3)
    newest, before = names(path)[:2]
    forge(path, newest, b'"step":3', b'"step":3 ')
    kept = (path / newest / "manifest.json").read_bytes()
    began = run(path, 5)
    told = capfd.readouterr().err
    assert began == 3, "the one before is of the same step"
    assert f"{newest}/manifest.json is not signed with this key: passed over and left where it is" in told
    assert f"restored step 3 from {before}" in told
    assert (path / newest / "manifest.json").read_bytes() == kept
    assert not (path / "quarantine").exists()


@pytest.mark.parametrize("key", ["b", None])
def test_with_the_wrong_key_nothing_is_restored_moved_or_begun_anew_s67(path, use, capfd, key):
    """The user mistyped the key's name; or forgot it for the first run, and has it now."""
    use(key)
    run(path, 3)
    before = {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    use("a")
    with pytest.raises(DamageError, match=r"no checkpoint in .* is good: .* is not signed") as caught:
        run(path, 5)
    assert caught.value.exit_status == 3
    assert "OUTLAST_KEY_FILE" in caught.value.hint
    assert "OUTLAST_TRUST_UNSIGNED" in caught.value.hint
    assert main(["prune", str(path), "--quarantine", "--keep", "1"]) == 3
    assert not (path / "quarantine").exists()
    for name, data in before.items():
        assert (path / name).read_bytes() == data, name
    use(key)
    assert run(path, 5, takeover=True) == 3


def test_the_move_to_signing_s67(path, use, capfd):
    use(None)
    run(path, 2)
    use("a", unsigned=True)
    assert run(path, 4) == 2
    use("a")
    assert Store(path).manifest(Store(path).checkpoints()[0]).is_signed
    assert run(path, 6) == 4


def test_unsigned_is_taken_where_asked_but_never_wrongly_signed_s67(path, use):
    use("b")
    run(path, 2)
    use("a", unsigned=True)
    with pytest.raises(DamageError, match="not signed with this key"):
        run(path, 4)


def test_going_on_without_the_key_is_said(path, use, capfd):
    use("a")
    run(path, 2)
    use(None)
    assert run(path, 3) == 2
    assert "is signed, what follows will not be: OUTLAST_KEY_FILE is not set" in capfd.readouterr().err


def test_both_kinds_of_digest_live_in_one_store_and_share_nothing_s55(path, use):
    use(None)
    first = Attempt.begin(path)
    first.save(1)
    first.save(2)
    first.lease.end("failed")
    use("a", unsigned=True)
    second = Attempt.begin(path)
    assert second.restore() == 2
    third = second.save(3)
    fourth = second.save(4)
    store = Store(path)
    assert [store.manifest(name).digest for name in store.checkpoints()] == [BLAKE3, BLAKE3, NAME, NAME]
    assert all("a0002" in part.path for name in (third, fourth) for part in store.manifest(name).parts)
    storekit.all_good(path)
    second.prune(1)
    storekit.all_good(path)
    second.lease.end("failed")
    use(None)
    last = Attempt.begin(path)
    assert last.restore() == 4
    last.save(5)
    storekit.all_good(path)


def test_changed_bytes_of_a_signed_one_are_damage_s35(path, use, capfd):
    use("a")
    run(path, 2, keep=5)
    attempt = Attempt.begin(path)
    name = attempt.save(3).format()
    attempt.lease.end("failed")
    part = path / name / "part-00000.safetensors"
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    with pytest.raises(DamageError, match="differs from what was saved"):
        storekit.check(Store(path), Store(path).find(name))


@pytest.mark.parametrize("elsewhere", ["another step", "another store"])
def test_a_signed_one_is_good_for_its_own_place_only_s25(path, tmp_path, use, elsewhere):
    use("a")
    attempt = Attempt.begin(path)
    old, new = attempt.save(1).format(), attempt.save(2).format()
    if elsewhere == "another step":
        shutil.copy(path / old / "manifest.json", path / new / "manifest.json")
        match = "a misplaced file"
    else:
        other = Attempt.begin(tmp_path / "other")
        other.save(1)
        other.save(2)
        shutil.copy(tmp_path / "other" / new / "manifest.json", path / new / "manifest.json")
        match = "belongs to store"
    store = Store(path)
    with pytest.raises(DamageError, match=match):
        store.manifest(store.find(new))


def test_a_key_in_the_store_is_refused(path, use, monkeypatch):
    use(None)
    run(path, 1)
    (path / "my.key").write_bytes(b"k" * 32)
    (path / "my.key").chmod(0o600)
    monkeypatch.setenv("OUTLAST_KEY_FILE", os.fspath(path / "my.key"))
    with pytest.raises(UsageError, match="lies in the store"):
        Store(path)


def test_the_verbs_honour_the_key(path, tmp_path, use, capfd):
    use("a")
    run(path, 3, keep=5)
    newest, before = names(path)[:2]

    def call(*words: str) -> tuple[int, str]:
        status = main([str(word) for word in words])
        found = capfd.readouterr()
        return status, found.out + found.err

    assert "signed with this key" in call("show", path)[1]
    assert call("verify", path)[0] == 0
    assert call("export", tmp_path / "good.npz", "--store", path)[0] == 0
    forge(path, newest, b'"done":true', b'"done":true ')
    for words in (
        ("show", path),
        ("export", tmp_path / "bad.npz", "--store", path),
        ("verify", path),
        ("prune", path, "-n"),
        ("diff", "--store", path),
    ):
        status, told = call(*words)
        assert status == 3, words
        assert f"{newest}/manifest.json is not signed with this key" in told, words
    assert not (tmp_path / "bad.npz").exists()
    status, told = call("ls", path)
    assert status == 0
    assert "refused" in told
    assert "not signed with this key" in call("status", path)[1]
    document = json.loads(call("show", path, "-c", before, "--json")[1])
    assert (document["signed"], document["signature_checked"], document["digest"]) == (True, True, BLAKE3)
    status, told = call("prune", path, "--quarantine", "--keep", "1")
    assert status == 0, "others are signed with this key, so it is the right one"
    assert newest in told
    assert [p.name.rpartition("-")[0] for p in (path / "quarantine").iterdir()] == [newest]
    use(None)
    assert "signed, not checked" in call("show", path)[1]


def test_diff_does_not_compare_two_kinds_of_digests(path, use, capfd):
    use(None)
    run(path, 1)
    use("a", unsigned=True)
    run(path, 2)
    assert main(["diff", "1", "2", "--store", str(path)]) == 2
    assert "of different kinds, xxh3-128 and blake3" in capfd.readouterr().err


def test_the_key_stands_nowhere_in_the_store(path, use):
    use("a")
    run(path, 3)
    secret = b"a".ljust(32, b".")
    for file in path.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert secret not in data
            assert secret.hex().encode() not in data
            assert b"a.key" not in data, "nor its name"
