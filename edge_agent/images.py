"""Image files and bytes to pictures, with errors a person can act on."""

from __future__ import annotations

import errno
from pathlib import Path

import cv2
import numpy as np

from edge_agent import MAX_IMAGE_PIXELS
from edge_agent.errors import ImageError, NotFoundError
from edge_agent.records import U8

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


def decode(data: bytes, name: str) -> U8:
    """Decode an image, turned upright by its EXIF orientation: uint8 BGR (height, width, 3).

    Raises ImageError, which calls it `name`, where the bytes are no image, a broken one, or one of too many pixels.
    """
    if not data:
        raise ImageError(f"{name} is empty; give a JPEG, PNG, WebP, BMP or TIFF image")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        limit = f"{MAX_IMAGE_PIXELS // 1_000_000} megapixels"
        raise ImageError(f"{name} is damaged, or larger than {limit}; give a smaller or a whole image") from error
    if picture is None:
        raise ImageError(f"{name} is not an image, or a damaged one; give a JPEG, PNG, WebP, BMP or TIFF image")
    return np.asarray(picture, dtype=np.uint8)


def read(path: Path) -> U8:
    """Read an image file as `decode` does. Raises NotFoundError where there is none, ImageError where it is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} is not there; check the path") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path} is a folder; give image files") from error
    except OSError as error:
        hint = "it is a link to itself" if error.errno == errno.ELOOP else "check its permissions"
        raise ImageError(f"{path} cannot be read ({error.strerror}); {hint}") from error
    except ValueError as error:  # a name that no file can have
        raise NotFoundError(f"{str(path)!r} is not there: {error}; check the path") from error
    return decode(data, str(path))
