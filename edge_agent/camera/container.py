"""What a video file says of itself that OpenCV does not tell: whether it counts its frames, and whether it is whole."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import BinaryIO


class Container(Enum):
    """MP4 counts its frames and times each; AVI counts them, those left out too; Matroska (WebM) only times them."""

    MP4 = "mp4"
    AVI = "avi"
    MATROSKA = "matroska"
    OTHER = "other"

    @property
    def counts_frames(self) -> bool:
        """For the others OpenCV multiplies length and frame rate."""
        return self in {Container.MP4, Container.AVI}


EBML, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
# RFC 9559: what may lie in a segment or a cluster
ELEMENTS = frozenset(
    {EBML, SEGMENT, CLUSTER, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770}
    | {0xEC, 0xBF, 0xE7, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0x5854}
)

ELEMENTS_MOST = 2_000_000  # twenty hours of frames, looked at in two seconds: the agent's loop waits


def container_of(path: Path) -> Container:
    """By the first bytes; a file that cannot be read is OTHER."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return Container.OTHER
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}:
        return Container.MP4
    if head[:4] == b"RIFF" and head[8:] == b"AVI ":
        return Container.AVI
    return Container.MATROSKA if head[:4] == EBML.to_bytes(4, "big") else Container.OTHER


def is_whole(path: Path) -> bool | None:
    """Whether the elements of a Matroska file follow each other, down to the blocks of frames, up to its stated end.

    None where that cannot be told: a recording whose writer never closed it, with elements that are not known here, or
    with more than ELEMENTS_MOST.
    What lies inside a block is not looked at.
    """
    try:
        file_bytes = path.stat().st_size
        with path.open("rb") as file:
            return _follows(file, file_bytes)
    except OSError:
        return None


def _follows(file: BinaryIO, file_bytes: int) -> bool | None:
    at, end, elements = 0, None, 0
    while at < file_bytes and at != end:
        elements += 1
        if elements > ELEMENTS_MOST:
            return None
        file.seek(at)
        header = file.read(12)
        id_bytes = _length(header[0])
        size_bytes = _length(header[id_bytes]) if id_bytes < len(header) else 9
        if id_bytes > 4 or id_bytes + size_bytes > len(header):
            return False
        element = int.from_bytes(header[:id_bytes], "big")
        if element not in ELEMENTS:
            return None
        at += id_bytes + size_bytes
        size = int.from_bytes(header[id_bytes : id_bytes + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
        is_known = size != (1 << 7 * size_bytes) - 1
        if element == SEGMENT:
            end = at + size if is_known else None
        elif element != CLUSTER:  # its elements are looked at one by one
            if not is_known:
                return None
            at += size
    if end is None:
        return None if at == file_bytes else False
    return at == end and end <= file_bytes


def _length(first: int) -> int:
    """Of a number of variable length, in bytes; 9 for none (RFC 8794, 4)."""
    return 9 - first.bit_length()
