"""Boxes as the detector makes them, down to scores far below its own, with and without a face in them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge_agent.preprocess import crop
from edge_agent.records import F32, U8, Box, Detector, Face
from train.detector.cache import WHOLLY_KNOWN, Cache
from train.detector.geometry import corners, iou_matrix
from train.detector.paste import put_person
from train.people.bank import Bank

LOWEST_SCORE = 0.15
SURE_SCORE = 0.4  # from it on a box on no label may be a face that nobody labelled
SAME_IOU, OTHER_IOU = 0.4, 0.2
SMALLEST_DRAWN_PX = 20.0
_EASY_PER_FACE = 0.5  # boxes of a score under _EASY_SCORE are many, and alike
_EASY_SCORE = 0.25
_HARD_WEIGHT, _DRAWN_WEIGHT = 4.0, 3.0


@dataclass(frozen=True, slots=True)
class Examples:
    """crops: uint8 RGB (n, px, px, 3); faces: bool (n,); scores: float32 (n,), the detector's; drawn: bool (n,)."""

    crops: U8
    faces: NDArray[np.bool_]
    scores: F32
    drawn: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.crops)

    def __add__(self, other: Examples) -> Examples:
        return Examples(
            np.concatenate([self.crops, other.crops]),
            np.concatenate([self.faces, other.faces]),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.drawn, other.drawn]),
        )

    def chosen(self, rows: NDArray[np.bool_]) -> Examples:
        return Examples(self.crops[rows], self.faces[rows], self.scores[rows], self.drawn[rows])

    def without_most_easy(self, rng: Generator) -> Examples:
        """Fewer of the boxes that the detector itself hardly believes in."""
        easy = ~self.faces & (self.scores < _EASY_SCORE) & ~self.drawn
        share = _EASY_PER_FACE * self.faces.sum() / max(1, easy.sum())
        return self.chosen(~easy | (rng.random(len(self)) < share))

    def weights(self) -> F32:
        """How much each counts: what looks like a face and is none more, both kinds alike in sum; mean 1."""
        weight = np.where(self.drawn, _DRAWN_WEIGHT, 1.0)
        weight[~self.faces & ~self.drawn & (self.scores >= SURE_SCORE)] *= _HARD_WEIGHT
        for kind in (self.faces, ~self.faces):
            weight[kind] /= max(1e-6, weight[kind].sum())
        return np.asarray(weight * len(self) / 2, np.float32)


class _Gathered:
    def __init__(self, px: int, margin: float) -> None:
        self._px, self._margin = px, margin
        self._crops: list[U8] = []
        self._rows: list[tuple[bool, float, bool]] = []

    def take(self, bgr: U8, box: Box, is_face: bool, score: float, drawn: bool = False) -> None:
        self._crops.append(crop(bgr, box, self._px, self._margin))
        self._rows.append((is_face, score, drawn))

    def examples(self) -> Examples:
        crops = np.stack(self._crops) if self._crops else np.zeros((0, self._px, self._px, 3), np.uint8)
        faces, scores, drawn = zip(*self._rows, strict=True) if self._rows else ((), (), ())
        return Examples(crops, np.array(faces, bool), np.array(scores, np.float32), np.array(drawn, bool))


def of_photographs(cache: Cache, detector: Detector, px: int, margin: float) -> Examples:
    """What the detector boxes in photographs. Boxes that may show a face which nobody labelled are left out."""
    gathered = _Gathered(px, margin)
    for number, source in enumerate(cache.sources):
        sample = cache[number]
        found = detector.detect(sample.pixels)
        boxes = corners(found)
        on_face, on_unsure = _overlap(boxes, sample.boxes), _overlap(boxes, sample.unsure)
        on_decoy = _overlap(boxes, sample.hard.decoys)
        for row, face in enumerate(found):
            known = source in WHOLLY_KNOWN or face.score < SURE_SCORE or on_decoy[row] >= SAME_IOU
            if on_face[row] >= SAME_IOU:
                gathered.take(sample.pixels, face.box, True, face.score)
            elif max(on_face[row], on_unsure[row]) < OTHER_IOU and known:
                gathered.take(sample.pixels, face.box, False, face.score)
    return gathered.examples()


def of_people(bank: Bank, cache: Cache, detector: Detector, px: int, margin: float, rng: Generator) -> Examples:
    """Drawn people in front of photographs: faces up to the full profile, and backs of heads.

    The box is the detector's, or, where it finds none, one beside the drawn face's by as much as its own are.
    """
    gathered = _Gathered(px, margin)
    for number in range(len(bank)):
        person = bank[number]
        if not (person.is_face or person.is_back):
            continue
        picture, box = put_person(cache[int(rng.integers(len(cache)))].pixels, person, SMALLEST_DRAWN_PX, rng)
        found = detector.detect(picture)
        near = [face for face, overlap in zip(found, _overlap(corners(found), box[None]), strict=True) if overlap > 0.2]
        best = max(near, key=lambda face: face.score, default=None) or _beside(box, rng)
        gathered.take(picture, best.box, person.is_face, best.score, drawn=True)
    return gathered.examples()


def jittered(crops: U8, rng: Generator) -> U8:
    """The same crops mirrored, turned, moved, darker or brighter, or grey; as many."""
    out = np.empty_like(crops)
    side = crops.shape[1]
    for number, image in enumerate(crops):
        seen = image[:, ::-1] if rng.random() < 0.5 else image
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-12, 12), rng.uniform(0.88, 1.12))
        matrix[:, 2] += rng.uniform(-0.055, 0.055, 2) * side
        moved = cv2.warpAffine(np.ascontiguousarray(seen), matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
        light = moved.astype(np.float32) * (rng.uniform(0.5, 1.3) if rng.random() < 0.5 else 1.0)
        if rng.random() < 0.2:
            light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
        out[number] = np.clip(light, 0, 255).astype(np.uint8)
    return out


def _beside(box: F32, rng: Generator) -> Face:
    left, top, right, bottom = box + rng.normal(0, 0.08, 4) * np.tile(box[2:] - box[:2], 2)
    return Face(Box(float(left), float(top), float(max(2, right - left)), float(max(2, bottom - top))), 0.0)


def _overlap(boxes: F32, others: F32) -> F32:
    """The largest IoU of each box with any of the others, (n,)."""
    return np.asarray(iou_matrix(boxes, others).max(axis=1, initial=0.0), np.float32)
