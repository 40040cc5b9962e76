"""What is promised on which storage: pure, from a mount and from what a probe gave."""

import dataclasses

import pytest

from outlast.backends import Quota
from outlast.backends.mounts import Mount
from outlast.backends.probe import NAMES, Probe
from outlast.backends.rally import Met
from outlast.policy.storage import KINDS, judge

KEYS = ("kill", "power-loss", "node-loss", "other-nodes", "two-jobs", "private")


def probes(**outcomes):
    wrong = {name.replace("_", "-"): outcome for name, outcome in outcomes.items()}
    return [Probe(name=n, outcome=wrong.get(n, "ok"), said="well" if n not in wrong else "broken") for n in NAMES]


def mount(kind, *options):
    return Mount(point="/x", type=kind, source="s", options=options)


def holds(verdict):
    return "".join({"yes": "y", "no": "n", "unknown": "?"}[p.holds] for p in verdict.promises)


def said(verdict, key):
    return next(p.said for p in verdict.promises if p.key == key)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [  # kill, power, node, other nodes, two jobs, private
        ("tmpfs", "ynnnyy"),
        ("ramfs", "ynnnyy"),
        ("overlay", "y?nnyy"),
        ("fuse.fuse-overlayfs", "y?nnyy"),
        ("ext4", "yynnyy"),
        ("xfs", "yynnyy"),
        ("btrfs", "yynnyy"),
        ("zfs", "yynnyy"),
        ("nfs", "yyyyyy"),
        ("nfs4", "yyyyyy"),
        ("lustre", "yyyyyy"),
        ("gpfs", "yyyyyy"),
        ("ceph", "yyyyyy"),
        ("beegfs", "yyy?yy"),
        ("beegfs_nodev", "yyy?yy"),
        ("cifs", "y?y??y"),
        ("smb3", "y?y??y"),
        ("9p", "y????y"),
        ("virtiofs", "y????y"),
        ("fuse.sshfs", "y?y??y"),
        ("fuse.something", "y????y"),
        ("newfs", "y????y"),
        (None, "y????y"),
    ],
)
def test_what_is_promised_where(kind, expected):
    verdict = judge(mount(kind) if kind else None, probes())
    assert tuple(p.key for p in verdict.promises) == KEYS
    assert holds(verdict) == expected
    assert verdict.fit
    assert verdict.warnings == ()


def test_an_unknown_kind_is_named():
    assert judge(mount("newfs"), probes()).kind.words == "a file system that outlast does not know (newfs)"
    assert judge(mount("fuse.x"), probes()).kind.words == "a FUSE file system that outlast does not know (fuse.x)"
    assert "outlast doctor STORE --other-node" in said(judge(mount("newfs"), probes()), "other-nodes")


@pytest.mark.parametrize(
    ("failed", "lost"),
    [
        ("write", {"kill"}),
        ("link", {"kill", "two-jobs"}),
        ("commit", {"kill", "power-loss"}),
        ("sync_file", {"power-loss"}),
        ("sync_directory", {"power-loss"}),
        ("read_back", {"power-loss"}),
        ("race", {"two-jobs"}),
        ("exclusive", {"two-jobs"}),
        ("permissions", {"private"}),
        ("listing", {"kill"}),
        ("no_follow", set()),
    ],
)
@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_what_fails_is_not_promised(failed, lost, outcome):
    good, verdict = judge(mount("lustre"), probes()), judge(mount("lustre"), probes(**{failed: outcome}))
    assert verdict.fit == (outcome == "skipped")
    changed = {b.key for a, b in zip(good.promises, verdict.promises, strict=True) if a != b}
    assert changed == lost
    for key in lost:
        assert said(verdict, key) == f"{failed.replace('_', '-')}: broken"


def test_a_probe_that_was_not_made_promises_nothing():
    assert holds(judge(mount("lustre"), [])) == "nnyynn"


@pytest.mark.parametrize("name", list(NAMES))
def test_a_warning_is_passed_on_and_fits(name):
    verdict = judge(mount("ext4"), probes(**{name.replace("-", "_"): "warning"}))
    assert verdict.fit
    assert verdict.warnings == (f"{name}: broken",)


