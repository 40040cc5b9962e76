"""The reader of shell scripts: every command with where it stands, whatever stands around it."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.errors import UsageError
from outlast.jobscript.catalogue import check, mended
from outlast.jobscript.shell import line_starts, read


def shell(text):
    return read(text, line_starts(text))


def commands(text):
    found = shell(text)
    assert found.troubles == []
    return found.commands


def lines(text):
    return [" ".join(word.value for word in command.words) for command in commands(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b\nc; d & e", ["a b", "c", "d", "e"]),
        ("a && b || c | d |& e", ["a", "b", "c", "d", "e"]),
        ("a \\\n  b\\ c 'd e'\"f $g\" $'h\\'i'", ["a b c d ef $g h'i"]),
        ("a # b\n#c\nd#e", ["a", "d#e"]),
        ("if a; then b; elif c; then d; else e; fi; f", ["a", "b", "c", "d", "e", "f"]),
        ("while a; do b; done < c\nuntil d\ndo e; done", ["a", "b", "d", "e"]),
        ("for i in 1 2; do a; done; for j do b; done; for k\ndo c; done", ["", "a", "", "b", "", "c"]),
        ("for ((i = 0; i < 3; i++)); do a; done; b", ["a", "b"]),
        ("select x in 1 2; do a; done", ["", "a"]),
        ("case $x in a|b) c;; (d) e;& *) f\nesac; g", ["c", "e", "f", "g"]),
        ("case x in esac; a", ["a"]),
        ("{ a; b; }; (c; d)", ["a", "b", "c", "d"]),
        ("f() { a; }\nfunction g { b; }\nfunction h() (c)\nf", ["a", "b", "c", "f"]),
        ("! a; time b", ["a", "b"]),
        ("[[ a < b && (c > d) ]] && e", ["[[ a < b && ( c > d ) ]]", "e"]),
        ("(( a < (b) )) || c", ["(( a < (b) ))", "c"]),
        ("x=(1 2 'a b') y=$((1 + (2))) a", ["a"]),
        ("a <<EOF\nif x; then\nEOF\nb", ["a", "b"]),
        ("a <<-'E F' > b; c\n\tno\n\tE F\nd", ["a", "c", "d"]),
        ("a <<A <<B\n1\nA\n2\nB\nb", ["a", "b"]),
        ("a <<< 'b c'; d", ["a", "d"]),
        ("a >b 2>&1 <c &>>d e", ["a e"]),
        ("exec > >(tee -a log) 2>&1; a", ["exec", "tee -a log", "a"]),
        ("diff <(a b) <(c)", ["diff <(a b) <(c)", "a b", "c"]),
        ('a $(b $(c; d) "$(e)") `f g`', ["a $(b $(c; d) $(e)) `f g`", "b $(c; d) $(e)", "c", "d", "e", "f g"]),
        ("x=$(a) y=`b` c", ["c", "a", "b"]),
        ('a ${b:-$(c)} "${d[@]}" ${e#*)} ${f%\\}}', ["a ${b:-$(c)} ${d[@]} ${e#*)} ${f%}}", "c"]),
        ("a '$(b)' \\$c \"\\$(d) \\`\"", ["a $(b) $c $(d) `"]),
        ("a !(x|y) @(z)*", ["a !(x|y) @(z)*"]),
        ("a $(b ')' c) d; e", ["a $(b ) c) d", "b ) c", "e"]),
        ('a "$(b ")")" c; d', ["a $(b )) c", "b )", "d"]),
        ('a $(b ${c:-)} "d\'") e', ["a $(b ${c:-)} d') e", "b ${c:-)} d'"]),
        ("a $$ $! $ b$; c", ["a $$ $! $ b$", "c"]),
        ("a <<EOF\n\tEOF\nb\nEOF\nc", ["a", "c"]),
        ("a <<EOF\nb\nc", ["a"]),
        ("a 2> b <c d", ["a d"]),
        ("a $'b\\nc' 'd\\e'", ["a bnc d\\e"]),
        ("a \"b 'c $(d)' e\" '$(f)'", ["a b 'c $(d)' e $(f)", "d"]),
        ("a &&\nb ||\n# words\nc |\nd", ["a", "b", "c", "d"]),
    ],
)
def test_commands(text, expected):
    assert sorted(lines(text)) == sorted(expected)


def where(text, name):
    (command,) = [one for one in commands(text) if one.name == name]
    return command


def guards(command):
    return [(guard.kind, guard.text) for guard in command.guards]


def test_lines_and_places():
    text = "a\n\nif b\nthen\n  ccc d\nfi\n"
    command = where(text, "ccc")
    assert (command.line, text[command.start : command.end]) == (5, "ccc d")
    assert [text[word.start : word.end] for word in command.words] == ["ccc", "d"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if a; then x; fi", [("if", "a")]),
        ("if a; then b; elif c && d; then x; fi", [("if", "c && d")]),
        ("if a; then b; elif c; then d; else x; fi", [("else", "c")]),
        ("a && x", [("&&", "a")]),
        ("a && b || x", [("||", "a && b")]),
        ("a ||\n x", [("||", "a")]),
        ("a && b; x", []),
        ("a && b\nx", []),
        ("while a; do x; done", [("loop", "a")]),
        ("for i in 1 2; do x; done", [("loop", "i in 1 2")]),
        ("case $r in 1) a;; 85) x;; esac", [("case", "$r 85")]),
        ("a && { if b; then x; fi; }", [("&&", "a"), ("if", "b")]),
        ("f() { a && x; }", [("&&", "a")]),
        ("if a; then (b; x) fi", [("if", "a")]),
        ("if a; then b; fi && x", [("&&", "if a; then b; fi")]),
    ],
)
def test_guards(text, expected):
    assert guards(where(text, "x")) == expected


def test_branches_exclude_each_other():
    for text in ("if a; then x; elif b; then c; else y; fi", "case a in 1) x;; 2) y;; esac"):
        found = {command.name: command.guards[0] for command in commands(text) if command.guards}
        assert found["x"].of == found["y"].of
        assert found["x"].branch != found["y"].branch


@pytest.mark.parametrize(
    "text", ["x &", "a && x &", "x | a &", "{ a; x; } &", "(x) & b", "for i in 1; do x; done &", "x & a"]
)
def test_in_the_background(text):
    assert where(text, "x").is_background


@pytest.mark.parametrize("text", ["x; a &", "x && a; b &", "a & x", "{ a & x; }", "x &> log", "x\na &"])
def test_in_the_foreground(text):
    assert not where(text, "x").is_background


def test_functions():
    text = "f() { x; }\nfunction g\n{\n  if a; then y; fi\n}\nz\nh()\n(\n w; )\n"
    assert [where(text, name).function for name in "xyzw"] == ["f", "g", "", "h"]
    assert list(shell(text).functions) == ["f", "g", "h"]


@pytest.mark.parametrize(
    ("text", "in_condition", "in_loop"),
    [
        ("if x; then a; fi", True, False),
        ("if a; then x; fi", False, False),
        ("if a; then b; elif x; then c; fi", True, False),
        ("while x; do a; done", True, True),
        ("while a; do x; done", False, True),
        ("while a; do b; done; x", False, False),
    ],
)
def test_conditions_and_loops(text, in_condition, in_loop):
    command = where(text, "x")
    assert (command.in_condition, command.in_loop) == (in_condition, in_loop)


def test_substitutions_stand_where_their_command_does():
    command = where("f() { if a; then b=$(x); fi; }", "x")
    assert (command.in_substitution, command.function, guards(command)) == (True, "f", [("if", "a")])
    assert not where("x $(a)", "x").in_substitution


def test_pipelines():
    one, two, three = (command.pipeline for command in commands("a | b; c"))
    assert one == two != three
    one, two = (command.pipeline for command in commands("a && b"))
    assert one != two


def test_assignments_and_redirections():
    command = where("A=1 B='x y' x C=3 2> err >> \"out file\"", "x")
    assert [(one.name, one.value.value) for one in command.assignments] == [("A", "1"), ("B", "x y")]
    assert [(one.operator, one.target.value) for one in command.redirects] == [(">", "err"), (">>", "out file")]
    assert command.arguments == ("C=3",)
    assert [one.name for one in where("export A=1 B", "export").assignments] == ["A"]
    assert [(one.name, one.value) for one in commands("for i in 1; do a; done")[0].assignments] == [("i", None)]


def test_comments():
    assert [(one.line, one.raw) for one in shell("a # b\n'#c' d#e\n #f\n").comments] == [(1, "# b"), (3, "#f")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nfi\nx", 2),
        ("a\ndone; x", 2),
        ("x; }", 1),
        ("x\n)", 2),
        ("if a; then\nx", 2),
        ("x\nelse b", 2),
        ("x; a '", 1),
        ('x\na "b', 2),
        ("x\na $(b", 2),
        ("x; case a in b; c", 1),
        ("x\na >\nb", 2),
    ],
)
def test_what_is_not_understood_is_said_and_the_rest_is_read(text, line):
    found = shell(text)
    assert found.troubles[0] == line
    assert "x" in [command.name for command in found.commands]


def test_too_many_commands():
    with pytest.raises(UsageError, match="more than 3000 commands"):
        shell("a\n" * 3001)


def test_too_deep():
    with pytest.raises(UsageError, match="line 1: compound commands are nested more than 60 deep"):
        shell("{ " * 100)


_PIECES = """
if then elif else fi while until for do done case in esac
{ } ( ) (( )) [ ] [[ ]] ! ; ;; & && | || |& < > << <<- <<< >& &>
>( <( $( ` " ' \\ $
${ } $(( )) = # #SBATCH #!/bin/bash EOF trap wait exit rm -rf ls head tail sort scontrol requeue
sbatch $0 $SLURM_JOB_ID $SLURM_RESTART_COUNT SLURM_RESTART_COUNT -gt -n 0 1 99 USR1 --signal=B:USR1@60 --requeue
--array=1-9%1 -p x_risk srun python kill -9 $! pid=$! cp $TMPDIR/ckpt --checkpoint-dir=/tmp/x ckpt* f() function x = a
"""
PIECES = st.sampled_from([*_PIECES.split(), "\n", "\r\n", "\t", ""])
SCRIPTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=60).map(" ".join),
    st.lists(PIECES, max_size=60).map(
        lambda pieces: "#!/bin/bash\n#SBATCH -p x_risk --signal=USR1@30\n" + " ".join(pieces)
    ),
)


@settings(max_examples=400, deadline=None)
@given(SCRIPTS)
def test_any_text(text):
    """No text is an accident: it is refused, or judged, and what is mended once stays as it is."""
    text = text.replace("\0", "")
    try:
        report = check(text, "x.sh")
    except UsageError:
        return
    assert all(1 <= one.line <= text.count("\n") + 1 for one in report.findings)
    after = mended(text, "x.sh")
    assert mended(after, "x.sh") == after


@pytest.mark.parametrize(
    "piece",
    [
        "(",
        "$(",
        "${",
        "`",
        '"',
        "'",
        "a $(b `c",
        "case x in ",
        "[[ ",
        "a && ",
        "<<E\n",
        "a=$b$b;b=$a$a\n",
        "#SBATCH -",
        "\\",
    ],
)
def test_hostile_text_is_done_with(piece):
    """As much of it as is taken at all; a time that grows with the square would end at the test's time limit."""
    with contextlib.suppress(UsageError):
        check((piece * 400_000)[:400_000])
