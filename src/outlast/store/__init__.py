"""The durable store of one run: format on disk in `spec/store-v1.md`.

What writes is imported when it is first used: a reader needs none of it, and `outlast ls` starts quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlast.store.catalog import Found
    from outlast.store.commit import Committed, Writer
    from outlast.store.draft import Draft, Share
    from outlast.store.files import Again, Staged
    from outlast.store.holdings import Held, held
    from outlast.store.jobs import JobJournal, job_logs
    from outlast.store.journal import AttemptLog, Journal
    from outlast.store.lease import HEARTBEAT_S, SILENT_S, Lease
    from outlast.store.prune import Pruner
    from outlast.store.reading import Damage, Source
    from outlast.store.share import PartWriter
    from outlast.store.store import Request, Store

_HOMES = {
    "HEARTBEAT_S": "lease",
    "SILENT_S": "lease",
    "Again": "files",
    "AttemptLog": "journal",
    "Committed": "commit",
    "Damage": "reading",
    "Draft": "draft",
    "Found": "catalog",
    "Held": "holdings",
    "JobJournal": "jobs",
    "Journal": "journal",
    "Lease": "lease",
    "PartWriter": "share",
    "Pruner": "prune",
    "Request": "store",
    "Share": "draft",
    "Source": "reading",
    "Staged": "files",
    "Store": "store",
    "Writer": "commit",
    "held": "holdings",
    "job_logs": "jobs",
}

__all__ = [
    "HEARTBEAT_S",
    "SILENT_S",
    "Again",
    "AttemptLog",
    "Committed",
    "Damage",
    "Draft",
    "Found",
    "Held",
    "JobJournal",
    "Journal",
    "Lease",
    "PartWriter",
    "Pruner",
    "Request",
    "Share",
    "Source",
    "Staged",
    "Store",
    "Writer",
    "held",
    "job_logs",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'outlast.store' has no attribute {name!r}")
    return getattr(import_module(f"outlast.store.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
