"""Every rule against scripts like those in the wild: the mistake is found where it is, a correct script left alone."""

import re
import subprocess
from pathlib import Path

import pytest

from outlast.jobscript.catalogue import RULES, check, mended

EXAMPLES = sorted((Path(__file__).parent / "examples").iterdir())
BAD = [path for path in EXAMPLES if "-bad" in path.name]
GOOD = [path for path in EXAMPLES if "-good" in path.name]
# `# <- J3` at a line's end says what is found there
MARKED = re.compile(r"# <- (J\d+)")


def found(text, name):
    report = check(text, name)
    assert report.troubles == ()
    return [(one.line, one.rule.id) for one in report.findings]


def marked(text):
    lines = enumerate(text.splitlines(), 1)
    return [(number, one) for number, line in lines for one in MARKED.findall(line)]


def rule_of(path):
    return f"J{int(path.name[1:3])}"


def compiles(text):
    return subprocess.run(["bash", "-O", "extglob", "-n"], input=text.encode(), check=False, capture_output=True)


def test_every_example_is_bad_or_good():
    assert sorted([*BAD, *GOOD]) == EXAMPLES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_a_bad_and_a_good_example(rule):
    assert any(rule_of(path) == rule.id for path in BAD)
    assert any(path.name.startswith(f"J{int(rule.id[1:]):02}-good") for path in GOOD)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad(path):
    text = path.read_text()
    assert found(text, path.name) == marked(text)
    assert rule_of(path) in {rule for _, rule in marked(text)}


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good(path):
    text = path.read_text()
    assert found(text, path.name) == []
    assert mended(text, path.name) == text


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_mended(path):
    """What can be mended is gone afterwards, nothing else; nothing new is found; a second time nothing changes."""
    text = path.read_text()
    after = mended(text, path.name)
    left = [one.rule.id for one in check(text, path.name).findings if not one.hit.is_mendable]
    assert [rule for _, rule in found(after, path.name)] == left
    assert mended(after, path.name) == after


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.fixes], ids=lambda rule: rule.id)
def test_what_is_said_to_be_mended_is(rule):
    texts = [path.read_text() for path in BAD if rule_of(path) == rule.id]
    hits = [one.hit for text in texts for one in check(text).findings if one.rule.id == rule.id]
    assert any(hit.is_mendable for hit in hits)


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.fixes], ids=lambda rule: rule.id)
def test_what_is_not_said_to_be_mended_is_not(rule):
    texts = [path.read_text() for path in BAD if rule_of(path) == rule.id]
    hits = [one.hit for text in texts for one in check(text).findings if one.rule.id == rule.id]
    assert not any(hit.is_mendable for hit in hits)


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.suffix == ".sh"], ids=lambda path: path.stem)
def test_a_shell_takes_it(path):
    """The examples, and what is made of them."""
    text = path.read_text()
    for one in (text, mended(text, path.name)):
        done = compiles(one)
        assert (done.returncode, done.stderr) == (0, b"")
