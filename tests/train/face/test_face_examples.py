"""Which of a detector's boxes show a face, which none, and which nobody can say of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_agent.records import U8, Box, Face
from train.detector.cache import Cache, LookedAt
from train.face.examples import Examples, jittered, of_people, of_photographs
from train.people.bank import Bank, write_bank
from train.people.cutout import Cutout

LABELLED, UNSURE, NOTHING = [20, 60, 60, 110], [200, 60, 240, 110], [300, 60, 340, 110]


class Finds:
    """A detector whose boxes are known: left, top, width, height, score."""

    name, score_threshold = "finds", 0.5

    def __init__(self, *rows: tuple[float, float, float, float, float]) -> None:
        self.rows = rows

    def detect(self, bgr: U8) -> list[Face]:
        return [Face(Box(*row[:4]), row[4]) for row in self.rows]


def cache(folder: Path, source: str = "ilc2021") -> Cache:
    """One grey photograph with a labelled face, a box that is unsure and one that is nothing."""
    (folder / "pixels.bin").write_bytes(np.full((300, 400, 3), 90, np.uint8).tobytes())
    boxes = [] if source == "negatives" else [LABELLED]
    entry = {"name": f"{source}/one", "offset": 0, "shape": [300, 400, 3], "boxes": boxes, "bare": [True] * len(boxes)}
    (folder / "photographs.json").write_text(json.dumps({"entries": [entry]}))
    looked_at = LookedAt(np.array([UNSURE], np.float32), np.array([NOTHING], np.float32))
    return Cache(folder, {f"{source}/one": looked_at})


@pytest.mark.parametrize(
    ("box", "score", "is_face"),
    [
        ((20, 60, 40, 50), 0.3, True),
        ((300, 60, 40, 50), 0.9, False),  # looked at: nothing
        ((200, 60, 40, 50), 0.9, None),  # looked at: unsure
        ((200, 60, 40, 50), 0.2, None),
        ((150, 200, 40, 40), 0.6, None),  # a face that nobody labelled?
        ((150, 200, 40, 40), 0.2, False),
        ((32, 60, 60, 50), 0.3, None),  # half on the face
    ],
    ids=["face", "nothing", "unsure", "weak unsure", "strong unknown", "weak unknown", "half"],
)
def test_a_box_is_a_face_none_or_left_out(tmp_path: Path, box: tuple, score: float, is_face: bool | None) -> None:
    found = of_photographs(cache(tmp_path), Finds((*box, score)), 32, 0.15)
    assert found.faces.tolist() == ([] if is_face is None else [is_face])
    assert found.crops.shape == (len(found.faces), 32, 32, 3)


def test_every_box_in_a_photograph_without_a_face_is_none(tmp_path: Path) -> None:
    found = of_photographs(
        cache(tmp_path, "negatives"), Finds((150, 200, 40, 40, 0.9), (10, 20, 30, 30, 0.2)), 32, 0.15
    )
    assert found.faces.tolist() == [False, False]


def test_backs_of_drawn_people_are_no_faces_and_what_is_in_between_is_left_out(tmp_path: Path) -> None:
    striped = np.full((96, 96, 4), 255, np.uint8)
    striped[::8, :, :3] = striped[1::8, :, :3] = 0
    person = striped, np.array([20, 20, 60, 70], np.float32)
    write_bank(tmp_path / "people", [Cutout(*person, *pose) for pose in ((0.9, 0.7), (-0.9, 0.0), (-0.5, 0.15))])
    rng = np.random.default_rng(3)
    found = of_people(Bank(tmp_path / "people"), cache(tmp_path), Finds(), 32, 0.15, rng)
    assert found.faces.tolist() == [True, False]
    assert found.drawn.all()
    assert found.scores.tolist() == [0, 0]  # the detector found none: the box lies beside the drawn face
    assert found.crops.std(axis=(1, 2, 3)).min() > 10  # on the person, not on grey


def test_both_kinds_weigh_alike_and_what_was_taken_for_a_face_weighs_more() -> None:
    faces, scores = np.array([True] * 30 + [False] * 10), np.array([0.9] * 30 + [0.6] * 2 + [0.2] * 8, np.float32)
    weights = Examples(np.zeros((40, 4, 4, 3), np.uint8), faces, scores, np.zeros(40, bool)).weights()
    assert weights[faces].sum() == pytest.approx(weights[~faces].sum())
    assert weights.mean() == pytest.approx(1)
    assert weights[30] == pytest.approx(4 * weights[39])


def test_a_jittered_crop_is_another_picture_of_the_same_thing() -> None:
    crops = np.zeros((20, 32, 32, 3), np.uint8)
    crops[:, 8:24, 8:24] = (200, 120, 60)
    seen = jittered(crops, np.random.default_rng(1))
    assert seen.shape == crops.shape
    assert (seen != crops).any(axis=(1, 2, 3)).all()
    assert seen[:, 14:18, 14:18].mean() > 3 * seen[:, :2, :2].mean() + 20
