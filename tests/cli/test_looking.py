"""ls, show, diff, verify: they read, say what is there, and change nothing."""

import json
import shutil

import numpy as np
import pytest

from cli.kit import arrays, flip, names, snapshot, train
from outlast.store import Store, catalog
from storekit import Attempt

LOOKING = [["ls"], ["show"], ["diff", "--store"], ["verify"], ["status"]]


# -- what all of them have in common -----------------------------------------------------------------------


@pytest.mark.parametrize("verb", LOOKING, ids=lambda v: v[0])
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_nothing_is_changed(call, trained, verb, form):
    before = snapshot(trained)
    found = call(*verb, trained, *form)
    assert found.status == 0
    assert found.out
    assert snapshot(trained) == before


@pytest.mark.parametrize("verb", LOOKING, ids=lambda v: v[0])
def test_no_store_is_status_4(call, tmp_path, verb):
    found = call(*verb, tmp_path / "none")
    assert (found.status, found.out) == (4, "")
    assert f"outlast: error: there is no store at {tmp_path / 'none'}" in found.err
    assert "OUTLAST_STORE" in found.err


@pytest.mark.parametrize("verb", LOOKING, ids=lambda v: v[0])
def test_an_error_is_a_document_too(call, tmp_path, verb):
    found = call(*verb, tmp_path / "none", "--json")
    assert found.json.keys() == {"error", "message", "hint", "status"}
    assert (found.json["error"], found.json["status"], found.status) == ("nothing", 4, 4)


@pytest.mark.parametrize("verb", ["ls", "show", "diff", "verify", "status", "prune", "stop", "save"])
def test_no_store_named_is_status_2(call, verb):
    found = call(verb)
    assert (found.status, found.out) == (2, "")
    assert "no store was named" in found.err


@pytest.mark.parametrize("verb", ["ls", "show", "diff", "verify", "status"])
def test_the_store_may_come_from_the_environment(call, trained, monkeypatch, verb):
    monkeypatch.setenv("OUTLAST_STORE", str(trained))
    found = call(verb)
    assert found.status == 0
    assert "step-000000003" in found.out


def test_a_named_store_beats_the_environment(call, trained, plain, monkeypatch):
    monkeypatch.setenv("OUTLAST_STORE", str(plain))
    assert call("ls", trained, "--json").json["store"] == str(trained)


@pytest.mark.parametrize("verb", ["show", "diff", "verify", "ls"])
def test_an_unknown_option_is_status_2(call, trained, verb):
    assert call(verb, "--wrong").status == 2


@pytest.mark.parametrize("verb", [["show"], ["diff", "--store"], ["verify"]], ids=lambda v: v[0])
def test_a_store_without_checkpoints_is_status_4(call, trained, verb):
    for folder in trained.glob("step-*"):
        shutil.rmtree(folder)
    found = call(*verb, trained)
    assert found.status == 4
    assert "there is no checkpoint" in found.err


# -- ls ----------------------------------------------------------------------------------------------------


def test_ls(call, trained):
    lines = call("ls", trained).lines
    assert lines[0].split("  ")[0] == "checkpoint"
    assert [line.split()[0] for line in lines[1:]] == names(trained)
    assert lines[1].endswith("done")
    assert lines[2].endswith("committed")
    assert " 313 KiB " in lines[2]  # 40000 numbers of 8 bytes, and little more


def test_ls_json(call, trained):
    found = call("ls", trained, "--json").json
    assert found.keys() == {"store", "checkpoints", "quarantined"}
    assert [one["name"] for one in found["checkpoints"]] == names(trained)
    newest, before = found["checkpoints"][:2]
    assert newest.keys() == {
        "name", "step", "attempt", "counts", "bytes", "own_bytes", "created", "done", "metrics", "state",
    }  # fmt: skip
    assert (newest["step"], newest["attempt"], newest["done"], newest["state"]) == (3, 1, True, "done")
    assert (before["done"], before["state"], before["metrics"]) == (False, "committed", {"loss": 1 / 3, "acc": 2.0})
    state_bytes = sum(value.nbytes for value in arrays().values() if isinstance(value, np.ndarray))
    assert newest["bytes"] == state_bytes
    assert newest["own_bytes"] < state_bytes  # what has not changed lies in an older part
    assert found["quarantined"] == []


