"""A client with several connections, each of which sends its next request after an answer.

It runs in a process of its own and prints one line of JSON: when each answer came, its latency and
its status. A connection that the service closes between two answers is opened again; a request
that got no byte of an answer on a connection that was used before is sent again, as HTTP allows.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

HOST = "127.0.0.1"


@dataclass
class Seen:
    """What the client saw.

    Attributes:
        latencies: Milliseconds of each answer, in the order of their ends.
        statuses: Number of answers by status.
        lost: Requests without an answer.
        again: Requests that were sent again on a new connection.
        seconds: From the first request to the last answer.
    """

    latencies: list[float] = field(default_factory=list[float])
    statuses: dict[str, int] = field(default_factory=dict[str, int])
    lost: int = 0
    again: int = 0
    seconds: float = 0.0


def request_of(image: Path, path: str) -> bytes:
    """Return the bytes of a request with an image as its body."""
    data = image.read_bytes()
    kind = "jpeg" if image.suffix == ".jpg" else "png"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: image/{kind}\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


class Connection:
    """One connection, which is opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, seen: Seen) -> int:
        """Send a request and return the status of its answer.

        Raises:
            OSError: There is no answer.
        """
        fresh = self._streams is None
        try:
            return await self._ask(request)
        except (OSError, asyncio.IncompleteReadError) as error:
            self._streams = None
            if fresh:
                raise ConnectionError("no answer") from error
            seen.again += 1
        try:
            return await self._ask(request)
        except asyncio.IncompleteReadError as error:
            self._streams = None
            raise ConnectionError("no answer") from error

    async def _ask(self, request: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port, limit=1 << 20)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        if b"connection: close" in head:
            writer.close()
            self._streams = None
        return int(head.split()[1])


async def drive(
    port: int, requests: list[bytes], connections: int, seconds: float, count: int
) -> Seen:
    """Send requests for some seconds, or until ``count`` are sent."""
    seen, start, sent = Seen(), time.perf_counter(), 0

    async def one(number: int) -> None:
        nonlocal sent
        connection = Connection(port)
        while time.perf_counter() - start < seconds and sent < count:
            sent += 1
            since = time.perf_counter()
            try:
                status = await connection.ask(requests[(number + sent) % len(requests)], seen)
            except OSError:
                seen.lost += 1
                await asyncio.sleep(0.05)
                continue
            seen.latencies.append(round((time.perf_counter() - since) * 1000, 3))
            seen.statuses[str(status)] = seen.statuses.get(str(status), 0) + 1

    await asyncio.gather(*(one(number) for number in range(connections)))
    seen.seconds = time.perf_counter() - start
    return seen


def main(port: str, path: str, connections: str, seconds: str, count: str, *images: str) -> None:
    """Drive the service and print what was seen."""
    requests = [request_of(Path(image), path) for image in images]
    seen = asyncio.run(drive(int(port), requests, int(connections), float(seconds), int(count)))
    print(json.dumps(asdict(seen)))


if __name__ == "__main__":
    main(*sys.argv[1:])
