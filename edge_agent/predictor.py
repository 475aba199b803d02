"""One object for a picture, a batch or video frames: what `predict`, `run` and HTTP use.

>>> from edge_agent import FaceMaskPredictor
>>> predictor = FaceMaskPredictor()
>>> for face in predictor.predict("door.jpg").faces:
...     print(face.label, face.probabilities[face.label], face.box)
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent import images, preprocess
from edge_agent.camera.clip import Clip
from edge_agent.classify import open_classifier
from edge_agent.config import Config
from edge_agent.detect import open_detector
from edge_agent.errors import ImageError, MaskwatchError, ModelError, NotFoundError
from edge_agent.quality import is_shown, sharpness, sureness
from edge_agent.records import U8, Answers, Classifier, Detector, Face, Reading

log = logging.getLogger(__name__)

Picture = str | Path | U8


@dataclass(frozen=True, slots=True)
class FaceResult:
    """A face as it leaves the predictor: whole pixels of the upright picture, left, top, width, height."""

    box: tuple[int, int, int, int]
    score: float
    label: str
    certain: bool
    probabilities: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "box": list(self.box),
            "score": round(self.score, 4),
            "label": self.label,
            "certain": self.certain,
            "probabilities": {label: round(value, 4) for label, value in self.probabilities.items()},
        }


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was found in one picture, and how long each stage took, in milliseconds."""

    image: str
    faces: tuple[FaceResult, ...]
    latency_ms: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The line that `edge-agent predict --json` prints."""
        return {"image": self.image, "faces": [face.to_json() for face in self.faces]}


class FaceMaskPredictor:
    """Finds faces and tells how each wears a mask.

    Without arguments it loads the shipped models; a `Config` chooses others; a detector and a classifier can be
    given as objects. Not thread-safe: one predictor a thread. Raises ModelError, NotFoundError or ConfigError when
    a model cannot be had: a missing model is never replaced by another.
    """

    def __init__(
        self, config: Config | None = None, *, detector: Detector | None = None, classifier: Classifier | None = None
    ) -> None:
        self.config = config = config or Config()
        self.detector = detector or open_detector(config.detector)
        self.classifier = classifier or open_classifier(config.classifier)
        self.labels = self.classifier.labels
        self._min_face_px = config.decide.min_face_px
        self.threshold = config.classifier.threshold
        if self.threshold is None:
            self.threshold = getattr(self.classifier, "threshold", 0.0)

    def read(self, bgr: U8) -> tuple[list[Reading], dict[str, float]]:
        """Detect and classify in a uint8 BGR picture; the readings, and milliseconds for each stage."""
        started = time.perf_counter()
        faces = self.detector.detect(bgr)
        detected = time.perf_counter()
        readings, latency_ms = self.classify(bgr, faces)
        return readings, {"detect": (detected - started) * 1e3, **latency_ms}

    def classify(self, bgr: U8, faces: list[Face]) -> tuple[list[Reading], dict[str, float]]:
        """Classify faces that were found; the readings, and milliseconds for each stage."""
        started = time.perf_counter()
        crops = preprocess.crops(
            bgr, [face.box for face in faces], self.classifier.input_size_px, self.classifier.crop_margin
        )
        cut = time.perf_counter()
        answers = self.classifier.classify(crops)
        _check(answers, self.classifier.name, (len(faces), len(self.labels)))
        least = self.detector.score_threshold
        readings = [
            Reading(face, tuple(map(float, row)), sharpness(crop), sureness(face.score, least) * float(is_face))
            for face, row, is_face, crop in zip(faces, answers.probabilities, answers.faces, crops, strict=True)
        ]
        done = time.perf_counter()
        return readings, {"preprocess": (cut - started) * 1e3, "classify": (done - cut) * 1e3}

    def model_info(self) -> dict[str, Any]:
        """`{"classifier": {...}, "detector": {...}}`: names, and of model files SHA-256, size in bytes and manifest."""
        found: dict[str, Any] = {}
        for kind, part in (("classifier", self.classifier), ("detector", self.detector)):
            model = getattr(part, "model", None)
            about: dict[str, Any] = {"name": part.name}
            if model is not None:
                about |= {"sha256": model.sha256, "file_bytes": model.path.stat().st_size}
                about["manifest"] = model.manifest.model_dump(mode="json", by_alias=True)
            found[kind] = about
        return found

    def certain(self, reading: Reading) -> bool:
        """Whether this face alone would be counted: one at all, large enough, and its likeliest class likely enough."""
        large = reading.face.box.shorter_side >= self._min_face_px
        return large and reading.sureness > 0 and max(reading.probabilities) >= (self.threshold or 0.0)

    def predict(self, image: Picture, name: str | None = None) -> Prediction:
        """Look at one picture: a path, or a uint8 BGR array (height, width, 3). What is no face is left out.

        Raises NotFoundError or ImageError.
        """
        started = time.perf_counter()
        if isinstance(image, np.ndarray):
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
                raise ImageError(f"got an array {image.dtype} {image.shape}; give uint8 BGR (height, width, 3)")
            bgr, given = image, name or "array"
        elif isinstance(image, (str, os.PathLike)):
            bgr, given = images.read(Path(image)), name or str(image)
        else:
            raise ImageError(f"got {type(image).__name__}; give a path, or uint8 BGR (height, width, 3)")
        decoded_ms = (time.perf_counter() - started) * 1e3
        readings, latency_ms = self.read(bgr)
        faces = tuple(self._result(r, bgr.shape[1], bgr.shape[0]) for r in readings if self._is_shown(r))
        return Prediction(given, faces, {"decode": decoded_ms, **latency_ms})

    def predict_batch(self, pictures: Iterable[Picture]) -> Iterator[Prediction | MaskwatchError]:
        """Look at many, in order and one at a time; a bad one yields its error and the others go on."""
        for picture in pictures:
            try:
                yield self.predict(picture)
            except MaskwatchError as error:
                yield error

    def predict_video(self, path: str | Path) -> Iterator[Prediction]:
        """Look at every frame of a video file, in order; the image is named FILE#INDEX, counted over what came.

        Damaged places are passed over, as `edge-agent run` does. After the last frame: ImageError where some could not
        be decoded or the file breaks off; a warning in the log where it merely states more, which may be an estimate.
        Before the first: NotFoundError, or ImageError for a file without a picture.
        """
        if not Path(path).is_file():
            raise NotFoundError(f"{path} is not there; check the path")
        clip = Clip(Path(path))
        try:
            while not clip.over:
                found = clip.next()
                if found is not None:
                    yield self.predict(found[1], f"{path}#{clip.decoded - 1}")
            if clip.decoded == 0:
                raise ImageError(f"{path} has no picture that OpenCV can decode; give an MP4, MKV, AVI or WebM video")
            if clip.shortfall and clip.shortfall.certain:
                raise ImageError(f"{clip.shortfall.words}; what came was looked at, copy the file again for the rest")
            if clip.shortfall:
                log.warning("%s", clip.shortfall.words)
        finally:
            clip.close()

    def _is_shown(self, reading: Reading) -> bool:
        sure = sureness(reading.face.score, self.detector.score_threshold)
        return is_shown(sure, reading.sureness > 0)

    def _result(self, reading: Reading, width: int, height: int) -> FaceResult:
        likeliest = max(range(len(self.labels)), key=reading.probabilities.__getitem__)
        return FaceResult(
            box=reading.face.box.clipped(width, height).rounded(),
            score=reading.face.score,
            label=self.labels[likeliest],
            certain=self.certain(reading),
            probabilities=dict(zip(self.labels, reading.probabilities, strict=True)),
        )


def _check(answers: object, name: str, shape: tuple[int, int]) -> None:
    """A classifier of somebody's own may answer anything. Raises ModelError."""
    found = answers.probabilities.shape if isinstance(answers, Answers) else type(answers).__name__
    if not isinstance(answers, Answers) or answers.probabilities.shape != shape or answers.faces.shape != shape[:1]:
        raise ModelError(
            f"the classifier {name!r} answers {found}; give edge_agent.records.Answers with probabilities {shape} "
            f"and faces {shape[:1]}"
        )