def test_wide_modes_are_not_private():
    assert holds(judge(mount("lustre"), probes(permissions="warning")))[-1] == "n"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "within 60 s"),
        (("acdirmax=10",), "within 10 s"),
        (("actimeo=3",), "within 3 s"),
        (("actimeo=0",), "at once"),
        (("noac",), "at once"),
        (("acdirmax=x",), "within 60 s"),
    ],
)
def test_nfs_says_when_another_node_sees_it(options, text):
    assert text in said(judge(mount("nfs4", *options), probes()), "other-nodes")


def test_nfs_says_what_cannot_be_seen():
    assert "an export with the option async (not visible from here)" in said(
        judge(mount("nfs"), probes()), "power-loss"
    )


@pytest.mark.parametrize(
    ("kind", "option", "text"),
    [
        ("nfs", "soft", "mounted soft"),
        ("nfs4", "softerr", "mounted soft"),
        ("nfs4", "acdirmax=600", "may look 600 s old"),
        ("ext4", "nobarrier", "nobarrier"),
        ("ext4", "barrier=0", "nobarrier"),
    ],
)
def test_options_to_warn_of(kind, option, text):
    (warning,) = judge(mount(kind, option), probes()).warnings
    assert text in warning


@pytest.mark.parametrize(("kind", "option"), [("xfs", "nobarrier"), ("ext4", "barrier=0"), ("zfs", "sync=disabled")])
def test_options_by_which_a_sync_means_nothing(kind, option):
    assert holds(judge(mount(kind, option), probes()))[1] == "n"


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("lustre", ("localflock",), "localflock"),
        ("lustre", ("noflock",), "noflock"),
        ("lustre", (), "no flock"),
        ("nfs", ("nolock",), "nolock"),
        ("nfs", ("local_lock=all",), "local_lock"),
    ],
)
def test_locks_are_a_note_for_outlast_takes_none(kind, options, text):
    verdict = judge(mount(kind, *options), probes())
    assert verdict.warnings == ()
    (note,) = verdict.notes
    assert text in note
    assert "outlast takes none" in note
    assert holds(verdict)[4] == "y"


@pytest.mark.parametrize(("kind", "options"), [("lustre", ("flock",)), ("nfs", ("local_lock=none",)), ("ext4", ())])
def test_locks_that_work_are_not_spoken_of(kind, options):
    assert judge(mount(kind, *options), probes()).notes == ()


MET = Met(other="n2", is_same_node=False, rounds_s=(0.5, 2.0), mine=40, theirs=60, twice=0, nobodys=0)


def test_what_another_node_saw_beats_what_is_known_of_the_kind():
    verdict = judge(mount("cifs"), probes(), met=MET)
    assert verdict.fit
    assert said(verdict, "other-nodes") == "measured: written here, seen on n2 and answered within 2 s"
    assert said(verdict, "two-jobs") == "measured: two nodes wanted the same names, 40 came here, 60 went there"
    assert verdict.warnings == ()


@pytest.mark.parametrize(("twice", "nobodys"), [(1, 0), (0, 1)])
def test_names_that_are_not_exclusive_between_nodes_are_not_fit(twice, nobodys):
    verdict = judge(mount("lustre"), probes(), met=dataclasses.replace(MET, twice=twice, nobodys=nobodys))
    assert not verdict.fit
    assert holds(verdict)[4] == "n"


def test_an_answer_of_the_same_node_says_nothing():
    met = dataclasses.replace(MET, is_same_node=True)
    plain, verdict = judge(mount("cifs"), probes()), judge(mount("cifs"), probes(), met=met)
    assert verdict.promises == plain.promises
    assert "this very node" in verdict.warnings[0]


def test_a_late_answer_is_warned_of():
    verdict = judge(mount("nfs"), probes(), met=dataclasses.replace(MET, rounds_s=(75.0,)))
    assert "75 s; outlast counts on a minute at most" in verdict.warnings[0]


@pytest.mark.parametrize(("used", "warned"), [(94, False), (95, True), (200, True)])
def test_a_quota_that_is_nearly_used_up(used, warned):
    told = Quota(whose="user a", used_bytes=0, limit_bytes=None, used_files=used, limit_files=100, told_by="quota")
    warnings = judge(mount("ext4"), probes(), quotas=[told]).warnings
    assert bool(warnings) == warned
    if warned:
        assert warnings[0].startswith(f"quota: user a: 0 B of no limit, {used} files of 100")


def test_every_kind_says_why():
    for name, kind in KINDS.items():
        for _, why in (kind.durable, kind.seen, kind.exclusive):
            assert why, name
        assert kind.words, name
