"""What a manifest requires of its reader: S-11, S-24."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from outlast.errors import DamageError, VersionError
from outlast.format import digest, features
from outlast.format.digest import BLAKE3, KNOWN, NAME, hexdigest
from outlast.format.manifest import decode, encode

from .manifests import sealed, small, table_of


def of_kind(kind: str):
    """The small manifest with digests of that kind."""
    plain, one = small(), hexdigest(b"", kind)
    return replace(
        plain,
        digest=kind,
        requires=features.used(kind, ()),
        parts=tuple(replace(part, header_digest=one) for part in plain.parts),
        leaves=tuple(replace(leaf, chunks=(one,) * len(leaf.chunks)) for leaf in plain.leaves),
    )


@pytest.fixture
def no_package(monkeypatch):
    digest._blake3_kind.cache_clear()
    monkeypatch.setitem(sys.modules, "blake3", None)
    yield
    digest._blake3_kind.cache_clear()


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_it_comes_back_with_what_it_requires_s24(kind):
    manifest = of_kind(kind)
    assert decode(encode(manifest)).requires == manifest.requires == ((BLAKE3,) if kind == BLAKE3 else ())


def test_a_package_that_is_missing_is_a_matter_of_version_s11():
    data = encode(of_kind(BLAKE3))
    with pytest.MonkeyPatch.context() as patch:
        digest._blake3_kind.cache_clear()
        patch.setitem(sys.modules, "blake3", None)
        with pytest.raises(VersionError) as caught:
            decode(data, "m")
    assert str(caught.value) == (
        "m: its digests are BLAKE3, which needs the package blake3\n  -> pip install 'outlast[signing]'"
    )
    assert decode(data).digest == BLAKE3, "and as soon as it is installed it is read"


def test_damage_is_damage_without_the_package_too_s09(no_package):
    data = bytearray(encode(of_kind(NAME)))
    data[40] ^= 1
    with pytest.raises(DamageError):
        decode(data)


@pytest.mark.parametrize("requires", [["blake3", "x"], ["x" * 100] * 50, ["zstd2"], [""]])
def test_the_unknown_is_named_and_not_damage_s11(requires):
    with pytest.raises(VersionError, match="needs features that this outlast does not know: ") as caught:
        decode(sealed(table_of(encode(small())) | {"requires": requires}))
    assert len(str(caught.value)) < 400


def test_the_package_is_not_loaded_for_who_does_not_need_it():
    code = "import sys, outlast.store, outlast.format.manifest as m; m.digest_for(None); print('blake3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
