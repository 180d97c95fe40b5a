"""`result_of` waits for a job as long as the client does."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from .batching import Job
from .refusals import GONE, RefusedError


async def result_of(job: Job, request: Request, timeout: float) -> Any:
    """Return the result of a job, or raise its error.

    A job whose client hangs up, or that takes too long, is dropped.

    Args:
        job: The job.
        request: The request that waits for it, whose body is read.
        timeout: Seconds.

    Raises:
        RefusedError: The client hung up (499), or the time is over (504).
    """
    result = asyncio.wrap_future(job.result)
    gone = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({result, gone}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if result.done():
            return result.result()
        if gone.done():
            raise RefusedError(GONE, "the client hung up")
        raise RefusedError(
            504, f"the answer took longer than {timeout:g} s; choose a method of one run, or fewer "
            "samples"
        )  # fmt: skip
    finally:
        gone.cancel()
        if not result.done():
            job.drop()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
