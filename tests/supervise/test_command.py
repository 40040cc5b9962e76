"""What the command is given, and what it is not (spec/process-v1.md, 2 and 3)."""

import os
import signal
import stat
import subprocess

SHOW_ARGUMENTS = "say([os.fsencode(a) for a in sys.argv[1:]])"


def test_arguments_arrive_byte_for_byte(rig):
    """PR-1."""
    arguments = [
        b"",
        b" ",
        b"a b",
        b"line\nbreak\r\n\t",
        b"'\"\\$HOME `id` *",
        b"\xff\xfe\x80",
        b"--",
        b"-c",
        b"\xe2\x82\xac",
    ]
    one = rig.start([*map(os.fsencode, rig.program(SHOW_ARGUMENTS)), *arguments])
    assert one.status() == 0
    assert one.line() == str(arguments)


def test_arguments_arrive_byte_for_byte_under_the_c_locale(rig):
    one = rig.start([*rig.program(SHOW_ARGUMENTS), b"\xff\xc3\xa9"], env={"LC_ALL": "C", "LANG": "C"})
    assert one.status() == 0
    assert one.line() == str([b"\xff\xc3\xa9"])


def test_environment_arrives_byte_for_byte_and_with_nothing_but_the_protocol(rig):
    env = {"LANG": "C", "STRANGE": "a\nb=\udcff", "OUTLAST_OTHER": "kept"}
    sent = rig.environment(**env)
    for name in ("LC_ALL", "LC_CTYPE"):
        sent.pop(name, None)
    one = rig.start(["env", "-0"], before=["env", "-i", *(f"{k}={v}" for k, v in sent.items())])
    assert one.status() == 0
    got = dict(entry.split("=", 1) for entry in "\n".join(one.lines()).split("\0") if entry)
    assert os.path.dirname(got.pop("OUTLAST_CONTROL")) == str(rig.runtime)
    assert got.pop("OUTLAST_SUPERVISOR") == str(one.process.pid)
    assert got == sent


def test_standard_output_is_the_commands_alone(rig):
    one = rig.start(["sh", "-c", 'printf "no newline"; echo oops >&2; exit 1'], rules={"tries": 1})
    assert one.status() == 1
    assert one.lines() == ["no newline"]
    assert "oops" in one.errors


def test_standard_input_is_the_commands(rig):
    read, write = os.pipe()
    one = rig.start(["cat"], popen={"stdin": read})
    os.close(read)
    os.write(write, b"hello\n")
    assert one.line() == "hello"
    os.close(write)
    assert one.status() == 0


def test_inherited_descriptors_are_passed_on_and_no_others(rig):
    """As a shell's <(...) needs. The command sees the standard streams, that one, and nothing of ours."""
    read, write = os.pipe()
    os.write(write, b"from elsewhere")
    os.close(write)
    text = f"say(os.read({read}, 100)); say(sorted(map(int, os.listdir('/proc/self/fd'))))"
    one = rig.start(rig.program(text), popen={"pass_fds": [read]})
    os.close(read)
    assert one.line() == "b'from elsewhere'"
    seen = eval(one.line())
    assert seen[:3] == [0, 1, 2]
    assert read in seen
    assert len(seen) == 5, "and the one that lists them"
    assert one.status() == 0


def test_signals_have_their_default_action(rig):
    """Python ignores SIGPIPE; a command must not inherit that. Nor a mask."""
    command = ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]
    ours = subprocess.run(command, capture_output=True, check=True, text=True).stdout  # what nohup ignores, say
    one = rig.start(command)
    assert one.status() == 0
    assert one.lines() == ours.splitlines()
    ignored = int(ours.split()[-1], 16)
    assert not ignored & 1 << (signal.SIGPIPE - 1)


def test_control_folder_is_private_new_and_removed(rig):
    """PR-2."""
    text = """
n = attempt()
put('progress.json', store='/s', attempt=0, step=n)
say(control, oct(os.stat(control).st_mode), os.listdir(control))
sys.exit(85 if n < 2 else 0)
"""
    one = rig.start(rig.program(text))
    assert one.status() == 0
    first, second = (line.split(" ", 2) for line in one.lines())
    assert first[0] != second[0]
    for folder, mode, entries in (first, second):
        assert os.path.dirname(folder) == str(rig.runtime)
        assert stat.S_IMODE(int(mode, 8)) == 0o700
        assert entries == "['progress.json']"
    assert list(rig.runtime.iterdir()) == []


def test_control_folder_without_a_runtime_dir(rig):
    """Batch systems pass on an XDG_RUNTIME_DIR that exists on another node only."""
    env = {"XDG_RUNTIME_DIR": "/run/user/does-not-exist", "TMPDIR": str(rig.folder)}
    one = rig.start(rig.program("say(os.path.dirname(control))"), env=env)
    assert one.status() == 0
    assert one.line() == str(rig.folder)


def test_not_found_is_127(rig):
    one = rig.start(["no-such-command"])
    assert one.status() == 127
    assert one.errors == "outlast: error: cannot run 'no-such-command': not found in PATH"
    assert list(rig.runtime.iterdir()) == []


def test_missing_interpreter_is_127(rig):
    script = rig.folder / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    one = rig.start([str(script)])
    assert one.status() == 127
    assert "the interpreter named in its first line was not found" in one.errors


def test_not_executable_is_126(rig):
    (rig.folder / "data").write_text("x")
    one = rig.start(["./data"])
    assert one.status() == 126
    assert "cannot run './data': Permission denied" in one.errors


def test_no_program_is_126(rig):
    (rig.folder / "data").write_text("x")
    (rig.folder / "data").chmod(0o755)
    one = rig.start(["./data"])
    assert one.status() == 126
    assert "neither a program nor a script" in one.errors


def test_a_folder_is_126(rig):
    one = rig.start([str(rig.folder)])
    assert one.status() == 126
    assert "is a directory" in one.errors


def test_waiting_costs_nothing(rig):
    """Between two looks at the supervisor its thread was not run once; and it is small."""
    one = rig.start(["sh", "-c", "echo ready; cat"], popen={"stdin": subprocess.PIPE})
    assert one.line() == "ready"

    def look():
        with open(f"/proc/{one.process.pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return fields["State"].split()[0], int(fields["voluntary_ctxt_switches"]), int(fields["VmHWM"].split()[0])

    while look()[0] != "S":
        pass
    before = look()
    other = rig.spawn(["sleep", "1"])
    assert other.status() == 0
    after = look()
    assert after[1] - before[1] <= 1
    assert after[2] < 40_000
    one.process.stdin.close()
    assert one.status() == 0
