"""`Metrics` counts what the service does; `PrometheusMetrics` shows it to Prometheus."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Metric:
    """What is counted or measured.

    Attributes:
        name: Its name.
        text: What it is.
        labels: Names of its labels.
        buckets: Upper bounds of a histogram's buckets; empty: it is none.
    """

    name: str
    text: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


REQUESTS = Metric(
    "graftcam_requests", "Answered requests; status 499: the client hung up.",
    ("model", "endpoint", "status"),
)  # fmt: skip
REQUEST_SECONDS = Metric(
    "graftcam_request_seconds", "Seconds from a request's head to the end of its answer.",
    ("model", "endpoint"), _SECONDS,
)  # fmt: skip
QUEUE = Metric("graftcam_queue", "Requests that wait for the model.", ("model",))
BATCH_SIZE = Metric("graftcam_batch_size", "Requests that ran together.", ("model",), _SIZES)
MODEL_SECONDS = Metric(
    "graftcam_model_seconds", "Seconds in the model, of each run.", ("model",), _SECONDS
)
HISTOGRAMS = (REQUEST_SECONDS, BATCH_SIZE, MODEL_SECONDS)


class Metrics(ABC):
    """Counts what one service does."""

    @abstractmethod
    def watch(self, model: str, waiting: Callable[[], int]) -> None:
        """Measure the length of a model's queue by calling ``waiting``."""

    @abstractmethod
    def count(self, *labels: str) -> None:
        """Add one to `REQUESTS`."""

    @abstractmethod
    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add a value to a histogram."""

    @abstractmethod
    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format.

        Raises:
            RefusedError: They are shown elsewhere.
        """

    def ran(self, model: str, size: int, seconds: float) -> None:
        """Count a run of a model."""
        self.observe(BATCH_SIZE, size, model)
        self.observe(MODEL_SECONDS, seconds, model)

    def answered(self, model: str, endpoint: str, status: int, seconds: float) -> None:
        """Count an answer.

        Args:
            model: The model's name; empty: the request is about none of the service's.
            endpoint: The name of what answered; empty: nothing at this address.
            status: The answer's status.
            seconds: How long it took.
        """
        self.count(model, endpoint, str(status))
        self.observe(REQUEST_SECONDS, seconds, model, endpoint)


class PrometheusMetrics(Metrics):
    """The metrics of one process, for Prometheus; each service of a process has its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            REQUESTS.name, REQUESTS.text, REQUESTS.labels, registry=self._registry
        )
        self._waiting = Gauge(QUEUE.name, QUEUE.text, QUEUE.labels, registry=self._registry)
        self._histograms = {
            one: Histogram(
                one.name, one.text, one.labels, buckets=one.buckets, registry=self._registry
            )
            for one in HISTOGRAMS
        }
        ProcessCollector(registry=self._registry)  # memory, processor time, open files

    def watch(self, model: str, waiting: Callable[[], int]) -> None:
        """Measure the length of a model's queue whenever the metrics are read."""
        self._waiting.labels(model).set_function(waiting)

    def count(self, *labels: str) -> None:
        """See `Metrics`."""
        self._requests.labels(*labels).inc()

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """See `Metrics`."""
        self._histograms[metric].labels(*labels).observe(value)

    def text(self) -> bytes:
        """See `Metrics`."""
        return generate_latest(self._registry)
