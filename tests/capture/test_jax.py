"""JAX: every dtype to the bit, snapshots that copy nothing, keys, shardings, what cannot be captured."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from capture.kit import Saved, roundtrip
from outlast import capture
from outlast.capture import Pool, snapshot
from outlast.capture.walk import Walk
from outlast.errors import CaptureError, DamageError, MismatchError

FLAG = "--xla_force_host_platform_device_count=4"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAG}".strip()  # read when JAX first looks for devices
jax = pytest.importorskip("jax", reason="JAX is not installed here: pip install jax")
jnp = jax.numpy

pytestmark = pytest.mark.jax

DTYPES = [
    name
    for name in (
        "bool", "int8", "int16", "int32", "uint8", "uint16", "uint32", "float16", "float32", "complex64", "bfloat16",
        "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu",
    )
    if hasattr(jnp, name)
]  # fmt: skip


@pytest.fixture(autouse=True)
def adapters():
    capture.snapshots.KINDS.refresh()


def bits(array) -> bytes:
    return np.asarray(array).tobytes()


def same(one, other) -> bool:
    if isinstance(one, int):
        return one == other
    return (one.dtype, one.shape, one.weak_type) == (other.dtype, other.shape, other.weak_type) and bits(one) == bits(
        other
    )


def filled(name: str) -> Any:
    """Return an array that holds every byte, those of NaNs with a payload among them."""
    dtype = np.dtype(getattr(jnp, name))
    raw = np.arange(0, 512 * dtype.itemsize, dtype=np.int64).astype(np.uint8)
    raw = raw % 2 if name == "bool" else raw
    return jax.device_put(raw.view(dtype).reshape(32, -1))


def leaves_of(value: Any) -> list[Any]:
    walk = Walk(capture.snapshots.KINDS)
    walk.tree({"x": value})
    return walk.pending


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_goes_there_and_back_to_the_bit(name: str) -> None:
    for saved in (filled(name), filled(name)[0, 0], filled(name)[:0], filled(name).T):
        live = {"x": jnp.zeros(saved.shape, saved.dtype), "d": {}, "l": [jnp.ones(saved.shape, saved.dtype)]}
        restored = roundtrip({"x": saved, "d": {"new": saved + 0}, "l": [saved]}, live)
        assert same(restored["x"], saved)
        assert same(restored["d"]["new"], saved + 0)
        assert same(restored["l"][0], saved)


@pytest.mark.parametrize("name", DTYPES)
def test_numpy_arrays_have_these_dtypes_too(name: str) -> None:
    saved = np.asarray(filled(name))
    live = roundtrip({"x": saved, "d": {"new": saved}}, {"x": np.zeros_like(saved), "d": {}})
    assert live["x"].dtype == live["d"]["new"].dtype == saved.dtype
    assert bits(live["x"]) == bits(live["d"]["new"]) == bits(saved)


def test_a_nan_keeps_its_payload() -> None:
    saved = jax.device_put(np.array([0x7F800001, 0xFFC12345, 0x80000000], np.uint32).view(np.float32))
    assert bits(roundtrip({"x": saved}, {"x": jnp.zeros(3)})["x"]) == bits(saved)


def test_wide_numbers_need_the_switch_that_the_saved_program_had() -> None:
    jax.config.update("jax_enable_x64", True)
    try:
        saved = Saved({"d": {"x": jnp.arange(3.0)}, "i": jnp.arange(3)})
        live = {"d": {}, "i": jnp.zeros(3, jnp.int64)}
        saved.into(live)
        assert (live["d"]["x"].dtype, live["i"].dtype) == (np.float64, np.int64)
    finally:
        jax.config.update("jax_enable_x64", False)
    with pytest.raises(MismatchError, match="jax_enable_x64"):
        saved.into(live | {"d": {}})


def test_weak_types_stay_weak_and_strong_ones_strong() -> None:
    weak = jnp.broadcast_to(jnp.asarray(1.5), (3,)).at[1].set(2.5)
    assert weak.weak_type
    state = {"weak": weak, "one": jnp.asarray(3), "complex": jnp.asarray(2j), "strong": jnp.arange(3)}
    live = {"weak": jnp.zeros(3), "one": jnp.int32(0), "complex": jnp.asarray(0j), "strong": jnp.asarray([1, 2, 3])}
    restored = roundtrip(state, dict(live))
    assert [name for name, array in restored.items() if array.weak_type] == ["weak", "one", "complex"]
    assert all(same(restored[name], state[name]) for name in state)
    assert bits(restored["weak"]) == bits(weak)


def test_a_snapshot_keeps_the_memory_itself_and_copies_nothing() -> None:
    array = jnp.arange(1000.0)
    (leaf,) = leaves_of(array)
    assert leaf.address == array.unsafe_buffer_pointer()
    assert leaf.owner.nbytes == leaf.size_bytes == 4000
    pool = Pool()
    (kept,) = snapshot({"x": array}, pool).leaves
    assert np.shares_memory(np.asarray(kept.data), np.asarray(array))
    assert kept.data.readonly
    assert pool.capacity_bytes == 0


@pytest.mark.parametrize("end", ["donated", "deleted", "forgotten"])
def test_kept_memory_is_never_used_again_by_the_program(end: str) -> None:
    array = jnp.arange(100_000.0) * 3
    expected = bits(array)
    (leaf,) = snapshot({"x": array}, Pool()).leaves
    if end == "donated":
        jax.jit(lambda x: x + 1, donate_argnums=0)(array).block_until_ready()
    if end == "deleted":
        array.delete()
    del array
    others = [jnp.full(100_000, float(number)).block_until_ready() for number in range(10)]
    assert len(others) == 10
    assert bytes(leaf.data) == expected


def test_what_has_changed_since_is_told_of_kept_ones_too() -> None:
    pool, array = Pool(), jnp.zeros(1 << 19)  # two chunks
    assert snapshot({"x": array}, pool).since is None
    taken = snapshot({"x": array}, pool)
    assert (taken.since, taken.changed) == (1, {"x": bytes([0, 0])})
    array = array.at[-1].set(1)
    taken = snapshot({"x": array}, pool)
    assert (taken.since, taken.changed) == (2, {"x": bytes([0, 1])})
    assert bytes(taken.leaves[0].data) == bits(array)


def test_copying_gives_the_same_bytes() -> None:
    for array in (filled("bfloat16"), jnp.asarray(2.5), jax.random.key(4)):
        (leaf,) = leaves_of(array)
        out = bytearray(leaf.size_bytes)
        leaf.copy(memoryview(out))
        assert bytes(out) == bits(array if leaf.owner is not None else jax.random.key_data(array))


class Moments(NamedTuple):
    """As Optax's states are."""

    count: Any
    mu: Any
    nu: Any


