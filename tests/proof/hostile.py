"""Hostile stores: sealed rubbish, bombs, links, FIFOs, devices. A clear error in bounded time and memory, nothing else.

Every verb that reads, and a run that restores, goes through each: it ends with a status or an error of outlast's own
within 10 s of CPU and 256 MiB over what the interpreter had. An audit hook and the door to the storage show that
nothing outside of the store is opened or changed and that no code runs; what is printed cannot command a terminal.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import random
import re
import resource
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import outlast
import storekit
from outlast.backends.syscalls import Syscalls
from outlast.cli.main import main
from outlast.errors import OutlastError
from outlast.format.digest import hexdigest
from outlast.format.envelope import seal, seal_body
from outlast.format.manifest import KEY
from proof import core
from proof.bombs import BOMBS, bomb
from proof.core import Harness

CPU_S = 10
WALL_S = 120  # only against what hangs
MEMORY_BYTES = 256 << 20
DOCUMENTED = {0, 1, 2, 3, 4, 5}
_MUTANTS = 6
_STEP = "step-000000003.a0001"
_COMMANDING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def arrays() -> dict[str, Any]:
    return {"model": {"w": np.arange(6.0), "b": np.zeros(3, "f4")}, "name": "x" * 70_000, "seen": {(1, "a"), (2, "b")}}


def train(path: Path, steps: int) -> None:
    """A run as a program has it; that it is left after a step more is how each case begins."""
    state = arrays()
    with outlast.Run(path, state, every=1, keep=9) as run:
        for _ in run.steps(100):
            state["model"]["w"] += 1
            run.log(loss=0.5)
            if run.step >= steps:
                run.leave("enough")


@functools.cache
def base() -> dict[str, bytes]:
    with core.folder() as folder:
        path = folder / "store"

        def work(report: Callable[[bytes], None]) -> None:
            with suppress(outlast.Preempted), open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
                train(path, 2)

        status, told = storekit.in_child(work)
        assert status == 0, told
        return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def laid_out(path: Path) -> Path:
    for file, data in base().items():
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_bytes(data)
    return path


def table() -> dict[str, Any]:
    """The newest manifest's, as plain JSON."""
    found = json.loads(base()[f"{_STEP}/manifest.json"])
    del found[KEY]
    return found


# What is done to a hostile store.


def verb(*arguments: str) -> Callable[[Path, Path], int]:
    def act(path: Path, out: Path) -> int:
        return main([argument.format(store=path, out=out / "out") for argument in arguments])

    return act


def restore(path: Path, out: Path) -> int:
    state = arrays()
    del out
    try:
        with outlast.Run(path, state, every=1000, takeover=True) as run:  # or it watches for a heartbeat, for a minute
            for _ in run.steps(100):
                run.leave("restored")
    except SystemExit:  # it left as it was asked to, or the checkpoint says that the run is done
        return 0
    return 0


ACTS = {
    "ls": verb("ls", "{store}", "--all"),
    "ls-json": verb("ls", "{store}", "--json"),
    "show": verb("show", "{store}"),
    "show-json": verb("show", "{store}", "--json"),
    "verify": verb("verify", "{store}"),
    "status": verb("status", "{store}"),
    "diff": verb("diff", "--store", "{store}"),
    "safetensors": verb("export", "{out}.safetensors", "--store", "{store}"),
    "npz": verb("export", "{out}.npz", "--store", "{store}"),
    "restore": restore,
}


