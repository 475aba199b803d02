"""What a camera, a codec and a detector do to a face, imitated. uint8 RGB in and out."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge_agent.preprocess import crop
from edge_agent.records import U8, Box
from train.config import AugmentConfig
from train.faces import Region


def jittered_crop(region: Region, size: int, margin: float, rng: np.random.Generator, config: AugmentConfig) -> U8:
    """A crop by the agent's own `crop`, of a box shifted, scaled and turned as a detector would."""
    bgr, box = region.bgr, region.box
    side = max(box.w, box.h)
    strength = min(1.0, config.strength)
    centre_x, centre_y = box.centre
    degrees = float(rng.normal(0, config.rotation_deg * strength * 0.6))
    if abs(degrees) > 2:
        turn = cv2.getRotationMatrix2D((centre_x, centre_y), degrees, 1.0)
        bgr = np.asarray(
            cv2.warpAffine(bgr, turn, (bgr.shape[1], bgr.shape[0]), borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
    centre_x += float(rng.normal(0, config.offset * strength)) * side
    centre_y += float(rng.normal(0, config.offset * strength)) * side
    factor = math.exp(float(rng.normal(0, config.scale * strength)))
    width, height = box.w * factor, box.h * factor
    return crop(bgr, Box(centre_x - width / 2, centre_y - height / 2, width, height), size, margin)


def distort(rgb: U8, rng: np.random.Generator, config: AugmentConfig, face_px: float) -> U8:
    """Flip, low resolution, blur, colour, darkness, noise, JPEG, erasing: each with its own chance."""
    p = config.strength
    if p == 0:
        return rgb
    image = rgb[:, ::-1] if rng.random() < 0.5 else rgb
    if rng.random() < config.low_resolution * p:
        image = lower_resolution(image, rng, config.smallest_px, face_px)
    if rng.random() < 0.15 * p:
        image = blur(
            image,
            float(rng.uniform(0.4, 2.2)) * image.shape[0] / 112,
            float(rng.uniform(0, 180)) if rng.random() < 0.4 else None,
        )
    image = colour(image, rng, p)
    if rng.random() < 0.12 * p:
        noise = rng.normal(0, rng.uniform(2, 14), image.shape[:2] + ((3,) if rng.random() < 0.5 else (1,)))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3 * p:
        image = jpeg(image, int(rng.integers(20, 85)))
    if rng.random() < 0.15 * p:
        image = erase(image, rng)
    return np.ascontiguousarray(image, dtype=np.uint8)


def lower_resolution(image: U8, rng: np.random.Generator, smallest_px: int, face_px: float) -> U8:
    """As if the face had been smaller in the picture: down by area, up again by one of OpenCV's filters."""
    size = image.shape[0]
    largest = min(float(size), max(smallest_px + 2.0, face_px))
    small = int(math.exp(rng.uniform(math.log(smallest_px * 1.3), math.log(max(smallest_px * 1.3 + 1, largest)))))
    down = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    filters = (cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(down, (size, size), interpolation=filters[rng.integers(3)]), np.uint8)


def blur(image: U8, sigma: float, direction_deg: float | None = None) -> U8:
    """Out of focus; or, with a direction, moved during the exposure."""
    if direction_deg is None:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), max(0.3, sigma)), np.uint8)
    length = max(3, int(sigma * 4) | 1)
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), direction_deg, 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return np.asarray(cv2.filter2D(image, -1, kernel / max(1e-3, float(kernel.sum()))), np.uint8)


def colour(image: U8, rng: np.random.Generator, strength: float) -> U8:
    """Exposure, contrast, saturation, a cast, now and then grey, now and then dark."""
    x = image.astype(np.float32)
    if rng.random() < 0.05 * strength:
        x = np.repeat(x.mean(2, keepdims=True), 3, 2)
    elif rng.random() < 0.6 * strength:
        grey = x.mean(2, keepdims=True)
        x = grey + (x - grey) * float(rng.uniform(0.5, 1.5))
    if rng.random() < 0.4 * strength:
        x *= np.exp(rng.normal(0, 0.10, 3)).astype(np.float32)
    if rng.random() < 0.6 * strength:
        x = (x - 128) * float(rng.uniform(0.65, 1.35)) + 128 + float(rng.normal(0, 22))
    if rng.random() < 0.12 * strength:
        return darken(np.clip(x, 0, 255).astype(np.uint8), float(rng.uniform(0.15, 0.6)), rng)
    return np.clip(x, 0, 255).astype(np.uint8)


def darken(image: U8, exposure: float, rng: np.random.Generator) -> U8:
    """Less light and the sensor noise that comes with it."""
    x = image.astype(np.float32) * exposure
    return np.clip(x + rng.normal(0, 3.0, image.shape), 0, 255).astype(np.uint8)


def jpeg(image: U8, quality: int) -> U8:
    """Through the codec and back."""
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def erase(image: U8, rng: np.random.Generator) -> U8:
    """A small rectangle of one colour, as of a passer-by or a hand; too small to hide a mask."""
    size = image.shape[0]
    height, width = rng.integers(size // 10, size // 4, 2)
    top, left = rng.integers(0, size - height), rng.integers(0, size - width)
    out = image.copy()
    out[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return np.asarray(out, np.uint8)
