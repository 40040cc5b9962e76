"""Inside the user's process: loops, boundaries, saving behind the loop, notice. `Run` is what users see."""

from outlast.run.run import Run

__all__ = ["Run"]
