"""Pictures to network input. The one copy: the agent, training and export all cut and scale here.

Pure functions. What leaves this module is uint8 RGB; normalisation is a layer inside each model.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_agent.records import U8, Box

PAD_VALUE = 114  # mid grey, the letterbox padding of YOLO-family detectors; training pads with the same


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a picture was fitted: scaled by `scale`, its top left corner kept, padded on the right and at the bottom."""

    scale: float

    def to_picture(self, box: Box) -> Box:
        """A box in network pixels, back in pixels of the picture."""
        return Box(box.x / self.scale, box.y / self.scale, box.w / self.scale, box.h / self.scale)


def resize(image: U8, width: int, height: int) -> U8:
    """Scale a picture: by area where it shrinks to half or less (bilinear would alias), else bilinear."""
    shrinks = width * 2 <= image.shape[1] and height * 2 <= image.shape[0]
    out = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(out, dtype=np.uint8)


def halved(image: U8, width: int, height: int) -> U8:
    """Halve a picture of even sides while it stays width x height or larger.

    Two by two pixels to one is a sixth of the work of averaging areas of a broken size, and what is left to scale is
    less than a half.
    """
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height and not any(n % 2 for n in image.shape[:2]):
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return image


def letterbox(bgr: U8, width: int, height: int) -> tuple[U8, Letterbox]:
    """Fit a uint8 BGR picture into width x height, aspect kept.

    Returns uint8 RGB (height, width, 3) and the way back.
    """
    rows, columns = bgr.shape[:2]
    scale = min(width / columns, height / rows)
    inner_width, inner_height = max(1, round(columns * scale)), max(1, round(rows * scale))
    out = np.full((height, width, 3), PAD_VALUE, np.uint8)
    inner = halved(bgr, inner_width, inner_height)
    if inner.shape[:2] != (inner_height, inner_width):
        inner = resize(inner, inner_width, inner_height)
    cv2.cvtColor(inner, cv2.COLOR_BGR2RGB, dst=out[:inner_height, :inner_width])
    return out, Letterbox(scale)


def crop(bgr: U8, box: Box, size: int, margin: float) -> U8:
    """Cut one face: a square around the box, `margin` of its longer side added on every edge.

    Returns uint8 RGB (size, size, 3).

    What lies outside the picture repeats its edge. A box without a pixel in the picture gives a grey crop.
    """
    rows, columns = bgr.shape[:2]
    # A box from a broken detector may be huge: the square never grows past what the picture could fill a sixteenth of.
    side = min(max(1, round(max(box.w, box.h) * (1 + 2 * margin))), 4 * max(rows, columns))
    centre_x, centre_y = box.centre
    left, top = round(centre_x - side / 2), round(centre_y - side / 2)
    inside = bgr[max(0, top) : max(0, min(rows, top + side)), max(0, left) : max(0, min(columns, left + side))]
    if inside.size == 0:
        return np.full((size, size, 3), PAD_VALUE, np.uint8)
    missing = (max(0, -top), max(0, top + side - rows), max(0, -left), max(0, left + side - columns))
    if any(missing):
        inside = np.asarray(cv2.copyMakeBorder(inside, *missing, cv2.BORDER_REPLICATE), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(resize(inside, size, size), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def crops(bgr: U8, boxes: list[Box], size: int, margin: float) -> U8:
    """Cut many faces: uint8 RGB (n, size, size, 3); n may be 0."""
    if not boxes:
        return np.zeros((0, size, size, 3), np.uint8)
    return np.stack([crop(bgr, box, size, margin) for box in boxes])
