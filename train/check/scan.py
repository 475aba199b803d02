"""Look at every picture once: does it decode, and what does it look like to a perceptual hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from train.photographs import cut_off

SMALLEST_FILE_BYTES = 200
CHUNK = 64  # pictures in memory at a time, a worker each


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a picture gave. bits: 256 of a difference hash, uint8 (32,). fault: "" where all is well.

    whole: `read_photograph` gives its pixels, though there may be something else with it.
    """

    path: Path
    width: int
    height: int
    sha256: str
    bits: NDArray[np.uint8]
    flat: bool
    fault: str = ""
    whole: bool = True


def difference_hash(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """256 bits: is each of 16 x 16 cells brighter than its right neighbour (Krawetz 2013, enlarged from 8 x 8)."""
    small = cv2.resize(gray, (17, 16), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits(small[:, 1:] > small[:, :-1])


def look(path: Path) -> Look:
    """Decode and hash one picture; never raises for a bad one."""
    empty = np.zeros(32, np.uint8)
    try:
        data = path.read_bytes()
    except OSError as error:
        return Look(path, 0, 0, "", empty, True, f"cannot be read: {error.strerror}", whole=False)
    digest = hashlib.sha256(data).hexdigest()
    if len(data) < SMALLEST_FILE_BYTES:
        return Look(path, 0, 0, digest, empty, True, f"only {len(data)} bytes", whole=False)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return Look(path, 0, 0, digest, empty, True, "does not decode", whole=False)
    bgr = np.asarray(image, np.uint8)
    gray = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)
    rows, columns = gray.shape
    flat = float(gray.std()) < 4
    cut = cut_off(data, bgr)
    fault = cut or _oddity(path, data, flat)
    return Look(path, columns, rows, digest, difference_hash(gray), flat, fault, whole=not cut)


def _oddity(path: Path, data: bytes, flat: bool) -> str:
    if data[:2] != b"\xff\xd8" and path.suffix.lower() in (".jpg", ".jpeg"):
        return "named .jpg, but no JPEG"
    return "one flat colour" if flat else ""


def scan(paths: Sequence[Path], workers: int, progress: Callable[[int], None]) -> Iterator[Look]:
    """Looks at the pictures, in order; `progress` is told how many are done. Memory is bounded by CHUNK."""
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(paths), CHUNK):
            yield from pool.map(look, paths[start : start + CHUNK])
            progress(min(len(paths), start + CHUNK))


def near_pairs(looks: Sequence[Look], distance: int = 12) -> list[tuple[int, int, int]]:
    """Pairs of pictures at most `distance` of 256 bits apart: (first, second, bits). Flat ones are left out."""
    kept = np.array([i for i, item in enumerate(looks) if item.width and not item.flat], np.int64)
    if len(kept) < 2:
        return []
    words = np.stack([looks[i].bits for i in kept]).view(np.uint64)
    out: list[tuple[int, int, int]] = []
    for row in range(len(kept) - 1):
        apart = np.bitwise_count(words[row + 1 :] ^ words[row]).sum(1, dtype=np.int64)
        out += [(int(kept[row]), int(kept[row + 1 + j]), int(apart[j])) for j in np.flatnonzero(apart <= distance)]
    return out