def test_ls_says_what_is_damaged(call, plain):
    flip(plain / "step-000000003.a0001" / "manifest.json", 100)
    found = call("ls", plain, "--json")
    assert found.status == 0
    assert [one["state"] for one in found.json["checkpoints"]] == ["damaged", "committed", "committed"]
    assert "manifest.json" in found.json["checkpoints"][0]["problem"]
    assert call("ls", plain).lines[1].endswith("damaged")


def test_ls_all_shows_what_does_not_count(call, plain):
    (plain / "step-000000009.a0001").mkdir()
    assert len(call("ls", plain, "--json").json["checkpoints"]) == 3
    rows = call("ls", plain, "--all", "--json").json["checkpoints"]
    assert [(row["step"], row["counts"], row["state"]) for row in rows][:2] == [
        (9, False, "unfinished"),
        (3, True, "committed"),
    ]


def test_ls_names_the_quarantine(call, plain):
    (plain / "quarantine" / "step-000000002.a0001-abc").mkdir(parents=True)
    assert "in quarantine: step-000000002.a0001-abc" in call("ls", plain).out
    assert call("ls", plain, "--json").json["quarantined"] == ["step-000000002.a0001-abc"]


def test_a_damaged_store_file_is_said_and_survived(call, plain):
    (plain / "outlast.json").unlink()
    found = call("ls", plain)
    assert (found.status, len(found.lines)) == (0, 4)
    assert "outlast: warning:" in found.err
    assert "outlast.json" in found.err


# -- show --------------------------------------------------------------------------------------------------


def test_show(call, trained):
    lines = call("show", trained).lines
    assert lines[0].startswith(f"{names(trained)[0]}  step 3, saved 20")
    assert lines[0].endswith(", done")
    assert lines[1] == "metrics: loss=0.333333, acc=2"
    rows = {line.split()[0]: line.split()[1:] for line in lines[3:]}
    assert rows["w"] == ["float64", "2x3", "48", "B"]
    assert rows["zero_d"] == ["float64", "()", "8", "B"]
    assert rows["file"] == ["float32", "0x4", "0", "B"]
    assert rows["t"] == ["value", "1.5"]
    assert rows["nested/names"] == ["value", '["a",', '"b"]']
    assert rows["nested/note"] == ["value", "null"]


def test_show_json(call, trained):
    found = call("show", trained, "--json").json
    assert found.keys() == {
        "store", "checkpoint", "step", "attempt", "created", "done", "metrics", "position", "parts", "leaves",
        "files", "tree", "digest", "signed", "signature_checked",
    }  # fmt: skip
    assert (found["checkpoint"], found["step"], found["done"]) == (names(trained)[0], 3, True)
    leaves = {leaf["path"]: leaf for leaf in found["leaves"]}
    assert leaves["z"] == {"path": "z", "dtype": "complex128", "shape": [1], "bytes": 16}
    assert leaves.keys() == {key for key, value in arrays().items() if isinstance(value, np.ndarray)}
    assert found["parts"]
    assert all(part.keys() == {"path", "bytes", "rank"} for part in found["parts"])


@pytest.mark.parametrize("option", ["--checkpoint", "-c"])
def test_show_another(call, trained, option):
    by_step = call("show", trained, option, "1", "--json").json
    assert (by_step["step"], by_step["done"]) == (1, False)
    assert call("show", trained, option, by_step["checkpoint"], "--json").json == by_step


@pytest.mark.parametrize("wanted", ["77", "step-000000077.a0001", "nonsense", ""])
def test_show_what_is_not_there(call, trained, wanted):
    found = call("show", trained, "-c", wanted)
    assert found.status == 4
    assert f"no checkpoint {wanted} in {trained}; there are {names(trained)[0]}" in found.err


def test_show_a_damaged_manifest(call, plain):
    flip(plain / "step-000000003.a0001" / "manifest.json", 100)
    assert call("show", plain).status == 3
    assert call("show", plain, "-c", "2").status == 0


# -- diff --------------------------------------------------------------------------------------------------


def test_diff_of_the_last_two(call, plain):
    found = call("diff", "--store", plain)
    new, old = names(plain)[:2]
    assert found.lines[0] == f"{old} -> {new}: 1 same, 4 changed, 0 added, 0 removed"
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in found.lines[2:]}
    assert rows == {
        "model/frozen": ["changed", "1 of 1 chunks"],
        "model/w": ["changed", "1 of 1 chunks"],
        "step": ["changed", "2 -> 3"],
        "t": ["changed", "1 of 1 chunks"],
    }


