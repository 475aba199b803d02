"""Which cell answers for which face: the task-aligned assigner of TOOD (Feng et al., ICCV 2021), one class.

Alignment is score**0.5 * IoU**6, the exponents of YOLOv8 (TOOD: 1 and 6), as roots and squares: powers are slow. No
centre of a cell lies in a face smaller than a cell, so for the choice of candidates a face is widened to one stride.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

TOP_CELLS = 10
LEAST_SHARE = 0.05  # cells with less of their face's best alignment are background
_EPS = 1e-9


class Targets(NamedTuple):
    """For each cell: wanted score (n, cells), wanted box (n, cells, 4), whether it answers for a face (n, cells)."""

    score: Any
    box: Any
    positive: Any


def pairwise_iou(faces: Any, boxes: Any) -> Any:
    """faces (n, m, 4) against boxes (n, cells, 4), corners: (n, m, cells)."""
    # plane by plane: a trailing axis of 2 or 4 costs several times as much
    left, top, right, bottom = (faces[..., i : i + 1] for i in range(4))
    x0, y0, x1, y1 = (boxes[:, None, :, i] for i in range(4))
    width = ops.maximum(ops.minimum(right, x1) - ops.maximum(left, x0), 0.0)
    height = ops.maximum(ops.minimum(bottom, y1) - ops.maximum(top, y0), 0.0)
    shared = width * height
    return shared / ((right - left) * (bottom - top) + (x1 - x0) * (y1 - y0) - shared + 1e-6)


def assign(scores: Any, boxes: Any, faces: Any, real: Any, centres: Any, strides: Any) -> Targets:
    """Targets for scores (n, cells, 0..1) and boxes (n, cells, 4, corners in px).

    faces: (n, m, 4) corners in px, padded; real: (n, m), 1 for a face, 0 for padding; centres: (cells, 2) px;
    strides: (cells,) px. Call it with gradients stopped.
    """
    iou = pairwise_iou(faces, boxes)
    inside = _centre_inside(faces, centres, strides) * ops.expand_dims(real, 2)
    square = ops.square(iou + 1e-3)
    alignment = ops.expand_dims(ops.sqrt(scores + _EPS), 1) * (square * square * square) * inside
    best, _ = ops.top_k(alignment, k=TOP_CELLS)
    least = ops.maximum(best[..., -1:], _EPS * 1e-15)
    chosen = ops.cast(alignment >= least, "float32") * ops.cast(alignment > 0, "float32")
    # a cell that two faces claim goes to the one it overlaps most
    claim = (iou + 1e-3) * chosen
    chosen = chosen * ops.cast(claim >= ops.max(claim, axis=1, keepdims=True), "float32")
    alignment = alignment * chosen
    # the wanted score: alignment, scaled so that a face's best cell wants the face's best IoU (TOOD, eq. 5)
    share = alignment / (ops.max(alignment, axis=2, keepdims=True) + 1e-30)
    # a small face has fewer than ten cells, so cells of coarse strides get chosen whose boxes hardly touch it: with a
    # wanted score near nothing they would weigh nothing, and nobody would teach them to be silent
    chosen = chosen * ops.cast(share >= LEAST_SHARE, "float32")
    wanted = ops.max(chosen * share * ops.max(iou * chosen, axis=2, keepdims=True), axis=1)
    owners = ops.sum(chosen, axis=1)
    shares = ops.transpose(chosen, (0, 2, 1)) / ops.maximum(ops.expand_dims(owners, 2), 1.0)
    return Targets(wanted, ops.matmul(shares, faces), ops.minimum(owners, 1.0))


def _centre_inside(faces: Any, centres: Any, strides: Any) -> Any:
    inside: Any = 1.0
    for axis in (0, 1):
        low, high = faces[..., axis : axis + 1], faces[..., axis + 2 : axis + 3]
        reach = ops.maximum((high - low) / 2, strides[None, None] * 0.5 + 1e-3)
        inside = inside * ops.cast(ops.abs(centres[None, None, :, axis] - (low + high) / 2) <= reach, "float32")
    return inside
