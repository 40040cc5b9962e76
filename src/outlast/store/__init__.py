"""The durable store of one run: format on disk in `spec/store-v1.md`."""

from outlast.store.catalog import Found
from outlast.store.commit import Committed, Draft, Writer
from outlast.store.journal import AttemptLog, Journal
from outlast.store.lease import HEARTBEAT_S, SILENT_S, Lease
from outlast.store.prune import Held, Pruner, held
from outlast.store.reading import Damage, Source
from outlast.store.store import Request, Store

__all__ = [
    "HEARTBEAT_S",
    "SILENT_S",
    "AttemptLog",
    "Committed",
    "Damage",
    "Draft",
    "Found",
    "Held",
    "Journal",
    "Lease",
    "Pruner",
    "Request",
    "Source",
    "Store",
    "Writer",
    "held",
]