def test_diff_json(call, plain):
    found = call("diff", "--store", plain, "--json").json
    assert found.keys() == {"old", "new", "counts", "changes"}
    assert [found["new"], found["old"]] == names(plain)[:2]
    assert found["counts"] == {"same": 1, "changed": 4, "added": 0, "removed": 0}
    assert {"path": "model/empty", "change": "same", "detail": ""} in found["changes"]
    assert all(row.keys() == {"path", "change", "detail"} for row in found["changes"])


def test_diff_of_two_that_are_named(call, plain):
    found = call("diff", "1", "step-000000002.a0001", "--store", plain, "--json").json
    assert (found["old"], found["new"]) == ("step-000000001.a0001", "step-000000002.a0001")
    to_newest = call("diff", "1", "--store", plain, "--json").json
    assert (to_newest["old"], to_newest["new"]) == ("step-000000001.a0001", "step-000000003.a0001")
    backwards = call("diff", "3", "1", "--store", plain, "--json").json
    assert next(row for row in backwards["changes"] if row["path"] == "step")["detail"] == "3 -> 1"


def test_diff_with_another_store(call, trained, tmp_path):
    """What was added, what is gone, what is of another kind now."""
    state = arrays()
    state["w"] = np.ones((3, 3), np.float32)
    state["fixed"] = 7
    state["more"] = state.pop("flag")
    train(tmp_path / "other", state)
    found = call("diff", "--store", trained, "--other", tmp_path / "other", "--json").json
    rows = {row["path"]: (row["change"], row["detail"]) for row in found["changes"]}
    assert rows["w"] == ("changed", "float64[2, 3] -> float32[3, 3]")
    assert rows["fixed"] == ("changed", "int64[40000] -> 7")
    assert rows["more"] == ("added", "")
    assert rows["flag"] == ("removed", "")
    assert rows["t"] == ("same", "")


def test_diff_of_equal_runs(call, trained, tmp_path):
    train(tmp_path / "other", arrays())
    found = call("diff", "--store", trained, "--other", tmp_path / "other", "--json").json
    assert {row["change"] for row in found["changes"]} == {"same"}


def test_diff_needs_two(call, tmp_path):
    train(tmp_path / "one", arrays(), every=100)
    found = call("diff", "--store", tmp_path / "one")
    assert found.status == 4
    assert "there is no checkpoint before step-000000003.a0001" in found.err


@pytest.mark.parametrize("wanted", [["77"], ["1", "77"]])
def test_diff_with_what_is_not_there(call, plain, wanted):
    assert call("diff", *wanted, "--store", plain).status == 4


def test_diff_with_a_store_that_is_not_there(call, plain, tmp_path):
    assert call("diff", "--store", plain, "--other", tmp_path / "none").status == 4


# -- verify ------------------------------------------------------------------------------------------------


def test_verify(call, trained):
    found = call("verify", trained)
    assert found.lines == [f"{name}  good" for name in names(trained)]
    document = call("verify", trained, "--json").json
    assert document == {
        "store": str(trained),
        "good": True,
        "checkpoints": [{"checkpoint": name, "damage": []} for name in names(trained)],
        "problems": [],
    }


def test_verify_finds_a_flipped_bit_and_names_the_leaf(call, plain):
    flip(plain / "step-000000002.a0001" / "part-00000.safetensors", -1)
    before = snapshot(plain)
    found = call("verify", plain, "--json")
    assert (found.status, found.json["good"]) == (3, False)
    assert [bool(one["damage"]) for one in found.json["checkpoints"]] == [False, True, False]
    (damage,) = found.json["checkpoints"][1]["damage"]
    assert damage.keys() == {"path", "leaf", "what"}
    assert damage["path"] == "step-000000002.a0001/part-00000.safetensors"
    assert damage["leaf"] == "t"
    text = call("verify", plain)
    assert (text.status, text.lines[1]) == (3, "step-000000002.a0001  DAMAGED")
    assert snapshot(plain) == before