class Empty(NamedTuple):
    """As Optax's EmptyState."""


@dataclass(frozen=True)
class Model:
    """As Equinox's modules and Flax's TrainState are: frozen, replaced as a whole."""

    weight: Any
    opt_state: Any
    step: int


jax.tree_util.register_dataclass(Model, ["weight", "opt_state", "step"], [])


def test_trees_of_arrays_are_put_together_again() -> None:
    def tree(number: float) -> dict[str, Any]:
        params = {"dense": {"kernel": jnp.full((3, 2), number), "bias": jnp.full(2, number)}}
        moments = Moments(jnp.int32(number), params, jax.tree.map(lambda x: x * 2, params))
        return {
            "params": params,
            "opt": (Empty(), (moments, Empty())),
            "model": Model(jnp.full(3, number), moments, int(number)),
        }

    saved, live = tree(5), tree(0)
    restored = roundtrip(saved, live)
    assert jax.tree.structure(restored) == jax.tree.structure(saved)
    assert all(map(same, jax.tree.leaves(restored), jax.tree.leaves(saved)))
    assert type(restored["opt"][1][0]) is Moments
    assert replace(restored["model"], step=0).step == 0


def test_one_array_at_two_places_is_saved_once_and_may_part_later() -> None:
    shared = jnp.arange(3.0)
    assert [leaf.path for leaf in leaves_of([shared, shared])] == ["x/0"]
    saved = Saved({"net": jnp.arange(3.0), "target": jnp.arange(3.0) + 1})  # no longer one, as in a target network
    live = {"net": shared, "target": shared}
    saved.into(live)
    assert live["target"].tolist() == [1, 2, 3]
    assert live["net"].tolist() == [0, 1, 2]
    assert shared.tolist() == [0, 1, 2]


