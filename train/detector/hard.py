"""What the network that training starts from does badly: faces that it scores low, spots that it takes for faces.

Hard example mining (Shrivastava et al., CVPR 2016), once before training: a run of two hours sees its hard
faces a few dozen times more, and an easy face that is seen less often is not forgotten.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_agent.records import Detector
from train.detector.cache import Cache, Hard, Sample
from train.detector.geometry import corners, iou_matrix
from train.detector.photos import FACELESS

INPUT_PX = (640, 480)
LOWEST_SCORE = 0.1
_SAME_FACE_IOU = 0.4
_EASY_SCORE, _MISSED_SCORE = 0.75, 0.35  # a face's difficulty rises from 0 to 1 between them
_DECOY_SCORE = 0.3


def find_hard(cache: Cache, detector: Detector, turned_is_hard: bool = False) -> list[Hard]:
    """How hard each photograph of the cache is; pictures of one face, nearly all of them easy, are not looked at.

    turned_is_hard: so are faces that are turned away or bowed, however well the network finds them.
    """
    hard = [
        Hard.easy(len(cache[number].boxes)) if source == "crops" else _look(cache[number], detector, source)
        for number, source in enumerate(cache.sources)
    ]
    if not turned_is_hard:
        return hard
    return [replace(h, faces=np.maximum(h.faces, cache.turned_away(number))) for number, h in enumerate(hard)]


def _look(sample: Sample, detector: Detector, source: str) -> Hard:
    found = detector.detect(sample.pixels)
    boxes, scores = corners(found), np.array([f.score for f in found], np.float32)
    same = iou_matrix(sample.boxes, boxes) >= _SAME_FACE_IOU
    best = np.max(np.where(same, scores, 0.0), axis=1, initial=0.0)
    faces = np.clip((_EASY_SCORE - best) / (_EASY_SCORE - _MISSED_SCORE), 0.0, 1.0).astype(np.float32)
    # elsewhere a box on no label may be a face that nobody labelled and the teacher does not see either
    decoys = boxes[scores >= _DECOY_SCORE] if source == FACELESS else boxes[:0]
    return Hard(faces, np.concatenate([sample.hard.decoys, decoys]))


def open_detector(weights: Path) -> Detector:
    """The starting network, over more pixels than the device gives it, so that small faces are not all hard."""
    from train.detector.keras_detector import KerasDetector

    return KerasDetector.open(weights, *INPUT_PX, LOWEST_SCORE, 0.45)
