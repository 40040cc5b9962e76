"""PyTorch: every dtype to the bit, tied weights saved once, training that goes on as if nothing had happened."""

from __future__ import annotations

import copy

import pytest
import torch

from capture.kit import Saved, roundtrip
from outlast.capture import RNG, Pool, check, snapshot
from outlast.errors import CaptureError, MismatchError

pytestmark = pytest.mark.torch

DTYPES = [
    name
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "complex64", "complex128", "bfloat16",
        "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu",
    )
    if hasattr(torch, name)
]  # fmt: skip


def bits(tensor):
    return bytes(tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).tolist())


def same(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and bits(one) == bits(other)


def filled(name):
    dtype = getattr(torch, name)
    raw = torch.arange(0, 24 * dtype.itemsize, dtype=torch.int64).to(torch.uint8)
    if name == "bool":
        raw = raw % 2
    return raw.view(dtype).reshape(4, 6)


def layouts(tensor):
    yield tensor
    yield tensor.t()
    yield tensor[::2, 1::2]
    yield tensor[0, 0]
    yield tensor[:0]


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_and_layout(name):
    for tensor in layouts(filled(name)):
        live = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
        live.view(torch.uint8).zero_() if live.dim() and live.is_contiguous() else None
        state = roundtrip({"t": tensor, "d": {"n": tensor.clone()}}, {"t": live, "d": {}})
        assert state["t"] is live
        assert live.stride() == tensor.stride()
        assert same(live, tensor)
        assert same(state["d"]["n"], tensor)


def test_lazy_conjugates():
    tensor = torch.randn(3, dtype=torch.complex64).conj()
    live = torch.zeros(3, dtype=torch.complex64).conj()
    assert same(roundtrip({"t": tensor}, {"t": live})["t"], tensor)
    assert torch.equal(live, tensor)


def test_parameters_and_requires_grad():
    live = torch.nn.Parameter(torch.zeros(2, 2))
    state = roundtrip(
        {"p": torch.nn.Parameter(torch.ones(2, 2)), "d": {"w": torch.ones(2, requires_grad=True)}},
        {"p": live, "d": {}},
    )
    assert state["p"] is live
    assert live.tolist() == [[1, 1], [1, 1]]
    assert live.is_leaf
    assert state["d"]["w"].requires_grad


def test_identical_views_are_saved_once():
    one = torch.arange(6.0)
    assert check({"a": one, "b": [one.view(6), one.detach()], "c": one[1:]}) == 24 + 20


@pytest.mark.parametrize(
    ("tensor", "reason", "remedy"),
    [
        (lambda: torch.eye(2).to_sparse(), "sparse tensor", "to_dense"),
        (lambda: torch.zeros(2, device="meta"), "meta device", "to_empty"),
        (lambda: torch.nn.LazyLinear(2).weight, "lazy module", "forward pass"),
        (lambda: torch.zeros(2, dtype=torch.complex32), "complex32", "plain dtype"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "a nested tensor", "unbind"),
        (lambda: torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged), "a nested tensor", "unbind"),
        (lambda: torch.eye(2).to_sparse_csr(), "sparse tensor", "to_dense"),
        (lambda: torch.eye(2).to_mkldnn(), "the layout torch._mkldnn", "to_dense"),
    ],
    ids=["sparse", "meta", "lazy", "complex32", "nested", "jagged", "csr", "mkldnn"],
)
@pytest.mark.filterwarnings(
    "ignore:ComplexHalf", "ignore:Lazy modules", "ignore:The PyTorch API of nested", "ignore:Sparse CSR"
)
def test_refusals(tensor, reason, remedy):
    with pytest.raises(CaptureError, match=rf"^d/x .*{reason}[\s\S]*{remedy}"):
        check({"d": {"x": tensor()}})


class Tied(torch.nn.Module):
    def __init__(self, seed, tie=True):
        super().__init__()
        torch.manual_seed(seed)
        self.emb = torch.nn.Embedding(10, 4)
        self.norm = torch.nn.BatchNorm1d(4)
        self.head = torch.nn.Linear(4, 10, bias=False)
        if tie:
            self.head.weight = self.emb.weight
        self.register_buffer("scratch", torch.zeros(3), persistent=False)


