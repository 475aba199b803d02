"""The float network as a detector of the agent, to measure it before, and against, its export."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from edge_agent.detect_tflite import decode, levels_of, suppress
from edge_agent.preprocess import letterbox
from edge_agent.records import U8, Box, Face
from train.detector.network import build_detector, extent_in
from train.detector.stem import fast
from train.models import load_weights


class KerasDetector:
    """Letterbox, network, decode, NMS: what edge_agent.detect_tflite does, in float32."""

    def __init__(self, network: keras.Model, width: int, height: int, score: float, nms_iou: float) -> None:
        self.name = f"keras {width}x{height}"
        self.score, self.nms_iou = score, nms_iou
        self._size = (width, height)
        self._run = fast(network, 1, height, width)
        shapes = [out.shape for out in self._run(np.zeros((1, height, width, 3), np.uint8))]
        self._levels = levels_of(shapes, width, height)

    @classmethod
    def open(cls, weights: Path, width: int, height: int, score: float, nms_iou: float) -> KerasDetector:
        """From averaged weights of a training run."""
        network = build_detector(height=height, width=width, extent=extent_in(weights))
        load_weights(network, weights, "--model")
        return cls(network, width, height, score, nms_iou)

    def detect(self, bgr: U8) -> list[Face]:
        """Faces in a uint8 BGR picture, best first, boxes in its pixels."""
        image, fit = letterbox(bgr, *self._size)
        boxes, scores = decode(self._run(image[None]), self._levels, self.score)
        rows, columns = bgr.shape[:2]
        return [
            Face(fit.to_picture(Box(*(float(v) for v in boxes[row]))).clipped(columns, rows), float(scores[row]))
            for row in suppress(boxes, scores, self.nms_iou)
        ]
