"""The key's file: which one is taken, and what is said of one that is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from outlast.backends.keyfile import UNSIGNED, VARIABLE, trust
from outlast.errors import UsageError

SECRET = b"\x00secret-secret-secret-secret-secr\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def refused(match: str) -> UsageError:
    with pytest.raises(UsageError, match=match) as caught:
        trust("/store")
    assert VARIABLE in str(caught.value)
    assert caught.value.hint
    assert "secret-secret" not in str(caught.value)
    return caught.value


def test_without_the_variable_there_is_no_key(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv(UNSIGNED, "1")
    assert trust("/store").key is None


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_key_is_the_bytes_of_its_file(file, mode):
    from outlast.format.signing import SigningKey

    file.chmod(mode)
    found = trust("/store").key
    assert found.sign(b"x") == SigningKey(SECRET).sign(b"x"), "every byte, the line's end too"


@pytest.mark.parametrize(("value", "takes"), [("1", True), ("0", False), ("", False)])
def test_unsigned_ones_are_taken_only_where_asked(file, monkeypatch, value, takes):
    monkeypatch.setenv(UNSIGNED, value)
    assert trust("/store").takes_unsigned is takes


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666])
def test_a_key_that_is_open_to_others_is_refused(file, mode):
    file.chmod(mode)
    assert "chmod 600" in refused(rf"is open to others \(mode 0{mode:o}\)").hint


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_key_of_somebody_else_is_refused(file):
    os.chown(file, 12_001, -1)
    refused("belongs to user 12001, not to you")


@pytest.mark.parametrize("size", [0, 1, 31, 4097, 1 << 20])
def test_a_key_has_32_to_4096_bytes(file, size):
    file.write_bytes(b"s" * size)
    refused("expected 32 to 4096 bytes")


def test_what_is_no_regular_file_is_refused_and_does_not_hang(file):
    file.unlink()
    refused("cannot be read: No such file")
    os.mkfifo(file, 0o600)
    refused("is not a regular file")
    file.unlink()
    file.mkdir(0o700)
    refused("is not a regular file")
    file.rmdir()
    file.symlink_to("elsewhere")
    refused("is a symbolic link")


def test_an_empty_variable_is_no_way_to_go_on_unsigned(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    refused("is empty")


def test_a_key_in_the_store_is_refused_however_it_is_named(file, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path)
    for root in (tmp_path, tmp_path / "link", tmp_path / "." / "x" / ".."):
        with pytest.raises(UsageError, match="lies in the store"):
            trust(str(root))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "link" / "key"))
    with pytest.raises(UsageError, match="lies in the store"):
        trust(str(tmp_path))
    assert trust(f"{tmp_path}/ke").key, "only a name that begins alike"


@pytest.mark.parametrize("value", ["yes", "true", "2"])
def test_another_word_for_yes_is_refused_and_not_taken_for_no(monkeypatch, tmp_path, value):
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    monkeypatch.setenv(VARIABLE, str(key))
    monkeypatch.setenv(UNSIGNED, value)
    with pytest.raises(UsageError, match="expected 1 or 0"):
        trust(str(tmp_path / "s"))
