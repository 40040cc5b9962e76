"""Python's collector of reference cycles, kept from looking in vain.

It looks at all that lives, again and again, while much is made at once; for the tables of a large state that takes as
long as making them. Nothing of ours is garbage then, nor made of cycles.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Keep it from starting by itself inside this, if it is on, and if we hold the main thread up.

    In another thread the program may be switching it itself meanwhile, and must not be overruled.
    """
    is_ours = gc.isenabled() and threading.current_thread() is threading.main_thread()
    if is_ours:
        gc.disable()
    try:
        yield
    finally:
        if is_ours:
            gc.enable()
