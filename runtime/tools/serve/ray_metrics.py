"""`RayMetrics` hands what a replica counts to Ray, which shows all replicas to Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .metrics import HISTOGRAMS, QUEUE, REQUESTS, Metric, Metrics
from .refusals import RefusedError


class RayMetrics(Metrics):
    """The metrics of one replica, as Ray's.

    Ray adds the labels ``deployment``, ``replica`` and ``application``, puts ``ray_`` before each
    name, and shows them at the metrics port of each node.
    """

    def __init__(self, ray_metrics: Any) -> None:
        """Register the metrics.

        Args:
            ray_metrics: The package ``ray.serve.metrics``, in the process of a replica.
        """
        self._requests = _made(ray_metrics.Counter, REQUESTS)
        self._queue = _made(ray_metrics.Gauge, QUEUE)
        self._histograms = {
            one: _made(ray_metrics.Histogram, one, boundaries=list(one.buckets))
            for one in HISTOGRAMS
        }
        self._waiting: dict[str, Callable[[], int]] = {}

    def watch(self, model: str, waiting: Callable[[], int]) -> None:
        """Measure the length of a model's queue at each answer."""
        self._waiting[model] = waiting

    def count(self, *labels: str) -> None:
        """See `Metrics`."""
        self._requests.inc(tags=_tags(REQUESTS, labels))
        for model, waiting in self._waiting.items():
            self._queue.set(waiting(), tags=_tags(QUEUE, (model,)))

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """See `Metrics`."""
        self._histograms[metric].observe(value, tags=_tags(metric, labels))

    def text(self) -> bytes:
        """Refuse; see `Metrics`."""
        raise RefusedError(
            404, "Ray has the metrics of all replicas; read /metrics at the metrics port of its "
            "nodes (ray start --metrics-export-port)"
        )  # fmt: skip


def _made(kind: Any, metric: Metric, **options: Any) -> Any:
    return kind(metric.name, description=metric.text, tag_keys=metric.labels, **options)


def _tags(metric: Metric, labels: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(metric.labels, labels, strict=True))
