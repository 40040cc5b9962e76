"""export: the arrays in one file that the stock packages open."""

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from cli.kit import arrays, flip, names, snapshot, train
from storekit import content


def final():
    """The arrays as the last checkpoint has them."""
    state = {name: value for name, value in arrays().items() if isinstance(value, np.ndarray)}
    state["w"] += 3
    return state


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape), name
        assert found[name].tobytes() == value.tobytes(), name


def test_safetensors(call, trained, tmp_path):
    out = tmp_path / "out.safetensors"
    found = call("export", out, "--store", trained)
    assert found.status == 0
    assert found.lines == [
        f"{out}: 7 leaves of {names(trained)[0]}, {out.stat().st_size} bytes",
        "as plain bytes, for safetensors does not know their types: z, day",
    ]
    loaded, expected = load_file(out), final()
    for name in ("z", "day"):
        loaded[name] = loaded[name].view(expected[name].dtype)
    same(loaded, expected)
    with safe_open(out, "np") as file:
        assert file.metadata() == {"z": "complex128[1]", "day": "datetime64[D][1]"}


def test_npz(call, trained, tmp_path):
    out = tmp_path / "out.npz"
    assert call("export", out, "--store", trained).status == 0
    with np.load(out, allow_pickle=False) as loaded:
        same(dict(loaded), final())


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
def test_json(call, trained, tmp_path, ending):
    out = tmp_path / f"out.{ending}"
    found = call("export", out, "--store", trained, "--json").json
    assert found == {
        "out": str(out),
        "checkpoint": names(trained)[0],
        "leaves": list(final()),
        "as_bytes": ["z", "day"] if ending == "safetensors" else [],
        "bytes": out.stat().st_size,
    }


def test_texts_are_bytes(call, tmp_path):
    train(tmp_path / "store", {"w": np.ones(1), "t": 0.0, "text": "\u00e4" * 50_000})
    out = tmp_path / "out.npz"
    found = call("export", out, "--store", tmp_path / "store", "--json").json
    assert found["as_bytes"] == ["text"]
    with np.load(out, allow_pickle=False) as loaded:
        assert loaded["text"].tobytes().decode() == "\u00e4" * 50_000


def test_another_checkpoint(call, plain, tmp_path):
    out = tmp_path / "out.npz"
    assert call("export", out, "--store", plain, "-c", "1").status == 0
    with np.load(out, allow_pickle=False) as loaded:
        expected = {name: np.frombuffer(data, np.uint8) for name, data in content(1, frozen=False).items()}
        same(dict(loaded), expected)


@pytest.mark.parametrize(
    ("pattern", "leaves"),
    [("w", ["w"]), ("z*", ["zero_d", "z"]), ("*", list(final()))],
)
def test_only(call, trained, tmp_path, pattern, leaves):
    out = tmp_path / "out.npz"
    assert call("export", out, "--store", trained, "--only", pattern, "--json").json["leaves"] == leaves
    with np.load(out, allow_pickle=False) as loaded:
        assert list(loaded) == leaves


def test_only_nothing(call, trained, tmp_path):
    found = call("export", tmp_path / "out.npz", "--store", trained, "--only", "nothing/*")
    assert found.status == 4
    assert "no leaf matches 'nothing/*'" in found.err
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_nothing_is_overwritten(call, trained, tmp_path, ending, kind):
    out = tmp_path / f"out.{ending}"
    {"file": lambda: out.write_text("mine"), "link": lambda: out.symlink_to("nowhere"), "folder": out.mkdir}[kind]()
    found = call("export", out, "--store", trained)
    assert found.status == 2
    assert f"{out} exists" in found.err
    assert kind != "file" or out.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["out", "out.pt", "out.NPZ", ".npz", "out.npz.gz"])
def test_an_unknown_ending(call, trained, tmp_path, name):
    found = call("export", tmp_path / name, "--store", trained)
    assert found.status == 2
    assert "expected .safetensors or .npz" in found.err
    assert not (tmp_path / name).exists()


def test_a_folder_that_is_not_there(call, trained, tmp_path):
    found = call("export", tmp_path / "none" / "out.npz", "--store", trained)
    assert found.status == 2
    assert f"there is no directory {tmp_path / 'none'}" in found.err


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
def test_damage_is_not_exported(call, plain, tmp_path, ending):
    flip(plain / "step-000000003.a0001" / "part-00000.safetensors", -1)
    found = call("export", tmp_path / f"out.{ending}", "--store", plain)
    assert found.status == 3
    assert "leaf t" in found.err or "t:" in found.err
    assert not list(tmp_path.glob("*out*"))
    assert call("export", tmp_path / f"out.{ending}", "--store", plain, "--only", "model/*").status == 0


@pytest.mark.parametrize("options", [["-c", "77"], ["--store", "none"]])
def test_what_is_not_there(call, trained, tmp_path, options):
    store = [] if "--store" in options else ["--store", trained]
    assert call("export", tmp_path / "out.npz", *store, *options).status == 4
    assert not (tmp_path / "out.npz").exists()


def test_the_store_may_come_from_the_environment(call, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("OUTLAST_STORE", str(trained))
    before = snapshot(trained)
    assert call("export", tmp_path / "out.npz").status == 0
    assert snapshot(trained) == before


def test_no_out_is_status_2(call, trained):
    assert call("export", "--store", trained).status == 2
