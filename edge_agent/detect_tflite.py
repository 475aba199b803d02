"""The project's own detector: raw maps of a TFLite network become faces (decode "centre-log-size", then NMS).

Per stride the network gives score logits (1, rows, columns, 1) and boxes (1, rows, columns, 4): the face's centre as an
offset from the cell's centre, and the logarithm of its width and height, both in strides.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_agent.errors import ModelError
from edge_agent.model_file import DetectorPart, Manifest, ModelFile, open_model
from edge_agent.preprocess import letterbox
from edge_agent.records import F32, U8, Box, Face
from edge_agent.runtime import Runtime

DECODE = "centre-log-size"
MAX_CANDIDATES = 1000  # before NMS; a crowd of 300 faces raises about as many boxes above any useful score
_LARGEST_LOG_SIZE = 5.0


@dataclass(frozen=True, slots=True)
class Level:
    """One stride's pair of outputs: where its maps lie among the network's outputs, and the cells' centres in px."""

    stride: int
    score_at: int
    box_at: int
    centres: F32


def levels_of(shapes: list[tuple[int, ...]], width: int, height: int) -> list[Level]:
    """Pair score and box maps by their shapes, finest stride first. Raises ModelError where they do not pair up."""
    levels = []
    scores = {shape[1:3]: at for at, shape in enumerate(shapes) if len(shape) == 4 and shape[3] == 1}
    boxes = {shape[1:3]: at for at, shape in enumerate(shapes) if len(shape) == 4 and shape[3] == 4}
    if not scores or set(scores) != set(boxes) or len(scores) + len(boxes) != len(shapes):
        raise ModelError(f"the network's outputs {shapes} are no pairs of score and box maps; export it again")
    for (rows, columns), score_at in scores.items():
        stride = height // rows
        if (stride * rows, stride * columns) != (height, width):
            raise ModelError(f"a map of {columns}x{rows} cells does not tile {width}x{height} px; export it again")
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        centres = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride
        levels.append(Level(stride, score_at, boxes[(rows, columns)], centres.astype(np.float32)))
    return sorted(levels, key=lambda level: level.stride)


def decode(outputs: list[F32], levels: list[Level], score: float) -> tuple[F32, F32]:
    """Boxes of at least that score: left, top, width, height in network px (n, 4), and scores (n,), best first."""
    logit = float(np.log(score / (1 - score)))
    boxes, logits = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)]
    for level in levels:
        raw = outputs[level.score_at].reshape(-1)
        keep = np.flatnonzero(raw >= logit)
        if len(keep) == 0:
            continue
        box = outputs[level.box_at].reshape(-1, 4)[keep]
        size = np.exp(np.minimum(box[:, 2:], _LARGEST_LOG_SIZE)) * level.stride
        centre = level.centres[keep] + box[:, :2] * level.stride
        boxes.append(np.concatenate([centre - size / 2, size], axis=1))
        logits.append(raw[keep])
    found, strength = np.concatenate(boxes), np.concatenate(logits)
    order = np.argsort(-strength, kind="stable")[:MAX_CANDIDATES]
    scores = 1 / (1 + np.exp(-strength[order]))
    return found[order].astype(np.float32), scores.astype(np.float32)


def suppress(boxes: F32, scores: F32, iou: float) -> list[int]:
    """Non-maximum suppression: rows to keep, best first, of boxes (n, 4) as left, top, width, height."""
    if len(boxes) == 0:
        return []
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, iou)
    return [int(row) for row in np.asarray(kept).reshape(-1)]


def check_decoding(model: ModelFile) -> DetectorPart:
    """What the file says of its detector. Raises ModelError where it has none, or maps that this agent cannot read."""
    part = model.manifest.detector
    if part is None:
        raise ModelError(f"{model.path} is a {model.manifest.kind}, not a detector; name another file")
    if part.decode != DECODE:
        raise ModelError(f"{model.path} wants decoding {part.decode!r}, this agent knows {DECODE!r}; update the agent")
    return part


class TFLiteDetector:
    """A detector whose golden inputs gave, on this device, what they gave where it was exported."""

    def __init__(
        self, model: ModelFile, runtime: Runtime, score: float | None, nms_iou: float | None, min_face_px: int
    ) -> None:
        """score, nms_iou: instead of the model's own. Raises ModelError where the network does not fit."""
        part = check_decoding(model)
        self.model = model
        self.name = model.manifest.name
        self.sha256 = model.sha256
        self.score_threshold = part.score_threshold
        self.score = part.score_threshold if score is None else score
        self.nms_iou = part.nms_iou if nms_iou is None else nms_iou
        self.min_face_px = min_face_px
        self.input_size_px = (model.manifest.input.width_px, model.manifest.input.height_px)
        self.runtime = runtime.info
        self._runtime = runtime
        self._levels = levels_of([tensor.shape for tensor in runtime.outputs], *self.input_size_px)

    @classmethod
    def open(
        cls,
        path: Path,
        score: float | None = None,
        nms_iou: float | None = None,
        min_face_px: int = 1,
        threads: int = 1,
    ) -> TFLiteDetector:
        """Load a model file and prove it on this device."""
        model, runtime = open_model(path, "detector", threads)
        return cls(model, runtime, score, nms_iou, min_face_px)

    @property
    def manifest(self) -> Manifest:
        return self.model.manifest

    def detect(self, bgr: U8) -> list[Face]:
        """Faces in a uint8 BGR picture, best first; boxes in its pixels, cut at its edges."""
        image, fit = letterbox(bgr, *self.input_size_px)
        boxes, scores = decode(self._runtime.run(image[None]), self._levels, self.score)
        faces = []
        for row in suppress(boxes, scores, self.nms_iou):
            x, y, w, h = (float(value) for value in boxes[row])
            box = fit.to_picture(Box(x, y, w, h)).clipped(bgr.shape[1], bgr.shape[0])
            if box.shorter_side >= self.min_face_px:
                faces.append(Face(box, float(scores[row])))
        return faces
