"""Sockets to listen on: a new one, or one that the starter of this process left open."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from importlib import import_module
from typing import Any

from ...errors import GraftcamError

_FILES = 1 << 16  # open files, one for each connection


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, and accepts nothing yet.

    Raises:
        GraftcamError: The port is in use, or the host unknown.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere it would share a port that is in use
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise GraftcamError(
            f"cannot listen on {host}, port {port}: {reason}; give another --port, or end what "
            "uses it"
        ) from error
    return found


def inherit(number: int) -> socket.socket:
    """Return the listening socket that the starter of this process left open.

    Raises:
        GraftcamError: The number is not that of a listening socket.
    """
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise OSError("it is no socket")
        found = socket.socket(fileno=number)
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError("it does not listen")
    except OSError as error:
        raise GraftcamError(
            f"--fd {number}: {error.strerror or error}; give the number of a listening socket that "
            "the starter of this process left open (of systemd: 3)"
        ) from error
    return found


def address_of(listener: socket.socket) -> str:
    """Return the address to enter in a browser."""
    name = listener.getsockname()
    host, port = str(name[0]), int(name[1])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def allow_connections() -> None:
    """Let the process have as many open connections as the system allows."""
    try:
        resource: Any = import_module("resource")
    except ImportError:  # not on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
