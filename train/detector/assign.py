"""Which cell answers for which face: the assigner of FCOS (Tian et al., ICCV 2019), with centre sampling.

A stride answers for a range of sizes, a cell for a face whose centre lies within 1.5 strides of its own. Ranges of
neighbouring strides overlap, and just outside its range a stride is neither taught the face nor taught background: a
face at a border is then sure at one stride at least. A task-aligned assigner (TOOD, Feng et al., ICCV 2021) was tried
first: it leaves the choice of the stride to the network, whose scores for faces of 32 to 64 px stayed under 0.5.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

CENTRE_RADIUS = 1.5  # strides
SIZES_PX = {8: (0.0, 48.0), 16: (36.0, 108.0), 32: (80.0, 1e9)}  # square root of the area
SILENT_FACTOR = 1.35  # beyond its range by up to this factor, a stride is taught nothing


class Targets(NamedTuple):
    """For each cell: wanted score (n, cells), wanted box (n, cells, 4), how much its face counts (n, cells), whether it
    answers for a face, whether it is taught nothing (n, cells)."""

    score: Any
    box: Any
    counts: Any
    positive: Any
    silent: Any


def pairwise_iou(faces: Any, boxes: Any) -> Any:
    """faces (n, m, 4) against boxes (n, cells, 4), corners: (n, m, cells)."""
    # plane by plane: a trailing axis of 2 or 4 costs several times as much
    left, top, right, bottom = (faces[..., i : i + 1] for i in range(4))
    x0, y0, x1, y1 = (boxes[:, None, :, i] for i in range(4))
    width = ops.maximum(ops.minimum(right, x1) - ops.maximum(left, x0), 0.0)
    height = ops.maximum(ops.minimum(bottom, y1) - ops.maximum(top, y0), 0.0)
    shared = width * height
    return shared / ((right - left) * (bottom - top) + (x1 - x0) * (y1 - y0) - shared + 1e-6)


def assign(boxes: Any, faces: Any, counts: Any, centres: Any, strides: Any) -> Targets:
    """Targets for boxes (n, cells, 4, corners in px); the wanted score is the overlap of the cell's box and its face.

    faces: (n, m, 4) corners in px, padded; counts: (n, m), how much a face counts, 0 for padding;
    centres: (cells, 2) px; strides: (cells,) px. Call it with gradients stopped.
    """
    low, high = _ranges(strides)
    sides = ops.maximum(faces[..., 2:] - faces[..., :2], 0.0)
    area = ops.expand_dims(sides[..., 0] * sides[..., 1], 2)
    size = ops.sqrt(area)
    near = _near_centre(faces, centres, strides) * ops.expand_dims(ops.cast(counts > 0, "float32"), 2)
    chosen = near * ops.cast((size >= low) & (size < high), "float32")
    tolerated = near * ops.cast((size >= low / SILENT_FACTOR) & (size < high * SILENT_FACTOR), "float32")
    # a cell that several faces claim goes to the smallest, as in FCOS
    claim = chosen / (area + 1.0)
    chosen = chosen * ops.cast(claim >= ops.max(claim, axis=1, keepdims=True), "float32")
    owners = ops.sum(chosen, axis=1)
    positive = ops.minimum(owners, 1.0)
    score = ops.max(chosen * pairwise_iou(faces, boxes), axis=1)
    shares = ops.transpose(chosen, (0, 2, 1)) / ops.maximum(ops.expand_dims(owners, 2), 1.0)
    own = ops.matmul(shares, ops.concatenate([faces, ops.expand_dims(counts, 2)], axis=2))
    return Targets(score, own[..., :4], own[..., 4], positive, ops.max(tolerated, axis=1) * (1 - positive))


def _ranges(strides: Any) -> tuple[Any, Any]:
    """Smallest and largest size (cells,) that each cell's stride answers for."""
    low: Any = 0.0
    high: Any = 0.0
    for stride, (least, most) in SIZES_PX.items():
        here = ops.cast(ops.equal(strides, float(stride)), "float32")
        low, high = low + here * least, high + here * most
    return low, high


def _near_centre(faces: Any, centres: Any, strides: Any) -> Any:
    near: Any = 1.0
    for axis in (0, 1):
        middle = (faces[..., axis : axis + 1] + faces[..., axis + 2 : axis + 3]) / 2
        near = near * ops.cast(ops.abs(centres[None, None, :, axis] - middle) <= strides * CENTRE_RADIUS, "float32")
    return near