def test_tied_weights_are_saved_once_and_stay_tied():
    saved, live = Tied(1), Tied(2)
    parameter = live.emb.weight
    assert check({"model": saved}) == 40 * 4 + 4 * 4 * 4 + 8
    checkpoint = Saved({"model": saved})
    assert "model/emb.weight" in checkpoint.leaves
    checkpoint.into({"model": live})
    assert live.emb.weight is parameter
    assert live.head.weight is parameter
    assert torch.equal(parameter, saved.emb.weight)
    untied = Tied(3, tie=False)
    checkpoint.into({"model": untied})
    assert torch.equal(untied.head.weight, untied.emb.weight)
    assert untied.head.weight is not untied.emb.weight


def test_tying_what_was_saved_apart_is_a_mismatch():
    with pytest.raises(MismatchError, match=r"model/head.weight: saved apart from model/emb.weight, but tied"):
        roundtrip({"model": Tied(1, tie=False)}, {"model": Tied(2)})
    alike = Tied(1, tie=False)
    alike.head.weight.data.copy_(alike.emb.weight.data)
    live = Tied(2)
    roundtrip({"model": alike}, {"model": live})
    assert torch.equal(live.head.weight, alike.emb.weight)


def test_a_module_saved_twice_is_one():
    model = torch.nn.Linear(2, 2)
    assert check({"m": model, "again": model, "part": {"w": model.weight}}) == 24


def test_mismatching_modules_change_nothing():
    saved = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    live = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(2, 2, bias=False), torch.nn.PReLU())
    before = copy.deepcopy(live.state_dict())
    with pytest.raises(MismatchError) as caught:
        roundtrip({"m": saved}, {"m": live})
    text = str(caught.value)
    assert "m/0.weight: saved as float32[2, 3], the program has float32[4, 3]" in text
    assert "m/1.bias: the checkpoint has it, the live object has not" in text
    assert "m/2.weight: the live object has it, the checkpoint has not" in text
    assert all(torch.equal(before[name], value) for name, value in live.state_dict().items())
    report = Saved({"m": saved}).into({"m": live}, allow=["m/0.*", "m/1.bias", "m/2.*"])
    assert torch.equal(live[1].weight, saved[1].weight)
    assert torch.equal(live[0].weight, before["0.weight"])
    assert [row.path for row in report.rows if row.status == "kept"] == [
        "m/0.weight",
        "m/0.bias",
        "m/1.bias",
        "m/2.weight",
    ]


def test_another_dtype_is_a_mismatch():
    with pytest.raises(MismatchError, match=r"m/weight: saved as float32\[2, 2\], the program has bfloat16\[2, 2\]"):
        roundtrip({"m": torch.nn.Linear(2, 2)}, {"m": torch.nn.Linear(2, 2, dtype=torch.bfloat16)})


def test_extra_state():
    class Extra(torch.nn.Module):
        held = None

        def get_extra_state(self):
            return self.held

        def set_extra_state(self, state):
            self.held = state

    saved, live = Extra(), Extra()
    saved.held = {"n": [1, torch.ones(2)]}
    live.held = {}
    roundtrip({"m": saved}, {"m": live})
    assert live.held["n"][0] == 1
    assert live.held["n"][1].tolist() == [1, 1]


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam-foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "adam-fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True),
    "lbfgs": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3),
    "tensor-lr": lambda p: torch.optim.SGD(p, lr=torch.tensor(0.05)),
}
SCHEDULERS = {
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20),
    "onecycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=40),
    "lambda": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "multistep": lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 5]),
    "plateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=1),
    "sequential": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o,
        [torch.optim.lr_scheduler.ConstantLR(o, 0.5), torch.optim.lr_scheduler.ExponentialLR(o, 0.9)],
        milestones=[3],
    ),
}


