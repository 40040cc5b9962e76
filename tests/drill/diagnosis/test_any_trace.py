"""Whatever stands in a trace, the diagnosis comes to an end and names a cause that it knows."""

from __future__ import annotations

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from drill.diagnosis.made import KINDS
from outlast.drill.diagnosis import CAUSES, Ended, Outcome, Wound, diagnose, noisy
from outlast.drill.trace import Attempt, FileOp, Handler, Load, Look, Moved, Restored, Save, Step, Trace
from outlast.drill.trace.reading import parse, printed

PATHS = st.sampled_from(["/w/a", "/w/b.new", "/w/d/c", ""])
TEXTS = st.sampled_from(["#a", "#b", "#c", "0.1", "1.0", "~d", "nan"])
LEAVES = st.dictionaries(st.sampled_from([*KINDS, "outside:x", "rng:cuda:0", "strange"]), TEXTS, max_size=6)
BATCHES = st.lists(TEXTS, max_size=3).map(tuple)
NUMBERS = st.integers(-1, 6)
EVENTS = st.one_of(
    st.builds(
        Step,
        step=NUMBERS,
        by=st.sampled_from(["note", "run", "line", "optimizer"]),
        leaves=LEAVES,
        batches=BATCHES,
        before=LEAVES,
    ),
    st.builds(Save, path=PATHS, how=st.just("x"), leaves=LEAVES, in_handler=st.booleans()),
    st.builds(Load, path=PATHS, how=st.just("x"), leaves=LEAVES, error=st.sampled_from(["", "EOFError: torn"])),
    st.builds(
        FileOp,
        op=st.sampled_from(["write", "append", "rename", "remove", "mkdir"]),
        path=PATHS,
        to=PATHS,
        was=st.booleans(),
    ),
    st.builds(Look, path=PATHS, found=st.booleans()),
    st.builds(Moved, name=st.sampled_from(["rng:torch", "rng"]), kind=st.just("rng"), way=st.just("given")),
    st.builds(Restored, step=NUMBERS),
    st.builds(Handler, signal=st.just(15), name=st.sampled_from(["hear", "0"])),
)
ATTEMPTS = st.builds(Attempt, key=st.just("k"), events=st.lists(EVENTS, max_size=12).map(tuple))
TRACES = st.builds(Trace, attempts=st.lists(ATTEMPTS, max_size=3).map(tuple), kinds=st.just(KINDS))
SAID = st.sampled_from(
    ["", "KeyError: 'x'", "FileExistsError: x", "DataLoader worker (pid 1) is killed", "weights_only"]
)
ENDS = st.builds(Ended, status=st.sampled_from([0, 1, 85, 137, 143]), said=SAID, wounded=st.booleans())
OUTCOMES = st.builds(
    Outcome,
    wound=st.sampled_from(get_args(Wound)),
    attempts=st.lists(ENDS, max_size=4).map(tuple),
    trace=TRACES,
    differing=st.lists(st.sampled_from(["a", "d/c", "w"]), max_size=2).map(tuple),
    done=st.booleans(),
    script=st.sampled_from(["", 'RNGkind(normal.kind = "Box-Muller")']),
    language=st.sampled_from(["", "r", "m"]),
)


@settings(max_examples=400, deadline=None)
@given(TRACES, OUTCOMES)
def test_any_trace(reference, outcome):
    finding = diagnose(reference, outcome, noisy(reference, outcome.trace))
    if finding is None:
        assert outcome.wound == "after-done" or (not outcome.differing and outcome.done) or outcome.wound == "none"
    else:
        assert finding.cause in CAUSES
        assert finding.text
        assert finding.document()["cause"] == finding.cause


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([
    b'{"e": "step", "p": 1, "a": "k", "step": 3, "by": "line", "leaves": {"w": "#1"}}',
    b'{"e": "step", "p": 1, "a": "k", "step": "x", "by": "line"}',
    b'{"e": "step", "p": 1, "a": "k", "step": 3',
    b'{"e": "kinds", "p": 1, "a": "k", "kinds": {"w": "array"}}',
    b'{"e": "kinds", "p": 1, "a": "k"}',
    b'{"e": "unheard of", "p": 1, "a": "k"}',
    b'{"e": "step", "p": 1, "a": "k", "step": 3, "by": "me", "leaves": [1]}',
    b'{"e": "file", "p": 1, "a": "k", "op": "write"}',
]))))  # fmt: skip
def test_any_lines(lines):
    found = parse(lines)
    assert sum(len(attempt.events) for attempt in found.attempts) <= len(lines)


@given(st.lists(st.text(max_size=60), max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_output(texts):
    assert len(printed(texts).attempts) == len(texts)
