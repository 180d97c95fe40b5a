"""`patient` makes the protocol of connections: HTTP/1.1 that waits for its clients only so long."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def patient(seconds: float) -> type[H11Protocol]:
    """Return uvicorn's protocol, which ends connections that do nothing for so many seconds.

    Their next head does not come, or they do not read their answer.
    """

    class Protocol(_Protocol):
        patience = seconds

    return Protocol


class _Protocol(H11Protocol):
    """HTTP/1.1 that waits only so long for a request's head, and for an answer to be read."""

    patience = 30.0
    _head: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head, or stop waiting."""
        super().data_received(data)
        cycle: Any = self.cycle  # None before the first request
        if cycle is None or cycle.response_complete:
            self._wait_for_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        self._was_read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for the client to read, since what is written fills the buffer."""
        super().pause_writing()
        self._wait_for_reading()

    def resume_writing(self) -> None:
        """Stop waiting for the client to read."""
        self._was_read()
        super().resume_writing()

    def _wait_for_reading(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._reading = self.loop.call_later(self.patience, self._check_reading, left)

    def _check_reading(self, earlier: int) -> None:
        """End the connection, and free its answer, unless the client has read a part of it."""
        if self.transport.get_write_buffer_size() < earlier:
            self._wait_for_reading()
        else:
            self.transport.abort()

    def _was_read(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _wait_for_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(self.patience, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
