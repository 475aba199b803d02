"""Pictures of things, cut out, to put before what a photograph shows: none of them is a face.

Debian's `tuxpaint-stamps-default` has some hundred: animals, fruit, crockery, tools, balls, flowers.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from edge_agent.errors import ConfigError, NotFoundError
from edge_agent.records import U8

# Tux Paint's folders that show faces, or are no pictures of things
LEFT_OUT = {"people", "faces", "seasonal", "monuments", "money", "cartoon", "alphabets", "math", "shapes"}
_LARGEST_PX = 192  # of a thing's longer side; none is shown larger
_SEEN = 16  # of 255: an outline of shadow alone does not count


class Things:
    """Things by number, uint8 BGRA. sha256: of their files."""

    def __init__(self, folder: Path) -> None:
        """Reads every PNG with transparency below the folder, but for those in a folder of LEFT_OUT.

        Raises NotFoundError where there is no folder, ConfigError where it has none.
        """
        if not folder.is_dir():
            raise NotFoundError(f"--things {folder} is no folder; give one of PNG files with transparency")
        self._pixels: list[U8] = []
        digest = hashlib.sha256()
        for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".png"):
            if path.is_file() and LEFT_OUT.isdisjoint(path.relative_to(folder).parts):
                try:
                    data = path.read_bytes()
                except OSError as error:
                    raise ConfigError(f"--things: cannot read {path}: {error.strerror}; remove it") from error
                thing = _read(data)
                if thing is not None:
                    self._pixels.append(thing)
                    digest.update(data)
        if not self._pixels:
            raise ConfigError(f"--things {folder} has no PNG file with transparency")
        self.sha256 = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, number: int) -> U8:
        return self._pixels[number]


def _read(data: bytes) -> U8 | None:
    """What is seen of a picture, no larger than it is used; None where it is damaged or has no transparency."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # an empty file, or a header that tells of more pixels than OpenCV takes
        return None
    if image is None or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 4:
        return None
    rows, columns = (np.flatnonzero((image[..., 3] > _SEEN).any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0 or (image[..., 3] > 255 - _SEEN).all():
        return None
    seen = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = min(1.0, _LARGEST_PX / max(seen.shape[:2]))
    size = max(1, round(seen.shape[1] * scale)), max(1, round(seen.shape[0] * scale))
    premultiplied = seen.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:] / 255
    small = cv2.resize(premultiplied, size, interpolation=cv2.INTER_AREA)
    small[..., :3] /= np.maximum(small[..., 3:], 1) / 255
    return np.rint(np.clip(small, 0, 255)).astype(np.uint8)
