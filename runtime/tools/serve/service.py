"""A `Service` is the opened models, what is counted, and what is accepted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

from .body import Memory
from .describe import describe
from .metrics import Metrics, PrometheusMetrics
from .model import ServedModel
from .refusals import RETRY, RefusedError
from .settings import ServeSettings

T = TypeVar("T")
_HANDS = 4  # threads that decode images and draw answers


class Service:
    """The state behind the addresses; one for each process.

    Attributes:
        settings: The service.
        metrics: Its counters.
        memory: The bytes of bodies.
        pixels: The pixels of decoded images.
        stopping: Whether it finishes what it has begun, and accepts nothing more.
    """

    def __init__(self, settings: ServeSettings, metrics: Metrics | None = None) -> None:
        """Prepare a service; it has no models before `open`.

        Args:
            settings: The service.
            metrics: Counts what it does; None: for Prometheus.
        """
        self.settings, self.metrics = settings, metrics or PrometheusMetrics()
        self.memory = Memory(settings.limits.memory)
        self.pixels = Shares(settings.limits.all_pixels)
        self.stopping = False
        self._models: dict[str, ServedModel] = {}
        self._described: dict[str, dict[str, Any]] = {}
        self._busy = 0
        self._opened = False
        self._hands = ThreadPoolExecutor(_HANDS, "hands")

    def open(self) -> None:
        """Open the models; until then the service is not ready.

        Raises:
            GraftcamError: A model cannot be opened.
        """
        for file in self.settings.models:
            model = ServedModel(file, self.settings, partial(self.metrics.ran, file.name))
            self._models[file.name] = model
            self.metrics.watch(file.name, partial(len, model.batches))
            self._described[file.name] = describe(file.name, model.steps, self.settings.limits)
        self._opened = True

    def close(self) -> None:
        """Finish what waits, and end the threads."""
        for model in self._models.values():
            model.close()
        self._hands.shutdown()

    @property
    def ready(self) -> bool:
        """Whether requests are accepted."""
        return self._opened and not self.stopping

    @property
    def names(self) -> list[str]:
        """Names of the models, in the order in which they were given."""
        return [file.name for file in self.settings.models]

    def model(self, name: str) -> ServedModel:
        """Return a model.

        Raises:
            RefusedError: There is none of this name (404), or it is not opened yet (503).
        """
        if name not in self.names:
            raise RefusedError(404, f"no model '{name}'; there is {', '.join(self.names)}")
        if not self._opened:
            raise RefusedError(503, "the models are being loaded; try again", RETRY)
        return self._models[name]

    def description(self, name: str) -> dict[str, Any]:
        """Return what a model is and can do; raises as `model`."""
        self.model(name)
        return self._described[name]

    @contextmanager
    def place(self) -> Generator[None]:
        """Hold one of the places for requests that are read, wait or are answered.

        Raises:
            RefusedError: All are taken (429).
        """
        if self._busy >= self.settings.limits.queue:
            raise RefusedError(429, f"{self._busy} requests are waiting; try again", RETRY)
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run a function in a thread for decoding and drawing."""
        return await asyncio.get_running_loop().run_in_executor(self._hands, work, *arguments)


class Shares:
    """Lets tasks of one event loop wait, in their order, until there is room for what they take."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def take(self, count: int) -> AsyncGenerator[None]:
        """Hold a part, which is all of it if it is larger."""
        count = min(count, self._most)
        if self._waiting or count > self._free:
            await self._turn(count)
        else:
            self._free -= count
        try:
            yield
        finally:
            self._give(count)

    async def _turn(self, count: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove((count, turn))
            else:
                self._give(count)
            raise

    def _give(self, count: int) -> None:
        self._free += count
        while self._waiting and self._waiting[0][0] <= self._free:
            count, turn = self._waiting.popleft()
            self._free -= count
            turn.set_result(None)
