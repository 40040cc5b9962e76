"""The user's state -> nodes and leaves (bytes), and back into the live objects that the program made."""

from outlast.capture.adapter import Adapter, Fixed, GlobalRng, LeafAdapter, LeafSpec, Refused, Target
from outlast.capture.allowed import is_allowed
from outlast.capture.outline import Outline
from outlast.capture.pool import Pool
from outlast.capture.refill import Source, restore
from outlast.capture.registry import register
from outlast.capture.report import Report, Row
from outlast.capture.rewind import Rewind
from outlast.capture.rng import RNG
from outlast.capture.snapshots import Snapshot, check, leave, outline, snapshot

__all__ = [
    "RNG",
    "Adapter",
    "Fixed",
    "GlobalRng",
    "LeafAdapter",
    "LeafSpec",
    "Outline",
    "Pool",
    "Refused",
    "Report",
    "Rewind",
    "Row",
    "Snapshot",
    "Source",
    "Target",
    "check",
    "is_allowed",
    "leave",
    "outline",
    "register",
    "restore",
    "snapshot",
]
