"""Kill on purpose, restart, compare with an undisturbed run, and say what is wrong."""

from outlast.drill.note import note

__all__ = ["note"]