def made(optimizer, scheduler, dtype, seed):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 2)
    ).to(dtype)
    chosen = OPTIMIZERS[optimizer](model.parameters())
    return {
        "model": model,
        "optimizer": chosen,
        "scheduler": SCHEDULERS[scheduler](chosen),
        "scaler": torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2),
        "generator": torch.Generator().manual_seed(seed),
        "rng": RNG(),
    }


def train(state, steps, *, scaled):
    model, optimizer, scaler = state["model"], state["optimizer"], state["scaler"]
    dtype = next(model.parameters()).dtype
    losses = []
    for _ in range(steps):
        x = torch.randn(6, 4, generator=state["generator"]).to(dtype)

        def closure(x=x):
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            (scaler.scale(loss) if scaled else loss).backward()
            return loss

        if scaled:
            loss = closure()
            scaler.step(optimizer)
            scaler.update()
        else:
            loss = optimizer.step(closure)
        scheduler = state["scheduler"]
        is_plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
        scheduler.step(*([float(loss)] if is_plateau else []))
        losses.append(bits(loss.float()))
    return losses


def everything(state):
    found = [bits(value) for value in state["model"].state_dict().values()]
    for values in state["optimizer"].state.values():
        found += [(key, value.dtype, bits(value)) for key, value in values.items() if isinstance(value, torch.Tensor)]
    return found, str(state["scheduler"].state_dict()), str(state["scaler"].state_dict())


@pytest.mark.parametrize(
    ("optimizer", "scheduler", "dtype"),
    [(name, "cosine", "float32") for name in OPTIMIZERS]
    + [("adamw", name, "float32") for name in SCHEDULERS]
    + [
        ("adam-foreach", "cosine", "bfloat16"),
        ("sgd", "onecycle", "bfloat16"),
        ("adamw", "cosine", "float64"),
    ],
)
@pytest.mark.filterwarnings(
    "ignore:.*epoch parameter in `scheduler.step", "ignore:Detected call of", "ignore:Converting a tensor"
)
def test_training_goes_on_bit_identically(optimizer, scheduler, dtype):
    scaled = optimizer != "lbfgs" and dtype == "float32"
    dtype = getattr(torch, dtype)
    undisturbed = made(optimizer, scheduler, dtype, 1)
    train(undisturbed, 4, scaled=scaled)
    checkpoint = Saved(undisturbed)
    expected = train(undisturbed, 5, scaled=scaled)
    for steps_before in (0, 3):
        live = made(optimizer, scheduler, dtype, 2)
        parameters = list(live["model"].parameters())
        train(live, steps_before, scaled=scaled)
        held = dict(live)
        checkpoint.into(live)
        assert all(live[name] is held[name] for name in held)
        assert all(a is b for a, b in zip(live["model"].parameters(), parameters, strict=True))
        assert train(live, 5, scaled=scaled) == expected
        assert everything(live) == everything(undisturbed)


def test_float32_state_of_a_bfloat16_parameter_is_not_cast():
    def state(seed):
        torch.manual_seed(seed)
        parameter = torch.nn.Parameter(torch.randn(5, dtype=torch.bfloat16))
        optimizer = torch.optim.Adam([parameter])
        optimizer.state[parameter] = {
            "step": torch.tensor(3.0, dtype=torch.float64),
            "exp_avg": torch.randn(5, dtype=torch.float32),
            "nested": {"list": [torch.randn(2, dtype=torch.float64)]},
        }
        return {"optimizer": optimizer}, parameter

    (saved, one), (live, other) = state(1), state(2)
    live["optimizer"].state.clear()
    roundtrip(saved, live)
    expected, found = saved["optimizer"].state[one], live["optimizer"].state[other]
    assert same(found["step"], expected["step"])
    assert same(found["exp_avg"], expected["exp_avg"])
    assert same(found["nested"]["list"][0], expected["nested"]["list"][0])


def test_optimizers_that_do_not_fit():
    def sgd(*shapes, cls=torch.optim.SGD):
        return {"o": cls([torch.nn.Parameter(torch.zeros(shape)) for shape in shapes])}

    with pytest.raises(MismatchError, match=r"o: saved with \[2\] parameters in its groups, the program has \[1\]"):
        roundtrip(sgd(2, 3), sgd(2))
    with pytest.raises(MismatchError, match=r"o: saved as torch.*SGD, the program has torch.*Adam"):
        roundtrip(sgd(2), sgd(2, cls=torch.optim.Adam))


