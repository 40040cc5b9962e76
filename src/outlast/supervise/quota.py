"""What a user, group, project or fileset may use, told by the commands of the file systems where they are there.

Each answer is parsed strictly: a line that is not what the command's manual shows is no answer. A command that takes
long is left alone: that it hangs must not hang us.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote

from outlast.backends.base import Quota
from outlast.backends.mounts import Mount

TIMEOUT_S = 5.0
_MOST_CHARS = 1 << 20
_GPFS = "/usr/lpp/mmfs/bin"
_KIB = 1024

# quota(1), lfs-quota(1): used, soft, hard, grace; once for blocks of 1 KiB and once for files.
_NUMBER = r"(\d{1,19})"
_USED = r"\[?(\d{1,19})\]?\*?"  # *: over the limit; [ ]: a server did not answer, so it is at least this
_GRACE = r"(?:-|none|expired|\d+|(?:\d+(?:w|d|h|m|s|days?|weeks?))+|\d+:\d\d)"
_ROW = re.compile(
    rf"\s*(?P<place>/\S*|\S+:\S+)\s+{_USED}\s+{_NUMBER}\s+{_NUMBER}\s+{_GRACE}\s+{_USED}\s+{_NUMBER}\s+{_NUMBER}\s+{_GRACE}\s*"
)
_TITLE = re.compile(
    r"Disk quotas for (?P<scope>user|usr|group|grp|project|prj) (?P<name>\S+) \([a-z]id \d+\):\s*(?P<none>none)?"
)
_SCOPES = {"usr": "user", "grp": "group", "prj": "project"}
_BEEGFS_HEADER = "name,id,size,hard,files,hard"
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50, "Byte": 1}
_SIZE = re.compile(r"(\d{1,19}(?:\.\d{1,3})?)(?: ?(B|Byte|KiB|MiB|GiB|TiB|PiB))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What could be found out: quotas, or why there are none. `said` is '' if all that was asked answered."""

    quotas: tuple[Quota, ...]
    said: str


class _NoAnswerError(Exception):
    """A command is not there, failed, or said what we do not understand."""


def look(mount: Mount | None, path: str) -> Answer:
    """Ask for the quotas that count for this user at `path`, an existing directory. Takes seconds at most."""
    if mount is None:
        return Answer(quotas=(), said="quota: unknown, for the mount is")
    asked = _ASK.get(mount.type, _ask_quota)
    try:
        found = asked(mount, path)
    except _NoAnswerError as e:
        return Answer(quotas=(), said=f"quota: unknown: {e}")
    return Answer(quotas=tuple(found), said="" if found else "quota: none is set, as far as can be seen")


