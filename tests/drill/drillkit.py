"""`outlast drill` called in this process, on small programs of the tests."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from outlast.cli.main import main

PROGRAMS = Path(__file__).with_name("programs")


class Found:
    """What a drill has told."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def document(self) -> dict:
        return json.loads(self.out)

    def of(self, fault: str) -> dict:
        return next(row for row in self.document["faults"] if row["fault"] == fault)

    @property
    def results(self) -> dict[str, str]:
        return {row["fault"]: row["result"] for row in self.document["faults"]}

    @property
    def text(self) -> str:
        return " ".join(self.document["text"])


def program(folder: Path, name: str) -> Path:
    """Put a program of the tests into a folder."""
    return Path(shutil.copy(PROGRAMS / name, folder))


def command(script: Path, *arguments: str) -> list[str]:
    start = "bash" if script.suffix == ".sh" else sys.executable
    return [start, script.name, *arguments]


def drill(capsys, *arguments: str, as_json: bool = True) -> Found:
    capsys.readouterr()
    status = main(["drill", *(["--json"] if as_json else []), *arguments])
    return Found(status, *capsys.readouterr())