def test_generators_and_the_global_one():
    generator = torch.Generator().manual_seed(4)
    checkpoint = Saved({"g": generator, "rng": RNG()})
    expected = torch.rand(3, generator=generator).tolist(), torch.rand(3).tolist()
    live = torch.Generator()
    checkpoint.into({"g": live, "rng": RNG()})
    assert (torch.rand(3, generator=live).tolist(), torch.rand(3).tolist()) == expected


def test_sizes_dtypes_and_devices():
    saved = {"d": {"s": torch.Size([2, 3]), "t": torch.float32, "d": torch.device("cpu")}}
    live = {"d": {"t": torch.float32, "d": torch.device("cpu")}}
    roundtrip(saved, live)
    assert live["d"] == saved["d"]
    assert type(live["d"]["s"]) is torch.Size


def test_arrays_and_tensors_are_not_exchanged():
    import numpy as np

    with pytest.raises(MismatchError, match=r"u: saved as float64\[2\]; the program has torch.Tensor"):
        roundtrip({"u": np.zeros(2)}, {"u": torch.zeros(2, dtype=torch.float64)})


class Renamed(Tied):
    def __init__(self, seed):
        super().__init__(seed)
        self.tok = self.emb
        del self.emb


def test_a_renamed_layer_with_a_tie_is_a_mismatch_that_can_be_allowed():
    saved = Saved({"model": Tied(1)})
    with pytest.raises(MismatchError, match=r"model/emb.weight: the checkpoint has it, the live object has not"):
        saved.into({"model": Renamed(2)})
    live = Renamed(2)
    saved.into({"model": live}, allow=["model/*"])
    assert torch.equal(live.tok.weight, Tied(1).emb.weight)
    assert live.tok.weight is live.head.weight


def test_parameters_in_a_list_stay_parameters():
    def build(seed):
        torch.manual_seed(seed)
        model = torch.nn.Linear(2, 2)
        parameter = torch.nn.Parameter(torch.randn(2))
        return {"m": model, "params": list(model.parameters()), "p": [parameter], "v": [parameter.data]}

    saved, live = build(1), build(2)
    view = live["v"][0]
    roundtrip(saved, live)
    assert all(a is b for a, b in zip(live["params"], live["m"].parameters(), strict=True))
    assert live["v"][0] is view
    assert not view.requires_grad
    assert torch.equal(view, saved["p"][0])
    assert torch.equal(live["m"].weight, saved["m"].weight)


def test_optimizers_keep_state_that_is_no_tensor():
    def build():
        parameter = torch.nn.Parameter(torch.zeros(2))
        return {"o": torch.optim.SGD([parameter], lr=0.1)}, parameter

    (saved, one), (live, other) = build(), build()
    odd = {"tag": "abc", "raw": b"xy", "list": [1, "b"], "none": None, "in": {"x": torch.ones(2, dtype=torch.float64)}}
    saved["o"].state[one].update(odd)
    roundtrip(saved, live)
    found = dict(live["o"].state[other])
    inner = found.pop("in")
    assert found == {name: value for name, value in odd.items() if name != "in"}
    assert same(inner["x"], odd["in"]["x"])
    assert "parameter_shapes" not in live["o"].state_dict()


def adam(*shapes, names=None):
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
    return {"o": torch.optim.Adam(list(zip(names, parameters, strict=True)) if names else parameters)}


def test_an_optimizer_of_other_parameters_is_a_mismatch():
    with pytest.raises(
        MismatchError, match=r"o: parameter 1 of group 0 has the shape \[5\], it was \[3\] when it was saved"
    ):
        roundtrip(adam(2, 3), adam(2, 5))
    with pytest.raises(MismatchError, match="o: parameter 0 of group 0 is named b, it was a when it was saved; param"):
        roundtrip(adam(2, 2, names=["a", "b"]), adam(2, 2, names=["b", "a"]))
    live = adam(2, 5)
    assert Saved(adam(2, 3)).into(live, allow=["o"]).rows[0].status == "kept"


