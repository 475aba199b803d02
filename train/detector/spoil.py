"""What cameras do to pictures: colour, grey, darkness, blur, noise, compression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from edge_agent.records import U8


def spoil(pixels: U8, rng: Generator) -> U8:
    """A uint8 BGR picture as a worse camera would have taken it."""
    out = _tone(pixels, rng)
    if rng.random() < 0.12:
        out = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < 0.2:
        out = _blur(out, rng)
    if rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(3, 16), (*out.shape[:2], 1)).astype(np.float32)
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        encoded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(18, 75))])[1]
        out = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return np.asarray(out, np.uint8)


def _tone(pixels: U8, rng: Generator) -> U8:
    """Gain, offset, gamma and colour cast through one lookup table a channel."""
    ramp = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(rng.uniform(-0.5, 0.5))
    gain, offset = rng.uniform(0.7, 1.3), rng.uniform(-0.12, 0.12)
    if rng.random() < 0.12:  # night
        gain, offset = rng.uniform(0.15, 0.45), 0.0
    cast = 1 + rng.uniform(-0.12, 0.12, 3)
    table = np.clip((ramp[:, None] ** gamma) * gain * cast + offset, 0, 1) * 255
    return np.asarray(cv2.LUT(pixels, table.astype(np.uint8)[None]), np.uint8)


def _blur(pixels: U8, rng: Generator) -> U8:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.5, 1.8))), np.uint8)
    length = int(rng.integers(3, 8))  # motion along a row, a column or a diagonal
    kernel = np.zeros((length, length), np.float32)
    choice = rng.integers(3)
    if choice == 0:
        kernel[length // 2] = 1
    elif choice == 1:
        kernel[:, length // 2] = 1
    else:
        np.fill_diagonal(kernel, 1)
    return np.asarray(cv2.filter2D(pixels, -1, kernel / length), np.uint8)
