"""Five landmarks a face (eyes, nose, mouth corners), from YuNet where its file is given."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ModelError, NotFoundError
from edge_agent.records import U8, Box

WORK_SIDE_PX = 320


class LandmarkFinder:
    """Wraps `cv2.FaceDetectorYN`; one instance a thread."""

    def __init__(self, model: Path, score: float = 0.6) -> None:
        if not model.is_file():
            raise NotFoundError(f"no landmarks model {model}; leave `landmarks_model` empty to train without it")
        try:
            self._net = cv2.FaceDetectorYN.create(str(model), "", (WORK_SIDE_PX, WORK_SIDE_PX), score, 0.3, 50)
        except cv2.error as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"landmarks model {model} is no YuNet that OpenCV reads: {reason}") from error

    def _faces(self, bgr: U8, scale: float) -> NDArray[np.float32]:
        size = max(16, round(bgr.shape[1] * scale)), max(16, round(bgr.shape[0] * scale))
        self._net.setInputSize(size)
        found = self._net.detect(cv2.resize(bgr, size))[1]
        rows = np.zeros((0, 15), np.float32) if found is None else np.asarray(found, np.float32)
        shrunk = np.tile([size[0] / bgr.shape[1], size[1] / bgr.shape[0]], 7)
        rows[:, :14] /= shrunk
        return rows

    def largest(self, bgr: U8) -> tuple[Box, NDArray[np.float32]] | None:
        """Box and landmarks of the largest face of a picture."""
        rows = self._faces(bgr, WORK_SIDE_PX / max(bgr.shape[:2]) * 0.6)
        if not len(rows):
            return None
        best = rows[np.argmax(rows[:, 2] * rows[:, 3])]
        return Box(*(float(v) for v in best[:4])), best[4:14].reshape(5, 2)

    def within(self, bgr: U8, box: Box) -> NDArray[np.float32] | None:
        """Landmarks of the face that fills this box best (IoU >= 0.4), in pixels of the picture."""
        rows = self._faces(bgr, 96 / max(box.w, box.h))
        overlaps = [Box(*(float(v) for v in row[:4])).iou(box) for row in rows]
        if not overlaps or max(overlaps) < 0.4:
            return None
        return rows[int(np.argmax(overlaps)), 4:14].reshape(5, 2)
