"""Job scripts of batch systems: what their directives and commands say, and how they lose work. Pure."""

from outlast.jobscript.directive import SLURM, Directive, directives, with_directives
from outlast.jobscript.script import parse

__all__ = ["SLURM", "Directive", "directives", "parse", "with_directives"]
