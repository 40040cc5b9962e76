"""Files of frameworks, whole, torn, and with a flipped bit: what their structure tells, without any code being run."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from outlast.supervise import wholeness

_ARRAY = np.arange(5000, dtype=np.float32)


def _keras(path: Path) -> None:
    weights = path.with_suffix(".h5")
    _h5(weights)
    with zipfile.ZipFile(path, "w") as archive:  # as Keras makes it
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "{}")
        archive.write(weights, "model.weights.h5")
    weights.unlink()


def _h5(path: Path, **options: str) -> None:
    with h5py.File(path, "w", **options) as file:
        file["w"] = _ARRAY


WRITERS = {
    "model.pt": lambda path: torch.save({"w": torch.from_numpy(_ARRAY)}, path),
    "epoch=1-step=20.ckpt": lambda path: torch.save({"state_dict": {"w": torch.ones(3000)}, "epoch": 1}, path),
    "model.safetensors": lambda path: save_file({"w": _ARRAY, "b": _ARRAY[:7]}, path),
    "model.keras": _keras,
    "model.weights.h5": _h5,
    "latest.h5": lambda path: _h5(path, libver="latest"),
    "arrays.npz": lambda path: np.savez(path, w=_ARRAY),
}
_HAVE_CHECKSUMS = ("model.pt", "epoch=1-step=20.ckpt", "model.keras", "arrays.npz")


@pytest.mark.parametrize("name", WRITERS)
def test_a_whole_file_is_whole_and_a_torn_one_is_not(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    assert wholeness.problem_of(str(path)) == ""
    whole = path.read_bytes()
    for length in (0, 1, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert wholeness.problem_of(str(path)), f"{length} of {len(whole)} bytes"


@pytest.mark.parametrize("name", _HAVE_CHECKSUMS)
def test_a_flipped_bit_is_seen_where_the_format_has_checksums(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)
    assert "damaged" in wholeness.problem_of(str(path))


def test_a_superblock_that_a_writer_has_not_closed(tmp_path: Path) -> None:
    path = tmp_path / "open.h5"
    _h5(path, libver="latest")
    raw = bytearray(path.read_bytes())
    raw[8], raw[11] = 3, 1
    path.write_bytes(raw)
    assert wholeness.problem_of(str(path)) == "was not closed by who wrote it"


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit(99)",)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Bomb()))
    torch.save({"bomb": Bomb()}, tmp_path / "new.pt")
    assert wholeness.problem_of(str(tmp_path / "old.pt")) == ""
    assert wholeness.problem_of(str(tmp_path / "new.pt")) == ""


def _hf_folder(path: Path) -> Path:
    path.mkdir()
    save_file({"w": _ARRAY}, path / "model.safetensors")
    torch.save({"lr": 1}, path / "scheduler.pt")
    (path / "config.json").write_text("{}")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": 3}))
    return path


def test_a_folder_of_transformers_is_whole_with_its_last_file(tmp_path: Path) -> None:
    folder = _hf_folder(tmp_path / "checkpoint-3")
    assert wholeness.problem_of(str(folder)) == ""
    (folder / "trainer_state.json").write_text('{"global_st')
    assert wholeness.problem_of(str(folder)) == "trainer_state.json is no JSON, or is cut off"
    (folder / "trainer_state.json").unlink()
    assert wholeness.problem_of(str(folder)) == "has no trainer_state.json, which is written last"


def test_a_folder_lacks_a_shard(tmp_path: Path) -> None:
    folder = _hf_folder(tmp_path / "checkpoint-3")
    table = {"weight_map": {"w": "model-1.safetensors", "v": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(table))
    problem = wholeness.problem_of(str(folder))
    assert problem == "lacks model-1.safetensors, which model.safetensors.index.json names"


def test_a_folder_with_a_torn_file(tmp_path: Path) -> None:
    folder = _hf_folder(tmp_path / "checkpoint-3")
    raw = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(raw[:-4])
    assert wholeness.problem_of(str(folder)).startswith("model.safetensors is torn or damaged")


def test_an_empty_folder(tmp_path: Path) -> None:
    assert wholeness.problem_of(str(tmp_path)) == "is empty"
