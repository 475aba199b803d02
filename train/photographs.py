"""Photographs read from their files, whole or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

import cv2
import numpy as np

from edge_agent.errors import ImageError, NotFoundError
from edge_agent.records import U8


def read_photograph(path: Path) -> U8:
    """uint8 BGR (height, width, 3).

    Raises NotFoundError, or ImageError where it cannot be decoded, wholly or in part.
    """
    data, image = _bytes(path), None
    with contextlib.suppress(cv2.error):  # an empty file, or a header that tells of more pixels than OpenCV takes
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(f"{path} cannot be decoded, or only in part; replace or remove it")
    bgr = np.asarray(image, dtype=np.uint8)
    if fault := cut_off(data, bgr):
        raise ImageError(f"{path} is damaged ({fault}); replace or remove it")
    return bgr


def cut_off(data: bytes, bgr: U8) -> str:
    """Why a picture that decodes to `bgr`, uint8 (height, width, 3), is not whole; "" where it is.

    Decoders fill what is missing of a JPEG with grey and say nothing.
    """
    if data[:2] != b"\xff\xd8":
        return ""
    if b"\xff\xd9" not in data[-64:]:
        return "JPEG without its end: cut off"
    lowest = bgr[-max(2, bgr.shape[0] // 20) :]
    return "grey from some line on: cut off" if bgr.shape[0] > 40 and (lowest == 128).all() else ""


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} is not there; the labels or the table of the split name it") from error
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}; replace or remove it") from error
