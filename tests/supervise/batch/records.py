"""What batch systems answered, from the files in `recorded`."""

from pathlib import Path

from outlast.supervise.batch.client import Answer

FOLDER = Path(__file__).parent / "recorded"


def said(name, status=0):
    """An answer on the standard output: `sge/qstat`."""
    return Answer(status=status, text=(FOLDER / f"{name}.txt").read_text())


def complained(name, status=1):
    """A failure, with what was said on the standard error."""
    lines = (FOLDER / f"{name}.txt").read_text().strip().splitlines()
    return Answer(status=status, text="", said=lines[0])
