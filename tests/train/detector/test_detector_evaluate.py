"""What counts as found, missed and false."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from train.detector.evaluate import Look, average_precision, false_boxes, found_faces, measure, score_for_false_boxes
from train.detector.photos import BARE, MASKED, Photo


def look(faces: list[list[float]], boxes: list[list[float]], scores: list[float], label: str = MASKED) -> Look:
    labelled = np.array(faces, np.float32).reshape(-1, 4)
    photo = Photo("drawn", "one", Path("one.jpg"), labelled, (label,) * len(labelled))
    return Look(photo, np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32))


FACE, NEAR, FAR, SMALL = [0, 0, 40, 40], [4, 0, 44, 40], [100, 100, 140, 140], [200, 0, 212, 12]


def test_one_box_finds_one_face_and_the_nearest_box_is_taken() -> None:
    assert found_faces(look([FACE, NEAR], [NEAR], [0.9])).tolist() == [-1, 0]


def test_a_box_on_a_face_that_is_too_small_to_count_is_not_false() -> None:
    assert false_boxes(look([SMALL], [SMALL, FAR], [0.9, 0.8])) == 1


def test_every_box_on_a_photograph_without_faces_is_false() -> None:
    assert false_boxes(look([], [FACE, FAR], [0.9, 0.8])) == 2


def test_recall_is_told_by_class_and_small_faces_by_size_only() -> None:
    looks = [look([FACE, SMALL], [FACE], [0.9]), look([FAR], [], [], BARE)]
    result = measure(looks, 0.5)
    assert (result.by_class[MASKED].found, result.by_class[MASKED].n) == (1, 1)
    assert (result.by_class[BARE].found, result.by_class[BARE].n) == (0, 1)
    assert result.by_size[(32, 64)].n == 2


def test_a_box_below_the_score_finds_nothing() -> None:
    assert measure([look([FACE], [FACE], [0.4])], 0.5).by_class[MASKED].found == 0


def test_the_score_for_a_number_of_false_boxes_allows_just_so_many() -> None:
    looks = [look([FACE], [FACE, FAR, [60, 0, 90, 30]], [0.9, 0.7, 0.3]), look([], [FAR], [0.5])]
    for allowed in range(4):
        score = score_for_false_boxes(looks, allowed)
        assert measure(looks, score).false_boxes == allowed


@pytest.mark.parametrize(
    ("scores", "wanted"),
    [([0.9, 0.8], 1.0), ([0.8, 0.9], 0.5)],
)
def test_average_precision_falls_when_a_false_box_scores_higher(scores: list[float], wanted: float) -> None:
    assert average_precision([look([FACE], [FACE, FAR], scores)]) == pytest.approx(wanted)
