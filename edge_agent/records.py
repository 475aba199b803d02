"""The records that cross stages: frozen, with units in their names, importing no stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_agent.glance import glance

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the picture: left, top, width, height; may stick out of the picture."""

    x: float
    y: float
    w: float
    h: float

    @property
    def area(self) -> float:
        return max(0.0, self.w) * max(0.0, self.h)

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.w / 2, self.y + self.h / 2

    @property
    def shorter_side(self) -> float:
        return min(self.w, self.h)

    def iou(self, other: Box) -> float:
        """Intersection over union, 0 to 1."""
        width = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        height = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)

    def clipped(self, width: int, height: int) -> Box:
        """The part inside a picture of that size; its width and height are never negative."""
        left, top = min(max(0.0, self.x), width), min(max(0.0, self.y), height)
        right, bottom = min(max(0.0, self.x + self.w), width), min(max(0.0, self.y + self.h), height)
        return Box(left, top, max(0.0, right - left), max(0.0, bottom - top))

    def rounded(self) -> tuple[int, int, int, int]:
        """Left, top, width, height in whole pixels."""
        left, top = round(self.x), round(self.y)
        return left, top, round(self.x + self.w) - left, round(self.y + self.h) - top


@dataclass(frozen=True)  # without slots: `glance` is kept in the instance
class Frame:
    """One picture of one camera.

    bgr: uint8 (height, width, 3), OpenCV's colour order.
    at_s: monotonic seconds for a live source, position in the clip for a file.
    utc_s: seconds since 1970 when the picture was taken (for a file: when it was read).
    index: counts from 0 within this source.
    """

    camera: str
    index: int
    at_s: float
    utc_s: float
    bgr: U8

    @cached_property
    def glance(self) -> U8:
        """A small grey copy: edge_agent.glance."""
        return glance(self.bgr)


@dataclass(frozen=True, slots=True)
class Face:
    """One detection.

    landmarks_px: right eye, left eye, nose, mouth corners, float32 (5, 2), where the detector has them.
    """

    box: Box
    score: float
    landmarks_px: F32 | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A face and what the classifier says of it: calibrated probabilities in the order of the model's labels.

    sharpness: 0 (a smear) to 1 (sharp), as `quality.sharpness` measures it on the crop.
    sureness: 0 (no face) to 1 (surely one), `quality.sureness` of the detector's score times what the classifier says,
    `Answers.faces`.
    """

    face: Face
    probabilities: tuple[float, ...]
    sharpness: float = 1.0
    sureness: float = 1.0


@dataclass(frozen=True, slots=True)
class Track:
    """One person's face over time. Ids belong to the tracker and are never used twice.

    box: where it is now; where it is thought to be while it is not visible.
    reading: this frame's, None where the face was missed or the frame was not looked at.
    visible: found when last looked for. still_s: how long it has not moved at all. hits: frames in which it was found.
    """

    id: int
    box: Box
    reading: Reading | None
    first_seen_s: float
    last_seen_s: float
    hits: int
    visible: bool
    still_s: float


CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is thought of one visitor now. label: one of the model's, or `cannot_tell`.

    probabilities: what the label rests on, in the order of the model's labels.
    quality: 0 to 1, how much this frame's view of the face is worth; 0 without one.
    static: the face has not moved for minutes: a poster, not a visitor.
    """

    visit: str
    track: int
    label: str
    probabilities: tuple[float, ...]
    box: Box
    visible: bool
    quality: float
    zone: str | None
    static: bool
    first_seen_s: float


@dataclass(frozen=True, slots=True)
class Event:
    """A visit began, changed or ended. `before` and `after` are labels or `cannot_tell`; before is None for `new`.

    counted_as: the label the visit counts for so far: of those held, the one with most evidence; None for a poster.
    box: where the face was last seen.
    at_s is monotonic, the *_utc_s are derived from one reading of the clock, so their differences are true durations.
    """

    type: Literal["new", "update", "end"]
    visit: str
    camera: str
    track: int
    before: str | None
    after: str
    counted_as: str | None
    probabilities: tuple[float, ...]
    box: Box
    zone: str | None
    static: bool
    frames: int
    at_s: float
    utc_s: float
    first_seen_utc_s: float
    last_seen_utc_s: float
    duration_s: float


class Detector(Protocol):
    """Image to faces. Adapters: the project's own TFLite detector, YuNet, Haar."""

    @property
    def name(self) -> str: ...

    @property
    def score_threshold(self) -> float:
        """The score from which its maker calls a box a face, whatever the configuration asks for."""
        ...

    def detect(self, bgr: U8) -> list[Face]:
        """Faces in a uint8 BGR picture (height, width, 3), best score first, boxes in its pixels."""
        ...


@dataclass(frozen=True, slots=True)
class Answers:
    """What a classifier says of n crops, n may be 0.

    probabilities: calibrated, float32 (n, labels), rows add up to 1.
    faces: float32 (n,), 0 where there is no face (a nape, an animal), 1 where there surely is one; 1 for all where the
    classifier does not know.
    """

    probabilities: F32
    faces: F32


class Classifier(Protocol):
    """Crops to calibrated probabilities, and whether there is a face in them."""

    name: str
    labels: tuple[str, ...]
    input_size_px: int
    crop_margin: float

    def classify(self, crops: U8) -> Answers:
        """Its answers for uint8 RGB (n, size, size, 3); n may be 0."""
        ...
