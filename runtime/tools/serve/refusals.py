"""A `RefusedError` is a status with one line for the client; `refusal_of` makes it of an error."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import (
    ClassError,
    GraftcamError,
    ImageError,
    InputError,
    RenderError,
    RunError,
    first_line,
)

RETRY = {"Retry-After": "1"}
GONE = 499  # as other servers count a client that hung up; nobody receives it


class RefusedError(Exception):
    """The service does not do what a request asks.

    Attributes:
        status: The HTTP status.
        message: One line for the client.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        # The line may repeat what the client sent: as plain text, of bounded length.
        self.status, self.message = status, str(GraftcamError(message))
        self.headers = dict(headers or {})


def refusal_of(error: Exception) -> RefusedError:
    """Return the answer to an error: one of the client's, or one of the service's own.

    Args:
        error: What reading, running or drawing raised.
    """
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, ImageError):
        return RefusedError(415, str(error))
    # A run fails on what it is fed: shapes that the graph does not take.
    if isinstance(error, (ClassError, InputError, RenderError, RunError, TypeError)):
        return RefusedError(400, str(error))
    if isinstance(error, GraftcamError):
        return RefusedError(500, f"the model failed: {error}")
    if isinstance(error, MemoryError):
        return RefusedError(503, f"there is not enough memory: {first_line(error)}", RETRY)
    return RefusedError(500, "the service failed; its log says why")