def test_another_shape_or_dtype_is_a_mismatch() -> None:
    saved = Saved({"p": {"x": jnp.zeros(3)}})
    for live in (jnp.zeros(4), jnp.zeros(3, jnp.int32), np.zeros(3, np.float32)):
        with pytest.raises(MismatchError, match="p/x"):
            saved.into({"p": {"x": live}})
    with pytest.raises(MismatchError, match="p/x"):
        Saved({"p": {"x": np.zeros(3, np.float32)}}).into({"p": {"x": jnp.zeros(3)}})


def test_what_the_run_itself_has_made_of_it_is_restored() -> None:
    def began() -> dict[str, Any]:
        return {"losses": jnp.zeros(1), "best": 0.0, "lr": jnp.float32(1), "was": np.zeros(2)}

    saved = Saved(
        {"losses": jnp.arange(3.0), "best": jnp.float32(2), "lr": 0.5, "was": jnp.ones(2)}, capture.outline(began())
    )
    live = began()
    saved.into(live)
    assert live["losses"].tolist() == [0, 1, 2]
    assert same(live["best"], jnp.float32(2))
    assert live["lr"] == 0.5
    assert same(live["was"], jnp.ones(2))


def test_keys_go_on_where_they_were() -> None:
    key = jax.random.split(jax.random.key(7))[0]
    keys = jax.random.split(jax.random.key(8, impl="rbg"), 3)
    state = {"key": key, "keys": keys, "raw": jax.random.PRNGKey(9), "d": {"new": key}}
    live = {
        "key": jax.random.key(0),
        "keys": jax.random.split(jax.random.key(0, impl="rbg"), 3),
        "raw": jax.random.PRNGKey(0),
        "d": {},
    }
    restored = roundtrip(state, live)
    assert restored["key"].dtype == restored["d"]["new"].dtype == key.dtype
    assert restored["keys"].dtype == keys.dtype
    assert bits(jax.random.normal(restored["key"], 5)) == bits(jax.random.normal(key, 5))
    assert bits(jax.random.normal(restored["d"]["new"], 5)) == bits(jax.random.normal(key, 5))
    assert bits(jax.random.normal(restored["keys"][2], 5)) == bits(jax.random.normal(keys[2], 5))
    assert bits(restored["raw"]) == bits(state["raw"])


@pytest.mark.parametrize(
    ("saved", "live", "said"),
    [
        ("rbg", "unsafe_rbg", "saved as random keys of 'rbg', the program has random keys of 'unsafe_rbg'"),
        ("threefry2x32", "", "saved as random keys of 'threefry2x32', the program has numbers"),
        ("", "threefry2x32", "saved as numbers, the program has random keys of 'threefry2x32'"),
    ],
)
def test_keys_of_another_implementation_are_a_mismatch(saved: str, live: str, said: str) -> None:
    def key(impl: str) -> Any:
        return jax.random.key(0, impl=impl) if impl else jax.random.PRNGKey(0)

    with pytest.raises(MismatchError, match=said):
        Saved({"k": [key(saved)]}).into({"k": [key(live)]})


def test_a_name_from_a_file_is_not_looked_up() -> None:
    saved = Saved({"d": {"k": jax.random.key(0)}})
    saved.tree["d"]["k"]["impl"] = "philox"
    with pytest.raises(MismatchError, match="have one there before the restore"):
        saved.into({"d": {}})
    for wrong in (3, ["rbg"]):
        saved.tree["d"]["k"]["impl"] = wrong
        with pytest.raises(DamageError, match="impl"):
            saved.into({"d": {}})
    saved.tree["d"]["k"]["impl"] = "rbg"
    with pytest.raises(DamageError, match="cannot be random keys of 'rbg'"):
        saved.into({"d": {}})
    saved.tree["d"]["k"] = {"$": "jax.array", "leaf": "d/k", "weak_type": 1}
    with pytest.raises(DamageError, match="weak_type"):
        saved.into({"d": {}})


