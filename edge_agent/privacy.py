"""What of a face may leave the memory: applied before any byte is written or sent. Pure.

    shown(bgr, faces, config.privacy, subject=None) -> picture or None
        full     the picture as it is
        crop     the subject's face alone, others in it blurred; without a subject None
        blurred  the picture, every face in it made unrecognisable
        none     None: there is no picture

`faces` are all boxes known in this picture, of people counted and not counted, seen now or a moment ago.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edge_agent.config import PrivacyConfig
from edge_agent.records import U8, Box

BLOCKS = 5  # across a face: recognition by machines ends well above this (McPherson et al. 2016 defeat finer mosaics)
BLUR_MARGIN = 0.25  # of the longer side, on every edge: hair, ears and a box that sits loosely
CROP_MARGIN = 0.35


def shown(bgr: U8, faces: Sequence[Box], config: PrivacyConfig, subject: Box | None = None) -> U8 | None:
    """What may be shown of a picture, uint8 BGR, a copy unless `full`; None: nothing."""
    if config.pictures == "none":
        return None
    if config.pictures == "full":
        return bgr
    if config.pictures == "blurred":
        return blurred(bgr, faces)
    if subject is None:
        return None
    others = [face for face in faces if face != subject and face.iou(subject) < 0.3]
    x, y, w, h = _pixels(bgr, subject, CROP_MARGIN)
    if w == 0 or h == 0:
        return None
    moved = [Box(face.x - x, face.y - y, face.w, face.h) for face in others]
    return blurred(bgr[y : y + h, x : x + w], moved)


def blurred(bgr: U8, faces: Sequence[Box]) -> U8:
    """A copy in which each face is a few blocks of mean colour."""
    out = bgr.copy()
    for face in faces:
        x, y, w, h = _pixels(out, face, BLUR_MARGIN)
        if w == 0 or h == 0:
            continue
        area = out[y : y + h, x : x + w]
        few = cv2.resize(area, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA)
        out[y : y + h, x : x + w] = cv2.resize(few, (w, h), interpolation=cv2.INTER_NEAREST)
    return np.asarray(out, dtype=np.uint8)


def _pixels(bgr: U8, box: Box, margin: float) -> tuple[int, int, int, int]:
    """The part of the box and its margin inside the picture, whole pixels; nothing is left out by rounding."""
    more = margin * max(box.w, box.h)
    rows, columns = bgr.shape[:2]
    left, top = max(0, int(np.floor(box.x - more))), max(0, int(np.floor(box.y - more)))
    right = min(columns, int(np.ceil(box.x + box.w + more)))
    bottom = min(rows, int(np.ceil(box.y + box.h + more)))
    return left, top, max(0, right - left), max(0, bottom - top)
