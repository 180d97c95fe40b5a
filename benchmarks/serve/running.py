"""`running` starts the service in a process of its own; `ask` lets a client drive it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil

from ..script import ROOT

ADDRESS = "/api/models/model/explain?class=7"
_FOREVER = "100000000"


@dataclass
class Running:
    """A service that runs.

    Attributes:
        process: Its process.
        port: Its port.
    """

    process: psutil.Popen
    port: int

    @property
    def megabytes(self) -> float:
        """Its resident memory, in 10^6 bytes."""
        return self.process.memory_info().rss / 1e6

    @property
    def busy(self) -> float:
        """Its processor time in seconds."""
        times = self.process.cpu_times()
        return times.user + times.system

    def end(self) -> int:
        """Send SIGTERM, wait, and return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait()

    def metric(self, name: str) -> float:
        """The sum of a metric over all labels."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            text = answer.read().decode()
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))


@contextlib.contextmanager
def running(
    model: Path, *options: str, listener: socket.socket | None = None
) -> Generator[Running]:
    """Serve a model until the block ends.

    Args:
        model: An artifact.
        options: Further options of the command.
        listener: A listening socket to hand over; None: the service opens its own.
    """
    command = [sys.executable, "-m", "graftcam", "serve", f"model={model}", "--provider", "cpu"]
    handed = () if listener is None else (listener.fileno(),)
    place = ["--port", "0"] if listener is None else ["--fd", str(listener.fileno())]
    process = psutil.Popen(
        [*command, *place, *options], stderr=subprocess.PIPE, text=True, pass_fds=handed, cwd=ROOT
    )
    service = Running(process, 0)
    try:
        line = process.stderr.readline()
        found = re.search(r"at http://[^ ]*:(\d+)", line)
        if found is None:
            raise RuntimeError(line)
        service.port = int(found[1])
        yield service
    finally:
        service.end()


def start_client(
    port: int, images: Sequence[Path], connections: int, seconds: float, count: int | None = None
) -> subprocess.Popen[str]:
    """Start a client; see `client`."""
    given = [port, ADDRESS, connections, seconds, count or _FOREVER, *images]
    command = [sys.executable, "-m", f"{__package__}.client", *map(str, given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def seen_by(client: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a client and return what it saw."""
    out, _ = client.communicate()
    return json.loads(out)


def ask(port: int, images: Sequence[Path], connections: int, seconds: float) -> dict[str, Any]:
    """Let a client drive the service for some seconds; return what it saw."""
    return seen_by(start_client(port, images, connections, seconds))


def bare(model: Path, images: Sequence[Path], seconds: float, how: str) -> dict[str, float]:
    """Run the bare loop; see `bare`."""
    command = [sys.executable, "-m", f"{__package__}.bare", model, seconds, how, *images]
    out = subprocess.run(
        [*map(str, command)], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    return json.loads(out.stdout)
