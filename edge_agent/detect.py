"""Pictures to faces: the project's own TFLite detector, YuNet or OpenCV's Haar cascade behind one call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_agent.config import DetectorConfig
from edge_agent.detect_tflite import TFLiteDetector
from edge_agent.errors import ConfigError, ModelError, NotFoundError
from edge_agent.records import F32, U8, Box, Detector, Face

SHIPPED = Path(__file__).parent / "models" / "detector.tflite"
KINDS = ("tflite", "yunet", "haar")
YUNET_SCORE, YUNET_NMS_IOU, YUNET_LONGER_SIDE_PX = 0.6, 0.3, 640
_HAAR_FILE = "haarcascade_frontalface_default.xml"
_HAAR_SCALE_STEP = 1.1
_HAAR_NEIGHBOURS = 5
_NO_CASCADES = (
    "detector.kind is 'haar', but this OpenCV ({version}) ships no cascades; "
    "install opencv-python-headless>=4.10,<5, or give detector.kind = 'tflite'"
)


def open_detector(config: DetectorConfig) -> Detector:
    """The detector that the configuration names, the shipped one where it names no file.

    Raises ConfigError for a kind or an OpenCV that cannot do it, NotFoundError or ModelError for its file.
    """
    if config.kind == "tflite":
        path = Path(config.model or SHIPPED)
        return TFLiteDetector.open(path, config.score, config.nms_iou, config.min_face_px, config.threads)
    if config.kind == "yunet":
        score = YUNET_SCORE if config.score is None else config.score
        iou = YUNET_NMS_IOU if config.nms_iou is None else config.nms_iou
        return YuNetDetector.open(config.model, score, iou, config.min_face_px, config.longer_side_px)
    if config.kind == "haar":
        for key in ("model", "score", "nms_iou"):
            if getattr(config, key) is not None:
                raise ConfigError(f"detector.{key} is set, but detector.kind 'haar' has none; leave it out")
        return HaarDetector.open(config.min_face_px)
    raise ConfigError(f"detector.kind is {config.kind!r}; give one of {', '.join(KINDS)}")


@dataclass(frozen=True, slots=True)
class HaarDetector:
    """Viola and Jones (CVPR 2001) as OpenCV ships it. It misses most masked faces: an option, never the default."""

    cascade: cv2.CascadeClassifier
    min_face_px: int
    name: str = "haar"
    score_threshold: float = 0.5  # of a level weight of 0, squashed

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
    size_px: tuple[int, int] = (320, 320)
    name: str = "yunet"
    score_threshold: float = YUNET_SCORE

    @classmethod
    def open(
        cls,
        model: Path | str | None,
        score: float = YUNET_SCORE,
        nms_iou: float = YUNET_NMS_IOU,
        min_face_px: int = 1,
        longer_side_px: int = YUNET_LONGER_SIDE_PX,
    ) -> YuNetDetector:
        """From an ONNX file. Pictures are scaled to `longer_side_px`, up or down."""
        if model is None:
            raise ConfigError("detector.kind is 'yunet' but detector.model is not set; give the path of a YuNet .onnx")
        if not Path(model).is_file():
            raise NotFoundError(f"detector.model {model} is not there; give the path of a YuNet .onnx file")
        if not hasattr(cv2, "FaceDetectorYN"):
            raise ConfigError(f"OpenCV {cv2.__version__} has no FaceDetectorYN; give detector.kind = 'tflite'")
        try:
            net = cv2.FaceDetectorYN.create(str(model), "", (320, 320), score, nms_iou, 5000)
        except cv2.error as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{model} is no YuNet model that OpenCV {cv2.__version__} reads: {reason}") from error
        return cls(net, longer_side_px, min_face_px)

    def detect(self, bgr: U8) -> list[Face]:
        """Faces in a uint8 BGR picture, best first, with five landmarks each; boxes cut at its edges."""
        rows, columns = bgr.shape[:2]
        scale = self.longer_side_px / max(rows, columns)
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        scaled = bgr if size == (columns, rows) else cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR)
        if size != self.size_px:  # a new size costs a quarter of a second: the whole network is planned again
            self.net.setInputSize(size)
            self.size_px = size
        found = self.net.detect(scaled)[1]
        if found is None:
            return []
        found = found[np.argsort(-found[:, 14], kind="stable")] / np.r_[np.full(14, scale), 1].astype(np.float32)
        faces = [self._face(row, columns, rows) for row in found.astype(np.float32)]
        return [face for face in faces if face.box.shorter_side >= self.min_face_px]

    @staticmethod
    def _face(row: F32, columns: int, rows: int) -> Face:
        box = Box(*(float(v) for v in row[:4])).clipped(columns, rows)
        return Face(box, float(row[14]), row[4:14].reshape(5, 2).copy())
