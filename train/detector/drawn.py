"""Masks, hands and things drawn before faces, hair drawn over them: cheap stand-ins for what a door camera sees."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from edge_agent.records import F32, U8
from train.detector.geometry import areas

_MASK_COLOURS = ((235, 235, 235), (220, 200, 150), (40, 40, 40), (200, 170, 120), (180, 200, 120), (170, 160, 230))


def cover_faces(pixels: U8, labels: F32, bare: np.ndarray, rng: Generator) -> U8:
    """Draw a mask on about half of the bare faces, and something on a few others; boxes stay as they are."""
    out = pixels.copy()
    for label, is_bare in zip(labels, bare, strict=True):
        side = float(min(label[2:4] - label[:2]))
        if label[4] < 0 or side < 14:
            continue
        if is_bare and rng.random() < 0.5:
            _draw_mask(out, label[:4], rng)
        elif rng.random() < 0.3:
            _draw_thing(out, label[:4], rng)
    return out


def turn_away(pixels: U8, labels: F32, bare: np.ndarray, rng: Generator) -> tuple[U8, np.ndarray]:
    """Make about half of the bare faces backs of heads. Also which labels remain faces, bool (n,).

    What is above a face, hair mostly, is stretched over it, down to the neck or to a nape of blurred skin. The sets
    show few people from behind, and a detector that has seen none takes head and shoulders for a face.
    """
    out, remains = pixels.copy(), np.ones(len(labels), bool)
    for row in np.flatnonzero(bare & (labels[:, 4] > 0)):
        if rng.random() < 0.5 and _draw_back(out, labels, int(row), rng):
            remains[row] = False
    return out, remains


def _draw_back(out: U8, labels: F32, row: int, rng: Generator) -> bool:
    """False where there is too little above the face, or where another face would be hidden."""
    left, top, right, bottom = (float(v) for v in labels[row, :4])
    width, height = right - left, bottom - top
    rows, columns = out.shape[:2]
    x0, x1 = int(max(0, left - 0.1 * width)), int(min(columns, right + 0.1 * width))
    y0, y1 = int(max(0, top - height * rng.uniform(0.25, 0.4))), int(min(rows, bottom + 0.25 * height))
    hairline = int(top - height * rng.uniform(0, 0.06))
    others = np.delete(labels[:, :4], row, axis=0)
    hidden = areas(np.clip(others, (x0, y0, x0, y0), (x1, y1, x1, y1)))
    if min(width, height) < 14 or hairline - y0 < 3 or x1 - x0 < 6 or (hidden > 0.15 * areas(others)).any():
        return False
    head = out[y0:y1, x0:x1]
    crown = out[y0:hairline, int(left + 0.25 * width) : int(right - 0.25 * width)].astype(np.float32)
    if rng.random() < 0.6:  # dark hair under a ceiling lamp is one flat tone
        crown = cv2.GaussianBlur(crown, (0, 0), rng.uniform(0.1, 0.5) * width)
    hair = cv2.resize(crown, (x1 - x0, y1 - y0))
    hair *= np.linspace(rng.uniform(0.85, 1.1), rng.uniform(0.6, 1.0), y1 - y0, dtype=np.float32)[:, None, None]
    hair += rng.normal(0, rng.uniform(0, 7), (1, x1 - x0, 1))  # strands
    middle, end = (left + right) / 2 - x0, bottom - y0
    if rng.random() < 0.5:
        neck = cv2.GaussianBlur(head, (0, 0), 0.2 * width)
        _blend(head, neck, middle, end - 0.35 * height, 0.5 * width, 0.45 * height, width)
        end -= height * rng.uniform(0.15, 0.45)
    else:
        end += height * rng.uniform(0, 0.25)
    widest = min((top + bottom) / 2 - y0, 0.7 * end)
    _blend(head, np.clip(hair, 0, 255), middle, widest, 0.54 * width, end - widest, width)
    return True


def _blend(area: U8, other: np.ndarray, x: float, y: float, half: float, down: float, width: float) -> None:
    """Put `other` over the area, softly: an ellipse about (x, y) that ends at the top, and `down` px below."""
    shape = np.zeros(area.shape[:2], np.float32)
    cv2.ellipse(shape, (int(x), int(y)), (int(half), max(1, int(down))), 0, 0, 180, 1, -1)
    cv2.ellipse(shape, (int(x), int(y)), (int(half), max(1, int(y))), 0, 180, 360, 1, -1)
    soft = max(3, int(width * 0.12) | 1)
    shape = cv2.GaussianBlur(shape, (soft, soft), 0)[..., None]
    area[...] = other * shape + area * (1 - shape)


def _draw_mask(out: U8, box: F32, rng: Generator) -> None:
    """A cloth from the bridge of the nose (or, badly worn, from the mouth) to the chin, with straps."""
    left, top, right, bottom = (float(v) for v in box)
    width, height = right - left, bottom - top
    upper = top + height * (rng.uniform(0.42, 0.6) if rng.random() < 0.75 else rng.uniform(0.62, 0.75))
    shift = rng.uniform(-0.12, 0.12) * width
    points = np.array(
        [
            [left + width * rng.uniform(0.0, 0.12), upper + height * rng.uniform(0.0, 0.1)],
            [left + width / 2 + shift, upper - height * rng.uniform(0.0, 0.08)],
            [right - width * rng.uniform(0.0, 0.12), upper + height * rng.uniform(0.0, 0.1)],
            [right - width * rng.uniform(0.08, 0.2), bottom - height * rng.uniform(0.03, 0.15)],
            [left + width / 2 + shift, bottom + height * rng.uniform(-0.02, 0.05)],
            [left + width * rng.uniform(0.08, 0.2), bottom - height * rng.uniform(0.03, 0.15)],
        ]
    )
    base = np.array(_MASK_COLOURS[rng.integers(len(_MASK_COLOURS))]) if rng.random() < 0.7 else rng.integers(0, 256, 3)
    colour = tuple(int(v) for v in np.clip(base * rng.uniform(0.6, 1.05), 0, 255))
    cv2.fillPoly(out, [np.round(points * 8).astype(np.int32)], colour, lineType=cv2.LINE_AA, shift=3)
    darker = tuple(int(v * 0.8) for v in colour)
    for share in (0.35, 0.6):
        y = int(upper + (bottom - upper) * share)
        cv2.line(out, (int(left + width * 0.15), y), (int(right - width * 0.15), y), darker, max(1, int(width / 50)))


def _draw_thing(out: U8, box: F32, rng: Generator) -> None:
    """An ellipse or bar over up to two fifths of the face: a hand, a cup, a phone, a railing."""
    size = box[2:4] - box[:2]
    centre = box[:2] + size * rng.uniform(0.1, 0.9, 2)
    axes = np.maximum(1, size * rng.uniform(0.1, 0.32, 2)).astype(int)
    skin = np.array([110, 140, 200]) * rng.uniform(0.4, 1.15)
    colour = tuple(int(v) for v in np.clip(skin if rng.random() < 0.5 else rng.integers(0, 256, 3), 0, 255))
    if rng.random() < 0.6:
        angle = float(rng.uniform(0, 180))
        cv2.ellipse(out, tuple(int(v) for v in centre), tuple(int(v) for v in axes), angle, 0, 360, colour, -1)
    else:
        low, high = centre - axes, centre + axes
        cv2.rectangle(out, tuple(int(v) for v in low), tuple(int(v) for v in high), colour, -1)
