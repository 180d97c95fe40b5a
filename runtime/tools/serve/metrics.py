"""`Metrics` counts what the service does, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # the time of the first count, as a gauge beside each counter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one service; each service of a process has its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "graftcam_requests",
            "Answered requests; status 499: the client hung up.",
            ["model", "endpoint", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "graftcam_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["model", "endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._waiting = Gauge(
            "graftcam_queue",
            "Requests that wait for the model.",
            ["model"],
            registry=self._registry,
        )
        self._batches = Histogram(
            "graftcam_batch_size",
            "Requests that ran together.",
            ["model"],
            buckets=_SIZES,
            registry=self._registry,
        )
        self._runs = Histogram(
            "graftcam_model_seconds",
            "Seconds in the model, of each run.",
            ["model"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)  # memory, processor time, open files

    def watch(self, model: str, waiting: Callable[[], int]) -> None:
        """Measure the length of a model's queue whenever the metrics are read."""
        self._waiting.labels(model).set_function(waiting)

    def ran(self, model: str, size: int, seconds: float) -> None:
        """Count a run of a model."""
        self._batches.labels(model).observe(size)
        self._runs.labels(model).observe(seconds)

    def answered(self, model: str, endpoint: str, status: int, seconds: float) -> None:
        """Count an answer.

        Args:
            model: The model's name; empty: the request is about none of the service's.
            endpoint: The name of what answered; empty: nothing at this address.
            status: The answer's status.
            seconds: How long it took.
        """
        self._requests.labels(model, endpoint, str(status)).inc()
        self._seconds.labels(model, endpoint).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