def test_verify_one(call, plain):
    flip(plain / "step-000000002.a0001" / "part-00000.safetensors", -1)
    assert call("verify", plain, "-c", "3").lines == ["step-000000003.a0001  good"]
    assert call("verify", plain, "-c", "3").status == 0
    assert call("verify", plain, "-c", "2").status == 3
    assert call("verify", plain, "-c", "77").status == 4


@pytest.mark.parametrize("file", ["outlast.json", "journal/a0001.jsonl"])
def test_verify_looks_beside_the_checkpoints_too(call, plain, file):
    flip(plain / file, 30)
    found = call("verify", plain, "--json")
    assert (found.status, [p["path"] for p in found.json["problems"]]) == (3, [file])
    assert all(not one["damage"] for one in found.json["checkpoints"])


def test_verify_takes_a_file_that_is_gone_for_damage(call, plain):
    (plain / "step-000000001.a0001" / "part-00000.safetensors").unlink()
    (plain / "outlast.json").unlink()
    found = call("verify", plain, "--json")
    assert found.status == 3
    assert found.json["problems"] == [{"path": "outlast.json", "what": "outlast.json is gone"}]
    assert [bool(one["damage"]) for one in found.json["checkpoints"]] == [False, False, True]


def test_documents_are_one_each(call, trained):
    for verb in LOOKING:
        json.loads(call(*verb, trained, "--json").out)


# -- beside a live run ------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["ls", "verify"])
def test_what_a_live_run_removes_meanwhile_is_left_out(call, plain, monkeypatch, verb):
    """Its retention removes a checkpoint between our listing and our reading."""
    real = Store.scan

    def scan(store):
        found = real(store)
        shutil.rmtree(plain / found[-1].name.format(), ignore_errors=True)
        return found

    monkeypatch.setattr(Store, "scan", scan)
    found = call(verb, plain, "--json")
    assert found.status == 0, found.err
    assert len(found.json["checkpoints"]) == 2


def test_ls_lists_once_whatever_their_number(call, plain, monkeypatch):
    calls = []
    real = catalog.scan
    monkeypatch.setattr(catalog, "scan", lambda backend, store="": calls.append(1) or real(backend, store))
    assert len(call("ls", plain, "--json").json["checkpoints"]) == 3
    assert len(calls) == 1


def test_verify_says_what_is_in_quarantine(call, plain):
    (plain / "quarantine").mkdir()
    for path in plain.glob("step-*"):
        path.rename(plain / "quarantine" / f"{path.name}-00aa11")
    found = call("verify", plain)
    assert found.status == 3
    assert "3 in quarantine: step-000000001.a0001-00aa11" in found.err


def test_without_outlast_json_and_journals_the_manifests_tell_the_id(call, plain):
    (plain / "outlast.json").unlink()
    shutil.rmtree(plain / "journal")
    found = call("ls", plain)
    assert found.status == 0
    assert "the store's id was taken from what else is in it" in found.err
    attempt = Attempt.begin(plain)
    assert attempt.restore() == 3  # and nothing was taken for damage
    assert attempt.lease.attempt == 2
    assert not (plain / "quarantine").exists()


@pytest.mark.parametrize("verb", ["show", "status", "export"])
def test_the_newest_is_looked_for_again_if_a_live_run_replaces_it(call, plain, tmp_path, monkeypatch, verb):
    attempt = Attempt.begin(plain, takeover=True)
    find = Store.find
    found = []

    def slow(self, wanted):
        found.append(find(self, wanted))
        if len(found) == 1:
            attempt.save(50, keep=1)
        return found[-1]

    monkeypatch.setattr(Store, "find", slow)
    arguments = [str(tmp_path / "out.safetensors"), "--store", str(plain)] if verb == "export" else [str(plain)]
    told = json.loads(call(verb, "--json", *arguments).out)
    newest = told["newest"] if verb == "status" else told
    assert newest["checkpoint"] == found[1].format()
    assert found[1].step == 50


def test_what_is_removed_while_it_is_exported_is_not_called_damaged(call, plain, tmp_path, monkeypatch):
    attempt = Attempt.begin(plain, takeover=True)
    source = Store.source

    def slow(self, manifest):
        attempt.save(50, frozen=False, keep=1)
        return source(self, manifest)

    monkeypatch.setattr(Store, "source", slow)
    told = call("export", str(tmp_path / "out.safetensors"), "--store", str(plain))
    assert told.status == 4
    assert "was removed while it was read" in told.err