def mesh() -> Any:
    return jax.sharding.Mesh(np.array(jax.devices()).reshape(2, 2), ("a", "b"))


@pytest.mark.parametrize("spec", [("a", "b"), ("b", None), (None, None), (("a", "b"), None)])
def test_shards_are_gathered_and_put_where_the_live_ones_are(spec: tuple[Any, ...]) -> None:
    sharding = jax.sharding.NamedSharding(mesh(), jax.sharding.PartitionSpec(*spec))
    saved = jax.device_put(jnp.arange(32.0).reshape(4, 8), sharding)
    restored = roundtrip(
        {"x": saved, "y": saved + 1}, {"x": jnp.zeros((4, 8)), "y": jax.device_put(saved * 0, sharding)}
    )
    assert same(restored["x"], saved)
    assert same(restored["y"], saved + 1)
    assert restored["y"].sharding == sharding
    assert restored["x"].sharding == jnp.zeros(1).sharding


def test_only_what_was_committed_to_a_device_is_so_again() -> None:
    far = jax.devices()[1]
    live = {
        "free": jnp.zeros(3),
        "bound": jax.device_put(jnp.zeros(3), far),
        "key": jax.device_put(jax.random.key(0), far),
    }
    roundtrip({"free": jnp.ones(3), "bound": jnp.ones(3), "key": jax.random.key(1)}, live)
    assert (live["free"].committed, live["bound"].committed) == (False, True)
    assert live["bound"].devices() == live["key"].devices() == {far}
    assert (live["free"] + live["bound"]).devices() == {far}  # would fail if both were bound, to different ones


def test_what_cannot_be_captured_is_said_with_a_remedy() -> None:
    gone = jnp.zeros(3) + 1
    gone.delete()
    with pytest.raises(CaptureError, match="s/w is an array that has been deleted, or donated") as caught:
        snapshot({"s": {"w": gone}}, Pool())
    assert "what that function returned" in caught.value.hint
    with pytest.raises(CaptureError, match="s/w has the dtype int4"):
        snapshot({"s": {"w": jnp.zeros(3, jnp.int4)}}, Pool())
    with pytest.raises(CaptureError, match="is a tracer"):
        jax.jit(lambda x: snapshot({"s": x}, Pool()) and x)(jnp.zeros(3))


def test_parts_of_other_processes_are_refused() -> None:
    class Elsewhere:
        """What an array looks like of which this process holds a part: that takes several machines."""

        is_fully_addressable = is_fully_replicated = False

        def is_deleted(self) -> bool:
            return False

    adapter = capture.registry.REGISTRY.leaf("jax.array")
    with pytest.raises(capture.adapter.Refused, match="other processes hold parts") as caught:
        adapter.attributes(Elsewhere())
    assert "process_allgather" in caught.value.remedy


def test_a_live_array_that_was_donated_still_tells_where_the_new_one_goes() -> None:
    live = {"x": jax.device_put(jnp.zeros(3), jax.devices()[1])}
    saved = Saved({"x": jnp.ones(3)})
    live["x"].delete()
    saved.into(live)
    assert live["x"].devices() == {jax.devices()[1]}


@jax.jit
def jitted(x: Any) -> Any:
    return x


def test_jitted_functions_are_part_of_the_program() -> None:
    state = {"f": {"apply": jitted}}
    assert roundtrip(state, {"f": {"apply": jitted}})["f"]["apply"] is jitted
    with pytest.raises(MismatchError, match="jitted"):
        Saved(state).into({"f": {"apply": jax.jit(np.sin)}})
    held = jnp.zeros(3)
    with pytest.raises(CaptureError, match="captured variables"):
        snapshot({"f": {"apply": jax.jit(lambda x: x + held)}}, Pool())


def test_an_array_inside_a_partial_is_state_and_is_refused() -> None:
    with pytest.raises(CaptureError, match="partial that holds"):
        snapshot({"f": [functools.partial(np.add, jnp.zeros(3))]}, Pool())
