"""Pictures that strangers send: their size is read from the header before a pixel is decoded."""

from __future__ import annotations

import struct

from edge_agent import images
from edge_agent.errors import ImageError
from edge_agent.records import U8
from edge_agent.web.problems import Problem

KINDS = "a JPEG, PNG, WebP or BMP picture"
_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame; not tables (ITU T.81, table B.1)


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG, PNG, WebP or BMP header states; None where it is none of these."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR":
            return struct.unpack(">II", data[16:24])
        if data[:2] == b"\xff\xd8":
            return _jpeg_size(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
        if data[:2] == b"BM":
            width, height = struct.unpack("<ii", data[18:26])
            return width, abs(height)
    except (struct.error, IndexError):
        pass
    return None


def decode(data: bytes, max_pixels: int) -> U8:
    """A picture as uint8 BGR (height, width, 3), turned as its EXIF data say. Raises Problem 413 or 422."""
    size = picture_size(data)
    if size is None or min(size) < 1:
        raise Problem(422, "this is not a picture that can be read", f"send {KINDS}")
    if size[0] * size[1] > max_pixels:
        raise Problem(
            413,
            f"the picture has {size[0]} x {size[1]} pixels",
            f"send one of at most {max_pixels / 1e6:g} million pixels (http.max_image_pixels)",
        )
    try:
        return images.decode(data, "the picture")
    except ImageError as error:
        raise Problem(422, "the picture is broken and cannot be decoded", f"send {KINDS}") from error


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _SIZE_MARKERS:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        elif marker == 0x01 or 0xD0 <= marker <= 0xD9:  # no length follows
            at += 2
        else:
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack("<I", data[21:25])[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None
