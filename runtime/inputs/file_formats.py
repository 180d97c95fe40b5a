"""These functions inspect the bytes of an image file before they are decoded."""

from __future__ import annotations

import re

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_NEVER_TRANSPARENT = (_JPEG, b"BM", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
# A marker that begins a segment: no stuffed zero, no padding, no TEM, no restart within a scan.
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
_END_OF_IMAGE = 0xD9


def is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG file ends before its end marker.

    Some decoders silently fill the rest of a truncated image with grey, and OpenCV takes the memory
    that a chunk of a PNG claims to need. Truncated files of other formats are not decoded at all.
    """
    if data.startswith(_PNG):
        return not _png_ends(data)
    return data.startswith(_JPEG) and not _jpeg_ends(data)


def is_tiff(data: bytes) -> bool:
    """Whether a file is TIFF, of either byte order."""
    return data[:4] in (b"II*\0", b"MM\0*")


def may_be_transparent(data: bytes) -> bool:
    """Whether a file can contain alpha, judging by its first bytes."""
    head = data[:1024]
    if head.startswith(_PNG):
        # Colour types 4 and 6 have alpha, and so do palettes with a tRNS chunk.
        before_pixels = data[: 1 << 16].partition(b"IDAT")[0]
        return len(head) > 25 and (head[25] in (4, 6) or b"tRNS" in before_pixels)
    return not head.startswith(_NEVER_TRANSPARENT)


def _png_ends(data: bytes) -> bool:
    """Whether the chunks of a PNG lead to its last one, each as long as it says."""
    place = len(_PNG)
    while place + 12 <= len(data):
        if data[place + 4 : place + 8] == b"IEND":
            return True
        place += 12 + int.from_bytes(data[place : place + 4], "big")  # length, kind and checksum
    return False


def _jpeg_ends(data: bytes) -> bool:
    """Whether the markers of a JPEG lead to an end-of-image marker.

    The search must skip the contents of segments: thumbnails inside them have end markers of their
    own, and phones append videos after the image.
    """
    place = 2
    while found := _MARKER.search(data, place):
        if found[1][0] == _END_OF_IMAGE:
            return True
        place = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return False
