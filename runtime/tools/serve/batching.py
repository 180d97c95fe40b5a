"""`Batches` runs jobs of many threads together, as many as wait and are alike."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Job:
    """One request on its way through the model.

    Attributes:
        kind: Equal for jobs that can run together; None: it runs alone.
        work: What the model is to do.
        size: Number of its images.
        result: The result, or the error.
        since: When it began to wait, in seconds of `time.monotonic`.
        dropped: Whether nobody waits for the result any more.
    """

    kind: Hashable
    work: Any
    size: int = 1
    result: Future[Any] = field(default_factory=Future[Any])
    since: float = field(default_factory=time.monotonic)
    dropped: bool = False

    def drop(self) -> None:
        """Take the job back: it does not begin, and a run of it alone may stop."""
        self.dropped = True
        self.result.cancel()


class Batches:
    """A queue of jobs and the threads that run them; safe to share between threads.

    Jobs run in the order in which they came, except that a job takes along those of its kind.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Job]], Sequence[Any]],
        most: int,
        wait: float,
        workers: int,
        name: str,
    ) -> None:
        """Start the threads.

        Args:
            run: Does jobs of one kind and returns their results or, as exceptions, their errors.
            most: Number of images that run together; a job of more runs alone.
            wait: Seconds that a job waits for others of its kind.
            workers: Number of threads.
            name: What to call the threads.
        """
        self._run, self._most, self._wait = run, most, wait
        self._ready, self._jobs, self._closed = threading.Condition(), deque[Job](), False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, job: Job) -> Job:
        """Let a job wait for its turn."""
        with self._ready:
            self._jobs.append(job)
            self._ready.notify_all()
        return job

    def __len__(self) -> int:
        """Return the number of jobs that wait."""
        with self._ready:
            return sum(not job.dropped for job in self._jobs)

    def close(self) -> None:
        """Run what waits, and end the threads."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while jobs := self._next():
            begun = [job for job in jobs if job.result.set_running_or_notify_cancel()]
            if begun:
                self._finish(begun)

    def _finish(self, jobs: Sequence[Job]) -> None:
        try:
            results = self._run(jobs)
        except Exception as error:
            results = [error] * len(jobs)
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Exception):
                job.result.set_exception(result)
            else:
                job.result.set_result(result)

    def _next(self) -> list[Job]:
        """Return the jobs that run next; none: the queue is closed and empty."""
        with self._ready:
            while True:
                self._jobs = deque(job for job in self._jobs if not job.dropped)
                if not self._jobs:
                    if self._closed:
                        return []
                    self._ready.wait()
                    continue
                first = self._jobs[0]
                alike, full = self._together(first)
                left = first.since + self._wait - time.monotonic()
                if full or left <= 0 or first.kind is None or self._closed:
                    taken = set(map(id, alike))
                    self._jobs = deque(job for job in self._jobs if id(job) not in taken)
                    return alike
                self._ready.wait(left)

    def _together(self, first: Job) -> tuple[list[Job], bool]:
        """Return the first job with those that can run with it, and whether no other one can."""
        found, images = list[Job](), 0
        for job in self._jobs:
            if job is not first and (first.kind is None or job.kind != first.kind):
                continue
            if found and images + job.size > self._most:
                return found, True
            found.append(job)
            images += job.size
        return found, images >= self._most
