"""Labels of pasted people lie on their faces; people from behind have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from train.detector.labels import FACE, UNSURE
from train.detector.paste import paste_people
from train.people.bank import Bank, write_bank
from train.people.cutout import Cutout

NO_LABELS, NOT_BARE = np.zeros((0, 5), np.float32), np.zeros(0, bool)


def bank(folder: Path, front: float, visible: float) -> Bank:
    """A person who is a red face above a white chest, and left of it."""
    pixels = np.zeros((96, 96, 4), np.uint8)
    pixels[60:, 20:76] = 255
    pixels[20:60, 14:50] = (0, 0, 255, 255)
    write_bank(folder, [Cutout(pixels, np.array([14, 20, 50, 60], np.float32), front, visible)])
    return Bank(folder)


@pytest.mark.parametrize("seed", range(40))
def test_a_label_lies_on_the_face_that_was_pasted(tmp_path: Path, seed: int) -> None:
    grey = np.full((320, 320, 3), 120, np.uint8)
    people = bank(tmp_path, 0.9, 0.7)
    pixels, labels, bare = paste_people(grey, NO_LABELS, NOT_BARE, people, np.random.default_rng(seed))
    assert grey.min() == grey.max() == 120  # a copy
    assert len(labels) == len(bare)
    assert not bare.any()
    assert (labels[:, :4] >= 0).all()
    assert (labels[:, :4] <= 320).all()
    red = (pixels[..., 2].astype(int) - pixels[..., 0]) > 50
    for left, top, right, bottom in (label[:4] for label in labels if len(labels) == 1 and label[4] == FACE):
        rows, columns = np.nonzero(red)
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert (left, top, right, bottom) == pytest.approx(found, abs=2)


def test_an_edge_is_no_darker_than_what_it_lies_between(tmp_path: Path) -> None:
    white = np.full((320, 320, 3), 200, np.uint8)
    pixels = np.zeros((96, 96, 4), np.uint8)
    pixels[20:60, 30:66] = (200, 200, 200, 255)
    write_bank(tmp_path, [Cutout(pixels, np.array([30, 20, 66, 60], np.float32), 0.9, 0.7)])
    darkest = [
        int(paste_people(white, NO_LABELS, NOT_BARE, Bank(tmp_path), np.random.default_rng(seed))[0].min())
        for seed in range(40)
    ]
    assert max(darkest) >= 199  # where no noise was added


def test_who_is_seen_from_behind_has_no_label_and_who_is_in_between_an_unsure_one(tmp_path: Path) -> None:
    grey = np.full((320, 320, 3), 120, np.uint8)
    kinds: dict[str, set[float]] = {}
    for name, front, visible in (("back", -0.9, 0.0), ("between", -0.4, 0.2), ("face", 0.9, 0.7)):
        people = bank(tmp_path / name, front, visible)
        kinds[name] = set()
        for seed in range(30):
            _, labels, _ = paste_people(grey, NO_LABELS, NOT_BARE, people, np.random.default_rng(seed))
            kinds[name] |= {float(kind) for kind in labels[:, 4]}
    assert kinds == {"back": set(), "between": {UNSURE}, "face": {FACE, UNSURE}}


def test_a_face_behind_a_person_is_no_label_any_more(tmp_path: Path) -> None:
    grey = np.full((320, 320, 3), 120, np.uint8)
    people = bank(tmp_path, -0.9, 0.0)
    face = np.array([[150, 150, 162, 162, FACE]], np.float32)
    outcomes = set()
    for seed in range(80):
        _, labels, bare = paste_people(grey, face, np.array([True]), people, np.random.default_rng(seed))
        assert len(labels) == len(bare) <= 1
        outcomes |= {float(labels[0, 4]) if len(labels) else None}
    assert outcomes == {FACE, UNSURE, None}
