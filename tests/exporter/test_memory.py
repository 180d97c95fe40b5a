"""What a step leaves behind goes back to the system."""

from __future__ import annotations

import gc
from collections.abc import Generator
from pathlib import Path
from weakref import ref

import numpy as np
import pytest

from graftcam.exporter.memory import _trim, give_back, paused_collector

STATM = Path("/proc/self/statm")


def resident() -> float:
    """Megabytes of this process that are in memory."""
    return int(STATM.read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(_trim() is None or not STATM.exists(), reason="needs glibc and Linux")
def test_freed_memory_goes_back() -> None:
    give_back()
    before = resident()
    blocks = [np.ones(12_000) for _ in range(1000)]  # too small to be mapped each by itself
    pin = blocks[-1]  # at the end of the heap: without this glibc gives back all by itself
    del blocks
    left = resident() - before
    give_back()
    assert left > 60
    assert resident() - before < 30
    assert pin.all()


@pytest.fixture
def collecting() -> Generator[None]:
    yield
    gc.enable()


@pytest.mark.usefixtures("collecting")
def test_the_collector_pauses_and_goes_on_also_after_an_error() -> None:
    def fails() -> None:
        with paused_collector():
            assert not gc.isenabled()
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert gc.isenabled()
    gc.disable()
    with paused_collector():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_the_collector_collects_at_the_end() -> None:
    class Circle:
        me: Circle

    with paused_collector():
        circle = Circle()
        circle.me = circle
        left = ref(circle)
        del circle
        assert left() is not None
    assert left() is None
