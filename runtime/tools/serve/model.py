"""A `ServedModel` is one opened artifact: it reads images and runs jobs of explanation."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from ...explain.plan import Plan, join, make_plan
from ...explain.request import Request
from ...explain.steps import Steps
from ...explain.stream import explain_each
from ...inputs.examples import Example
from ...inputs.raw_feeds import Selection, raw_feeds
from ...output.explanation import Explanation
from ...session.engines.table import ENGINES
from .batching import Batches, Job
from .settings import ServedFile, ServeSettings
from .tensor_runs import TensorRun, run_together, tensor_run

_PLANS = 256  # requests whose checks are remembered

Ran = Callable[[int, float], None]
"""Called after a run, with the number of its requests and the seconds that it took."""


class DroppedError(Exception):
    """Nobody waits for any result of a run."""


@dataclass(frozen=True)
class Explained:
    """What the model gave for one request.

    Attributes:
        explanation: The explanation.
        batch: Number of requests that ran together.
    """

    explanation: Explanation
    batch: int


@dataclass(frozen=True)
class Question:
    """A request that is checked, with its image: what waits for the model.

    Attributes:
        plan: The request.
        example: The image, prepared.
    """

    plan: Plan
    example: Example


class ServedModel:
    """One artifact of the service; safe to share between threads.

    Attributes:
        name: Its name in addresses.
        steps: The opened artifact.
        batches: The jobs that wait for it.
    """

    def __init__(self, file: ServedFile, settings: ServeSettings, ran: Ran) -> None:
        """Open the artifact.

        Raises:
            GraftcamError: As `Explainer`.
        """
        self.name, self._ran = file.name, ran
        # Those that decode and draw need the cores between two runs.
        options = None if settings.provider in ENGINES else {"spinning": False}
        self.steps = Steps(
            file.path, settings.provider, _threads(settings), options, None, check=False,
            max_pixels=settings.limits.pixels, preprocess=settings.preprocess,
        )  # fmt: skip
        self._plans: OrderedDict[Hashable, Plan] = OrderedDict()
        self._lock = threading.Lock()
        self.batches = Batches(
            self._run, settings.batch, settings.wait, settings.workers, f"model-{file.name}"
        )

    def plan(self, request: Request, key: Hashable) -> Plan:
        """Return the plan of a request.

        Args:
            request: The request.
            key: Equal for equal requests; None: the plan is not remembered.

        Raises:
            GraftcamError: The request does not fit the artifact.
        """
        if key is None:
            return make_plan(self.steps.session, self.steps.heads, request)
        with self._lock:
            known = self._plans.get(key)
            if known is not None:
                self._plans.move_to_end(key)
                return known
        made = make_plan(self.steps.session, self.steps.heads, request)
        with self._lock:
            self._plans[key] = made
            if len(self._plans) > _PLANS:
                self._plans.popitem(last=False)
        return made

    def read(self, plan: Plan, values: Mapping[str, Any], name: str) -> Question:
        """Decode and prepare the image of a request.

        Args:
            plan: The request.
            values: What the request sends, by the names of inputs: bytes of image files, arrays.
            name: The image's name.

        Raises:
            ImageError: It is no image.
            InputError: A value does not fit its input, or is missing.
        """
        return Question(plan, plan.reader.read(values, name).prepared())

    def ask(self, question: Question, kind: Hashable) -> Job:
        """Let a question wait for its turn; its result is an `Explained`."""
        return self.batches.add(Job(kind, question))

    def infer(self, arrays: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Job:
        """Let tensors wait for their turn; the result is the outputs ``names`` as arrays by name.

        Raises:
            GraftcamError: The tensors do not fit the artifact.
        """
        session = self.steps.session
        feeds = raw_feeds(session, arrays, Selection())
        run = tensor_run(session, self.steps.reader.main, feeds, names)
        return self.batches.add(Job(run.kind, run, run.rows))

    def close(self) -> None:
        """Finish what waits."""
        self.batches.close()

    def _run(self, jobs: Sequence[Job]) -> Sequence[Any]:
        """Run jobs of one kind together."""
        since = time.perf_counter()
        try:
            return self._results(jobs)
        finally:
            self._ran(len(jobs), time.perf_counter() - since)

    def _results(self, jobs: Sequence[Job]) -> Sequence[Any]:
        if isinstance(jobs[0].work, TensorRun):
            runs = [job.work for job in jobs]
            return run_together(self.steps.session, self.steps.reader.main, runs)

        def check(_done: int, _total: int) -> None:
            if all(job.dropped for job in jobs):
                raise DroppedError

        plan = replace(join([job.work.plan for job in jobs]), progress=check)
        found = explain_each(plan, [job.work.example for job in jobs])
        return [
            Explained(one, len(jobs)) if isinstance(one, Explanation) else one.error
            for one in found
        ]


def _threads(settings: ServeSettings) -> int | None:
    """Return the threads within one operator; runs at the same time share the session's."""
    if settings.threads is not None or settings.workers == 1:
        return settings.threads
    return max(1, (os.cpu_count() or 1) - settings.workers + 1)
