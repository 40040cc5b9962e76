"""Stores of programs that save files, as the commands see them."""

from __future__ import annotations

import stat

import pytest

from cli.kit import flip, names, snapshot
from fileskit import Files
from storekit import saved_files


@pytest.fixture
def saved(tmp_path):
    attempt = Files.begin(tmp_path / "store")
    for step in (1, 2, 4):
        attempt.save(step)
    attempt.custody.close("preempted")
    return tmp_path / "store"


def test_looking_changes_nothing(call, saved):
    before = snapshot(saved)
    newest = names(saved)[0]
    listed = call("ls", saved, "--json").json["checkpoints"]
    assert [(one["name"], one["bytes"]) for one in listed] == [
        (name, sum(map(len, saved_files(step).values()))) for name, step in zip(names(saved), (4, 2, 1), strict=True)
    ]
    assert call("show", saved, "--json").json["files"] == [
        {"component": "state", "path": path, "bytes": len(saved_files(4)[path])} for path in sorted(saved_files(4))
    ]
    assert "state/in/deep/zero" in call("show", saved).out
    assert call("verify", saved).status == 0
    found = call("diff", "--store", saved, "--json").json
    assert (found["new"], found["counts"]["changed"]) == (newest, 2)  # the empty file and the empty folder did not
    assert call("status", saved).status == 0
    assert call("timeline", saved).status == 0
    assert snapshot(saved) == before


def test_verify_names_the_damaged_file(call, saved):
    victim = saved / names(saved)[0] / "files/state/in/t"
    victim.chmod(0o600)
    flip(victim, 3)
    found = call("verify", saved)
    assert found.status == 3
    assert f"{names(saved)[0]}/files/state/in/t differs from what was saved, at byte 0 or after" in found.out


def test_prune_removes_the_files_too(call, saved):
    assert call("prune", saved, "--keep", "1").status == 0
    assert names(saved) == ["step-000000004.a0001"]
    assert sorted(path.name for path in saved.glob("step-*")) == ["step-000000004.a0001"]


def test_export_copies_the_files_out(call, saved, tmp_path):
    out = tmp_path / "out"
    found = call("export", out, "--store", saved)
    assert found.status == 0
    size = sum(map(len, saved_files(4).values()))
    assert found.lines == [f"{out}: 3 files of {names(saved)[0]}, {size} bytes"]
    files = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in files.items()} == saved_files(4)
    assert (out / "none").is_dir()
    assert all(path.stat().st_nlink == 1 and path.stat().st_mode & stat.S_IWUSR for path in files.values())
    again = call("export", out, "--store", saved)
    assert again.status == 2
    assert "exists" in again.err


def test_export_of_some_files_of_an_older_one(call, saved, tmp_path):
    out = tmp_path / "out"
    found = call("export", out, "--store", saved, "-c", "2", "--only", "in/t", "--json").json
    assert found == {"out": str(out), "checkpoint": "step-000000002.a0001", "files": ["in/t"], "bytes": 8}
    assert [str(path.relative_to(out)) for path in sorted(out.rglob("*"))] == ["in", "in/t"]
    assert call("export", tmp_path / "none", "--store", saved, "--only", "x*").status == 4


def test_export_leaves_nothing_of_what_is_damaged(call, saved, tmp_path):
    victim = saved / names(saved)[0] / "files/state/w"
    victim.chmod(0o600)
    flip(victim, -1)
    found = call("export", tmp_path / "out", "--store", saved)
    assert found.status == 3
    assert "files/state/w differs from what was saved" in found.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]
