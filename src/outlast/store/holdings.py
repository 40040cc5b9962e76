"""What a checkpoint holds on to: a manifest, summarised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from outlast.format.model import Manifest
from outlast.format.names import CheckpointName
from outlast.store.layout import MANIFEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a checkpoint holds on to: enough to decide on it and to keep its files.

    Args:
        files: its manifest and every part and file that it names, relative to the store, with their sizes in bytes.
    """

    name: CheckpointName
    files: Mapping[str, int]
    metrics: dict[str, float]
    done: bool

    @property
    def own_bytes(self) -> int:
        """Return the bytes in its own directory."""
        own = f"{self.name.format()}/"
        return sum(size for path, size in self.files.items() if path.startswith(own))


def held(manifest: Manifest, manifest_bytes: int) -> Held:
    """Summarise a manifest."""
    name = CheckpointName(step=manifest.step, attempt=manifest.attempt, revision=manifest.revision)
    return Held(
        name=name,
        files={
            f"{name.format()}/{MANIFEST}": manifest_bytes,
            **{part.path: part.size_bytes for part in manifest.parts},
            **{file.at: file.size_bytes for file in manifest.files},
        },
        metrics=manifest.metrics,
        done=manifest.done,
    )
