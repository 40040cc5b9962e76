"""Times as the commands of batch systems print them: limits, and moments without a zone (asked for in UTC)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CTIME = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})")


def seconds(text: str) -> float | None:
    """Read a limit: seconds, minutes:seconds or hours:minutes:seconds. None for INFINITY and what else is none."""
    if not re.fullmatch(r"\d{1,12}(?::\d{1,12}){0,2}", text, re.ASCII):
        return None
    total_s = 0
    for field in text.split(":"):
        total_s = total_s * 60 + int(field)
    return float(total_s)


def iso_moment(text: str) -> float | None:
    """Read 2026-11-29T12:59:16, in UTC, as seconds since the epoch."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def c_moment(text: str) -> float | None:
    """Read Sun Nov 29 12:59:16 2026, in UTC, as seconds since the epoch."""
    found = _CTIME.fullmatch(text)
    if found is None:
        return None
    day, hour, minute, second, year = (int(found[n]) for n in range(2, 7))
    try:
        return datetime(year, _MONTHS.index(found[1]) + 1, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def clock(seconds_s: float) -> str:
    """Return hours:minutes:seconds, a minute at least."""
    minutes, second = divmod(max(60, round(seconds_s)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}"
