"""A cluster of Ray on this machine."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

_TRIES = 3  # Ray gives its agent 15 seconds to start, which a busy machine may exceed


@contextmanager
def local_cluster(ray: Any, cores: int) -> Generator[None]:
    """Start it, and end it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for left in reversed(range(_TRIES)):
        try:
            ray.init(address="local", num_cpus=cores, include_dashboard=False,
                     log_to_driver=False, logging_level="ERROR",
                     _system_config={"metrics_report_interval_ms": 500})  # fmt: skip
            break
        except Exception:  # Ray raises plain exceptions, too
            ray.shutdown()
            if not left:
                raise
    yield
    ray.shutdown()