class Watched:
    """What a process does besides: an audit hook, and a look at what each descriptor of the store really is."""

    def __init__(self, path: Path, out: Path) -> None:
        self.root, self.out, self.wrong = os.path.realpath(path), str(out), []
        places = (self.root, self.out, sys.prefix, sys.base_prefix, *filter(None, sys.path))
        self._own = tuple(f"{os.path.realpath(place)}/" for place in places)
        self.is_on = False

    def start(self) -> None:
        real = Syscalls.open
        watched = self

        def opened(calls: Syscalls, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
            fd = real(calls, path, flags, mode, dir_fd=dir_fd)
            watched.look(os.readlink(f"/proc/self/fd/{fd}"))
            return fd

        Syscalls.open = opened
        sys.addaudithook(self.hook)
        self.is_on = True

    def look(self, place: str) -> None:
        parent = os.path.dirname(self.root)
        if place not in (self.root, self.out, parent) and not place.startswith((f"{self.root}/", f"{self.out}/")):
            self.wrong.append(f"opened {place}")

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        if event in _PLACES:
            return
        if event in _FORBIDDEN or event.startswith(("ctypes.", "subprocess.", "shutil.")):
            self.wrong.append(f"{event} {str(args)[:200]}")
        elif event == "open" and isinstance(args[0], (str, bytes)):
            place = os.fsdecode(args[0])
            if place.startswith("/") and not f"{place}/".startswith((*self._own, "/proc/", "/sys/", "/dev/null/")):
                self.wrong.append(f"open {place}")
        elif event == "import" and args[0].partition(".")[0] not in _MODULES:
            self.wrong.append(f"import {args[0]}")
        elif event == "exec" and not args[0].co_filename.startswith(("<frozen", *self._own)) and not _is_importing():
            self.wrong.append(f"exec of {args[0].co_filename}")


def _is_importing() -> bool:
    """Whether a module is being made: the standard library's make classes of their own by exec."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


_PLACES = {
    "ctypes.addressof",
    "ctypes.cdata",
    "ctypes.cdata/buffer",
}  # where arrays lie: no library, no call of its own
_FORBIDDEN = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pickle.find_class"} | {
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.getaddrinfo",
}
_EVIL = {"antigravity", "this", "evil", "ctypes"}
_MODULES = (
    set(sys.stdlib_module_names) | {"outlast", "numpy", "xxhash", "tabulate", "wcwidth", "tqdm", "torch"}
) - _EVIL


def memory_bytes(field: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(field))


def suffer(path: Path, out: Path, names: list[str], report: Callable[[bytes], None]) -> None:
    """Go through acts in a process that is watched and bounded."""
    watched = Watched(path, out)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S * len(names), CPU_S * len(names) + 5))
    signal.alarm(WALL_S)
    watched.start()
    base_bytes = memory_bytes("VmRSS")
    for name in names:
        Path("/proc/self/clear_refs").write_text("5")
        with open(out / "said", "w+", encoding="utf-8", errors="strict", newline="") as said:
            with redirect_stdout(said), redirect_stderr(said):
                status = _status(ACTS[name], path, out)
            used = memory_bytes("VmHWM") - base_bytes
            report(f"{name} {status} {used}\n".encode())
            said.seek(0)
            while text := said.read(1 << 20):
                commanding = _COMMANDING.search(text)
                if commanding:
                    watched.wrong.append(f"{name} printed {text[max(0, commanding.start() - 20) :][:60]!r}")
        for left in out.iterdir():
            left.unlink()
    watched.is_on = False
    for text in watched.wrong[:5]:
        report(f"wrong: {text!r}\n".encode())


def _status(act: Callable[[Path, Path], int], path: Path, out: Path) -> int:
    try:
        return act(path, out)
    except OutlastError as e:
        return e.exit_status


def judge(status: int, told: bytes, names: list[str]) -> None:
    text = told.decode()
    assert os.WIFEXITED(status), f"died of signal {os.WTERMSIG(status)} after {text!r}"
    assert os.WEXITSTATUS(status) == 0, text
    rows = [line.split() for line in text.splitlines() if not line.startswith("wrong:")]
    assert [row[0] for row in rows] == names, text
    assert "wrong:" not in text, text
    for name, code, used in rows:
        assert int(code) in DOCUMENTED, f"{name} ended with {code}"
        assert int(used) < MEMORY_BYTES, f"{name} took {int(used) >> 20} MiB"


def go_through(path: Path, folder: Path, names: list[str]) -> int:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    status, told = storekit.in_child(lambda report: suffer(path, out, names, report))
    judge(status, told, names)
    return len(names)


# Entries that are something else than they should be.


def _link(to: str) -> Callable[[Path, Path], None]:
    return lambda place, secret: place.symlink_to({"outside": secret, "folder": secret.parent}.get(to, Path(to)))


def _socket(place: Path, secret: Path) -> None:
    del secret
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.getcwd()
        os.chdir(place.parent)  # a socket's path has 108 bytes at most
        bound.bind(place.name)
        os.chdir(here)


def _many(place: Path, secret: Path) -> None:
    del secret
    place.mkdir()
    for number in range(3000):
        (place / f"a{number:04d}.jsonl").touch()


PLANTED: dict[str, Callable[[Path, Path], None]] = {
    "link-outside": _link("outside"),
    "link-to-a-folder": _link("folder"),
    "link-to-itself": lambda place, secret: place.symlink_to(place),
    "link-to-nothing": _link("nothing"),
    "link-to-zeros": _link("/dev/zero"),
    "hard-link": lambda place, secret: os.link(secret, place),
    "fifo": lambda place, secret: os.mkfifo(place),
    "socket": _socket,
    "device": lambda place, secret: os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 5)),
    "folder": lambda place, secret: place.mkdir(),
    "file": lambda place, secret: place.write_bytes(b"{}"),
    "empty": lambda place, secret: place.write_bytes(b""),
    "huge": lambda place, secret: os.truncate(os.open(place, os.O_CREAT | os.O_WRONLY), 1 << 43),
    "unreadable": lambda place, secret: place.write_bytes(b"\xff" * 5000),
    "many": _many,
}
PLACES = (
    "outlast.json", "journal", "journal/a0001.jsonl", "journal/a0002.jsonl", _STEP, f"{_STEP}/manifest.json",
    f"{_STEP}/part-00000.safetensors", "step-000000002.a0001/part-00000.safetensors", "control", "control/stop-0.json",
    "quarantine", "quarantine/x", ".tmp-1", ".trash-1", "step-000000009.a0009",
)  # fmt: skip
NAMES = (
    "step-000000009.a0001\n", "\x1b[2J", "\x1b]0;owned\x07", "step-\u202e000000009.a0001", "-rf", "a\nDAMAGED",
    "\udcff",
    "step-999999999999999999.a999999999.r999999999", "step-000000004.a0001.r0", "x" * 255, "\x9b31m", "%s%n", "..x",
)  # fmt: skip


def planted(path: Path, secret: Path, what: str, where: str) -> None:
    place = path / where
    if place.is_dir():
        place.rename(secret.parent / "moved")
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    PLANTED[what](place, secret)


def named(path: Path, where: str, name: str) -> None:
    folder = path / where
    folder.mkdir(exist_ok=True)
    (folder / name).mkdir()
    for inner in ("manifest.json", "part-00000.safetensors"):
        (folder / name / inner).write_bytes(base()[f"{_STEP}/{inner}"])


def run_entry(case: str, folder: Path) -> int:
    _, what, where = case.split(":")
    path = laid_out(folder / "store")
    secret = folder / "outside" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(b'{"secret":1}')
    if what == "name":
        at, number = where.split("/")
        named(path, at, NAMES[int(number)])
    else:
        planted(path, secret, what, where)
    looked = go_through(path, folder, list(ACTS))
    assert secret.read_bytes() == b'{"secret":1}'
    return looked


# Sealed rubbish.

TEXTS = (
    "", ".", "..", "../../etc/passwd", "/etc/passwd", "a/../../b", "a\0b", "\x1b[2J\x1b]0;x\x07", "\n\nDAMAGED",
    "\u202e",
    "\x9b31m", "os.system", "os:system", "evil", "evil:run", "antigravity", "builtins:exec", "A" * 70_000, "é" * 40_000,
    "$", "$x", "%2e%2e%2f", "model/w", "name", "float32", "struct:[]", 'struct:[["a",[["b","<f8",[9,9,9]]]]]',
    "V2147483647", "struct:" + "[" * 200, "U536870911", "M8[999999999s]", "datetime64[ns]", "object",
    f"{_STEP}/part-00000.safetensors",
    "step-000000001.a0001/part-00000.safetensors", "step-000000009.a0009/part-00000.safetensors", "numpy.key",
    "subclass", "torch.generator", "<f8=00", "2026-01-01T00:00:00", "0" * 32, "9" * 4000, "-0", "//8=", "\U0001f4a3",
    "inf", "nan",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 7, 64, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**19, 0.5, -0.0, 1e308, 5e-324)
KINDS = (
    {"$": "object", "class": "os:system", "state": ["echo"]}, {"$": "fixed", "name": "os:system"},
    {"$": "enum", "class": "subprocess:Popen", "name": "x"}, {"$": "dataclass", "class": "evil:C", "fields": {"a": 1}},
    {"$": "namedtuple", "class": "os:stat_result", "fields": {}}, {"$": "array", "leaf": "model/w"},
    {"$": "adapter", "name": "numpy.key", "class": "numpy:float64", "state": "<f8=zz"}, {"$": "str", "leaf": "name"},
    {"$": "adapter", "name": "subclass", "class": "evil:D", "state": {"$": "tuple", "items": [{}, {}]}},
    {"$": "same", "path": "model"}, {"$": "path", "value": "../../x"}, {"$": "evil.kind", "leaf": "model/w", "x": {}},
    {"$": "deque", "items": [1], "maxlen": 2**62}, {"$": "int", "value": "9" * 4096}, {"$": "set", "items": [[], {}]},
    {"$": "dict", "items": [[{"$": "dict", "items": []}, 0]]}, {"$": "time", "iso": "25:99"}, {"$": "date", "iso": "x"},
    {"$": "timedelta", "days": 2**52, "seconds": 0, "microseconds": 0}, {"$": "bytes", "base64": "AAAA"}, {"$": "x"},
    {"$": "datetime", "iso": "9999-12-31T23:59:59+99:99"}, {"$": "tensor", "leaf": "model/w", "requires_grad": True},
    {"$": "scalar", "leaf": "model/w"}, {"$": "complex", "bits": "f" * 32},
    {"$": "array", "leaf": "model/w", "order": [0]},
)  # fmt: skip


def drawn(random: random.Random) -> Any:
    """Any value that may surprise a reader."""
    deep: Any = 0
    for _ in range(random.choice([3, 60, 140])):
        deep = [deep] if random.random() < 0.5 else {"a": deep}
    pick = (random.choice(TEXTS), random.choice(NUMBERS), random.choice(KINDS), None, True, False, [], {}, deep)
    return random.choice([*pick, [random.choice(TEXTS)] * 3, [random.choice(NUMBERS)] * 70, {random.choice(TEXTS): 1}])


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in JSON data, as a container and a key."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from spots(value[key])


def mutate(value: Any, random: random.Random) -> None:
    """Change one place."""
    container, key = random.choice(list(spots(value)))
    how = random.randrange(5)
    if how == 0:
        del container[key]
    elif how == 1:
        other, its = random.choice(list(spots(value)))
        container[key] = json.loads(json.dumps(other[its]))
    elif how == 2 and isinstance(container, dict):
        container[random.choice(TEXTS)] = container.pop(key)
    elif how == 3 and isinstance(container, list):
        container.extend([container[key]] * random.choice([1, 2, 500]))
    else:
        container[key] = drawn(random)


def mutated(value: dict[str, Any], random: random.Random) -> dict[str, Any]:
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        if value:
            mutate(value, random)
    return value


def garbled(body: bytes, random: random.Random) -> bytes:
    """Change bytes, also where they are syntax."""
    data = bytearray(body)
    for _ in range(random.choice([1, 2, 8])):
        at = random.randrange(len(data))
        data[at : at + random.choice([0, 1, 1, 9])] = random.choice(
            [
                b"",
                b'"',
                b"{",
                b"[" * 300,
                b"}",
                b"\\",
                b"\xff",
                b"\0",
                b"1e999",
                b"NaN",
                b"\\ud800",
                b"\xc3\xa9",
                b",",
                b"-",
            ]
        )
    return bytes(data) or b"{"


def sealed(value: Any, key: str, random: random.Random) -> bytes:
    try:
        body = json.dumps(value, ensure_ascii=random.random() < 0.5).encode(errors="surrogatepass")[:-1]
    except RecursionError:
        return b""
    return seal_body(garbled(body, random) if random.random() < 0.3 else body, key)


def hostile_manifest(path: Path, random: random.Random) -> None:
    (path / _STEP / "manifest.json").write_bytes(sealed(mutated(table(), random), KEY, random))


def hostile_part(path: Path, random: random.Random) -> None:
    """Another header, for which the manifest vouches: the reader goes by the manifest, stock tools by the header."""
    part = path / _STEP / "part-00000.safetensors"
    data = part.read_bytes()
    size = int.from_bytes(data[:8], "little") + 8
    text = json.dumps(mutated(json.loads(data[8:size]), random)).encode()
    text = garbled(text, random)[: size - 8].ljust(size - 8)
    length = random.choice([size - 8, 0, 1, 2**63, 2**64 - 1, 100_000_001])
    header = length.to_bytes(8, "little") + text
    part.write_bytes(header + data[size:])
    rows = table()
    rows["parts"][0]["header_digest"] = hexdigest(header)
    rows["parts"][0]["header_bytes"] = random.choice([size, size, 16, len(data) // 8 * 8, 100_000_008])
    (path / _STEP / "manifest.json").write_bytes(sealed(rows, KEY, random))


def hostile_journal(path: Path, random: random.Random) -> None:
    journal = path / "journal" / "a0001.jsonl"
    lines = []
    for line in journal.read_bytes().split(b"\n"):
        if line:
            event = json.loads(line)
            del event["digest"]
            lines.append(sealed(mutated(event, random) if random.random() < 0.4 else event, "digest", random))
    journal.write_bytes(b"".join(lines))


def hostile_identity(path: Path, random: random.Random) -> None:
    about = json.loads((path / "outlast.json").read_bytes())
    del about["digest"]
    (path / "outlast.json").write_bytes(sealed(mutated(about, random), "digest", random))


def hostile_request(path: Path, random: random.Random) -> None:
    (path / "control").mkdir(exist_ok=True)
    (path / "control" / "stop-00.json").write_text(json.dumps(drawn(random)))


MUTATE = {
    "manifest": hostile_manifest,
    "part": hostile_part,
    "journal": hostile_journal,
    "identity": hostile_identity,
    "request": hostile_request,
}


def run_mutants(case: str, folder: Path) -> int:
    _, what, seed = case.split(":")
    looked = 0
    for number in range(_MUTANTS):
        rng = random.Random(f"{seed}-{number}")
        path = laid_out(folder / f"store{number}")
        MUTATE[what](path, rng)
        looked += go_through(path, folder, list(ACTS))
    return looked


def run_bomb(case: str, folder: Path) -> int:
    _, name, act = case.split(":")
    path = laid_out(folder / "store")
    (path / _STEP / "manifest.json").write_bytes(bomb(name, table()))
    return go_through(path, folder, [act])


def run_journal_bomb(case: str, folder: Path) -> int:
    """Far more lines than memory would hold, or one that is as long as a table may be."""
    _, name, act = case.split(":")
    path = laid_out(folder / "store")
    lines = {
        "lines": lambda: b"".join(seal({"seq": n, "at": "", "event": "x"}) for n in range(600_000)),
        "replayed": lambda: seal({"seq": 1, "at": "", "event": "saved", "checkpoint": "x", "step": 1}) * 400_000,
        "newlines": lambda: b"\n" * (64 << 20),
        "one-line": lambda: seal({"seq": 99, "at": "", "event": "x", "a": "y" * (60 << 20)}),
        "no-line": lambda: b"x" * (100 << 20),
    }
    with (path / "journal" / "a0001.jsonl").open("ab") as file:
        file.write(lines[name]())
    return go_through(path, folder, [act])


RUN = {"entry": run_entry, "mutants": run_mutants, "bomb": run_bomb, "journal-bomb": run_journal_bomb}


def cases() -> Iterator[str]:
    """Rubbish without end; now and then an entry that is no file, or a bomb, until those are through."""
    odd = [f"entry:{what}:{where}" for what, where in itertools.product(PLANTED, PLACES)]
    odd += [f"entry:name:{where}/{n}" for where in ("quarantine", "journal", ".", "control") for n in range(len(NAMES))]
    heavy = [f"bomb:{name}:{act}" for name, act in itertools.product(BOMBS, ACTS)]
    names = ("lines", "replayed", "newlines", "one-line", "no-line")
    heavy += [f"journal-bomb:{name}:{act}" for name, act in itertools.product(names, ("ls", "status", "verify"))]
    random.Random(1).shuffle(odd)
    random.Random(1).shuffle(heavy)
    for seed in itertools.count():
        yield f"mutants:{list(MUTATE)[seed % len(MUTATE)] if seed % 2 else 'manifest'}:{seed}"
        yield from odd[seed : seed + 1]
        if seed % 8 == 4:
            yield from heavy[seed // 8 : seed // 8 + 1]


def run(case: str, folder: Path) -> int:
    return RUN[case.partition(":")[0]](case, folder)


HARNESS = Harness(cases=cases, run=run, sample=36, endless=True)
