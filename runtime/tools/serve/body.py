"""These functions read the body of a request within limits; nothing of it goes to the disk."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from .refusals import GONE, RETRY, RefusedError
from .settings import Limits

_SIZE = re.compile(r"[0-9]{1,20}")
_DISCARDED = 8  # times the largest body: what is read of a larger one
_FIELDS = 200  # of a form
_FIELD_BYTES = 1 << 16
_RAW = ("image/", "application/octet-stream")


class Memory:
    """Counts the bytes of all bodies that are in memory, and of their tensors."""

    def __init__(self, most: int) -> None:
        self._most, self._used = most, 0

    @contextmanager
    def account(self) -> Generator[Account]:
        """Return an account for one body, whose bytes are free again at the end."""
        own = Account(self)
        try:
            yield own
        finally:
            self._used -= own.bytes

    def take(self, count: int) -> None:
        """Count more bytes.

        Raises:
            RefusedError: There are too many.
        """
        if self._used + count > self._most:
            raise RefusedError(429, "other requests fill the service's memory; try again", RETRY)
        self._used += count


class Account:
    """The bytes of one body."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self.bytes = memory, 0

    def take(self, count: int) -> None:
        """Count more bytes; see `Memory.take`."""
        self._memory.take(count)
        self.bytes += count


@dataclass
class Form:
    """What a request sends.

    Attributes:
        files: Contents of the files, by the names of their fields.
        name: The name of the image's file, as the client calls it.
        fields: Names and values of the other fields.
    """

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    name: str = "image"
    fields: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


async def read_body(request: Request, limits: Limits, account: Account) -> bytes:
    """Return the body.

    Raises:
        RefusedError: It is compressed (415), too large (413), does not come in time (408), the
            service's memory is full (429), or the client hung up.
    """
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed != "identity":
        raise RefusedError(
            415, f"Content-Encoding: {packed[:40]} is not understood; send the body as it is",
            {"Connection": "close"},
        )  # fmt: skip
    declared, stream = request.headers.get("content-length", ""), request.stream()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.timeout):
            if _SIZE.fullmatch(declared) and int(declared) > limits.bytes:
                await _too_large(stream, request, limits)
            async for part in stream:
                size += len(part)
                if size > limits.bytes:
                    await _too_large(stream, request, limits)
                account.take(len(part))
                parts.append(part)
    except TimeoutError:
        raise RefusedError(
            408, f"the body did not come within {limits.timeout:g} s", {"Connection": "close"}
        ) from None
    except ClientDisconnect:
        raise RefusedError(GONE, "the client hung up") from None
    return b"".join(parts)


async def read_form(headers: Headers, body: bytes) -> Form:
    """Take a body apart: a form, or an image alone.

    Raises:
        RefusedError: It is neither, or a broken form.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith(_RAW):
        return Form({"image": body}) if body else Form()
    if kind == "multipart/form-data":
        return await _multipart(headers, body)
    if not body:
        return Form()
    raise RefusedError(
        415, f"a body of type {kind or 'none'} is not understood; send multipart/form-data with "
        "a file 'image', or the image alone as image/jpeg, image/png..."
    )  # fmt: skip


async def _multipart(headers: Headers, body: bytes) -> Form:
    parser = MultiPartParser(
        headers, _stream(body), max_files=16, max_fields=_FIELDS, max_part_size=_FIELD_BYTES
    )
    # Beyond this size a part would be written to a file.
    parser.spool_max_size = len(body) + 1
    try:
        parsed = await parser.parse()
    except (MultiPartException, ValueError) as error:
        raise RefusedError(400, f"the form is broken: {error}") from None
    form = Form()
    try:
        for name, value in parsed.multi_items():
            if not isinstance(value, UploadFile):
                form.fields.append((name, value))
            elif name in form.files:
                raise RefusedError(400, f"the file {name} is given twice; give it once")
            else:
                form.files[name] = await value.read()
                form.name = (value.filename or form.name) if name == "image" else form.name
    finally:
        await parsed.close()
    return form


async def _stream(body: bytes) -> AsyncGenerator[bytes]:
    yield body


async def _too_large(stream: AsyncIterator[bytes], request: Request, limits: Limits) -> NoReturn:
    """Refuse a body, after the rest of it: who still sends would not see an answer.

    A client that waits for the service's consent sends nothing, and endless bodies are cut off.
    """
    left = _DISCARDED * limits.bytes
    if "expect" not in request.headers:
        async for part in stream:
            left -= len(part)
            if left < 0:
                break
    raise RefusedError(
        413, f"the body is larger than {limits.bytes:,} bytes; shrink the image",
        {"Connection": "close"},
    )  # fmt: skip