def test_strided_tensors_are_copied_straight_into_the_snapshot(monkeypatch):
    tensor = torch.arange(24.0).reshape(4, 6).t()
    monkeypatch.setattr(torch.Tensor, "contiguous", None)
    odd = {"b": torch.ones(3, dtype=torch.bool), "t": tensor}
    leaves = {leaf.path: bytes(leaf.data) for leaf in snapshot(odd, Pool()).leaves}
    assert torch.frombuffer(bytearray(leaves["t"]), dtype=torch.float32).tolist() == tensor.flatten().tolist()


def convolutions(seed):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 1))
    model = model.to(memory_format=torch.channels_last)
    return {"model": model, "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3)}


def convolve(state, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        images = torch.randn(4, 3, 9, 9, generator=generator).to(memory_format=torch.channels_last)
        state["optimizer"].zero_grad()
        state["model"](images).pow(2).sum().backward()
        state["optimizer"].step()


def test_channels_last_models_go_on_bit_identically():
    saved, live = convolutions(1), convolutions(2)
    convolve(saved, 3, 1)
    roundtrip(saved, live)
    for one, other in zip(saved["optimizer"].state.values(), live["optimizer"].state.values(), strict=True):
        assert one["exp_avg"].stride() == other["exp_avg"].stride()
    convolve(saved, 10, 2)
    convolve(live, 10, 2)
    pairs = zip(saved["model"].parameters(), live["model"].parameters(), strict=True)
    assert all(same(one, other) for one, other in pairs)


def test_a_new_tensor_keeps_its_layout():
    for tensor in (torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), torch.randn(3, 4).t()):
        made = roundtrip({"d": {"t": tensor}}, {"d": {}})["d"]["t"]
        assert made.stride() == tensor.stride()
        assert same(made, tensor)


def test_frozen_and_unfrozen_parameters_come_back_so():
    saved, live = Tied(1), Tied(2)
    saved.emb.weight.requires_grad_(False)
    saved.norm.bias.requires_grad_(False)
    live.norm.weight.requires_grad_(False)
    extra = torch.zeros(2), torch.zeros(2, requires_grad=True)
    state = {"model": live, "t": extra[0], "u": extra[1]}
    roundtrip({"model": saved, "t": torch.ones(2, requires_grad=True), "u": torch.ones(2)}, state)
    flags = {name: parameter.requires_grad for name, parameter in live.named_parameters()}
    assert flags == {name: parameter.requires_grad for name, parameter in saved.named_parameters()}
    assert not live.head.weight.requires_grad
    assert (extra[0].requires_grad, extra[1].requires_grad) == (True, False)


def test_a_module_with_a_state_dict_of_its_own():
    class Own(torch.nn.Linear):
        def state_dict(self):
            return super().state_dict()

    saved, live = Own(2, 2), Own(2, 2)
    roundtrip({"m": saved}, {"m": live})
    assert torch.equal(saved.weight, live.weight)
    assert live.weight.requires_grad


def test_a_state_dict_kept_beside_the_model_is_detached_and_shares_its_memory():
    model = torch.nn.Linear(2, 2)
    state = roundtrip({"m": model, "d": {"now": dict(model.state_dict())}}, {"m": torch.nn.Linear(2, 2), "d": {}})
    kept = state["d"]["now"]["weight"]
    assert type(kept) is torch.Tensor
    assert not kept.requires_grad
    assert kept.data_ptr() == state["m"].weight.data_ptr()


@pytest.mark.parametrize("compiles", [(True, False), (False, True), (True, True)])
def test_a_compiled_module_is_saved_as_what_it_was_compiled_from(compiles):
    first, second = (
        torch.compile(torch.nn.Linear(2, 2), backend="eager") if compiled else torch.nn.Linear(2, 2)
        for compiled in compiles
    )
    roundtrip({"model": first}, {"model": second})
    assert torch.equal(first.weight, second.weight)
