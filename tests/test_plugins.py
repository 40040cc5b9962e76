"""Entry points that are read by hand are those that importlib.metadata finds."""

import sys
import zipfile
from importlib.metadata import entry_points as all_entry_points

import pytest

from outlast import plugins

GROUPS = ("outlast.adapters", "outlast.schedulers", "outlast.engines", "console_scripts", "pytest11", "absent.group")
TEXT = """
# a comment = not one
[other.group]
a = other:a
[our.group]
x = our_plugin:VALUE
y = our_plugin : Inner.VALUE [extra]
z=our_plugin
"""


def package(folder, name, text=TEXT):
    folder.mkdir(exist_ok=True)
    (folder / name).mkdir()
    (folder / name / "entry_points.txt").write_text(text)
    (folder / name / "METADATA").write_text(f"Name: {name.partition('-')[0]}\nVersion: 1\n")


@pytest.mark.parametrize("group", GROUPS)
def test_of_what_is_installed_the_same_is_found(group):
    expected = sorted((one.name, one.value) for one in all_entry_points(group=group))
    assert sorted(plugins.entry_points(group)) == expected


def test_what_a_package_offers_is_loaded(tmp_path, monkeypatch):
    package(tmp_path, "our_plugin-1.dist-info")
    (tmp_path / "our_plugin.py").write_text("VALUE = 1\nclass Inner:\n    VALUE = 2\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    points = plugins.entry_points("our.group")
    assert [one.name for one in points] == ["x", "y", "z"]
    assert [one.load() for one in points] == [1, 2, sys.modules["our_plugin"]]
    with pytest.raises(AttributeError):
        plugins.EntryPoint("x", "our_plugin:absent").load()


def test_of_a_package_in_two_folders_the_first_one_counts(tmp_path, monkeypatch):
    package(tmp_path / "first", "Our.Plugin-2.dist-info", "[our.group]\nnew = m:a\n")
    package(tmp_path / "second", "our_plugin-1.dist-info", "[our.group]\nold = m:a\n")
    package(tmp_path / "third", "our_plugin.egg-info", "[our.group]\nolder = m:a\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / name) for name in ("absent", "first", "second", "third")])
    assert [one.name for one in plugins.entry_points("our.group")] == ["new"]
    assert [one.name for one in all_entry_points(group="our.group")] == ["new"]


def test_a_package_in_an_archive_is_found(tmp_path, monkeypatch):
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("our_plugin-1.dist-info/entry_points.txt", TEXT)
        file.writestr("our_plugin-1.dist-info/METADATA", "Name: our_plugin\nVersion: 1\n")
    monkeypatch.setattr(sys, "path", [str(archive)])
    assert [one.name for one in plugins.entry_points("our.group")] == ["x", "y", "z"]
