"""What a detector finds and misses, counted the same way for every detector.

A face is found when a box overlaps it by IoU >= 0.4, one box a face, best overlap first. A box is false when it
overlaps no labelled face of any size by as much. Faces under `MIN_FACE_PX` count neither as found nor missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edge_agent.config import DetectorConfig
from edge_agent.records import F32, Detector
from train.detector.geometry import corners, iou_matrix, shorter_sides
from train.detector.photos import BADLY_MASKED, BARE, MASKED, Photo

SAME_IOU = 0.4
MIN_FACE_PX = 24
AGENT_MIN_FACE_PX = DetectorConfig().min_face_px  # smaller boxes are dropped on the device
CLASSES = (MASKED, BADLY_MASKED, BARE)
SIZES_PX = ((16, 24), (24, 32), (32, 64), (64, 128), (128, 10_000))


@dataclass(frozen=True, slots=True)
class Look:
    """One photograph and what a detector says of it. boxes: corners (n, 4), best score first; scores (n,)."""

    photo: Photo
    boxes: F32
    scores: F32

    def above(self, score: float) -> Look:
        keep = self.scores >= score
        return Look(self.photo, self.boxes[keep], self.scores[keep])


@dataclass(frozen=True, slots=True)
class Share:
    """found of n."""

    found: int
    n: int

    @property
    def value(self) -> float:
        return self.found / self.n if self.n else float("nan")

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % ({self.found}/{self.n})" if self.n else "- (0)"


@dataclass(frozen=True, slots=True)
class Result:
    """Counts over many photographs. by_class: of MIN_FACE_PX and more. Sizes: shorter side in px.

    false_boxes_kept: of the false boxes, those that the agent keeps, of AGENT_MIN_FACE_PX and more.
    """

    by_class: dict[str, Share]
    by_size: dict[tuple[int, int], Share]
    by_class_and_size: dict[tuple[str, tuple[int, int]], Share]
    false_boxes: int
    false_boxes_kept: int
    photos: int
    ap50: float


def look_at(detector: Detector, photos: Iterable[Photo]) -> list[Look]:
    """Run a detector over photographs as they lie."""
    looks = []
    for photo in photos:
        faces = detector.detect(photo.pixels())
        looks.append(Look(photo, corners(faces), np.array([f.score for f in faces], np.float32)))
    return looks


def found_faces(look: Look, iou: float = SAME_IOU) -> np.ndarray:
    """For each labelled face the row of its box, or -1; pairs are made by falling overlap."""
    owner = np.full(len(look.photo.boxes), -1)
    overlap = iou_matrix(look.photo.boxes, look.boxes)
    while overlap.size and overlap.max() >= iou:
        face, box = np.unravel_index(int(overlap.argmax()), overlap.shape)
        owner[face] = box
        overlap[face], overlap[:, box] = -1, -1
    return owner


def false_rows(look: Look, iou: float = SAME_IOU) -> np.ndarray:
    """For each box, whether it lies on no labelled face of any size."""
    if len(look.photo.boxes) == 0 or len(look.boxes) == 0:
        return np.ones(len(look.boxes), bool)
    return np.asarray(iou_matrix(look.boxes, look.photo.boxes).max(axis=1) < iou)


def false_boxes(look: Look, least_px: float = 0.0) -> int:
    """Boxes of that size and more on no labelled face of any size."""
    return int((false_rows(look) & (shorter_sides(look.boxes) >= least_px)).sum())


def measure(looks: list[Look], score: float = 0.0) -> Result:
    """Recall by class and size, false boxes and AP50, of boxes with at least that score (AP50: of all boxes)."""
    classes, sides, hits, false, kept = [], [], [], 0, 0
    for look in (look.above(score) for look in looks):
        hits.append(found_faces(look) >= 0)
        sides.append(shorter_sides(look.photo.boxes))
        classes += look.photo.classes
        false += false_boxes(look)
        kept += false_boxes(look, AGENT_MIN_FACE_PX)
    hit, side, name = np.concatenate(hits), np.concatenate(sides), np.array(classes, dtype=object)
    counted = side >= MIN_FACE_PX
    by_class = {c: _share(hit, counted & (name == c)) for c in CLASSES}
    within = {(low, high): (side >= low) & (side < high) for low, high in SIZES_PX}
    by_size = {size: _share(hit, of) for size, of in within.items()}
    both = {(c, size): _share(hit, of & (name == c)) for c in CLASSES for size, of in within.items()}
    return Result(by_class, by_size, both, false, kept, len(looks), average_precision(looks))


def score_for_false_boxes(looks: list[Look], allowed: int) -> float:
    """The lowest score at which no more than `allowed` boxes are false."""
    wrong = sorted((float(s) for look in looks for s in look.scores[false_rows(look)]), reverse=True)
    return 0.0 if len(wrong) <= allowed else float(np.nextafter(np.float32(wrong[allowed]), np.float32(1)))


def average_precision(looks: list[Look], iou: float = 0.5) -> float:
    """Area under precision over recall (all points, as PASCAL VOC since 2010) for faces of MIN_FACE_PX and more."""
    scores, right, faces = [], [], 0
    for look in looks:
        counted = shorter_sides(look.photo.boxes) >= MIN_FACE_PX
        faces += int(counted.sum())
        taken = np.zeros(len(look.photo.boxes), bool)
        overlap = iou_matrix(look.boxes, look.photo.boxes)
        for row in range(len(look.boxes)):
            free = np.where(taken, -1.0, overlap[row]) if len(taken) else np.array([-1.0])
            face = int(free.argmax())
            if free[face] >= iou:
                taken[face] = True
                if not counted[face]:
                    continue  # a small face that was found is neither right nor wrong
            scores.append(float(look.scores[row]))
            right.append(bool(free[face] >= iou))
    if not scores or not faces:
        return 0.0
    order = np.argsort(-np.array(scores), kind="stable")
    hits = np.cumsum(np.array(right)[order])
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate([[0], hits / faces]))
    return float((steps * envelope).sum())


def _share(hit: np.ndarray, of: np.ndarray) -> Share:
    return Share(int(hit[of].sum()), int(of.sum()))
