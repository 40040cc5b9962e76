"""Bugs that let other people in: signatures, keys, what they plant, what they may read."""

from __future__ import annotations

import os

from mutants.mutant import Mutant

_SIGNING = "format/test_signing.py"
_PEOPLE = "trust/test_people.py"
_RACE = f"{_PEOPLE}::test_each_call_that_differs_is_raced"

_FOR_ALL = (
    Mutant(
        name="signature-checked-after-parsing",
        why="who has no key can have our parser read what he likes",
        file="format/envelope.py",
        old="        if judge:\n            judge(view[:-tail_bytes], path)\n    return _checked(data, path)\n",
        new="        seen = _checked(data, path)\n        if judge:\n            judge(view[:-tail_bytes], path)\n"
        "    return seen\n",
        red=(f"{_SIGNING}::test_what_is_not_signed_is_not_parsed_either_s67",),
    ),
    Mutant(
        name="signature-leaves-out-the-head",
        why="a manifest of another step, or of a run that is not done, is taken",
        file="format/signing.py",
        old="hmac.digest(self._secret, body, _HASH)",
        new="hmac.digest(self._secret, body[200:], _HASH)",
        red=(f"{_SIGNING}::test_every_flipped_bit_of_what_is_signed_is_noticed_s67",),
    ),
    Mutant(
        name="signature-compared-in-part",
        why="a signature is found by trying",
        file="format/signing.py",
        old="hmac.compare_digest(self.key.sign(signed).encode(), found)",
        new="hmac.compare_digest(self.key.sign(signed).encode()[:8], found[:8])",
        red=(f"{_SIGNING}::test_every_flipped_bit_of_what_is_signed_is_noticed_s67",),
    ),
    Mutant(
        name="unsigned-taken-with-a-key",
        why="whoever leaves the signature out is believed",
        file="format/signing.py",
        old="            if not self.takes_unsigned:\n",
        new="            if False:\n",
        red=(f"{_SIGNING}::test_what_is_not_signed_is_not_parsed_either_s67",),
    ),
    Mutant(
        name="signed-with-weak-digests",
        why="other bytes with the same digest can be made: the arrays are not protected",
        file="format/manifest.py",
        old="    return BLAKE3 if has_blake3() else STRONG\n",
        new="    return NAME\n",
        red=("store/test_signed.py::test_what_is_written_with_a_key_is_signed_and_strong_s68[blake3]",),
    ),
    Mutant(
        name="missing-package-is-not-noticed",
        why="a good checkpoint is taken for damage, moved to quarantine, and an older one restored",
        file="format/features.py",
        old="        if not feature.is_here():\n",
        new="        if False:\n",
        red=("store/test_signed.py::test_without_the_package_nothing_is_read_begun_anew_or_set_aside_s11",),
    ),
    Mutant(
        name="wrong-key-moves-to-quarantine",
        why="who mistypes the key's name loses sight of all good checkpoints",
        file="run/restore.py",
        old="        except SignatureError as e:",
        new="        except ZeroDivisionError as e:",
        red=("store/test_signed.py::test_with_the_wrong_key_nothing_is_restored_moved_or_begun_anew_s67[b]",),
    ),
    Mutant(
        name="pruning-without-the-key",
        why="a forged manifest decides what is kept",
        file="store/prune.py",
        old="self._store, self._lease.trust)",
        new="self._store, type(self._lease.trust)())",
        red=("store/test_signed.py::test_every_kind_of_read_refuses_what_the_key_did_not_sign_s67",),
    ),
    Mutant(
        name="key-open-to-others",
        why="everybody who can log in can sign",
        file="backends/keyfile.py",
        old="_OTHERS = stat.S_IRWXG | stat.S_IRWXO\n",
        new="_OTHERS = 0\n",
        red=("backends/test_keyfile.py::test_a_key_that_is_open_to_others_is_refused[416]",),
    ),
    Mutant(
        name="files-open-to-others",
        why="with umask 0 everybody reads and writes the state",
        file="backends/publishing.py",
        old="*, mode: int = 0o600) -> int:\n",
        new="*, mode: int = 0o666) -> int:\n",
        red=(f"{_PEOPLE}::test_files_are_0600_and_directories_0700_whatever_the_umask_s05[0]",),
    ),
    Mutant(
        name="environment-in-the-claim",
        why="tokens and passwords lie in a file for years",
        file="backends/host.py",
        old="        return asdict(self)\n",
        new='        return {**asdict(self), "environment": dict(os.environ)}\n',
        red=(f"{_PEOPLE}::test_no_secret_of_environment_arguments_or_traceback_is_written_s19",),
    ),
    Mutant(
        name="error-text-in-the-journal",
        why="what a program says as it crashes may hold what it logged in with",
        file="run/run.py",
        old='fields = {"error": type(error).__name__}\n',
        new='fields = {"error": repr(error)}\n',
        red=(f"{_PEOPLE}::test_no_secret_of_environment_arguments_or_traceback_is_written_s19",),
    ),
)

_FOR_ROOT = (  # who alone can be two users
    Mutant(
        name="new-files-may-be-there",
        why="a link at a temporary name makes us overwrite a file of ours elsewhere",
        file="backends/publishing.py",
        old="NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC\n",
        new="NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC\n",
        red=(f"{_RACE}[inside-open-link-to-file]",),
    ),
    Mutant(
        name="planted-links-followed",
        why="a link of the store's name has us make a store in another folder of ours",
        file="backends/owners.py",
        old="    if stat.S_ISLNK(found.st_mode) and is_planted",
        new="    if False and is_planted",
        red=(f"{_PEOPLE}::test_a_link_that_another_user_planted_is_named_in_the_refusal",),
    ),
    Mutant(
        name="swapped-store-not-noticed",
        why="from then on we write to wherever somebody chose",
        file="backends/paths.py",
        old="            if self._pinned is not None:\n",
        new="            if False:\n",
        red=(f"{_RACE}[beside-open-swap-link]",),
    ),
    Mutant(
        name="journal-of-somebody-elses-choice",
        why="what we record is appended to a file of ours that somebody put there by a link",
        file="backends/posix.py",
        old="                is_ours = holds is None or self._holds(fd, path, found.st_size, holds)\n",
        new="                is_ours = True\n",
        red=(f"{_RACE}[inside-his-hard-link]",),
    ),
)

MUTANTS = (*_FOR_ALL, *(_FOR_ROOT if os.geteuid() == 0 else ()))
