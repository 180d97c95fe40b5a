"""`image_size` reads width and height from the header of an image file, before it is decoded.

A file of a few bytes can say that it has gigapixels, and decoders take the memory for them first.
Only formats whose header is read here are decoded at all. Where a file could hold several sizes,
the largest counts: what is refused must not depend on which one a decoder believes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

Size = tuple[int, int]
"""Width and height in pixels."""

_PARTS = 1000  # boxes of one level, or entries of a directory, that are looked at

# A marker of JPEG: no stuffed zero and no padding.
_MARKER = re.compile(rb"\xff([\x01-\xfe])")
_STANDALONE = frozenset([0x01, *range(0xD0, 0xD8)])  # no length follows
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, 0xD9

_GAP = rb"(?:\s|[#%][^\r\n]*[\r\n])+"
_NETPBM = re.compile(rb"P[1-6]" + _GAP + rb"(\d{1,10})" + _GAP + rb"(\d{1,10})")

_SIDES = (256, 257), (322, 323)  # TIFF's tags for width and height of the image, and of its tiles
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q", 17: "q"}


def image_size(data: bytes) -> Size | None:
    """Return width and height of an image file; None: the format is unknown, or the header broken.

    Args:
        data: The file's bytes.
    """
    reader = next((read for start, read in _READERS if start.match(data)), None)
    if reader is None:
        return None
    try:
        return reader(data)
    except (struct.error, IndexError, ValueError):
        return None


def _png(data: bytes) -> Size:
    return struct.unpack_from(">II", data, 16)


def _gif(data: bytes) -> Size:
    return struct.unpack_from("<HH", data, 6)


def _bmp(data: bytes) -> Size:
    (length,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if length == 12 else "<ii", data, 18)
    return abs(width), abs(height)  # a negative height: the first row is on top


def _netpbm(data: bytes) -> Size | None:
    found = _NETPBM.match(data)
    return found and (int(found[1]), int(found[2]))


def _jpeg(data: bytes) -> Size | None:
    """Return the size of the first frame, which must come before any scan."""
    place = 2
    while found := _MARKER.search(data, place):
        code, place = found[1][0], found.end()
        if code in (_SCAN, _END):
            return None
        if code in _STANDALONE:
            continue
        length, _, height, width = struct.unpack_from(">HBHH", data, place)
        if code in _FRAMES:
            return width, height
        place += max(length, 2)
    return None


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":  # the canvas, in which all frames lie
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(data: bytes) -> Size | None:
    """Return the size of the first image of a TIFF or BigTIFF, or that of its tiles."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    place = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)[0]
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, place)
    place, step, room = (place + 8, 20, 8) if big else (place + 2, 12, 4)
    largest: dict[int, int] = {}
    for entry in range(min(count, _PARTS)):
        at = place + step * entry
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        form = _INTEGERS.get(kind)
        if form is None or not any(tag in sides for sides in _SIDES):
            continue
        at += step - room
        if struct.calcsize(form) > room:  # the value lies elsewhere
            (at,) = struct.unpack_from(f"{order}I", data, at)
        (value,) = struct.unpack_from(f"{order}{form}", data, at)
        largest[tag] = max(value, largest.get(tag, 0))
    sizes = [(largest[wide], largest[high]) for wide, high in _SIDES if {wide, high} <= {*largest}]
    if count > _PARTS or not {*_SIDES[0]} <= {*largest}:
        return None
    return _largest(sizes)


def _jp2(data: bytes) -> Size | None:
    found = [_codestream(part) for kind, part in _boxes(memoryview(data)) if kind == b"jp2c"]
    return _largest(found)


def _codestream(data: bytes | memoryview) -> Size:
    """Return the size of JPEG 2000's coded image; many components count as more pixels."""
    start, _, _, right, bottom, left, top = struct.unpack_from(">I2H4I", data)
    (components,) = struct.unpack_from(">H", data, 40)
    if start != 0xFF4FFF51 or right < left or bottom < top:
        raise ValueError("no start of a coded image")
    return (right - left) * max(1, -(-components // 4)), bottom - top


def _avif(data: bytes) -> Size | None:
    """Return the largest size of all images, tiles and tracks of an AVIF file."""
    found: list[Size] = []
    for kind, part in _boxes(memoryview(data)):
        if kind == b"meta":  # a version and flags come before the boxes
            for properties in _inside(part[4:], b"iprp", b"ipco", b"ispe"):
                found.append(struct.unpack_from(">II", properties, 4))
        if kind == b"moov":
            for header in _inside(part, b"trak", b"tkhd"):
                width, height = struct.unpack_from(">II", header, len(header) - 8)
                found.append((width >> 16, height >> 16))
    return _largest(found)


def _inside(data: memoryview, first: bytes, *rest: bytes) -> Iterator[memoryview]:
    """Yield the contents of the boxes at a path of boxes within boxes."""
    for kind, part in _boxes(data):
        if kind == first:
            yield from _inside(part, *rest) if rest else (part,)


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and contents of each box of an ISO file.

    Raises:
        ValueError: There are very many.
    """
    place = number = 0
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        start = place + 8
        if size == 1:
            (size,), start = struct.unpack_from(">Q", data, start), start + 8
        end = place + size if size else len(data)
        if end < start or number >= _PARTS:
            raise ValueError("the boxes do not fit each other, or are very many")
        yield kind, data[start:end]
        place, number = end, number + 1


def _largest(sizes: list[Size]) -> Size | None:
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], Size | None]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), _jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR", re.DOTALL), _png),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), _webp),
    (re.compile(rb"BM"), _bmp),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), _tiff),
    (re.compile(rb"GIF8[79]a"), _gif),
    (re.compile(rb"P[1-6]"), _netpbm),
    (re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n"), _jp2),
    (re.compile(rb"\xff\x4f\xff\x51"), _codestream),
    (re.compile(rb".{4}ftyp", re.DOTALL), _avif),
)
