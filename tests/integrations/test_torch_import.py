"""An existing checkpoint.pt: read safely, checked, put into live objects."""

import argparse
import os
import pickle
import random

import pytest
import torch

from outlast.errors import DamageError, MismatchError, NothingError, UsageError
from outlast.integrations.torch import import_checkpoint, read_checkpoint

pytestmark = pytest.mark.torch


def made(seed):
    torch.manual_seed(seed)
    model = torch.nn.Linear(300, 4)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(300)).sum().backward()
    optimizer.step()
    return {"model": model, "optimizer": optimizer}


def same(one, other):
    assert torch.equal(one["model"].weight, other["model"].weight)
    states = (objects["optimizer"].state_dict()["state"] for objects in (one, other))
    assert all(torch.equal(a["exp_avg"], b["exp_avg"]) for a, b in zip(*(s.values() for s in states), strict=True))


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (("model", "optimizer"), None),
        (("model_state_dict", "optimizer_state_dict"), None),
        (("state_dict", "optimizer_state"), None),
        (("net", "opt"), {"model": "net", "optimizer": "opt"}),
    ],
)
def test_it_is_put_into_live_objects_and_the_rest_returned(tmp_path, keys, names):
    saved, live = made(1), made(2)
    path = tmp_path / "checkpoint.pt"
    states = (saved["model"].state_dict(), saved["optimizer"].state_dict())
    torch.save(dict(zip(keys, states, strict=True)) | {"epoch": 30, "best": 0.5}, path)
    assert import_checkpoint(path, live, names=names) == {"epoch": 30, "best": 0.5}
    same(saved, live)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_the_state_of_one_module_and_the_prefixes_of_wrappers(tmp_path, prefix):
    saved, live = made(1)["model"], made(2)["model"]
    torch.save({f"{prefix}{name}": value for name, value in saved.state_dict().items()}, tmp_path / "w.pt")
    assert import_checkpoint(tmp_path / "w.pt", {"model": torch.compile(live, backend="eager")}) == {}
    assert torch.equal(saved.weight, live.weight)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("bomb",)


def test_the_class_that_is_in_the_way_is_named(tmp_path):
    torch.save({"model": {}, "args": argparse.Namespace(lr=0.1)}, tmp_path / "old.pt")
    with pytest.raises(UsageError, match=r"old\.pt holds what only running code could bring back: argparse\.Namespace"):
        read_checkpoint(tmp_path / "old.pt")


@pytest.mark.parametrize("new", [True, False])
def test_no_code_of_the_file_is_run(tmp_path, monkeypatch, new):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Bomb()}, "bad.pt", _use_new_zipfile_serialization=new)
    with pytest.raises(UsageError, match=r"bad\.pt holds what only running code could bring back: posix\.mkdir"):
        read_checkpoint("bad.pt")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises((UsageError, DamageError)):
        read_checkpoint("plain.pkl")
    assert not (tmp_path / "bomb").exists()


def test_a_flipped_bit_anywhere_is_noticed_or_changes_nothing(tmp_path):
    saved = made(1)["model"].state_dict()
    torch.save(saved, tmp_path / "w.pt")
    good = (tmp_path / "w.pt").read_bytes()
    draws, noticed = random.Random(7), 0
    for at in draws.sample(range(len(good)), 300):
        bad = bytearray(good)
        bad[at] ^= 1 << draws.randrange(8)
        (tmp_path / "w.pt").write_bytes(bad)
        try:
            found = read_checkpoint(tmp_path / "w.pt")
        except DamageError:
            noticed += 1
        else:  # padding between the records, or a time stamp
            assert all(torch.equal(found[name], value) for name, value in saved.items())
    assert noticed > 200


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_damaged(tmp_path, share):
    torch.save(made(1)["model"].state_dict(), tmp_path / "w.pt")
    os.truncate(tmp_path / "w.pt", int(share * (tmp_path / "w.pt").stat().st_size))
    with pytest.raises(DamageError):
        read_checkpoint(tmp_path / "w.pt")


def test_what_is_missing_or_does_not_fit_is_said(tmp_path):
    path = tmp_path / "w.pt"
    with pytest.raises(NothingError, match="there is no file"):
        read_checkpoint(path)
    torch.save({"weights": 1, "epoch": 2}, path)
    with pytest.raises(MismatchError, match="has no model: it holds weights, epoch"):
        import_checkpoint(path, made(1))
    torch.save({"model": torch.nn.Linear(2, 2).state_dict()}, path)
    with pytest.raises(MismatchError, match=r"model of .* does not fit the program's"):
        import_checkpoint(path, {"model": made(1)["model"], "x": None})
    torch.save([1], path)
    with pytest.raises(MismatchError, match="holds a list, not a dict"):
        import_checkpoint(path, made(1))
