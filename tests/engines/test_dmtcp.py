"""The adapter for DMTCP, against stand-ins that take the documented options: the real one was not to be had."""

from pathlib import Path

import pytest

import outlast
from engines.kit import Started
from outlast.supervise.engines.dmtcp import Dmtcp

OPTIONS = """#!/bin/sh
[ "$1" = --version ] && echo "dmtcp 3.2.0" && exit 0
while :; do
    case $1 in
    --new-coordinator | --no-gzip) shift ;;
    -p) shift 2 ;;
    --port-file) file=$2; shift 2 ;;
    --ckptdir) images=$2; shift 2 ;;
    *) break ;;
    esac
done
"""
LAUNCH = OPTIONS + 'echo "$$:$images" > "$file"\nexec "$@"\n'
COMMAND = """#!/bin/sh
port=$2
[ -e "{folder}/broken" ] && echo "no coordinator" && exit 1
echo memory > "${{port#*:}}/ckpt_program_1.dmtcp"
[ "$3" = --kcheckpoint ] && kill -9 "${{port%%:*}}"
exit 0
"""
RESTART = OPTIONS + 'echo "back from $(cat "$@")"\n'


@pytest.fixture
def path(tmp_path: Path, monkeypatch) -> str:
    folder = tmp_path / "bin"
    folder.mkdir()
    texts = {"dmtcp_launch": LAUNCH, "dmtcp_command": COMMAND.format(folder=tmp_path), "dmtcp_restart": RESTART}
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return str(folder)


def test_its_images_are_kept_and_given_back(tmp_path, path):
    assert Dmtcp().look().version == "dmtcp 3.2.0"
    (tmp_path / "broken").touch()
    one = Started(tmp_path, ["sleep", "1000"], engine="dmtcp")
    one.await_line("dmtcp_command --bcheckpoint: no coordinator")
    (tmp_path / "broken").unlink()
    one.await_line("committed step 1")
    assert one.notice() == 85, one.said
    newest = outlast.Store(tmp_path / "store").checkpoints()[0]
    assert [image.name for image in (tmp_path / "store" / newest.format()).rglob("ckpt_*")] == ["ckpt_program_1.dmtcp"]
    two = Started(tmp_path, ["sleep", "1000"], engine="dmtcp")
    assert two.end() == 0, two.said
    assert (tmp_path / "said").read_text() == "back from memory\n"


def test_a_checkpoint_of_another_engine_is_refused(tmp_path, path, monkeypatch):
    one = Started(tmp_path, ["sleep", "1000"], engine="dmtcp")
    one.await_line("committed step 1")
    assert one.notice() == 85
    criu = tmp_path / "bin" / "criu"
    criu.write_text("#!/bin/sh\necho Version: 4.1.1\n")
    criu.chmod(0o755)
    two = Started(tmp_path, ["sleep", "1000"], engine="criu", OUTLAST_CRIU=str(criu))
    assert two.end() == 2
    assert "the checkpoint was made by dmtcp" in two.said
