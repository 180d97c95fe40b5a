"""`serve_on_ray` runs the application on Ray Serve: replicas on one machine, or on a cluster.

Ray starts and restarts the replicas, distributes requests to them and scales their number. Each
replica is a process with sessions of its own, which batches what reaches it. Artifacts have the
same paths on every node.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ...custody.entries import read_spec
from ...errors import GraftcamError
from ..jobs.cluster import connected
from .settings import ServeSettings

NAME = "graftcam"
"""The application's name in Ray Serve."""


@dataclass(frozen=True)
class Replicas:
    """How many replicas there are.

    Attributes:
        least: The smallest number.
        most: The largest number; Ray chooses by the number of requests on their way.
    """

    least: int = 1
    most: int = 1


def serve_on_ray(
    settings: ServeSettings,
    host: str,
    port: int,
    address: str | None,
    replicas: Replicas,
    wait: Callable[[], Any],
) -> None:
    """Start the service on Ray, and end it when ``wait`` returns or is interrupted.

    Args:
        settings: The service.
        host: The address that Ray's proxies listen on.
        port: Their port.
        address: The cluster, as for `jobs.cluster.on_ray`.
        replicas: How many replicas.
        wait: Called when the service is ready.

    Raises:
        GraftcamError: Ray Serve is missing, there is no cluster, a file is no artifact, or the
            replicas do not start.
    """
    try:
        ray_serve: Any = import_module("ray.serve")
    except ImportError as error:
        raise GraftcamError(
            'Ray Serve is missing; install it with `pip install "graftcam[ray-serve]"`'
        ) from error
    for file in settings.models:  # Ray would start wrong ones again and again
        read_spec(Path(file.path))
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    with connected(import_module("ray"), address):
        try:
            ray_serve.start(proxy_location="EveryNode", http_options={"host": host, "port": port})
            ray_serve.run(deployment(ray_serve, settings, replicas), name=NAME, route_prefix="/")
        except Exception as error:  # Ray raises plain exceptions, too
            ray_serve.shutdown()
            reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise GraftcamError(f"Ray Serve did not start the service: {reason[0]}") from error
        try:
            wait()
        finally:
            # Replicas finish what they have begun.
            ray_serve.shutdown()


def deployment(ray_serve: Any, settings: ServeSettings, replicas: Replicas) -> Any:
    """Return the application of Ray Serve, to be run.

    Args:
        ray_serve: The package ``ray.serve``.
        settings: The service.
        replicas: How many replicas.
    """

    def build() -> Any:
        return _application(settings)

    threads = settings.threads or 1
    # What a replica has accepted waits in its own queue, where it is batched.
    options: dict[str, Any] = {
        "name": NAME,
        "max_ongoing_requests": settings.limits.queue,
        "ray_actor_options": {"num_cpus": threads * settings.workers},
        "graceful_shutdown_timeout_s": settings.limits.timeout,
        "logging_config": {"enable_access_log": False},
    }
    if replicas.most > replicas.least:
        options["autoscaling_config"] = {
            "min_replicas": replicas.least, "max_replicas": replicas.most,
            "target_ongoing_requests": settings.batch,
        }  # fmt: skip
    else:
        options["num_replicas"] = replicas.least
    return ray_serve.deployment(ray_serve.ingress(build)()).options(**options).bind()


def _application(settings: ServeSettings) -> Any:
    """Return the application in the process of a replica."""
    from dataclasses import replace

    from .application import application
    from .ray_metrics import RayMetrics
    from .service import Service

    metrics = RayMetrics(import_module("ray.serve.metrics"))
    service = Service(replace(settings, threads=settings.threads or 1), metrics)
    service.open()
    return application(service)
