"""What is measured: the pace beside a bare loop, settings, memory, a restart, a flood."""

from __future__ import annotations

import random
import socket
import statistics
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..machine import Watch
from ..timing import spread
from .running import Running, ask, bare, running, seen_by, start_client

Row = dict[str, Any]
_SHARE, _SLACK = 0.02, 8.0  # of growth that is none, and megabytes
SETTINGS = {
    "default": (), "--batch 1": ("--batch", "1"), "--batch 8": ("--batch", "8"),
    "--batch 16": ("--batch", "16"), "--wait 2": ("--wait", "2"), "--wait 10": ("--wait", "10"),
    "--workers 2": ("--workers", "2"),
}  # fmt: skip


def pace(model: Path, images: Sequence[Path], rounds: int, seconds: float) -> Row:
    """Compare the service with the bare loop, in turns.

    Returns:
        Quartiles over the rounds: ratios of an image's time with 8 clients and with one, latencies,
        and where the processor time of an image goes.
    """
    found: dict[str, list[float]] = {}

    def add(**values: float) -> None:
        for name, value in values.items():
            found.setdefault(name, []).append(value)

    watch = Watch()
    with running(model) as service:
        ask(service.port, images, 8, 1)  # the first runs of each shape
        for _ in range(rounds):
            run = bare(model, images, seconds, "run")
            full = bare(model, images, seconds, "full")
            many = _served(service, images, 8, seconds)
            one = _served(service, images, 1, seconds)
            add(
                bare_ms=run["ms"], bare_cpu_ms=run["cpu_ms"], full_ms=full["ms"],
                read_cpu_ms=full["read_cpu_ms"],
                **{f"eight_{name}": value for name, value in many.items()},
                **{f"one_{name}": value for name, value in one.items()},
                ratio=many["ms"] / run["ms"], full_ratio=many["ms"] / full["ms"],
                cpu_ratio=many["cpu_ms"] / run["cpu_ms"], one_ratio=one["ms"] / run["ms"],
            )  # fmt: skip
    return {
        "model": model.stem, "rounds": rounds, "seconds": seconds, "others": watch.others(),
        **{name: spread(values) for name, values in found.items()},
    }  # fmt: skip


def _served(
    service: Running, images: Sequence[Path], connections: int, seconds: float
) -> dict[str, float]:
    names = ("graftcam_model_seconds_sum", "graftcam_batch_size_sum", "graftcam_batch_size_count")
    before = [service.busy, *map(service.metric, names)]
    seen = ask(service.port, images, connections, seconds)
    busy, model, sizes, runs = (
        now - then
        for now, then in zip([service.busy, *map(service.metric, names)], before, strict=True)
    )
    times = sorted(seen["latencies"])
    count = len(times)
    assert seen["statuses"] == {"200": count}, seen["statuses"]
    assert not seen["lost"]
    return {
        "ms": 1000 * seen["seconds"] / count,
        "cpu_ms": 1000 * busy / count,
        "model_ms": 1000 * model / count,
        "batch": sizes / runs,
        "median_ms": statistics.median(times),
        "p99_ms": times[int(0.99 * (count - 1))],
        "p99_ratio": times[int(0.99 * (count - 1))] / statistics.median(times),
    }


def settings(model: Path, images: Sequence[Path], rounds: int, seconds: float) -> Row:
    """Compare settings, in turns, by processor time, which other processes disturb less."""
    watch = Watch()
    found: dict[str, dict[str, list[float]]] = {
        name: {"cpu_ms": [], "p99_ratio": [], "batch": []} for name in SETTINGS
    }
    order = [*SETTINGS]
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            with running(model, *SETTINGS[name]) as service:
                ask(service.port, images, 8, 1)
                got = _served(service, images, 8, seconds)
            for key, values in found[name].items():
                values.append(got[key])
    return {
        "model": model.stem, "rounds": rounds, "seconds": seconds, "others": watch.others(),
        "settings": {
            name: {key: spread(values) for key, values in its.items()}
            for name, its in found.items()
        },
    }  # fmt: skip


def memory(model: Path, images: Sequence[Path], count: int) -> Row:
    """Read the memory of the service while it answers ``count`` requests of 8 clients."""
    samples: list[float] = []
    with running(model) as service:
        # Read all the time: a client that cannot print its line does not end.
        with ThreadPoolExecutor(1) as reader:
            client = reader.submit(seen_by, start_client(service.port, images, 8, 1e9, count))
            while not client.done():
                samples.append(round(service.megabytes, 1))
                wait([client], timeout=1)
        seen = client.result()
    tenth = max(1, len(samples) // 10)
    parts = (samples[tenth:][:tenth] or samples, samples[-tenth:])
    early, late = map(statistics.median, parts)
    return {
        "model": model.stem, "statuses": seen["statuses"], "lost": seen["lost"],
        "seconds": round(seen["seconds"], 1), "early_mb": early, "late_mb": late,
        "peak_mb": max(samples), "flat": late <= max(early * (1 + _SHARE), early + _SLACK),
        "rss_mb": samples,
    }  # fmt: skip


def restart(model: Path, images: Sequence[Path], times: int) -> Row:
    """Replace the service several times under 8 clients: the successor gets its socket."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, ExitStack() as stack:
        codes: list[int] = []
        service = stack.enter_context(running(model, listener=listener))
        client = start_client(service.port, images, 8, 1e9, 400 * (times + 1))
        for _ in range(times):
            successor = stack.enter_context(running(model, listener=listener))
            codes.append(service.end())
            service = successor
        seen = seen_by(client)
        codes.append(service.end())
    return {
        "model": model.stem, "restarts": times, "codes": codes, "statuses": seen["statuses"],
        "lost": seen["lost"], "again": seen["again"],
        "slowest_ms": round(max(seen["latencies"]), 1),
    }  # fmt: skip


def flood(model: Path, images: Sequence[Path], count: int) -> Row:
    """Send many requests at the same time, each on a connection of its own; then one more."""
    with running(model) as service:
        seen = seen_by(start_client(service.port, images, count, 1e9, count))
        after = ask(service.port, images, 1, 1)
        peak = round(service.megabytes, 1)
    return {
        "model": model.stem, "count": count, "statuses": seen["statuses"], "lost": seen["lost"],
        "seconds": round(seen["seconds"], 1), "mb": peak,
        "after": dict(Counter(after["statuses"])),
    }  # fmt: skip
