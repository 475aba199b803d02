"""Drawn faces, bare and masked: golden inputs that anyone may pass on.

They look like faces to a network as far as that goes; what counts is that its outputs on them are varied and sensitive.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge_agent.model_file.golden import SHRUNK
from edge_agent.records import U8

_SKIN = ((224, 188, 160), (196, 150, 120), (160, 114, 86), (120, 82, 60), (92, 62, 46))
_CLOTH = ((150, 190, 220), (235, 238, 240), (40, 44, 52), (120, 170, 140), (210, 120, 130), (70, 90, 160))
_SCALE = 4  # drawn larger, then shrunk: soft edges


def face(rng: np.random.Generator, size: int) -> U8:
    """One face that fills its square: uint8 RGB (size, size, 3)."""
    side = size * _SCALE
    canvas = _background(rng, side, side)
    _head(canvas, rng, side / 2, side / 2, side * rng.uniform(0.30, 0.42))
    return _shrunk(canvas, size, size)


def scene(rng: np.random.Generator, width: int, height: int) -> U8:
    """One to six faces of several sizes before a wall: uint8 RGB (height, width, 3)."""
    canvas = _background(rng, width * _SCALE, height * _SCALE)
    for _ in range(int(rng.integers(1, 7))):
        radius = float(rng.uniform(0.05, 0.3)) * height * _SCALE
        x, y = rng.uniform(0.1, 0.9) * width * _SCALE, rng.uniform(0.2, 0.8) * height * _SCALE
        _head(canvas, rng, float(x), float(y), radius)
    return _shrunk(canvas, width, height)


def small_faces(count: int, width: int, height: int, seed: int) -> U8:
    """Faces as a golden set keeps them, a quarter of the input's size: uint8 RGB (n, h / 4, w / 4, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = -(-height // SHRUNK), -(-width // SHRUNK)
    pictures = [cv2.resize(face(rng, max(rows, columns)), (columns, rows)) for _ in range(count)]
    return np.stack([np.asarray(picture, np.uint8) for picture in pictures])


def small_scenes(count: int, width: int, height: int, seed: int) -> U8:
    """Scenes as a golden set keeps them: uint8 RGB (n, h / 4, w / 4, 3)."""
    rng = np.random.default_rng(seed)
    return np.stack([scene(rng, -(-width // SHRUNK), -(-height // SHRUNK)) for _ in range(count)])


def _background(rng: np.random.Generator, width: int, height: int) -> U8:
    ends = rng.integers(20, 236, (2, 3)).astype(np.float32)
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    wall = np.broadcast_to(ends[0] * (1 - share) + ends[1] * share, (height, width, 3))
    return np.ascontiguousarray(wall).astype(np.uint8)


def _shrunk(canvas: U8, width: int, height: int) -> U8:
    return np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _colour(rng: np.random.Generator, choices: tuple[tuple[int, int, int], ...]) -> tuple[int, int, int]:
    base = np.array(choices[int(rng.integers(len(choices)))]) + rng.integers(-18, 19, 3)
    red, green, blue = np.clip(base, 0, 255)
    return int(red), int(green), int(blue)


def _head(canvas: U8, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    """A head of half width r around (x, y), drawn in place: hair, face, eyes, nose, mouth, and perhaps a mask."""

    def at(dx: float, dy: float) -> tuple[int, int]:
        return round(x + dx * r), round(y + dy * r)

    def oval(dx: float, dy: float, w: float, h: float, colour: tuple[int, int, int]) -> None:
        cv2.ellipse(
            canvas, at(dx, dy), (max(1, round(w * r)), max(1, round(h * r))), 0, 0, 360, colour, -1, cv2.LINE_AA
        )

    skin, hair = _colour(rng, _SKIN), tuple(int(v) for v in rng.integers(10, 110, 3))
    darker = (int(skin[0] * 0.72), int(skin[1] * 0.66), int(skin[2] * 0.64))
    oval(0, -0.25, 1.12, 1.3, hair)
    oval(0, 0, 0.95, 1.25, skin)
    for side in (-1, 1):
        oval(side * 0.36, -0.18, 0.17, 0.1, (242, 242, 240))
        oval(side * 0.36 + rng.uniform(-0.04, 0.04), -0.18, 0.08, 0.09, (40, 32, 28))
        cv2.line(canvas, at(side * 0.55, -0.4), at(side * 0.2, -0.42), hair, max(1, round(r * 0.08)), cv2.LINE_AA)
    cv2.line(canvas, at(0, -0.1), at(0.08, 0.25), darker, max(1, round(r * 0.08)), cv2.LINE_AA)
    oval(0, 0.62, 0.3, rng.uniform(0.05, 0.14), (170, 70, 76))
    top = (None, 0.02, 0.42, 0.78)[int(rng.integers(4))]
    if top is not None:
        cloth = _colour(rng, _CLOTH)
        outline = [
            at(-0.9, top - 0.05),
            at(0, top - 0.1),
            at(0.9, top - 0.05),
            at(0.7, 0.95),
            at(0, 1.25),
            at(-0.7, 0.95),
        ]
        cv2.fillPoly(canvas, [np.array(outline, np.int32)], cloth, cv2.LINE_AA)
