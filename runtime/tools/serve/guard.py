"""`Guard` surrounds the application: errors in one line, headers for safety, counts."""

from __future__ import annotations

import logging
import time

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .refusals import GONE, refusal_of
from .service import Service

logger = logging.getLogger("graftcam")

# The page loads its own files only, and images that it made itself.
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
]
_FRESH = (b"cache-control", b"no-store")


class Guard:
    """Answers with errors, adds headers, and counts."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        since, status = time.perf_counter(), GONE

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": self._headers(message)}
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception as error:
            if status != GONE:  # the answer has begun
                raise
            await answer_to(error)(scope, receive, guarded)
        finally:
            self._count(scope, status, time.perf_counter() - since)

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        own = list(message.get("headers", ()))
        known = {name.lower() for name, _ in own}
        added = [*_HEADERS, _FRESH]
        if self._service.stopping:
            # The connection's next request finds the process that follows.
            added.append((b"connection", b"close"))
        return own + [(name, value) for name, value in added if name not in known]

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        endpoint = getattr(scope.get("endpoint"), "__name__", "")
        name = scope.get("path_params", {}).get("name", "")
        model = name if name in self._service.names else ""
        self._service.metrics.answered(model, endpoint, status, seconds)


def answer_to(error: Exception) -> JSONResponse:
    """Return the answer to an error: one line, and in the log the place where it is our own."""
    refusal = refusal_of(error)
    if refusal.status == 500:
        logger.error("a request failed", exc_info=error)
    return JSONResponse(
        {"error": refusal.message}, status_code=refusal.status, headers=refusal.headers
    )