def run(command: Sequence[str], timeout_s: float = TIMEOUT_S) -> str:
    """Return what a command prints. Its exit status is not asked: quota(1) ends with 1 where a quota is exceeded."""
    path = shutil.which(command[0])
    if path is None:
        raise _NoAnswerError(f"there is no command {os.path.basename(command[0])}")
    name, env = os.path.basename(path), {**os.environ, "LC_ALL": "C"}
    try:
        started = subprocess.Popen(  # noqa: S603  (a list of our own making)
            [path, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )
    except OSError as e:
        raise _NoAnswerError(f"{name} cannot be started: {e.strerror}") from e
    try:
        said, _ = started.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _leave(started)
        raise _NoAnswerError(f"{name} did not answer within {timeout_s:g} s") from None
    except BaseException:
        _leave(started)
        raise
    return said[:_MOST_CHARS].decode("utf-8", "replace")


def _leave(started: subprocess.Popen[bytes]) -> None:
    """Kill a command, and do not wait long: one that hangs in a dead file system cannot be killed."""
    started.kill()
    if started.stdout:
        started.stdout.close()
    with suppress(subprocess.TimeoutExpired):
        started.wait(1.0)


# -- who is asked ----------------------------------------------------------------------------------------------


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _group(path: str) -> str:
    """Return the group that is charged for what is made at `path`: the directory's own, if it hands it on."""
    about = os.stat(path)
    gid = about.st_gid if about.st_mode & 0o2000 else os.getegid()
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _ask_quota(mount: Mount, _path: str) -> list[Quota]:
    where = ["-f", mount.point]
    asked = [run(["quota", "-u", "-w", "-p", "-v", *where]), run(["quota", "-g", "-w", "-p", "-v", *where])]
    return [one for said in asked for one in parse_table(said, "quota", mount.point, mount.source)]


def _ask_lustre(mount: Mount, path: str) -> list[Quota]:
    asked = [["-u", _user()], ["-g", _group(path)]]
    if project := parse_project(run(["lfs", "project", "-d", path])):
        asked.append(["-p", project])
    said = [run(["lfs", "quota", *who, mount.point]) for who in asked]
    return [one for text in said for one in parse_table(text, "lfs quota", mount.point)]


def _ask_gpfs(mount: Mount, _path: str) -> list[Quota]:
    command = shutil.which("mmlsquota") or os.path.join(_GPFS, "mmlsquota")
    device = os.path.basename(mount.source)
    return parse_gpfs(run([command, "-Y", device]))


def _ask_beegfs(mount: Mount, path: str) -> list[Quota]:
    found = []
    for scope, option, name in (("user", "--uid", _user()), ("group", "--gid", _group(path))):
        said = run(["beegfs-ctl", "--getquota", option, name, "--csv", f"--mount={mount.point}"])
        found += parse_beegfs(said, scope)
    return found


_ASK: dict[str, Callable[[Mount, str], list[Quota]]] = {
    "lustre": _ask_lustre,
    "gpfs": _ask_gpfs,
    "beegfs": _ask_beegfs,
    "beegfs_nodev": _ask_beegfs,
}


# -- what they say ---------------------------------------------------------------------------------------------


def parse_table(said: str, told_by: str, *places: str) -> list[Quota]:
    """Read what `quota -w` and `lfs quota` print: for each title the rows of this mount point or device."""
    found, owner = [], ""
    for line in _unwrapped(said):
        if title := _TITLE.fullmatch(line.strip()):
            scope = title["scope"]
            owner = f"{_SCOPES.get(scope, scope)} {title['name']}"
        elif line.split()[:1] != ["Filesystem"]:
            row = _ROW.fullmatch(line)
            if row is None or not owner:
                raise _NoAnswerError(f"{told_by} says what outlast does not understand: {line.strip()[:80]!r}")
            if row["place"] in places:
                found.append(_from_row(row, owner, told_by))
    return [one for one in found if one.limit_bytes is not None or one.limit_files is not None]


def _unwrapped(said: str) -> list[str]:
    """Return the lines, one with nothing but a long name joined with the next one."""
    lines: list[str] = []
    for line in said.splitlines():
        if not line.strip():
            continue
        alone = lines and len(lines[-1].split()) == 1 and (lines[-1].strip().startswith("/") or ":" in lines[-1])
        if alone:
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return lines


def _from_row(row: re.Match[str], owner: str, told_by: str) -> Quota:
    used, soft, hard, used_files, soft_files, hard_files = (int(number) for number in row.groups()[1:])
    limit, limit_files = _limit(soft, hard), _limit(soft_files, hard_files)
    return Quota(
        whose=owner,
        used_bytes=used * _KIB,
        limit_bytes=None if limit is None else limit * _KIB,
        used_files=used_files,
        limit_files=limit_files,
        told_by=told_by,
    )


def _limit(soft: int, hard: int) -> int | None:
    """Return where writing ends: at the hard limit, or at the soft one when its grace is over. 0 means none."""
    limits = [limit for limit in (soft, hard) if limit]
    return max(limits) if limits else None


def parse_project(said: str) -> str:
    """Read the project's number from `lfs project -d DIR`: "1000 P /dir"; '' if it has none."""
    fields = said.split()
    if len(fields) >= 3 and fields[0].isdecimal() and fields[1] in ("P", "-"):  # noqa: PLR2004  (number, flag, path)
        return "" if fields[0] == "0" else fields[0]
    return ""


def parse_gpfs(said: str) -> list[Quota]:
    """Read `mmlsquota -Y`: rows of fields between colons, named by the HEADER row; sizes in KiB."""
    found: list[Quota] = []
    names: list[str] = []
    for line in filter(None, said.splitlines()):
        fields = line.split(":")
        if fields[0] != "mmlsquota":
            raise _NoAnswerError(f"mmlsquota says what outlast does not understand: {line[:80]!r}")
        if fields[2:3] == ["HEADER"]:
            names = fields
            continue
        row = dict(zip(names, map(unquote, fields), strict=False))
        try:
            found.append(_from_gpfs(row))
        except (KeyError, ValueError):
            raise _NoAnswerError(f"mmlsquota says what outlast does not understand: {line[:80]!r}") from None
    return [one for one in found if one.limit_bytes is not None or one.limit_files is not None]


def _from_gpfs(row: dict[str, str]) -> Quota:
    scope = {"USR": "user", "GRP": "group", "FILESET": "fileset"}[row["quotaType"]]
    limit = _limit(_count(row["blockQuota"]), _count(row["blockLimit"]))
    return Quota(
        whose=f"{scope} {row['name']}",
        used_bytes=_count(row["blockUsage"]) * _KIB,
        limit_bytes=None if limit is None else limit * _KIB,
        used_files=_count(row["filesUsage"]),
        limit_files=_limit(_count(row["filesQuota"]), _count(row["filesLimit"])),
        told_by="mmlsquota",
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(text)
    return int(text)


def parse_beegfs(said: str, scope: str) -> list[Quota]:
    """Read `beegfs-ctl --getquota --csv`: a row for each storage pool, under its header."""
    found: list[Quota] = []
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if _BEEGFS_HEADER not in lines:
        raise _NoAnswerError("beegfs-ctl says what outlast does not understand, or quotas are off")
    for line in lines[lines.index(_BEEGFS_HEADER) + 1 :]:
        if line == _BEEGFS_HEADER or "," not in line:
            continue  # the next pool's title
        try:
            name, _, used, limit, files, most_files = line.split(",")
            found.append(
                Quota(
                    whose=f"{scope} {name}",
                    used_bytes=_size(used),
                    limit_bytes=None if limit == "unlimited" else _size(limit),
                    used_files=_count(files),
                    limit_files=None if most_files == "unlimited" else _count(most_files),
                    told_by="beegfs-ctl",
                )
            )
        except ValueError:
            raise _NoAnswerError(f"beegfs-ctl says what outlast does not understand: {line[:80]!r}") from None
    return [one for one in found if one.limit_bytes is not None or one.limit_files is not None]


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return round(float(match[1]) * _UNITS[match[2]]) if match[2] else int(match[1])
