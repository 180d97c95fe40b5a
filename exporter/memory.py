"""An export works in steps, and some need much memory: `give_back` returns what a step left behind.

glibc keeps the blocks that a program frees for its next ones. After the tensors of one step the
process would stay as large, and the next step's blocks, of other sizes, would come on top.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache


def give_back() -> None:
    """Return freed memory to the system, where the C library can (glibc)."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """The function ``malloc_trim`` of glibc; None for other C libraries."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


@contextmanager
def paused_collector() -> Generator[None]:
    """Let Python's garbage collector wait, and collect once at the end.

    PyTorch's exporter makes millions of objects that stay; searching all of them for garbage again
    and again finds little, and takes a sixth of its time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
            gc.collect()
