"""Boxes as float32 (n, 4): left, top, right, bottom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_agent.records import F32, Face


def corners(faces: Sequence[Face]) -> F32:
    """Boxes of what a detector found, in its order."""
    rows = [(f.box.x, f.box.y, f.box.x + f.box.w, f.box.y + f.box.h) for f in faces]
    return np.array(rows, np.float32).reshape(-1, 4)


def areas(boxes: F32) -> F32:
    """Areas (n,), never negative."""
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1), np.float32)


def intersections(a: F32, b: F32) -> F32:
    """Areas shared, (n, m)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=2), np.float32)


def iou_matrix(a: F32, b: F32) -> F32:
    """Intersection over union, (n, m)."""
    shared = intersections(a, b)
    return np.asarray(shared / np.maximum(areas(a)[:, None] + areas(b)[None] - shared, 1e-6), np.float32)


def shorter_sides(boxes: F32) -> F32:
    """Shorter side of each box, (n,)."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).min(axis=1), np.float32)
