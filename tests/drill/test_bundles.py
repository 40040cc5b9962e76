"""Checkpoints of TensorFlow in the drill: compared tensor by tensor, but for what an iterator has read ahead."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import outlast
from outlast.drill import bundles
from outlast.drill.compare import Terms, compare
from outlast.drill.place import Place
from outlast.drill.results import Results, collect

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed here: pip install tensorflow")


def ran(root: Path, value: float = 1.0, *, batches: int = 0) -> Results:
    """A run that was done: two variables, and an iterator that has given so many batches."""
    place = Place(root=str(root), work=str(root / "disk" / "at"), command=())
    iterator = iter(tf.data.Dataset.range(100).shuffle(50, seed=1))
    for _ in range(batches):
        next(iterator)
    variables = {"w": tf.Variable([1.0, value, 3.0]), "word": tf.Variable("a")}
    with outlast.Run(place.store, {"all": tf.train.Checkpoint(it=iterator, **variables)}) as run:
        for _ in run.steps(1):
            pass
    return collect(place, (), stdout=False)


def said(before: Results, after: Results, terms: Terms | None = None) -> list[str]:
    return [f"{one.name}: {one.text}" for one in compare(before, after, terms or Terms())]


def test_what_an_iterator_has_read_ahead_is_no_difference_a_variable_is(tmp_path, monkeypatch):
    first, other = ran(tmp_path / "1"), ran(tmp_path / "2", 1.5, batches=7)
    assert said(first, other) == ["all/w/.ATTRIBUTES/VARIABLE_VALUE: 1 of 3 numbers differ"]
    monkeypatch.setattr(bundles.sys, "executable", "/bin/false")  # nothing that has TensorFlow
    assert [line.partition(":")[0] for line in said(first, other)] == ["all/data", "all/index"]


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "text"),
    [
        (1.0, 1.5, 0.0, "1 of 1 numbers differ"),
        (1.0, 1.5, 0.6, ""),
        (1, 2, 5.0, "1 of 1 numbers differ"),
        ("a", "a", 0.0, ""),
        ("a", "b", 0.0, "1 of 1 numbers differ"),
        (1.0, 1, 0.0, "is int32[], expected float32[]"),
    ],
)
def test_tensors(tmp_path, capsys, old, new, *, tolerance, text):
    for name, value in (("expected", old), ("found", new)):
        tf.train.Checkpoint(v=tf.Variable(value)).write(str(tmp_path / name))
    bundles.main(str(tmp_path), tolerance)
    assert json.loads(capsys.readouterr().out) == ({"v/.ATTRIBUTES/VARIABLE_VALUE": text} if text else {})


def test_tensors_that_one_has_alone(tmp_path, capsys):
    for name, key in (("expected", "a"), ("found", "b")):
        tf.train.Checkpoint(**{key: tf.Variable(1)}).write(str(tmp_path / name))
    bundles.main(str(tmp_path), 0.0)
    told = {name[0]: text for name, text in json.loads(capsys.readouterr().out).items() if name[0] in "ab"}
    assert told == {"a": "is missing", "b": "is not in the undisturbed run"}


def test_the_same_bytes_need_no_tensorflow(tmp_path, monkeypatch):
    first, same = ran(tmp_path / "1"), ran(tmp_path / "2")
    monkeypatch.setattr(bundles, "differing", None)
    assert said(first, same) == []
