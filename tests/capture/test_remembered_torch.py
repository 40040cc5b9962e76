"""What a walk remembers of containers of tensors, above all of what modules and optimizers show of themselves."""

from __future__ import annotations

import gc
import weakref

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from capture.test_remembered import check, walked  # noqa: E402
from outlast.capture import snapshots  # noqa: E402
from outlast.capture.adapters.torch import TensorAdapter  # noqa: E402
from outlast.capture.outline import Comparison  # noqa: E402
from outlast.errors import CaptureError  # noqa: E402


@pytest.fixture
def asked(monkeypatch):
    shapes = []
    describe = TensorAdapter.describe

    def counted(self, value):
        shapes.append(value.shape)
        return describe(self, value)

    monkeypatch.setattr(TensorAdapter, "describe", counted)
    return shapes


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 3)
        self.norm = torch.nn.BatchNorm1d(3)
        self.last = torch.nn.Linear(3, 3)
        self.last.weight = self.first.weight

    def forward(self, x):
        return self.last(self.norm(self.first(x)))


def training():
    model = Tied()
    optimizer = torch.optim.Adam(model.parameters())
    step(model, optimizer)
    return {"model": model, "optimizer": optimizer, "t": 0}


def step(model, optimizer):
    optimizer.zero_grad()
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()


def test_tensors_of_modules_and_optimizers_are_not_asked_one_by_one(asked):
    state = training()
    began = snapshots.outline(state)
    check(state, began)
    step(state["model"], state["optimizer"])
    asked.clear()
    tree, _ = walked(state, began)
    assert not asked
    assert (tree, _) == walked(state, began, remembers=False)
    assert tree["model"]["state"]["last.weight"] == {"$": "same", "path": "model/first.weight"}


def tensors():
    return [torch.zeros(2, 3), torch.ones(2, 3), torch.arange(6.0), torch.zeros(2, dtype=torch.bfloat16)]


CHANGES = {
    "data": lambda row: setattr(row[0], "data", torch.ones(2, 3)),
    "data of another shape": lambda row: setattr(row[0], "data", torch.ones(5)),
    "data of another dtype": lambda row: setattr(row[0], "data", torch.ones(2, 3, dtype=torch.float64)),
    "resized": lambda row: row[2].resize_(4),
    "transposed": lambda row: row[0].t_(),
    "reshaped": lambda row: row.__setitem__(0, row[0].view(3, 2)),
    "set": lambda row: row[0].set_(row[1]),
    "gradient": lambda row: row[0].requires_grad_(),
    "parameter": lambda row: row.__setitem__(0, torch.nn.Parameter(row[0])),
    "tied": lambda row: row.__setitem__(0, row[1]),
    "viewed": lambda row: row.__setitem__(0, row[1].detach()),
    "appended": lambda row: row.append(row[0]),
    "cloned": lambda row: row.__setitem__(0, row[0].clone()),
    "filled": lambda row: row[0].fill_(3),
    "empty": lambda row: row.__setitem__(0, torch.zeros(0)),
    "expanded": lambda row: row.__setitem__(0, torch.zeros(1).expand(3)),
    "conjugate": lambda row: row.__setitem__(0, torch.zeros(2, dtype=torch.complex64).conj()),
    "negative": lambda row: row.__setitem__(0, torch.zeros(2, dtype=torch.complex64).conj().imag),
    "number": lambda row: row.__setitem__(0, 3),
    "sparse": lambda row: row.__setitem__(0, torch.eye(2).to_sparse()),
    "meta": lambda row: row.__setitem__(0, torch.zeros(2, 3, device="meta")),
    "nested": lambda row: row.__setitem__(0, torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])),
    "lazy": lambda row: row.__setitem__(0, torch.nn.parameter.UninitializedParameter()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_each_kind_of_change_is_heard(change):
    state = {"p": tensors(), "q": [torch.zeros(1)] * 2, "n": None}
    began = snapshots.outline(state)
    check(state, began)
    change(state["p"])
    check(state, began)
    check(state, began)


def test_an_owner_that_takes_no_other_shape_is_told_from_one_that_does():
    state = {"h": {"m": torch.nn.Linear(2, 2)}}
    began = snapshots.outline(state)
    wide = torch.nn.Linear(3, 3)
    state["h"]["m"] = wide.state_dict(keep_vars=True)
    assert check(state, began)[0]["h"]["m"]["state"]["items"][0]["weight"]["resized"] is True
    state["h"]["m"] = dict(state["h"]["m"])
    assert check(state, began)[0]["h"]["m"]["weight"]["resized"] is True
    state["h"]["m"] = wide
    assert "its owner takes no other" in check(state, began)[0]


def test_a_view_elsewhere_is_a_tie():
    state = {"a": None, "p": tensors(), "z": None}
    began = snapshots.outline(state)
    check(state, began)
    state["a"], state["z"] = [state["p"][0].detach()], [state["p"][1].detach()]
    tree, _ = check(state, began)
    assert tree["p"][0] == {"$": "same", "path": "a/0", "view": True}
    assert tree["z"][0] == {"$": "same", "path": "p/1", "view": True}


def test_weights_that_are_no_longer_tied():
    state = training()
    began = snapshots.outline(state)
    check(state, began)
    state["model"].last.weight = torch.nn.Parameter(torch.zeros(3, 3))
    assert "leaf" in check(state, began)[0]["model"]["state"]["last.weight"]


def test_tied_weights_that_become_a_view():
    state = training()
    began = snapshots.outline(state)
    check(state, began)
    state["model"].last.weight = torch.nn.Parameter(state["model"].first.weight.data)
    assert check(state, began)[0]["model"]["state"]["last.weight"].get("view") is True


def test_a_frozen_parameter_is_described_as_such():
    state = training()
    began = snapshots.outline(state)
    check(state, began)
    state["model"].first.bias.requires_grad_(False)
    assert check(state, began)[0]["model"]["state"]["first.bias"]["requires_grad"] is False


def test_what_several_tensors_say_at_once_is_what_each_says():
    adapter = TensorAdapter()
    values = [*tensors(), torch.zeros(2, 3).t(), torch.nn.Parameter(torch.zeros(2)), torch.zeros(2, 2)[:, 0]]
    assert adapter.several.suits(values)
    assert adapter.several.identities(adapter.several.facts(values)) == list(map(adapter.identity, values))
    assert not adapter.several.suits([torch.zeros(0)])
    assert adapter.several.facts([torch.eye(2).to_sparse()]) is None


def test_a_tensor_without_memory_is_refused():
    state = {"p": tensors()}
    began = snapshots.outline(state)
    check(state, began)
    state["p"][0].untyped_storage().resize_(0)
    with pytest.raises(CaptureError, match="p/0 has no memory"):
        snapshots.outline(state)
    assert "p/0 has no memory" in check(state, began)[0]


def test_tensors_that_lie_on_a_device_are_those_of_the_moment(monkeypatch):
    monkeypatch.setattr(TensorAdapter, "address", lambda _self, _value: None)
    monkeypatch.setattr(TensorAdapter, "is_far", lambda _self, _value: True)
    state = {"p": tensors()}
    began = snapshots.outline(state)
    kept = []
    for _ in range(3):
        _, walk = snapshots._walked(state, Comparison(began))
        assert all(leaf.far[1] is value for leaf, value in zip(walk.pending, state["p"], strict=True))
        kept.append(state["p"])
        state["p"] = [value.clone() for value in state["p"]]
    gone = weakref.ref(kept.pop()[0])
    del walk
    kept.clear()
    gc.collect()
    assert gone() is None
