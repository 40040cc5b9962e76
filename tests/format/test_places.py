"""Paths of a tree's nodes: S-41. What a hostile tree would make them cost is reckoned before one is made."""

from __future__ import annotations

import pytest

from outlast.errors import DamageError
from outlast.format import places
from outlast.format.places import by_path, check_lengths


def deep(depth: int, inner: object) -> object:
    for _ in range(depth):
        inner = {"k" * 250: inner}
    return inner


def test_many_values_deep_below_long_keys_are_refused_s41():
    check_lengths({"m": deep(90, [])})
    check_lengths({"m": {f"layer{number}.weight": {"$": "array", "leaf": "x"} for number in range(100_000)}})
    with pytest.raises(DamageError, match="the paths of the tree's values have more than 134217728 characters"):
        check_lengths({"m": deep(90, [[0]] * 10_000)})


@pytest.mark.parametrize(("key", "chars"), [("k", 3), ("k" * 200, 256), (1, 24), ({"$": "tuple", "items": []}, 256)])
def test_how_long_a_key_may_become_s41(key, chars, monkeypatch):
    tree = {"m": {"$": "dict", "items": [[key, 0], [key, 1]]}}
    monkeypatch.setattr(places, "MAX_PATHS_CHARS", 3 + 2 * (3 + chars))
    check_lengths(tree)
    monkeypatch.setattr(places, "MAX_PATHS_CHARS", 2 + 2 * (3 + chars))
    with pytest.raises(DamageError, match="characters together"):
        check_lengths(tree)


def test_only_what_a_tie_names_is_kept_s41():
    tree = {"a": [[1], {"b": [2]}], "c": {"$": "same", "path": "a/1/b"}, "d": {"$": "same", "path": "a"}}
    assert by_path(tree) == {"a": tree["a"], "a/1/b": [2]}
