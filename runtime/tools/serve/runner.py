"""`serve` runs the application by uvicorn until a signal ends it, and loses no request then."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Generator
from typing import Any

import uvicorn

from .application import application
from .protocol import patient
from .service import Service
from .sockets import allow_connections

_BACKLOG = 2048  # connections that the system holds until they are accepted
_LINGER = 1.0  # seconds that idle connections stay open at the end, for requests on their way
_IDLE = 30  # seconds that a connection may wait for its next request


def serve(
    service: Service, listener: socket.socket, ready: Callable[[], Any], *, inherited: bool = False
) -> None:
    """Answer requests until SIGTERM, SIGINT or SIGHUP; a second signal ends the process at once.

    Args:
        service: The service; its models are opened here.
        listener: The socket, bound.
        ready: Called when the models are open.
        inherited: Whether another process holds the socket, too, and will accept what comes.

    Raises:
        GraftcamError: A model cannot be opened.
    """
    app = application(service)
    timeout = service.settings.limits.timeout
    allow_connections()
    # uvicorn's own configuration of logging would close the handlers of all other packages, and
    # some close their stream then. Warnings reach stderr without it.
    config = uvicorn.Config(
        app, http=patient(timeout), ws="none", lifespan="off", log_config=None, log_level="warning",
        access_log=False, server_header=False, timeout_keep_alive=_IDLE, backlog=_BACKLOG,
        timeout_graceful_shutdown=int(2 * timeout) + 1, h11_max_incomplete_event_size=1 << 16,
    )  # fmt: skip
    server = _Server(config, service, ready, inherited=inherited)
    try:
        server.run([listener])
    finally:
        if not server.force_exit:
            service.close()
    if server.failure is not None:
        raise server.failure


def wait_for_signal(ready: Callable[[], Any]) -> None:
    """Call ``ready``, and return at SIGTERM, SIGINT or SIGHUP."""
    ended = threading.Event()
    names = ("SIGTERM", "SIGINT", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    earlier = {one: signal.signal(one, lambda *_: ended.set()) for one in numbers}
    try:
        ready()
        ended.wait()
    finally:
        for one, handler in earlier.items():
            signal.signal(one, handler)


class _Server(uvicorn.Server):
    """uvicorn's server with another beginning and end."""

    def __init__(
        self, config: uvicorn.Config, service: Service, ready: Callable[[], Any], *, inherited: bool
    ) -> None:
        super().__init__(config)
        self._service, self._ready, self._inherited = service, ready, inherited
        self.failure: Exception | None = None
        self._opening: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and open the models meanwhile.

        Of an inherited socket connections are accepted when the models are open: until then the
        predecessor accepts them, or the system holds them.
        """
        if self._inherited:
            await self._open()
            if self.failure is not None:
                return
        await super().startup(sockets)
        if not self._inherited:
            self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        try:
            await asyncio.to_thread(self._service.open)
        except Exception as error:
            self.failure, self.should_exit = error, True
            return
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was accepted.

        From here on each answer closes its connection. Connections that are idle stay open for a
        moment, since a request may be on its way.
        """
        self._service.stopping = True
        for listener in sockets or []:
            if not self._inherited:
                await self._accept_waiting(listener)
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        until = asyncio.get_running_loop().time() + _LINGER
        while self.server_state.connections and not self.force_exit:
            if asyncio.get_running_loop().time() > until:
                break
            await asyncio.sleep(0.02)
        await super().shutdown([])

    async def _accept_waiting(self, listener: socket.socket) -> None:
        """Accept the connections that the system holds, which closing the socket would cut."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener.fileno())
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                connection.setblocking(False)
                await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        return kind(config=self.config, server_state=self.server_state,
                    app_state=self.lifespan.state)  # fmt: skip

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Handle signals: they end the service, and the process by its own exit code."""
        more = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
        earlier = {one: signal.signal(one, self.handle_exit) for one in more}
        try:
            with super().capture_signals():
                yield
                self._captured_signals.clear()  # uvicorn would raise them again
        finally:
            for one, handler in earlier.items():
                signal.signal(one, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """End the service; at once if it is ending already."""
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
