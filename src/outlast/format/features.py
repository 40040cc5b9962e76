"""What a manifest may require of its reader beyond version 1: the features that `requires` names, and their packages.

A reader that does not know a feature, or lacks its package, refuses by version: what it cannot read is no damage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from outlast.errors import VersionError
from outlast.format import codecs, digest, ranks
from outlast.format.model import Leaf, Node


class _Feature(NamedTuple):
    """Args: what: needs the package. extra: of our own package, which brings it. is_here: whether it is installed."""

    what: str
    package: str
    extra: str
    is_here: Callable[[], bool]


_FEATURES = {
    digest.BLAKE3: _Feature("its digests are BLAKE3", "blake3", "signing", digest.has_blake3),
    codecs.ZSTD: _Feature("leaves in it are compressed", "zstandard", "zstd", codecs.has_zstd),
    ranks.RANKS: _Feature("its ranks hold different things", "", "", lambda: True),
}


def used(kind: str, leaves: Sequence[Leaf], tree: Node = None, position: Node = None) -> tuple[str, ...]:
    """Return the features that a manifest uses: it names exactly these.

    Args:
        kind: of its digests.
        leaves: all of them.
        tree: its nodes.
        position: that node.
    """
    found = [digest.BLAKE3] if kind == digest.BLAKE3 else []
    found += [codecs.ZSTD] if any(leaf.codec is not None for leaf in leaves) else []
    found += [ranks.RANKS] if ranks.used(leaves, tree, position) else []
    return tuple(found)


def check(requires: Sequence[str], path: str) -> None:
    """Raise VersionError for a feature that is not known, or that cannot be used here."""
    unknown = [name for name in requires if name not in _FEATURES]
    if unknown:
        names = ", ".join(name[:40] for name in unknown[:5])
        raise VersionError(f"{path} needs features that this outlast does not know: {names}", hint="upgrade outlast")
    for name in requires:
        feature = _FEATURES[name]
        if not feature.is_here():
            hint = f"pip install 'outlast[{feature.extra}]'"
            raise VersionError(f"{path}: {feature.what}, which needs the package {feature.package}", hint=hint)
