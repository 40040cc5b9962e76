"""A rule of the lint, what it finds, and the edits that mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from outlast.jobscript.script import Script

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Put `text` in the place of what stands from `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A place where a rule applies.

    Args:
        line: from 1.
        said: what was found there; the rule's reason follows.
        severity: if not the rule's own.
        edits: what mends it in place.
        wants: directives that mend it.
    """

    line: int
    said: str
    severity: str = ""
    edits: tuple[Edit, ...] = ()
    wants: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def is_mendable(self) -> bool:
        return bool(self.edits or self.wants)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way in which job scripts lose work.

    Args:
        id: J1, J2 ...
        title: the mistake, in a few words.
        reason: what happens then.
        remedy: what to do instead.
        source: who says so, or where it was met.
        find: looks for it; called only where the rule can apply.
        severity: error (work is lost, or done twice) or warning.
        slurm_only: it is about Slurm.
        shell_only: it is about commands of a shell, not about directives.
        fixes: `--fix` mends it, at least in its plain form.
    """

    id: str
    title: str
    reason: str
    remedy: str
    source: str
    find: Callable[[Script], Iterable[Hit]]
    severity: str = ERROR
    slurm_only: bool = True
    shell_only: bool = True
    fixes: bool = False

    def applies(self, script: Script) -> bool:
        """Say whether the rule is about scripts of this kind at all."""
        return (script.is_shell or not self.shell_only) and (not self.slurm_only or script.system == "slurm")
