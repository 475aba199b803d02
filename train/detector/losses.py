"""The loss: quality-aware focal loss on scores, complete-IoU-type loss on boxes, silence where nobody knows.

Score: varifocal loss (Zhang et al., CVPR 2021). Box: DIoU loss (Zheng et al., AAAI 2020). Weights 1 and 2.5 as PP-YOLOE
(Xu et al., 2022). Cells whose centre lies in an unsure box (teacher-found but unlabelled, cut, or tiny) teach nothing.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from train.detector.assign import Targets, assign
from train.detector.network import STRIDES

BOX_WEIGHT = 2.5
_FOCAL_ALPHA, _FOCAL_GAMMA = 0.75, 2.0


def cells(height: int, width: int) -> tuple[Any, Any]:
    """Centres (cells, 2) and strides (cells,) in px, in the order of the flattened outputs."""
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = height // stride, width // stride
        y, x = ops.meshgrid(ops.arange(rows, dtype="float32"), ops.arange(columns, dtype="float32"), indexing="ij")
        centres.append((ops.reshape(ops.stack([x, y], axis=-1), (-1, 2)) + 0.5) * stride)
        strides.append(ops.full((rows * columns,), float(stride)))
    return ops.concatenate(centres), ops.concatenate(strides)


def flatten(outputs: list[Any]) -> tuple[Any, Any]:
    """Score logits (n, cells) and raw boxes (n, cells, 4) of the network's maps."""
    n = ops.shape(outputs[0])[0]
    scores = [ops.reshape(outputs[i], (n, -1)) for i in range(0, len(outputs), 2)]
    boxes = [ops.reshape(outputs[i], (n, -1, 4)) for i in range(1, len(outputs), 2)]
    return ops.concatenate(scores, axis=1), ops.concatenate(boxes, axis=1)


def decode(raw: Any, centres: Any, strides: Any) -> Any:
    """Corners in px (n, cells, 4)."""
    step = strides[None, :, None]
    centre = centres[None] + raw[..., :2] * step
    half = ops.exp(ops.clip(raw[..., 2:], -4.0, 5.0)) * step / 2
    return ops.concatenate([centre - half, centre + half], axis=-1)


def detection_loss(outputs: list[Any], labels: Any, sure_iou: float = 1.0) -> tuple[Any, Any]:
    """Score and box loss, scalars. labels: (n, m, 5), corners in px and how much a face counts, -1 for unsure, 0 for
    padding.

    sure_iou: the overlap of a box and its face from which its wanted score is 1; below, it is a share of it.
    """
    centres, strides = cells(outputs[0].shape[1] * STRIDES[0], outputs[0].shape[2] * STRIDES[0])
    logits, raw = flatten(outputs)
    boxes = decode(raw, centres, strides)
    faces, kind = labels[..., :4], labels[..., 4]
    targets = assign(ops.stop_gradient(boxes), faces, ops.maximum(kind, 0.0), centres, strides)
    targets = Targets(*(ops.stop_gradient(target) for target in targets))
    targets = targets._replace(score=ops.minimum(targets.score / sure_iou, 1.0))
    unsure = _inside_unsure(faces, kind, centres) * (1 - targets.positive)
    taught = 1 - ops.maximum(unsure, targets.silent)
    total = ops.maximum(ops.sum(targets.positive), 1.0)
    score_loss = ops.sum(_varifocal(logits, targets) * taught) / total
    box_loss = ops.sum(_diou_loss(boxes, targets.box) * targets.positive) / total
    return score_loss, BOX_WEIGHT * box_loss


def _varifocal(logits: Any, targets: Targets) -> Any:
    probability = ops.stop_gradient(ops.sigmoid(logits))
    background = _FOCAL_ALPHA * ops.power(probability, _FOCAL_GAMMA) * (1 - targets.positive)
    weight = background + targets.score * targets.counts
    return weight * keras.losses.binary_crossentropy(
        ops.expand_dims(targets.score, -1), ops.expand_dims(logits, -1), from_logits=True
    )


def _diou_loss(boxes: Any, wanted: Any) -> Any:
    low, high = ops.maximum(boxes[..., :2], wanted[..., :2]), ops.minimum(boxes[..., 2:], wanted[..., 2:])
    shared = _area(ops.maximum(high - low, 0.0))
    area = _area(boxes[..., 2:] - boxes[..., :2]) + _area(wanted[..., 2:] - wanted[..., :2])
    iou = shared / (area - shared + 1e-6)
    hull = ops.maximum(boxes[..., 2:], wanted[..., 2:]) - ops.minimum(boxes[..., :2], wanted[..., :2])
    apart = (boxes[..., :2] + boxes[..., 2:] - wanted[..., :2] - wanted[..., 2:]) / 2
    return 1 - iou + ops.sum(apart**2, axis=-1) / (ops.sum(hull**2, axis=-1) + 1e-6)


def _area(sides: Any) -> Any:
    return sides[..., 0] * sides[..., 1]  # not ops.prod: its gradient is two cumulative products


def _inside_unsure(faces: Any, kind: Any, centres: Any) -> Any:
    x, y = centres[None, None, :, 0], centres[None, None, :, 1]
    left, top, right, bottom = (faces[..., i : i + 1] for i in range(4))
    inside = ops.cast((x >= left) & (x <= right), "float32") * ops.cast((y >= top) & (y <= bottom), "float32")
    return ops.max(inside * ops.cast(ops.expand_dims(kind, 2) < -0.5, "float32"), axis=1)
