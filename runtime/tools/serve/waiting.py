"""`within` answers a request as long as its client waits, and no longer than the time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from .batching import Job
from .refusals import GONE, RefusedError

T = TypeVar("T")


async def within(timeout: float, request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns, or raise its error.

    Work whose client hangs up, or that takes too long, is cancelled, wherever it waits.

    Args:
        timeout: Seconds.
        request: The request that waits for the work, whose body is read.
        work: What answers it.

    Raises:
        RefusedError: The client hung up (499), or the time is over (504).
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({task, gone}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise RefusedError(GONE, "the client hung up")
        raise RefusedError(
            504, f"the answer took longer than {timeout:g} s; choose a method of one run, or fewer "
            "samples"
        )  # fmt: skip
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def result_of(job: Job) -> Any:
    """Return the result of a job, or raise its error; who is cancelled here drops the job."""
    try:
        return await asyncio.wrap_future(job.result)
    except asyncio.CancelledError:
        job.drop()
        raise


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
