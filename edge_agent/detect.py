"""Pictures to faces: the project's own TFLite detector, YuNet or OpenCV's Haar cascade behind one call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edge_agent.errors import ConfigError, ModelError, NotFoundError
from edge_agent.records import F32, U8, Box, Detector, Face

KINDS = ("tflite", "yunet", "haar")
_HAAR_FILE = "haarcascade_frontalface_default.xml"
_HAAR_SCALE_STEP = 1.1
_HAAR_NEIGHBOURS = 5
_NO_CASCADES = (
    "detector.kind is 'haar', but this OpenCV ({version}) ships no cascades; "
    "install opencv-python-headless>=4.10,<5, or give detector.kind = 'tflite'"
)


class DetectorSettings(Protocol):
    """What the adapters read of the configuration's [detector] section."""

    @property
    def kind(self) -> str: ...
    @property
    def model(self) -> Path | None: ...
    @property
    def score(self) -> float | None: ...
    @property
    def nms_iou(self) -> float: ...
    @property
    def min_face_px(self) -> int: ...
    @property
    def longer_side_px(self) -> int: ...


def open_detector(config: DetectorSettings) -> Detector:
    """The detector that the configuration names.

    Raises ConfigError for a kind or an OpenCV that cannot do it, NotFoundError or ModelError for its file.
    """
    if config.kind == "tflite":
        from edge_agent.detect_tflite import TFLiteDetector

        return TFLiteDetector.open(config.model, config.score, config.nms_iou, config.min_face_px)
    if config.kind == "yunet":
        return YuNetDetector.open(config)
    if config.kind == "haar":
        return HaarDetector.open(config.min_face_px)
    raise ConfigError(f"detector.kind is {config.kind!r}; give one of {', '.join(KINDS)}")


@dataclass(frozen=True, slots=True)
class HaarDetector:
    """Viola and Jones (CVPR 2001) as OpenCV ships it. It misses most masked faces: an option, never the default."""

    cascade: cv2.CascadeClassifier
    min_face_px: int
    name: str = "haar"

    @classmethod
    def open(cls, min_face_px: int = 24) -> HaarDetector:
        folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
        if folder is None or not hasattr(cv2, "CascadeClassifier") or not (Path(folder) / _HAAR_FILE).is_file():
            raise ConfigError(_NO_CASCADES.format(version=cv2.__version__))
        return cls(cv2.CascadeClassifier(str(Path(folder) / _HAAR_FILE)), min_face_px)

    def detect(self, bgr: U8) -> list[Face]:
        """Faces in a uint8 BGR picture, best first. A cascade's level weight, squashed to 0..1, stands for a score."""
        grey = cv2.equalizeHist(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))
        boxes, _, weights = self.cascade.detectMultiScale3(
            grey,
            scaleFactor=_HAAR_SCALE_STEP,
            minNeighbors=_HAAR_NEIGHBOURS,
            minSize=(self.min_face_px, self.min_face_px),
            outputRejectLevels=True,
        )
        if len(boxes) == 0:
            return []
        scores = 1 / (1 + np.exp(-np.asarray(weights, np.float64).ravel() / 2))
        order = np.argsort(-scores, kind="stable")
        return [Face(Box(*(float(v) for v in boxes[i])), float(scores[i])) for i in order]


@dataclass(slots=True)
class YuNetDetector:
    """YuNet (Wu et al., Machine Intelligence Research 2023) through OpenCV, from an ONNX file that the user gives."""

    net: cv2.FaceDetectorYN
    longer_side_px: int
    min_face_px: int
    name: str = "yunet"

    @classmethod
    def open(cls, config: DetectorSettings) -> YuNetDetector:
        if config.model is None:
            raise ConfigError("detector.kind is 'yunet' but detector.model is not set; give the path of a YuNet .onnx")
        if not Path(config.model).is_file():
            raise NotFoundError(f"detector.model {config.model} is not there; give the path of a YuNet .onnx file")
        if not hasattr(cv2, "FaceDetectorYN"):
            raise ConfigError(f"OpenCV {cv2.__version__} has no FaceDetectorYN; give detector.kind = 'tflite'")
        score = 0.6 if config.score is None else config.score
        try:
            net = cv2.FaceDetectorYN.create(str(config.model), "", (320, 320), score, config.nms_iou, 5000)
        except cv2.error as error:
            raise ModelError(
                f"{config.model} is no YuNet model OpenCV {cv2.__version__} reads: {error}"
            ) from error
        return cls(net, config.longer_side_px, config.min_face_px)

    def detect(self, bgr: U8) -> list[Face]:
        """Faces in a uint8 BGR picture, best first, with five landmarks each."""
        rows, columns = bgr.shape[:2]
        scale = self.longer_side_px / max(rows, columns)
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        scaled = bgr if size == (columns, rows) else cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR)
        self.net.setInputSize(size)
        found = self.net.detect(scaled)[1]
        if found is None:
            return []
        found = found[np.argsort(-found[:, 14], kind="stable")] / np.r_[np.full(14, scale), 1].astype(np.float32)
        faces = [self._face(row) for row in found.astype(np.float32)]
        return [face for face in faces if face.box.shorter_side >= self.min_face_px]

    @staticmethod
    def _face(row: F32) -> Face:
        x, y, w, h = (float(v) for v in row[:4])
        return Face(Box(x, y, w, h), float(row[14]), row[4:14].reshape(5, 2).copy())
